//! `facesr view`: a window with before and after, and how fast it goes.

mod args;
mod split;
mod window;

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gst::prelude::*;
use gst_video::NavigationEvent;

pub(crate) use args::ViewArgs;

use crate::media::{Input, add_chain, lock, make, orientation_of, start_gstreamer};
use crate::term::{Failure, interrupt, io_reason, say, without_passwords};
use split::{KeyAction, Split};

const KEYS: &str = "keys in the window: Left and Right move the line, b shows before, a after, \
                    space switches, q ends";
/// How often the wish to stop is looked at.
const TICK: gst::ClockTime = gst::ClockTime::from_mseconds(50);
/// How often figures are printed.
const LINE_EVERY: Duration = Duration::from_secs(1);
/// Frames under way at most that are timed.
const UNDER_WAY: usize = 256;

/// The frames on their way to the window.
#[derive(Default)]
struct FramesInFlight {
    /// Times of frames that have left the decoder and have not arrived.
    under_way: VecDeque<(Option<gst::ClockTime>, Instant)>,
    /// Frames that have arrived.
    frames: u64,
    /// Delays of those that arrived since the last line.
    delays: Vec<Duration>,
}

/// Carries out the command.
pub(crate) fn run(args: &ViewArgs) -> Result<(), Failure> {
    interrupt::watch();
    start_gstreamer()?;
    let pipeline = gst::Pipeline::new();
    let element = make("facesr")?;
    for (name, value) in args.stream.properties(args.scale) {
        element.set_property_from_str(name, &value);
    }
    let in_flight: Arc<Mutex<FramesInFlight>> = Arc::default();
    let split = Arc::new(Mutex::new(Split::new(f64::from(args.split))));
    build(args, &pipeline, &element, &in_flight, &split)?;
    if !args.quiet {
        say(KEYS);
    }
    let ended = play(args, &pipeline, &element, &in_flight);
    let _ = pipeline.set_state(gst::State::Null);
    ended
}

/// Builds source, decoder, `facesr` and window.
fn build(
    args: &ViewArgs,
    pipeline: &gst::Pipeline,
    element: &gst::Element,
    in_flight: &Arc<Mutex<FramesInFlight>>,
    split: &Arc<Mutex<Split>>,
) -> Result<(), Failure> {
    let filter = make("capsfilter")?;
    let show = [make("videoconvert")?, window::open(args.sink.as_deref())?];
    // Faces that lie on their side are not found.
    let rotation = make("videoflip")?;
    rotation.set_property_from_str("video-direction", "auto");
    let (convert, scaler) = (make("videoconvert")?, make("videoscale")?);
    let chain = [&convert, &rotation, &scaler, &filter, element, &show[0], &show[1]];
    let decoder = source(&args.source, pipeline)?;
    add_chain(pipeline, &chain).map_err(Failure::running)?;
    split::attach(element, split.clone());

    let pad = |element: &gst::Element, name: &str| {
        element.static_pad(name).ok_or_else(|| Failure::running("an element has lost its pad"))
    };
    let first = pad(chain[0], "sink")?;
    let entered = in_flight.clone();
    first.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        if let Some(gst::PadProbeData::Buffer(buffer)) = &info.data {
            let under_way = &mut lock(&entered).under_way;
            under_way.push_back((buffer.pts(), Instant::now()));
            if under_way.len() > UNDER_WAY {
                under_way.pop_front();
            }
        }
        gst::PadProbeReturn::Ok
    });
    let last = pad(&show[0], "src")?;
    let arrived = in_flight.clone();
    last.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        if let Some(gst::PadProbeData::Buffer(buffer)) = &info.data {
            let mut in_flight = lock(&arrived);
            in_flight.frames += 1;
            if let Some(at) = in_flight.under_way.iter().position(|(pts, _)| *pts == buffer.pts()) {
                let entered = in_flight.under_way.drain(..=at).next_back();
                in_flight.delays.extend(entered.map(|(_, entered)| entered.elapsed()));
            }
        }
        gst::PadProbeReturn::Ok
    });
    let split = split.clone();
    last.add_probe(gst::PadProbeType::EVENT_UPSTREAM, move |_, info| {
        if let Some(gst::PadProbeData::Event(event)) = &info.data
            && let Ok(NavigationEvent::KeyPress { key, .. }) = NavigationEvent::parse(event)
            && lock(&split).key(&key) == KeyAction::Quit
        {
            interrupt::request();
        }
        gst::PadProbeReturn::Ok
    });

    let scale = args.scale.unwrap_or(1) as i32;
    decoder.connect_pad_added(move |_, pad| {
        let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
        let Some(s) = caps.structure(0).filter(|s| s.name().starts_with("video/x-raw")) else {
            return;
        };
        if first.is_linked() {
            return;
        }
        let mut wanted = gst::Caps::builder("video/x-raw").field("format", "I420");
        let lies = orientation_of(pad).is_some_and(|o| o.contains("90") || o.contains("270"));
        let sides = (s.get::<i32>("width"), s.get::<i32>("height"));
        if let (Ok(w), Ok(h)) = if lies { (sides.1, sides.0) } else { sides } {
            // Square pixels, which not every window can do without, and no bars around the picture.
            let shape = s.get::<gst::Fraction>("pixel-aspect-ratio");
            let shape = shape.map_or(1.0, |f| f64::from(f.numer()) / f64::from(f.denom()));
            let shape = if lies { 1.0 / shape } else { shape };
            let width = (f64::from(w * scale) * shape / 2.0).round().max(1.0) as i32 * 2;
            let square = gst::Fraction::new(1, 1);
            wanted = wanted.field("width", width).field("height", h * scale);
            wanted = wanted.field("pixel-aspect-ratio", square);
        }
        filter.set_property("caps", wanted.build());
        // What cannot be linked gives nothing, which the source then reports.
        let _ = pad.link(&first);
    });
    Ok(())
}

