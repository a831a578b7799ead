//! `facesr enhance`: a video file in, the same with sharper faces out.

mod compare;
mod container;
mod elements;
mod encode;
mod errors;
mod mp4;
mod pipeline;
mod progress;
mod remux;
mod report;
mod source;
mod timing;
mod video;

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use facesr::stopwatch::process_time;
use gst::prelude::*;
use serde_json::{Value, json};

pub(crate) use elements::{element_package, have};
pub(crate) use report::{versions, write as write_json};

use crate::args::EnhanceArgs;
use crate::failure::Failure;
use crate::interrupt;
use crate::output::{Partial, reason};
use container::Container;
use pipeline::{Target, Transcode};
use progress::{Progress, State};
use source::Source;

/// How often the screen and the wish to stop are looked at.
const TICK: gst::ClockTime = gst::ClockTime::from_mseconds(100);

/// Starts GStreamer with the elements of facesr.
pub(crate) fn start_gstreamer() -> Result<(), Failure> {
    gst::init().map_err(|e| Failure::running(format_args!("GStreamer does not start: {e}")))?;
    gstfacesr::plugin_register_static().map_err(Failure::running)
}

/// Carries out the command.
pub(crate) fn run(args: &EnhanceArgs) -> Result<(), Failure> {
    let format = args.output.as_deref().map(Container::of).transpose()?;
    let source = Source::open(&args.input)?;
    interrupt::watch();
    let partial = match &args.output {
        Some(output) => Some(Partial::create(output, args.force, source.path().as_deref())?),
        None => None,
    };
    start_gstreamer()?;
    let target = partial.as_ref().zip(format).map(|(p, format)| Target { format, file: p.path() });
    let transcode = pipeline::build(args, &source, target)?;
    let mut progress = Progress::start(args.quiet);
    let before = (Instant::now(), process_time());
    let driven = drive(&transcode, &source, partial.as_ref(), &mut progress);
    let (wall, cpu) = (before.0.elapsed(), process_time().saturating_sub(before.1));
    // Counts are gone once the element is stopped.
    let stats = driven
        .as_ref()
        .ok()
        .map(|notes| report(args, &source, &transcode, notes.clone(), wall, cpu));
    // Stopping also closes the file, whose last bytes must be there before it gets its name.
    let _ = transcode.pipeline.set_state(gst::State::Null);
    progress.finish();
    driven?;
    if let Some((partial, target)) = partial.zip(format) {
        let target = Target { format: target, file: partial.path() };
        transcode.finish(target).map_err(|e| {
            let name = partial.target().display();
            Failure::running(format_args!("cannot write {name}: {}", reason(&e)))
        })?;
        partial.finish()?;
    }
    let stats = stats.unwrap_or_default();
    if !args.quiet {
        summary(args, &stats);
    }
    match &args.json {
        Some(path) => write_json(&stats, path),
        None => Ok(()),
    }
}

