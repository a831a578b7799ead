//! A run: a source through a plan to its end, held against what it promised, and published.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use facesr::internals::cpu_time::process_time;
use gst::prelude::*;
use serde_json::{Value, json};

use super::pipeline::{self, Plan, Target, Transcode};
use super::{Container, Input, Sizes, errors};
use crate::files::{AtomicFile, io_reason};
use crate::term::{Failure, Note, Position, Progress, interrupt};

/// How often the screen and the wish to stop are looked at.
const TICK: gst::ClockTime = gst::ClockTime::from_mseconds(100);
/// After so many ticks without a message it is asked whether the input is still being read.
const QUIET: u32 = 10;
/// How long a stream that was stopped may take to give what is under way.
const LAST_FRAMES: Duration = Duration::from_secs(20);

/// What came of a run.
pub(crate) struct Outcome {
    /// The element that the frames have passed.
    pub(crate) element: gst::Element,
    /// Its counts, which are gone once it is started again.
    stats: gst::Structure,
    /// Frames that have passed.
    pub(crate) frames: u64,
    /// Sizes and rate of the video.
    pub(crate) sizes: Option<Sizes>,
    /// Streams kept: other video, audio, subtitles.
    pub(crate) kept: [u32; 3],
    /// What the user was told.
    pub(crate) notes: Vec<Note>,
    /// Whether the user stopped a stream that has no end.
    pub(crate) was_stopped: bool,
    /// How long it took.
    pub(crate) wall: Duration,
    /// How much of that had passed when the first frame was done.
    pub(crate) startup: Duration,
    /// CPU time of the whole process.
    pub(crate) cpu: Duration,
}

impl Outcome {
    /// One of the element's counts.
    pub(crate) fn count(&self, name: &str) -> u64 {
        self.stats.get::<u64>(name).unwrap_or(0)
    }

    /// What of the input is not in the output, in sentences.
    pub(crate) fn losses(&self) -> Vec<&str> {
        self.notes.iter().filter(|note| note.is_loss).map(|note| note.text.as_str()).collect()
    }
}

/// Versions of what takes part.
pub(crate) fn versions() -> Value {
    json!({
        "facesr": env!("FACESR_VERSION"),
        "gstreamer": gst::version_string().trim_start_matches("GStreamer ").to_string(),
        "onnxruntime": facesr::inference::Runtime::get().ok().map(|r| r.version()),
    })
}

/// Where an output goes.
pub(crate) enum Output {
    /// Into a file, which gets its name when it is whole.
    File(AtomicFile),
    /// To standard output, as it is made.
    Stdout,
}

/// Runs a source through a plan to its end, and publishes the output if there is one. A stream that
/// gives nothing for `patience` has ended.
///
/// # Errors
/// A [`Failure`] in a sentence; no file is written then.
pub(crate) fn transcode(
    plan: Plan,
    source: &Input,
    output: Option<(Output, Container)>,
    patience: Duration,
    progress: &mut Progress,
) -> Result<Outcome, Failure> {
    let target = output.as_ref().map(|(output, format)| Target {
        format: *format,
        file: match output {
            Output::File(file) => Some(file.path()),
            Output::Stdout => None,
        },
    });
    let transcode = pipeline::build(plan, source, target)?;
    let before = (Instant::now(), process_time());
    let name = output.as_ref().map(|(output, _)| match output {
        Output::File(file) => file.shown().display().to_string(),
        Output::Stdout => "standard output".into(),
    });
    let driven = Drive::new(&transcode, source, name.clone(), patience, progress).run();
    let (wall, cpu) = (before.0.elapsed(), process_time().saturating_sub(before.1));
    let startup = transcode.status.first.get().map_or(wall, |first| *first - before.0);
    let stats = transcode.element.property::<gst::Structure>("stats");
    // Stopping also closes the file, whose last bytes must be there before it gets its name.
    let _ = transcode.pipeline.set_state(gst::State::Null);
    progress.finish();
    let (mut notes, was_stopped) = driven?;
    if let Some((output, format)) = output {
        if !was_stopped {
            transcode.compare();
        }
        let mut made = None;
        if let Output::File(file) = output {
            transcode.finish(format, file.path()).map_err(|e| {
                let name = file.shown().display();
                Failure::running(format_args!("cannot write {name}: {}", io_reason(&e)))
            })?;
            if !was_stopped {
                transcode.check(format, file.path())?;
            }
            made = Some(file);
        }
        for note in transcode.status.take_notes() {
            progress.say(&format!("facesr: note: {}", note.text));
            notes.push(note);
        }
        if let Some(file) = made {
            file.publish()?;
        }
    }
    Ok(Outcome {
        frames: transcode.position().1,
        sizes: transcode.status.sizes(),
        kept: transcode.status.kept(),
        element: transcode.element,
        stats,
        notes,
        was_stopped,
        wall,
        startup,
        cpu,
    })
}

