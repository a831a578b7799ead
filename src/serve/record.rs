//! Writes what a path shows to disk, in segments of some minutes. Each is a Matroska file that is written as it
//! comes, so that it plays to the last frame even if this process is killed, and beside it lies a file of the same
//! name that says when it began and which faces it shows, when.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use gst::glib;
use gst::prelude::*;
use serde_json::{Value, json};

use crate::config::RecordConfig;
use crate::elements::{chain, make, set_if_there};
use crate::error::ServeError;
use crate::faces::FaceEvent;
use crate::output::Output;
use crate::sound::Sound;
use crate::status::Status;

/// After a fault, a full disk say, it is tried again after so long.
const RETRY: Duration = Duration::from_secs(10);
/// Old segments are looked for as often.
const CLEAN_EVERY: Duration = Duration::from_secs(20);
/// A segment that has ended is closed by then.
const CLOSE_WITHIN: Duration = Duration::from_secs(10);
/// A segment without sound lasts at least so long, if there is sound again.
const SOUND_AFTER: Duration = Duration::from_secs(10);
/// Frames that may wait for a disk that hangs: some seconds.
const MOST_WAITING: u64 = 150;

/// What recording has come to.
#[derive(Default)]
pub(crate) struct RecordFigures {
    /// Segments that were begun, and times that writing failed.
    pub(crate) segments: AtomicU64,
    pub(crate) failures: AtomicU64,
    /// Bytes on disk, of all segments.
    pub(crate) bytes: AtomicU64,
}

/// Records one path. Driven by [`Recorder::tick`], in the thread that keeps the camera's outputs.
pub(crate) struct Recorder {
    config: RecordConfig,
    camera: String,
    /// Where the segments of this path lie.
    folder: PathBuf,
    output: Arc<Output>,
    sound: Arc<Sound>,
    figures: Arc<RecordFigures>,
    current: Option<Segment>,
    /// The next one, until its first frame has come.
    next: Option<Segment>,
    closing: Vec<(Segment, Instant)>,
    failed: Option<Instant>,
    is_told: bool,
    cleaned: Option<Instant>,
    /// Bytes on disk when that was looked at.
    bytes: u64,
}

/// One file that is being written.
struct Segment {
    pipeline: gst::Pipeline,
    output: Arc<Output>,
    taker: u64,
    source: gst_app::AppSrc,
    /// Where its sound comes in, while there is any.
    sound: Option<SoundTrack>,
    path: PathBuf,
    index: Option<Index>,
    made: Instant,
    /// When its first frame came.
    began: Arc<OnceLock<SystemTime>>,
}

/// The sound of a segment.
struct SoundTrack {
    source: gst_app::AppSrc,
    sound: Arc<Sound>,
    taker: u64,
}

impl Drop for SoundTrack {
    /// The pictures go on without it.
    fn drop(&mut self) {
        self.sound.fanout.remove(self.taker);
        let _ = self.source.end_of_stream();
    }
}

/// What is said of a segment, in a file beside it.
struct Index {
    file: File,
    began: SystemTime,
}

impl Recorder {
    /// Records `output` of a camera below `config`'s folder, in `folder` of it.
    pub(crate) fn new(
        config: RecordConfig,
        camera: &str,
        folder: &Path,
        output: Arc<Output>,
        sound: Arc<Sound>,
        figures: Arc<RecordFigures>,
    ) -> Self {
        Self {
            folder: config.folder.join(folder),
            camera: camera.into(),
            config,
            output,
            sound,
            figures,
            current: None,
            next: None,
            closing: Vec::new(),
            failed: None,
            is_told: false,
            cleaned: None,
            bytes: 0,
        }
    }

    /// To be called some times a second.
    pub(crate) fn tick(&mut self, status: &Status) {
        self.close_ended();
        if let Err(reason) = self.go_on(status) {
            self.figures.failures.fetch_add(1, Ordering::Relaxed);
            self.failed = Some(Instant::now());
            self.end();
            if !std::mem::replace(&mut self.is_told, true) {
                let folder = self.folder.display();
                status.note(format!("recording to {folder} fails: {reason}; it is tried again"));
            }
        }
        if self.cleaned.is_none_or(|at| at.elapsed() >= CLEAN_EVERY) {
            self.cleaned = Some(Instant::now());
            let bytes = clean(&self.folder, self.config.most_bytes, self.config.most_age);
            // Another recorder of the camera counts there, too.
            self.figures.bytes.fetch_add(bytes, Ordering::Relaxed);
            self.figures.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
            self.bytes = bytes;
        }
    }