/// Runs the pipeline to its end; answers the notes that were shown.
fn drive(
    transcode: &Transcode,
    source: &Source,
    partial: Option<&Partial>,
    progress: &mut Progress,
) -> Result<Vec<String>, Failure> {
    let bus = transcode.pipeline.bus().ok_or_else(|| Failure::running("no message bus"))?;
    let mut missing = Vec::new();
    let mut notes = Vec::new();
    let mut stall = Stall::default();
    // A failed start is told by an error message.
    let _ = transcode.pipeline.set_state(gst::State::Playing);
    loop {
        if interrupt::asked() {
            return Err(Failure::interrupted());
        }
        let message = bus.timed_pop(TICK);
        for note in transcode.told.take_notes() {
            progress.say(&format!("facesr: note: {note}"));
            notes.push(note);
        }
        let (position, frames) = transcode.position();
        let duration = transcode.pipeline.query_duration::<gst::ClockTime>();
        progress.show(State {
            frames,
            position: position as f64 / 1e9,
            duration: duration.map(|d| d.nseconds() as f64 / 1e9),
        });
        let Some(message) = message else {
            if source.path().is_some() && stall.lasts((position as i64, frames)) {
                return Err(Failure::running(format_args!(
                    "cannot read {}: nothing more comes out of it; is it cut short?",
                    source.name()
                )));
            }
            continue;
        };
        match message.view() {
            gst::MessageView::Eos(_) if !transcode.told.has_video.load(Ordering::Relaxed) => {
                return Err(Failure::running(pipeline::no_video(&source.name())));
            }
            gst::MessageView::Eos(_) if frames == 0 => {
                return Err(Failure::running(format_args!(
                    "cannot read {}: no picture in it can be decoded",
                    source.name()
                )));
            }
            gst::MessageView::Eos(_) => return Ok(notes),
            gst::MessageView::Error(error) => {
                let output = partial.map(|p| p.target().display().to_string());
                let context = errors::Context { source, output, missing: &missing };
                return Err(Failure::running(errors::sentence(error, &context)));
            }
            gst::MessageView::Warning(warning) => {
                let text = warning.error().to_string();
                progress.say(&format!("facesr: note: {text}"));
                notes.push(text);
            }
            gst::MessageView::Element(_) => missing.extend(errors::missing_plugin(&message)),
            gst::MessageView::Latency(_) => {
                let _ = transcode.pipeline.recalculate_latency();
            }
            _ => {}
        }
    }
}

/// Notices that a file gives nothing more: GStreamer 1.22's demuxers now and then stop at a file
/// that was cut short without a word.
#[derive(Default)]
struct Stall {
    place: (i64, u64),
    /// CPU time of the process when the place last changed or work was last seen.
    worked: Duration,
    ticks: u32,
}

impl Stall {
    /// So many ticks in a row without progress or work are a stall. Ticks, not time: a process
    /// that was stopped and goes on has not stalled.
    const TICKS: u32 = (30_000 / TICK.mseconds()) as u32;
    /// CPU time above what waiting itself takes.
    const WORK: Duration = Duration::from_millis(500);

    /// Whether nothing has happened at `place` for long; to be asked once a tick.
    fn lasts(&mut self, place: (i64, u64)) -> bool {
        let now = process_time();
        if place != self.place || now.saturating_sub(self.worked) > Self::WORK {
            *self = Self { place, worked: now, ticks: 0 };
        }
        self.ticks += 1;
        self.ticks > Self::TICKS
    }
}

fn report(
    args: &EnhanceArgs,
    source: &Source,
    transcode: &Transcode,
    notes: Vec<String>,
    wall: Duration,
    cpu: Duration,
) -> Value {
    let given: serde_json::Map<_, _> =
        args.properties().into_iter().map(|(name, value)| (name.into(), json!(value))).collect();
    report::Report {
        input: source.name(),
        output: args.output.as_ref().map(|p| p.display().to_string()),
        encoder: (!args.no_encode)
            .then(|| if have("x264enc") { "x264enc" } else { "openh264enc" }.to_string()),
        facesr: &transcode.facesr,
        frames: transcode.position().1,
        sizes: transcode.told.sizes(),
        kept: transcode.told.kept(),
        notes,
        wall,
        cpu,
        options: json!({
            "scale": args.scale.unwrap_or(1),
            "compare": args.compare,
            "crf": args.crf,
            "preset": args.preset.name(),
            "encode": !args.no_encode,
            "given": given,
        }),
    }
    .to_json()
}

fn summary(args: &EnhanceArgs, stats: &Value) {
    let n = |key: &str| stats[key].as_u64().unwrap_or(0);
    let what = format!(
        "{} frames, {} faces sharpened in {} tracks, {} frames/s",
        n("frames"),
        n("faces_enhanced"),
        n("tracks"),
        stats["fps"]
    );
    match &args.output {
        Some(output) => eprintln!("{}: {what}", output.display()),
        None => eprintln!("{what}"),
    }
}