/// A pipeline on its way to the end.
struct Drive<'a> {
    transcode: &'a Transcode,
    source: &'a Input,
    /// Name of the output, if there is one.
    output: Option<String>,
    /// How long nothing may come.
    patience: Duration,
    progress: &'a mut Progress,
    notes: Vec<Note>,
    missing: Vec<(String, &'static str)>,
    /// Whether it was told that the input is damaged.
    is_damaged: bool,
}

impl<'a> Drive<'a> {
    fn new(
        transcode: &'a Transcode,
        source: &'a Input,
        output: Option<String>,
        patience: Duration,
        progress: &'a mut Progress,
    ) -> Self {
        let (notes, missing) = (Vec::new(), Vec::new());
        Self { transcode, source, output, patience, progress, notes, missing, is_damaged: false }
    }

    /// Runs the pipeline to its end; returns the notes, and whether the user stopped a stream
    /// that has no end.
    fn run(mut self) -> Result<(Vec<Note>, bool), Failure> {
        let pipeline = &self.transcode.pipeline;
        let bus = pipeline.bus().ok_or_else(|| Failure::running("no message bus"))?;
        let mut stall = Stall::new(self.patience);
        let mut stopping: Option<Instant> = None;
        let mut quiet = 0;
        let mut is_silent = false;
        // A failed start is told by an error message.
        let _ = pipeline.set_state(gst::State::Playing);
        loop {
            let (position, frames) = self.transcode.position();
            if interrupt::requested() && stopping.is_none() {
                // What has an end was not done; what has none is done when it is stopped.
                if self.source.is_finite() || frames == 0 {
                    return Err(Failure::interrupted());
                }
                stopping = Some(Instant::now());
                self.transcode.end_now();
            }
            if stopping.is_some_and(|since| since.elapsed() > LAST_FRAMES) {
                return Err(Failure::interrupted());
            }
            let message = bus.timed_pop(TICK);
            self.take_notes();
            let duration = pipeline.query_duration::<gst::ClockTime>();
            self.progress.show(Position {
                frames,
                seconds: position as f64 / 1e9,
                duration: duration
                    .map(|d| self.transcode.excerpt.duration(d.nseconds()) as f64 / 1e9),
            });
            let Some(message) = message else {
                quiet += 1;
                if quiet > QUIET && self.source.is_finite() && self.transcode.reading_has_died() {
                    return Err(Failure::running(format_args!(
                        "cannot read {}: it is damaged or cut short, nothing can be found in it",
                        self.source.name()
                    )));
                }
                if !stall.lasts((position as i64, frames)) {
                    continue;
                }
                // What a stream has given until it fell silent is not thrown away.
                if !self.source.is_finite() && frames > 0 && stopping.is_none() {
                    self.note("nothing more came of the stream; it was ended there".into(), true);
                    stopping = Some(Instant::now());
                    is_silent = true;
                    self.transcode.end_now();
                } else if stopping.is_none() {
                    return Err(Failure::running(format_args!(
                        "cannot read {}: nothing more comes out of it; is it cut short?",
                        self.source.name()
                    )));
                }
                continue;
            };
            quiet = 0;
            match message.view() {
                gst::MessageView::Eos(_) => {
                    self.ensure_video(frames)?;
                    self.take_notes();
                    return Ok((self.notes, stopping.is_some() && !is_silent));
                }
                gst::MessageView::Error(error) => return Err(self.failure(&bus, error)),
                gst::MessageView::Warning(warning) => {
                    let is_loss = errors::tells_of_damage(warning);
                    // One of many alike is enough; where a file is damaged is told in the end.
                    if !is_loss || !std::mem::replace(&mut self.is_damaged, true) {
                        self.note(errors::warning_sentence(warning), is_loss);
                    }
                }
                gst::MessageView::Element(_) => {
                    self.missing.extend(errors::missing_plugin(&message));
                }
                gst::MessageView::Latency(_) => {
                    let _ = pipeline.recalculate_latency();
                }
                _ => {}
            }
        }
    }

