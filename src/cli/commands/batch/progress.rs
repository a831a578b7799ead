//! One display of progress for all files: bars on a terminal, a line now and then elsewhere.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::child::Step;
use crate::media::lock;
use crate::term::{self, clock};

/// How often a plain line is printed where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// The display. Work is counted in bytes of input, the best measure there is beforehand.
pub(super) struct BatchProgress {
    bars: MultiProgress,
    total: ProgressBar,
    plain: bool,
    state: Mutex<State>,
}

struct State {
    files: usize,
    bytes: u64,
    done: usize,
    failed: usize,
    done_bytes: u64,
    /// Bytes that took no time: their outputs were there.
    skipped_bytes: u64,
    done_frames: u64,
    /// Files under way: size, how far, their line.
    under_way: BTreeMap<usize, (u64, Step, ProgressBar)>,
    started: Instant,
    last_line: Instant,
}

/// How a file ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileStatus {
    /// Made.
    Done,
    /// Was there.
    Skipped,
    /// Neither.
    Failed,
}

impl BatchProgress {
    pub(super) fn new(quiet: bool, files: usize, bytes: u64) -> Self {
        let terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
        let bars = MultiProgress::new();
        if quiet || !terminal {
            bars.set_draw_target(ProgressDrawTarget::hidden());
        }
        let total = bars.add(ProgressBar::new(bytes.max(1)));
        total.set_style(style("{bar:32} {percent:>3}%  {msg}"));
        let now = Instant::now();
        let state = State {
            files,
            bytes,
            done: 0,
            failed: 0,
            done_bytes: 0,
            skipped_bytes: 0,
            done_frames: 0,
            under_way: BTreeMap::new(),
            started: now,
            last_line: now,
        };
        Self { bars, total, plain: !quiet && !terminal, state: Mutex::new(state) }
    }

    /// A file is begun.
    pub(super) fn begin(&self, number: usize, name: &Path, size: u64) {
        let bar = self.bars.add(ProgressBar::new(1000));
        bar.set_style(style("  {bar:12} {percent:>3}%  {wide_msg}"));
        bar.set_message(term::printable(&name.display().to_string()));
        lock(&self.state).under_way.insert(number, (size, Step::default(), bar));
    }

    /// A file has come so far.
    pub(super) fn step(&self, number: usize, step: Step) {
        let mut state = lock(&self.state);
        if let Some((_, at, bar)) = state.under_way.get_mut(&number) {
            *at = step;
            bar.set_position((1000.0 * step.share) as u64);
        }
        self.draw(&mut state);
    }

    /// A file has ended.
    pub(super) fn end(&self, number: usize, size: u64, end: FileStatus) {
        let mut state = lock(&self.state);
        if let Some((_, step, bar)) = state.under_way.remove(&number) {
            state.done_frames += step.frames;
            bar.finish_and_clear();
            self.bars.remove(&bar);
        }
        state.done += 1;
        state.failed += usize::from(end == FileStatus::Failed);
        state.done_bytes += size;
        if end == FileStatus::Skipped {
            state.skipped_bytes += size;
        }
        self.draw(&mut state);
    }

    /// Prints a line above the display.
    pub(super) fn say(&self, line: &str) {
        self.bars.suspend(|| term::say(line));
    }

    /// Runs `print` while the display is out of the way.
    pub(super) fn suspend(&self, print: impl FnOnce()) {
        self.bars.suspend(print);
    }

    /// Takes the display away.
    pub(super) fn finish(&self) {
        self.total.finish_and_clear();
        let _ = self.bars.clear();
    }

    fn draw(&self, state: &mut State) {
        let under_way = state.under_way.values();
        let (bytes, frames) = under_way.fold((0.0, 0), |(bytes, frames), (size, step, _)| {
            (bytes + *size as f64 * step.share, frames + step.frames)
        });
        let bytes = state.done_bytes as f64 + bytes;
        let spent = state.started.elapsed().as_secs_f64();
        let mut text = format!("{} of {} files", state.done, state.files);
        if state.failed > 0 {
            text += &format!(", {} failed", state.failed);
        }
        text += &format!(", {:.1} frames/s", (state.done_frames + frames) as f64 / spent.max(1e-3));
        let worked = bytes - state.skipped_bytes as f64;
        if spent >= 1.0 && worked > 0.0 {
            let left = (state.bytes as f64 - bytes).max(0.0) * spent / worked;
            text += &format!(", {} left", clock(Duration::from_secs_f64(left.min(1e9))));
        }
        self.total.set_position(bytes as u64);
        self.total.set_message(text.clone());
        if self.plain && state.last_line.elapsed() >= LINE_EVERY {
            state.last_line = Instant::now();
            let percent = 100.0 * bytes / state.bytes.max(1) as f64;
            term::say(&format!("{percent:.0} %: {text}"));
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