/// Adds the source; its decoded pads come out of the element that is answered.
fn source(from: &OsStr, pipeline: &gst::Pipeline) -> Result<gst::Element, Failure> {
    let raw = if from == "test" {
        let test = make("videotestsrc")?;
        test.set_property("is-live", true);
        test.set_property_from_str("pattern", "ball");
        Some(test)
    } else if let Some(device) = from.to_str().filter(|name| name.starts_with("/dev/video")) {
        let camera = make("v4l2src")?;
        camera.set_property("device", device);
        Some(camera)
    } else {
        None
    };
    if let Some(raw) = raw {
        let decoder = make("decodebin")?;
        let wired = pipeline.add_many([&raw, &decoder]).and_then(|()| raw.link(&decoder));
        wired.map_err(Failure::running)?;
        return Ok(decoder);
    }
    let input = Input::open(from)?;
    crate::media::restrict_factories(!matches!(input, Input::Uri(_)));
    let uri = match &input {
        Input::Uri(uri) => uri.clone(),
        Input::File(path, _) => {
            let cannot =
                |why: &str| Failure::running(format_args!("cannot show {}: {why}", input.name()));
            let path = path.canonicalize().map_err(|e| cannot(&io_reason(&e)))?;
            let uri = gst::glib::filename_to_uri(path, None);
            uri.map_err(|e| cannot(&e.to_string()))?.to_string()
        }
        Input::Pipe(_, file) => format!("fd://{}", std::os::fd::AsRawFd::as_raw_fd(&**file)),
    };
    let decoder = make("uridecodebin")?;
    decoder.set_property("uri", uri);
    pipeline.add(&decoder).map_err(Failure::running)?;
    if let Input::Pipe(_, file) = input {
        // Open as long as the program runs.
        std::mem::forget(file);
    }
    Ok(decoder)
}

/// Plays until the end, an error or the wish to stop.
fn play(
    args: &ViewArgs,
    pipeline: &gst::Pipeline,
    element: &gst::Element,
    in_flight: &Mutex<FramesInFlight>,
) -> Result<(), Failure> {
    let bus = pipeline.bus().ok_or_else(|| Failure::running("no message bus"))?;
    let shown = without_passwords(&args.source.to_string_lossy());
    let cannot = |why: &str| Failure::running(format_args!("cannot show {shown}: {why}"));
    // A failed start is told by an error message.
    let _ = pipeline.set_state(gst::State::Playing);
    let mut line = (Instant::now(), 0);
    loop {
        let message = bus.timed_pop(TICK);
        let frames = lock(in_flight).frames;
        if interrupt::requested() || args.frames.is_some_and(|wanted| frames >= wanted) {
            tell(args, element, in_flight, &mut line);
            return Ok(());
        }
        if line.0.elapsed() >= LINE_EVERY {
            tell(args, element, in_flight, &mut line);
        }
        match message.as_ref().map(|message| message.view()) {
            Some(gst::MessageView::Eos(_)) if frames == 0 => {
                return Err(cannot("it holds no video"));
            }
            Some(gst::MessageView::Eos(_)) => {
                tell(args, element, in_flight, &mut line);
                return Ok(());
            }
            Some(gst::MessageView::Error(error)) => {
                return Err(cannot(error.error().to_string().trim_end_matches('.')));
            }
            Some(gst::MessageView::Warning(warning)) if !args.quiet => {
                say(&format!("facesr: note: {}", warning.error()));
            }
            Some(gst::MessageView::Latency(_)) => {
                let _ = pipeline.recalculate_latency();
            }
            _ => {}
        }
    }
}

/// Prints how fast it goes.
fn tell(
    args: &ViewArgs,
    element: &gst::Element,
    in_flight: &Mutex<FramesInFlight>,
    (since, before): &mut (Instant, u64),
) {
    let (frames, delays) = {
        let mut in_flight = lock(in_flight);
        (in_flight.frames, std::mem::take(&mut in_flight.delays))
    };
    let rate = (frames - *before) as f64 / since.elapsed().as_secs_f64().max(1e-3);
    (*since, *before) = (Instant::now(), frames);
    if args.quiet || delays.is_empty() {
        return;
    }
    let ms = |delay: &Duration| delay.as_secs_f64() * 1e3;
    let mean = delays.iter().map(ms).sum::<f64>() / delays.len() as f64;
    let most = delays.iter().map(ms).fold(0.0, f64::max);
    let mut query = gst::query::Latency::new();
    // Asked of what comes before the window: one that does not wait for its clock knows of none.
    let asked = element.static_pad("src").is_some_and(|pad| pad.query(&mut query));
    let promised = match asked {
        true if query.result().0 => {
            format!(", {} ms promised to a live source", query.result().1.mseconds())
        }
        _ => String::new(),
    };
    let stats = element.property::<gst::Structure>("stats");
    let faces = stats.get::<u64>("faces-enhanced").unwrap_or(0);
    say(&format!(
        "{frames} frames, {rate:.1} frames/s, {mean:.1} ms from decoder to window (at most \
         {most:.1}){promised}, a face sharpened {faces} times"
    ));
}
