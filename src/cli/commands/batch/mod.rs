//! `facesr batch`: an archive of videos, each enhanced once.

mod args;
mod child;
mod list;
mod options;
mod progress;
mod state;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use clap::ArgMatches;
use facesr::internals::cores;
use serde_json::{Value, json};

pub(crate) use args::BatchArgs;

use crate::media::lock;
use crate::report;
use crate::term::{ExitStatus, Failure, interrupt, io_reason, say};
use child::ChildError;
use list::Task;
use options::Options;
use progress::{BatchProgress, FileStatus};
use state::{Extras, Place, Record, Verdict};

/// What came of one file.
enum FileOutcome {
    /// It was made.
    Done(Record),
    /// It was there.
    Skipped(Record),
    /// It would be made.
    ToDo,
    /// Another process is at it.
    Busy,
    /// It failed.
    Failed(String),
}

/// All that the workers share.
struct Batch<'a> {
    args: &'a BatchArgs,
    options: Options,
    hash: String,
    tasks: Vec<(Task, u64)>,
    next: AtomicUsize,
    progress: BatchProgress,
    counts: Mutex<Counts>,
    /// What failed, in the order in which it did.
    failed: Mutex<Vec<report::Failed>>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    done: usize,
    skipped: usize,
    to_do: usize,
    busy: usize,
    failed: usize,
    /// Outputs in which something of the input is missing.
    lossy: usize,
    frames: u64,
    faces: u64,
}

/// Carries out the command. `matches` is what `args` were made of.
pub(crate) fn run(args: &BatchArgs, matches: &ArgMatches) -> Result<(), Failure> {
    interrupt::watch();
    let options = Options::given(matches);
    let hash = options.hash()?;
    let list::Listing { tasks, unreadable, passed_over } =
        list::listing(&args.input, &args.output, args.format, args.shard)?;
    if tasks.is_empty() && unreadable.is_empty() && args.shard.is_none() {
        let shown = args.input.display();
        return Err(Failure::running(format_args!("there is no video in {shown}")));
    }
    let size = |task: &Task| task.input.metadata().map_or(0, |meta| meta.len());
    let sizes: Vec<u64> = tasks.iter().map(size).collect();
    let tasks: Vec<_> = tasks.into_iter().zip(sizes).collect();
    let bytes = tasks.iter().map(|(_, size)| size).sum();
    let progress = BatchProgress::new(args.quiet, tasks.len(), bytes);
    if let [first, ..] = passed_over.as_slice()
        && !args.quiet
    {
        say(&format!(
            "facesr: note: passed over {} files that are hidden or not called as videos are, such as {}",
            passed_over.len(),
            first.display()
        ));
    }
    let batch = Batch {
        args,
        options,
        hash,
        tasks,
        next: AtomicUsize::new(0),
        progress,
        counts: Mutex::default(),
        failed: Mutex::default(),
    };
    for (path, why) in &unreadable {
        batch.tell_unreadable(path, why);
    }
    // Reading, finding, sharpening and encoding of one file keep two processors busy.
    let jobs = args.jobs.map_or(cores().div_ceil(2), |jobs| jobs as usize);
    let started = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..jobs.min(batch.tasks.len()) {
            scope.spawn(|| batch.work());
        }
    });
    batch.progress.finish();
    if args.report && !args.dry_run {
        batch.write_index()?;
    }
    let counts = *lock(&batch.counts);
    if !args.quiet {
        say(&summary(&counts, started.elapsed().as_secs_f64()));
    }
    match () {
        () if interrupt::requested() => Err(Failure::stopped(
            "stopped; what is done stays done, the same command goes on from here",
        )),
        () if counts.failed > 0 => Err(Failure::partly(format_args!(
            "{} of {} files failed; the same command tries them again",
            counts.failed,
            batch.tasks.len() + unreadable.len()
        ))),
        () if counts.busy > 0 => Err(Failure::new(
            ExitStatus::Busy,
            format_args!(
                "{} files are being done by another process; run the command again when that has \
                 ended",
                counts.busy
            ),
        )),
        () if counts.lossy > 0 && !args.allow_loss => Err(Failure::new(
            ExitStatus::Loss,
            format_args!(
                "{} outputs do not hold all of their inputs; their lines say what is missing \
                 (--allow-loss accepts that)",
                counts.lossy
            ),
        )),
        () => Ok(()),
    }
}

