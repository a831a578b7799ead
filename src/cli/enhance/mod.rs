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
mod watch;

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use facesr::util::cpu_time::process_time;
use gst::prelude::*;
use serde_json::{Value, json};

pub(crate) use container::Container;
pub(crate) use elements::{add_chain, element_package, have, make};
pub(crate) use pipeline::{Plan, lock};
pub(crate) use progress::{Progress, Shown, clock};
pub(crate) use report::{versions, write as write_json};
pub(crate) use source::Source;
pub(crate) use video::{Sizes, face_element};
pub(crate) use watch::{Sight, Watch};

use crate::args::EnhanceArgs;
use crate::failure::Failure;
use crate::interrupt;
use crate::output::{Partial, reason};
use crate::page::{Album, Places};
use pipeline::{Target, Transcode};
use progress::State;

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
    let (page, gallery) = (args.report.as_deref(), args.gallery.as_deref());
    let places = Places::create(page, gallery, source.path().as_deref(), args.force)?;
    start_gstreamer()?;
    let video = &args.video;
    let scale = video.scale.unwrap_or(1);
    let album = Arc::new(Mutex::new(Album::new(video.stream.faces.sizes(scale))));
    let plan = Plan {
        element: face_element("facesr", &video.properties())?,
        scale,
        compare: video.compare,
        encoder: if args.no_encode { None } else { Some(encode::encoder(video)?) },
        watch: places.wanted().then(|| album.clone() as Arc<Mutex<dyn Watch>>),
    };
    let mut progress = Progress::start(args.progress.unwrap_or(Shown::unless(args.quiet)));
    let outcome = carry_out(plan, &source, partial.zip(format), &mut progress)?;
    let stats = report(args, &source, &outcome);
    if places.wanted() {
        // The pipeline may still hold a reference; what it saw is all in here.
        let album = std::mem::replace(&mut *lock(&album), Album::new((0.0, 0.0)));
        places.write(album, &outcome, &stats, scale)?;
    }
    if !args.quiet {
        summary(args, &stats);
    }
    match &args.json {
        Some(path) => write_json(&stats, path),
        None => Ok(()),
    }
}

/// What came of a run.
pub(crate) struct Outcome {
    /// The element that the frames have passed.
    pub(crate) element: gst::Element,
    /// Its counts, which are gone once it is started anew.
    stats: gst::Structure,
    /// Frames that have passed.
    pub(crate) frames: u64,
    /// Sizes and rate of the video.
    pub(crate) sizes: Option<Sizes>,
    /// Streams kept untouched: other video, audio, subtitles.
    pub(crate) kept: [u32; 3],
    /// What the user was told.
    pub(crate) notes: Vec<String>,
    /// How long it took.
    pub(crate) wall: Duration,
    /// How much of that had passed when the first frame was done.
    startup: Duration,
    /// CPU time of the whole process.
    pub(crate) cpu: Duration,
}

impl Outcome {
    /// One of the element's counts.
    pub(crate) fn count(&self, name: &str) -> u64 {
        self.stats.get::<u64>(name).unwrap_or(0)
    }
}

/// Runs a source through a plan to its end, and names the output if there is one.
pub(crate) fn carry_out(
    plan: Plan,
    source: &Source,
    output: Option<(Partial, Container)>,
    progress: &mut Progress,
) -> Result<Outcome, Failure> {
    let target = output.as_ref().map(|(p, format)| Target { format: *format, file: p.path() });
    let transcode = pipeline::build(plan, source, target)?;
    let before = (Instant::now(), process_time());
    let partial = output.as_ref().map(|(partial, _)| partial);
    let driven = drive(&transcode, source, partial, progress);
    let (wall, cpu) = (before.0.elapsed(), process_time().saturating_sub(before.1));
    let startup = transcode.told.first.get().map_or(wall, |first| *first - before.0);
    let stats = transcode.element.property::<gst::Structure>("stats");
    // Stopping also closes the file, whose last bytes must be there before it gets its name.
    let _ = transcode.pipeline.set_state(gst::State::Null);
    progress.finish();
    let notes = driven?;
    if let Some((partial, format)) = output {
        transcode.finish(Target { format, file: partial.path() }).map_err(|e| {
            let name = partial.target().display();
            Failure::running(format_args!("cannot write {name}: {}", reason(&e)))
        })?;
        partial.finish()?;
    }
    Ok(Outcome {
        frames: transcode.position().1,
        sizes: transcode.told.sizes(),
        kept: transcode.told.kept(),
        element: transcode.element,
        stats,
        notes,
        wall,
        startup,
        cpu,
    })
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

fn report(args: &EnhanceArgs, source: &Source, outcome: &Outcome) -> Value {
    let video = &args.video;
    let given: serde_json::Map<_, _> =
        video.properties().into_iter().map(|(name, value)| (name.into(), json!(value))).collect();
    report::Report {
        input: source.name(),
        output: args.output.as_ref().map(|p| p.display().to_string()),
        encoder: (!args.no_encode)
            .then(|| if have("x264enc") { "x264enc" } else { "openh264enc" }.to_string()),
        outcome,
        options: json!({
            "scale": video.scale.unwrap_or(1),
            "compare": video.compare,
            "crf": video.crf,
            "preset": video.preset.name(),
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
