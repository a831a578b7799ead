//! What the user sees while it works: a bar on a terminal, plain lines elsewhere.

use std::io::Write;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::interrupt;

/// How often a plain line is printed where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// How often a program that listens is told.
const JSON_EVERY: Duration = Duration::from_millis(200);

/// Where progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum ProgressMode {
    /// A bar on a terminal, lines elsewhere, both on standard error.
    #[default]
    Screen,
    /// Lines of JSON on standard output, for a program.
    Json,
    /// Nowhere.
    Nowhere,
}

impl ProgressMode {
    /// On the screen, unless the user wants it quiet.
    pub(crate) fn unless(quiet: bool) -> Self {
        if quiet { Self::Nowhere } else { Self::Screen }
    }
}

/// Progress of one file.
pub(crate) struct Progress {
    bar: ProgressBar,
    shown: ProgressMode,
    plain: bool,
    started: Instant,
    last_line: Instant,
}

/// How far it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Position {
    /// Frames that have left the enhancer.
    pub(crate) frames: u64,
    /// Position in the input, seconds.
    pub(crate) seconds: f64,
    /// Length of the input in seconds, if known.
    pub(crate) duration: Option<f64>,
}

impl Progress {
    /// Starts to show progress.
    pub(crate) fn start(shown: ProgressMode) -> Self {
        let quiet = shown != ProgressMode::Screen;
        let terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
        let bar = if quiet || !terminal {
            ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden())
        } else {
            ProgressBar::new_spinner()
        };
        bar.set_style(style("{spinner} {msg}"));
        let now = Instant::now();
        Self { bar, shown, plain: !quiet && !terminal, started: now, last_line: now }
    }

    /// Shows how far it is.
    pub(crate) fn show(&mut self, position: Position) {
        if self.shown == ProgressMode::Json {
            if self.last_line.elapsed() >= JSON_EVERY {
                self.last_line = Instant::now();
                let Position { frames, seconds, duration } = position;
                let line = serde_json::json!({
                    "frames": frames, "position": seconds, "duration": duration,
                });
                // Whoever listened is gone, and with them whoever wants the output.
                if writeln!(std::io::stdout(), "{line}").is_err() {
                    interrupt::request();
                }
            }
            return;
        }
        let speed = position.frames as f64 / self.started.elapsed().as_secs_f64().max(1e-3);
        let left = self.left(position);
        let text = format!(
            "{} frames, {speed:.1} frames/s{}",
            position.frames,
            left.map_or(String::new(), |left| format!(", {} left", clock(left)))
        );
        if let Some(total) = position.duration.filter(|total| *total > 0.0) {
            if self.bar.length().is_none() {
                self.bar.set_length((total * 1000.0) as u64);
                self.bar.set_style(style("{bar:32} {percent:>3}%  {msg}"));
            }
            self.bar.set_position((position.seconds * 1000.0) as u64);
        }
        self.bar.set_message(text.clone());
        if self.plain && self.last_line.elapsed() >= LINE_EVERY {
            self.last_line = Instant::now();
            match position.duration.filter(|total| *total > 0.0) {
                Some(total) => {
                    let percent = (100.0 * position.seconds / total).clamp(0.0, 100.0);
                    super::say(&format!("{percent:.0} %: {text}"));
                }
                None => super::say(&text),
            }
        }
    }

    /// Prints a line above the bar, unless the user wants it quiet.
    pub(crate) fn say(&self, line: &str) {
        if self.shown != ProgressMode::Nowhere {
            self.bar.suspend(|| super::say(line));
        }
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn left(&self, position: Position) -> Option<Duration> {
        let done = position.seconds / position.duration.filter(|total| *total > 0.0)?;
        let spent = self.started.elapsed().as_secs_f64();
        // The first moments tell nothing.
        if spent < 1.0 || done < 0.005 {
            return None;
        }
        Some(Duration::from_secs_f64((spent * (1.0 - done) / done).max(0.0)))
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// `1:02:03` or `2:03`.
pub(crate) fn clock(time: Duration) -> String {
    let s = time.as_secs();
    match s / 3600 {
        0 => format!("{}:{:02}", s / 60, s % 60),
        h => format!("{h}:{:02}:{:02}", s / 60 % 60, s % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_like_a_clock() {
        assert_eq!(clock(Duration::from_secs(5)), "0:05");
        assert_eq!(clock(Duration::from_secs(3723)), "1:02:03");
    }
}