    fn ensure_video(&self, frames: u64) -> Result<(), Failure> {
        let name = self.source.name();
        if !self.transcode.status.has_video.load(Ordering::Relaxed) {
            return Err(Failure::running(pipeline::no_video(&name)));
        }
        if frames == 0 {
            return Err(Failure::running(format_args!(
                "cannot read {name}: no picture in it can be decoded"
            )));
        }
        Ok(())
    }

    /// The sentence for an error. What failed first is often told last: a source that cannot read
    /// is heard after those who got nothing from it.
    fn failure(&self, bus: &gst::Bus, first: &gst::message::Error) -> Failure {
        let output = self.output.clone();
        let context = errors::Context { source: self.source, output, missing: &self.missing };
        let mut best = (errors::weight(first), errors::sentence(first, &context));
        let kinds = [gst::MessageType::Error];
        let wait = gst::ClockTime::from_mseconds(if best.0 > 1 { 0 } else { 300 });
        while let Some(message) = bus.timed_pop_filtered(wait, &kinds) {
            if let gst::MessageView::Error(error) = message.view()
                && errors::weight(error) > best.0
            {
                best = (errors::weight(error), errors::sentence(error, &context));
            }
        }
        if let Input::Uri(uri) = self.source
            && best.0 < 2
            && !self.transcode.status.ledger.has_begun()
            && let Some(why) = errors::unreachable(uri)
        {
            return Failure::running(why);
        }
        Failure::running(best.1)
    }

    fn take_notes(&mut self) {
        for note in self.transcode.status.take_notes() {
            self.note(note.text, note.is_loss);
        }
    }

    fn note(&mut self, text: String, is_loss: bool) {
        // Damage is told of packet by packet; some sentences are enough.
        if self.notes.len() < 100 && !self.notes.iter().any(|note| note.text == text) {
            self.progress.say(&format!("facesr: note: {text}"));
            self.notes.push(Note { text, is_loss });
        }
    }
}

/// Notices that a source gives nothing more: GStreamer 1.22's demuxers now and then stop at a file
/// that was cut short without a word.
struct Stall {
    place: (i64, u64),
    /// CPU time of the process when the place last changed or work was last seen.
    worked: Duration,
    ticks: u64,
    /// So many ticks in a row without progress or work are a stall. Ticks, not time: a process
    /// that was stopped and goes on has not stalled.
    most: u64,
}

impl Stall {
    /// CPU time above what waiting itself takes.
    const WORK: Duration = Duration::from_millis(500);

    fn new(patience: Duration) -> Self {
        let most = patience.as_millis() as u64 / TICK.mseconds();
        Self { place: (0, 0), worked: Duration::ZERO, ticks: 0, most }
    }

    /// Whether nothing has happened at `place` for long; to be asked once a tick.
    fn lasts(&mut self, place: (i64, u64)) -> bool {
        let now = process_time();
        if place != self.place || now.saturating_sub(self.worked) > Self::WORK {
            (self.place, self.worked, self.ticks) = (place, now, 0);
        }
        self.ticks += 1;
        self.ticks > self.most
    }
}