impl Batch<'_> {
    /// Writes the page over all pages, those of earlier runs and other shards included, and what failed in
    /// this run.
    fn write_index(&self) -> Result<(), Failure> {
        let folder = &self.args.output;
        let records = match state::with_pages(folder) {
            // No file was begun.
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            records => records.map_err(|e| {
                let shown = folder.display();
                Failure::running(format_args!(
                    "cannot read the records in {shown}: {}",
                    io_reason(&e)
                ))
            })?,
        };
        let entries: Vec<_> = records
            .into_iter()
            .map(|(output, page, record)| report::Entry { page, output, report: record.report })
            .collect();
        let mut failed = std::mem::take(&mut *lock(&self.failed));
        failed.sort_by(|a, b| a.output.cmp(&b.output));
        report::write_index(folder, &entries, &failed)
    }

    /// Takes files until there are no more.
    fn work(&self) {
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let Some((task, size)) = self.tasks.get(number) else { return };
            if interrupt::requested() {
                return;
            }
            let started = Instant::now();
            let Some(result) = self.file(number, task, *size) else { return };
            self.tell(task, &result, started.elapsed().as_secs_f64());
            let end = match &result {
                FileOutcome::Done(_) => FileStatus::Done,
                FileOutcome::Failed(_) => FileStatus::Failed,
                _ => FileStatus::Skipped,
            };
            self.progress.end(number, *size, end);
            if let FileOutcome::Failed(why) = result {
                lock(&self.failed).push(report::Failed { output: task.output.clone(), why });
            }
        }
    }

    /// Does one file; `None` if the user stopped it.
    fn file(&self, number: usize, task: &Task, size: u64) -> Option<FileOutcome> {
        let place = Place::new(&self.args.output, &task.output);
        let failed = |what: &str, e: &std::io::Error| {
            Some(FileOutcome::Failed(format!("cannot {what}: {}", io_reason(e))))
        };
        let input = task.input.display();
        let extras = Extras { page: self.args.report, gallery: self.args.gallery };
        let trust = (self.args.rehash, self.args.force);
        let check = || place.check(&task.input, &self.hash, extras, trust);
        let foreign = |path: &Path| {
            Some(FileOutcome::Failed(format!(
                "{} is there already and was not made here; --force replaces it",
                path.display()
            )))
        };
        if self.args.dry_run {
            return match check() {
                Ok(Verdict::Done(record)) => Some(FileOutcome::Skipped(*record)),
                Ok(Verdict::ToDo { .. }) => Some(FileOutcome::ToDo),
                Ok(Verdict::Foreign(path)) => foreign(&path),
                Err(e) => failed(&format!("read {input}"), &e),
            };
        }
        let output = self.args.output.join(&task.output);
        let held = match place.prepare().and_then(|()| place.lock()) {
            Ok(Some(held)) => held,
            Ok(None) => return Some(FileOutcome::Busy),
            Err(e) => return failed(&format!("write {}", output.display()), &e),
        };
        let (content, stamp) = match check() {
            Ok(Verdict::Done(record)) => return Some(FileOutcome::Skipped(*record)),
            Ok(Verdict::ToDo { content, stamp }) => (content, stamp),
            Ok(Verdict::Foreign(path)) => return foreign(&path),
            Err(e) => return failed(&format!("read {input}"), &e),
        };
        if let Err(e) = place.begin() {
            return failed(&format!("write {}", output.display()), &e);
        }
        self.progress.begin(number, &task.output, size);
        let report = place.beside("run");
        let tell = |step| self.progress.step(number, step);
        let mut options = self.options.arguments();
        if extras.page {
            options.extend(["--report".into(), place.page().into()]);
        }
        if extras.gallery {
            options.extend(["--gallery".into(), place.gallery().into()]);
        }
        let timeout = Duration::from_secs(self.args.timeout.into());
        let ended = child::run(&task.input, &output, &report, &options, timeout, tell);
        if ended.is_err() {
            place.abandon();
        }
        let told = std::fs::read(&report).ok().and_then(|t| serde_json::from_slice(&t).ok());
        let _ = std::fs::remove_file(&report);
        let result = match ended {
            Err(ChildError::Stopped) => return None,
            Err(ChildError::Failed(why)) => FileOutcome::Failed(why),
            Ok(()) => {
                let report = told.unwrap_or(Value::Null);
                match place.write(&task.input, (content, stamp), &self.hash, (report, extras)) {
                    Ok(record) => FileOutcome::Done(record),
                    Err(e) => {
                        return failed(&format!("note that {} is done", output.display()), &e);
                    }
                }
            }
        };
        drop(held);
        Some(result)
    }

    /// Tells of something in the archive that cannot be read.
    fn tell_unreadable(&self, path: &Path, why: &str) {
        let error = format!("cannot read {}: {why}", path.display());
        if !self.args.quiet {
            self.progress.say(&format!("facesr: {error}"));
        }
        lock(&self.counts).failed += 1;
        let line = json!({
            "input": path.to_string_lossy(), "output": null, "status": "failed", "error": error,
        });
        self.print_line(&line);
    }

    fn print_line(&self, line: &Value) {
        self.progress.suspend(|| {
            let mut out = std::io::stdout().lock();
            // Whoever reads the lines may have gone; the work goes on.
            let _ = writeln!(out, "{line}").and_then(|()| out.flush());
        });
    }

    /// Prints the line of one file and counts it.
    fn tell(&self, task: &Task, result: &FileOutcome, seconds: f64) {
        let output: PathBuf = self.args.output.join(&task.output);
        let mut line =
            json!({ "input": task.input.to_string_lossy(), "output": output.to_string_lossy() });
        let mut counts = lock(&self.counts);
        let (status, count) = match result {
            FileOutcome::Done(_) => ("done", &mut counts.done),
            FileOutcome::Skipped(_) => ("skipped", &mut counts.skipped),
            FileOutcome::ToDo => ("to do", &mut counts.to_do),
            FileOutcome::Busy => ("busy", &mut counts.busy),
            FileOutcome::Failed(_) => ("failed", &mut counts.failed),
        };
        *count += 1;
        line["status"] = status.into();
        match result {
            FileOutcome::Done(record) | FileOutcome::Skipped(record) => {
                for key in ["frames", "faces_enhanced", "tracks", "fps", "notes", "losses"] {
                    line[key] = record.report[key].clone();
                }
                if record.report["losses"].as_array().is_some_and(|losses| !losses.is_empty()) {
                    counts.lossy += 1;
                }
                let notes = record.report["notes"].as_array();
                for note in notes.into_iter().flatten().filter_map(Value::as_str) {
                    if !self.args.quiet && matches!(result, FileOutcome::Done(_)) {
                        self.progress
                            .say(&format!("facesr: note: {}: {note}", task.output.display()));
                    }
                }
                line["sha256"] = record.content.as_str().into();
                let place = Place::new(&self.args.output, &task.output);
                if record.extras.page {
                    line["page"] = place.page().to_string_lossy().into();
                }
                if record.extras.gallery {
                    line["gallery"] = place.gallery().to_string_lossy().into();
                }
            }
            FileOutcome::Failed(why) => {
                line["error"] = why.as_str().into();
                if !self.args.quiet {
                    self.progress.say(&format!("facesr: {why}"));
                }
            }
            FileOutcome::ToDo | FileOutcome::Busy => {}
        }
        if let FileOutcome::Done(record) = result {
            line["seconds"] = ((seconds * 1e3).round() / 1e3).into();
            counts.frames += record.report["frames"].as_u64().unwrap_or(0);
            counts.faces += record.report["faces_enhanced"].as_u64().unwrap_or(0);
        }
        drop(counts);
        self.print_line(&line);
    }
}

fn summary(counts: &Counts, seconds: f64) -> String {
    let Counts { done, skipped, to_do, busy, failed, lossy, frames, faces } = counts;
    let mut text = format!("{done} files done, {skipped} were done already, {failed} failed");
    if *to_do > 0 {
        text += &format!(", {to_do} to do");
    }
    if *lossy > 0 {
        text += &format!(", {lossy} without all of their input");
    }
    if *busy > 0 {
        text += &format!(", {busy} are being done by another process");
    }
    if *done > 0 {
        let rate = *frames as f64 / seconds.max(1e-3);
        text += &format!("; {frames} frames, {faces} faces sharpened, {rate:.1} frames/s");
    }
    text
}