    /// Begins segments and passes from one to the next.
    fn go_on(&mut self, status: &Status) -> Result<(), String> {
        if self.failed.is_some_and(|at| at.elapsed() < RETRY) {
            return Ok(());
        }
        self.failed = None;
        for segment in self.current.iter().chain(&self.next) {
            segment.check()?;
        }
        if let Some(began) = self.next.as_ref().and_then(|next| next.began.get()).copied() {
            self.end_current();
            self.current = self.next.take();
            self.is_told = false;
            let present: Vec<_> = status.present.present().iter().map(FaceEvent::to_json).collect();
            let segment = self.current.iter_mut();
            segment.for_each(|s| s.begin_index(&self.camera, began, &present));
        }
        let has_sound = self.sound.caps().is_some();
        if !has_sound {
            let segments = self.current.iter_mut().chain(&mut self.next);
            segments.for_each(|segment| segment.sound = None);
        }
        // Sound that comes later needs a file of its own; it may come and go.
        let is_full = |s: &Segment| {
            let age = s.made.elapsed();
            age >= self.config.segment || has_sound && s.sound.is_none() && age >= SOUND_AFTER
        };
        // A camera that has never been seen has no size yet.
        if self.next.is_none()
            && self.current.as_ref().is_none_or(is_full)
            && self.output.has_pictures()
        {
            let segment = Segment::start(&self.folder, &self.output, &self.sound);
            self.next = Some(segment.map_err(|e| e.to_string())?);
            self.figures.segments.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Takes down what a face did.
    pub(crate) fn note(&mut self, event: &FaceEvent) {
        if let Some(index) = self.current.as_mut().and_then(|segment| segment.index.as_mut()) {
            index.note(event.at(), event.to_json());
        }
    }

    fn end_current(&mut self) {
        if let Some(mut segment) = self.current.take() {
            segment.end();
            self.closing.push((segment, Instant::now()));
        }
    }

    /// Ends the segments; what they hold is complete.
    fn end(&mut self) {
        self.end_current();
        self.current = self.next.take();
        if let Some(segment) = &mut self.current
            && let Some(began) = segment.began.get().copied()
        {
            segment.begin_index(&self.camera, began, &[]);
        }
        self.end_current();
    }

    fn close_ended(&mut self) {
        self.closing
            .retain(|(segment, since)| !segment.has_ended() && since.elapsed() < CLOSE_WITHIN);
    }

    /// Ends all, and waits for it until `deadline`.
    pub(crate) fn finish(&mut self, deadline: Instant) {
        self.end();
        while !self.closing.is_empty() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
            self.close_ended();
        }
        self.closing.clear();
    }
}

impl Segment {
    fn start(folder: &Path, output: &Arc<Output>, sound: &Arc<Sound>) -> Result<Self, ServeError> {
        std::fs::create_dir_all(folder)?;
        let name = free_name(folder, SystemTime::now());
        let path = folder.join(format!("{name}.mkv"));
        let pipeline = gst::Pipeline::new();
        pipeline.use_clock(Some(&gst::SystemClock::obtain()));
        let source = make_source();
        let (parser, muxer, file) = (make("h264parse")?, make("matroskamux")?, make("filesink")?);
        file.set_property("location", path.display().to_string());
        // What was written once stays, whatever becomes of this process.
        set_if_there(&file, "buffer-mode", "unbuffered");
        file.set_property("async", false);
        file.set_property("sync", false);
        chain(&pipeline, &[source.clone().upcast(), parser, muxer.clone(), file])?;
        let sound_source = sound.caps().map(|_| make_source());
        if let Some(source) = &sound_source {
            pipeline.add(source)?;
            source.link_pads(Some("src"), &muxer, Some("audio_%u"))?;
        }
        let began = Arc::new(OnceLock::new());
        let begun = began.clone();
        if let Some(pad) = source.static_pad("src") {
            pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
                let _ = begun.set(SystemTime::now());
                gst::PadProbeReturn::Remove
            });
        }
        pipeline
            .set_state(gst::State::Playing)
            .map_err(|_| glib::bool_error!("{} cannot be written", path.display()))?;
        let taker = output.attach(source.clone(), MOST_WAITING)?;
        let output = output.clone();
        let sound = sound_source.map(|source| {
            let taker = sound.attach(source.clone(), MOST_WAITING);
            SoundTrack { source, sound: sound.clone(), taker }
        });
        let (index, made) = (None, Instant::now());
        Ok(Self { pipeline, output, taker, source, sound, path, index, made, began })
    }

    /// Begins what is said of it, with the faces that are there already. A full disk is told by the segment itself.
    fn begin_index(&mut self, camera: &str, began: SystemTime, present: &[Value]) {
        let Ok(mut file) = File::create(self.path.with_extension("jsonl")) else { return };
        let segment = self.path.file_name().map(|name| name.to_string_lossy());
        let head = json!({ "camera": camera, "segment": segment, "began": iso(began) });
        let _ = writeln!(file, "{head}");
        let mut index = Index { file, began };
        present.iter().for_each(|line| index.note(began, line.clone()));
        self.index = Some(index);
    }

    /// Whether all is well.
    fn check(&self) -> Result<(), String> {
        let message =
            self.pipeline.bus().and_then(|bus| bus.pop_filtered(&[gst::MessageType::Error]));
        match message.as_ref().map(|message| message.view()) {
            Some(gst::MessageView::Error(error)) => {
                Err(error.error().to_string().trim_end_matches('.').to_string())
            }
            _ => Ok(()),
        }
    }

    /// It gets no more, and is to be closed.
    fn end(&mut self) {
        self.sound = None;
        self.output.fanout.remove(self.taker);
        let _ = self.source.end_of_stream();
    }

    fn has_ended(&self) -> bool {
        let ends = [gst::MessageType::Error, gst::MessageType::Eos];
        self.pipeline.bus().is_none_or(|bus| bus.pop_filtered(&ends).is_some())
    }
}

fn make_source() -> gst_app::AppSrc {
    gst_app::AppSrc::builder().is_live(true).format(gst::Format::Time).max_bytes(0).build()
}

impl Drop for Segment {
    fn drop(&mut self) {
        self.output.fanout.remove(self.taker);
        let _ = self.pipeline.set_state(gst::State::Null);
        if self.began.get().is_none() {
            // Nothing has come.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

impl Index {
    fn note(&mut self, at: SystemTime, mut line: Value) {
        let seconds = at.duration_since(self.began).unwrap_or_default().as_secs_f64();
        line["segment_s"] = json!((seconds * 1000.0).round() / 1000.0);
        let _ = writeln!(self.file, "{line}");
    }
}

/// A time as programs write it, by UTC.
pub(crate) fn iso(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let text = utc(since.as_secs(), "%Y-%m-%dT%H:%M:%S");
    format!("{text}.{:03}Z", since.subsec_millis())
}

fn utc(seconds: u64, format: &str) -> String {
    let time = i64::try_from(seconds).ok().and_then(|s| glib::DateTime::from_unix_utc(s).ok());
    time.and_then(|time| time.format(format).ok()).map(Into::into).unwrap_or_default()
}

/// A name that says when, and that no file has: names sort as the times do.
fn free_name(folder: &Path, now: SystemTime) -> String {
    let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let name = utc(seconds, "%Y-%m-%dT%H-%M-%SZ");
    let is_free = |name: &String| !folder.join(format!("{name}.mkv")).exists();
    let numbered = (2..100).map(|n| format!("{name}-{n:02}"));
    std::iter::once(name.clone()).chain(numbered).find(is_free).unwrap_or(name)
}

/// Deletes segments that are too old, and the oldest until the rest has room; answers the bytes that are left. The
/// newest is being written, and stays. What is not a segment is left alone.
fn clean(folder: &Path, most_bytes: u64, most_age: Duration) -> u64 {
    let mut segments: Vec<(PathBuf, u64, SystemTime)> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.path().extension().is_some_and(|end| end == "mkv"))
        .filter_map(|entry| {
            let meta = entry.metadata().ok().filter(std::fs::Metadata::is_file)?;
            Some((entry.path(), meta.len(), meta.modified().ok()?))
        })
        .collect();
    segments.sort();
    let mut bytes: u64 = segments.iter().map(|(_, size, _)| size).sum();
    segments.pop();
    for (path, size, written) in segments {
        let is_old = written.elapsed().is_ok_and(|age| age > most_age);
        if !is_old && bytes <= most_bytes {
            break;
        }
        if std::fs::remove_file(&path).is_ok() {
            let _ = std::fs::remove_file(path.with_extension("jsonl"));
            bytes = bytes.saturating_sub(size);
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // A test that cannot be set up has failed.

    use super::*;

    #[test]
    fn oldest_segments_go_when_there_is_no_room_or_they_are_too_old() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for n in 1..=5 {
            std::fs::write(at(&format!("2026-01-0{n}T00-00-00Z.mkv")), [0; 100]).unwrap();
            std::fs::write(at(&format!("2026-01-0{n}T00-00-00Z.jsonl")), "{}").unwrap();
        }
        std::fs::write(at("0-mine.txt"), [0; 1000]).unwrap();
        let long = Duration::from_secs(1000);
        assert_eq!(clean(folder.path(), 10_000, long), 500);
        assert_eq!(clean(folder.path(), 300, long), 300);
        assert!(!at("2026-01-02T00-00-00Z.mkv").exists());
        assert!(!at("2026-01-02T00-00-00Z.jsonl").exists());
        assert!(at("2026-01-03T00-00-00Z.jsonl").exists() && at("0-mine.txt").exists());
        // Too old, all but the one that is written.
        let before = SystemTime::now() - Duration::from_secs(2000);
        for n in 3..=5 {
            let file = File::options().write(true).open(at(&format!("2026-01-0{n}T00-00-00Z.mkv")));
            file.unwrap().set_modified(before).unwrap();
        }
        assert_eq!(clean(folder.path(), 10_000, long), 100);
        assert!(at("2026-01-05T00-00-00Z.mkv").exists());
        // Without room for one it stays, too.
        assert_eq!(clean(folder.path(), 1, long), 100);
    }

    #[test]
    fn segments_are_named_by_their_time() {
        let folder = tempfile::tempdir().unwrap();
        let time = UNIX_EPOCH + Duration::from_millis(1_764_452_103_250);
        assert_eq!(iso(time), "2025-11-29T21:35:03.250Z");
        let name = free_name(folder.path(), time);
        assert_eq!(name, "2025-11-29T21-35-03Z");
        std::fs::write(folder.path().join(format!("{name}.mkv")), "").unwrap();
        assert_eq!(free_name(folder.path(), time), "2025-11-29T21-35-03Z-02");
    }
}
