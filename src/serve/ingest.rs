//! From a camera to pictures, once: a pipeline that ends with whatever fault the camera has.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use gst::prelude::*;
use gst_video::VideoInfo;
use parking_lot::Mutex;

use crate::config::{CameraConfig, Source, Transport};
use crate::elements::{chain, make};
use crate::error::ServeError;
use crate::looks::Looks;
use crate::output::Output;
use crate::picture::{Picture, now};
use crate::sound::{self, Sound};
use crate::status::{FaceFigures, Status};

/// How often the wish to stop is looked at.
const TICK: gst::ClockTime = gst::ClockTime::from_mseconds(50);
/// The first picture has at least so long: models are opened, and a key frame is waited for.
const FIRST_WITHIN: Duration = Duration::from_secs(20);

/// How a file is rewound.
const REWIND: gst::SeekFlags = gst::SeekFlags::FLUSH.union(gst::SeekFlags::KEY_UNIT);

/// Why it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// It was asked to.
    Stopped,
    /// The stream has an end.
    Ended,
    /// The camera refuses user or password.
    Refused,
    /// Anything else, in plain words.
    Failed(String),
}

impl End {
    /// In plain words.
    pub(crate) fn reason(&self) -> String {
        match self {
            Self::Stopped => "stopped".into(),
            Self::Ended => "its stream has ended".into(),
            Self::Refused => "it refuses user or password".into(),
            Self::Failed(reason) => reason.clone(),
        }
    }
}

/// Where pictures go.
#[derive(Clone)]
pub(crate) struct Sinks {
    pub(crate) after: Arc<Output>,
    pub(crate) before: Arc<Output>,
    pub(crate) sound: Arc<Sound>,
    pub(crate) looks: Arc<Looks>,
    pub(crate) status: Arc<Status>,
}

/// When the last picture came out of the decoder.
type LastCame = Arc<Mutex<Instant>>;

/// Reads the camera until it fails or `stop` is set.
pub(crate) fn run(config: &CameraConfig, sinks: &Sinks, stop: &AtomicBool) -> End {
    let pipeline = gst::Pipeline::new();
    pipeline.use_clock(Some(&gst::SystemClock::obtain()));
    let came: LastCame = Arc::new(Mutex::new(Instant::now()));
    let face = match build(config, sinks, &pipeline, &came) {
        Ok(face) => face,
        Err(error) => return End::Failed(error.to_string()),
    };
    let before = *sinks.status.faces.lock();
    let add = || sinks.status.note_figures(before.plus(FaceFigures::of(&face)));
    let end = watch(config, sinks, stop, &pipeline, &came, &add);
    let _ = pipeline.set_state(gst::State::Null);
    add();
    sinks.status.no_faces();
    end
}

/// Plays `pipeline` and answers why it ended.
fn watch(
    config: &CameraConfig,
    sinks: &Sinks,
    stop: &AtomicBool,
    pipeline: &gst::Pipeline,
    came: &LastCame,
    add: &dyn Fn(),
) -> End {
    let Some(bus) = pipeline.bus() else { return End::Failed("no message bus".into()) };
    // A failed start is told by an error message.
    let _ = pipeline.set_state(gst::State::Playing);
    let mut added = Instant::now();
    let frames = || sinks.status.frames_in.load(Ordering::Relaxed);
    let frames_before = frames();
    let mut frames_of_round = frames_before;
    loop {
        let message = bus.timed_pop(TICK);
        if stop.load(Ordering::Relaxed) {
            return End::Stopped;
        }
        if added.elapsed() > Duration::from_secs(1) {
            added = Instant::now();
            add();
        }
        let timeout = match frames() == frames_before {
            true => config.timeout.max(FIRST_WITHIN),
            false => config.timeout,
        };
        if came.lock().elapsed() >= timeout {
            let seconds = timeout.as_secs();
            return End::Failed(format!("no picture came for {seconds} s"));
        }
        let Some(message) = message else { continue };
        match message.view() {
            gst::MessageView::Eos(_) => {
                // A file is rewound: opening it again would open the models again, too.
                let is_rewound = config.source.is_file()
                    && std::mem::replace(&mut frames_of_round, frames()) != frames()
                    && pipeline.seek_simple(REWIND, gst::ClockTime::ZERO).is_ok();
                if !is_rewound {
                    return End::Ended;
                }
            }
            gst::MessageView::Error(error) => return explain(error),
            gst::MessageView::Latency(_) => {
                let _ = pipeline.recalculate_latency();
            }
            gst::MessageView::Element(element) => {
                let faces = element.structure().filter(|said| said.name() == "facesr-faces");
                if let Some(faces) = faces {
                    sinks.status.note_faces(faces);
                }
            }
            gst::MessageView::Warning(warning) if is_ours(message.src()) => {
                sinks.status.note(warning.error().to_string());
            }
            _ => {}
        }
    }
}

/// Whether a message comes from the elements of facesr.
fn is_ours(src: Option<&gst::Object>) -> bool {
    let factory = src.and_then(|src| src.downcast_ref::<gst::Element>()).and_then(|e| e.factory());
    factory.is_some_and(|factory| factory.name().starts_with("facesr"))
}

/// An error as a reason. The debug text holds addresses and is never shown.
fn explain(error: &gst::message::Error) -> End {
    let what = error.error();
    let debug = error.debug().map(|debug| debug.to_lowercase()).unwrap_or_default();
    if what.matches(gst::ResourceError::NotAuthorized)
        || debug.contains("unauthorized")
        || debug.contains("(401)")
    {
        return End::Refused;
    }
    const KNOWN: [(&str, &str); 9] = [
        ("failed to connect", "it cannot be reached"),
        ("connection refused", "it cannot be reached"),
        ("no route to host", "there is no way to its address"),
        ("network is unreachable", "there is no way to its address"),
        ("could not resolve", "its name is not known here"),
        ("error resolving", "its name is not known here"),
        ("not found", "it has no stream of that name"),
        ("timed out", "it does not answer in time"),
        ("timeout", "it does not answer in time"),
    ];
    let known = KNOWN.iter().find(|(word, _)| debug.contains(word));
    End::Failed(match known {
        Some((_, reason)) if what.is::<gst::ResourceError>() => (*reason).to_string(),
        _ => what.to_string().trim_end_matches('.').to_string(),
    })
}

/// Builds source, decoder, `facesr` and the way out. Answers the element `facesr`.
fn build(
    config: &CameraConfig,
    sinks: &Sinks,
    pipeline: &gst::Pipeline,
    came: &LastCame,
) -> Result<gst::Element, ServeError> {
    let face = make("facesr")?;
    for (name, text) in &config.face_properties {
        crate::elements::set_if_there(&face, name, text);
    }
    // Nothing here asks for pictures at a certain time, so it is told.
    face.set_property_from_str("live", "on");
    let formats = gst::List::new(["I420", "NV12"]);
    let mut list = vec![make("videoconvert")?];
    if config.source.is_file() {
        list.push(make("clocksync")?);
    }
    let filter = make("capsfilter")?;
    filter.set_property("caps", gst::Caps::builder("video/x-raw").field("format", formats).build());
    if config.scale > 1 {
        face.set_property("source-scale", f64::from(config.scale));
        scale_sizes(&face, config.scale, &config.face_properties);
        list.push(make("videoscale")?);
    }
    list.push(filter.clone());
    list.push(face.clone());
    let out = gst_app::AppSink::builder().sync(false).build();
    out.set_callbacks(callbacks(sinks));
    list.push(out.upcast());
    chain(pipeline, &list)?;

    let entry = list.first().and_then(|first| first.static_pad("sink"));
    let entry = entry.ok_or_else(|| gst::glib::bool_error!("an element has lost its pad"))?;
    if config.scale > 1 {
        enlarge(&entry, &filter, config.scale);
    }
    divert(&face, sinks, came)?;
    let source = add_source(config, sinks, pipeline)?;
    if let Some(pad) = source.static_pad("src") {
        pad.link(&entry).map_err(|_| gst::glib::bool_error!("the source does not fit"))?;
        return Ok(face);
    }
    let (sound, weak, is_file) =
        (sinks.sound.clone(), pipeline.downgrade(), config.source.is_file());
    source.connect_pad_added(move |_, pad| {
        let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
        let is = |kind| caps.structure(0).is_some_and(|s| s.name().starts_with(kind));
        if is("video/x-raw") && !entry.is_linked() {
            // What cannot be linked gives nothing, which the source then reports.
            let _ = pad.link(&entry);
        } else if is("audio/") {
            let _ = weak.upgrade().map(|pipeline| sound::lead(pad, &pipeline, &sound, is_file));
        }
    });
    Ok(face)
}

/// Limits of sizes are meant for the camera's pixels.
fn scale_sizes(face: &gst::Element, scale: u32, given: &[(String, String)]) {
    for name in ["min-face-size", "max-face-size"] {
        let value = face.property::<u32>(name).saturating_mul(scale);
        // The default of the smaller limit holds for enlarged pictures, too.
        if name == "max-face-size" || given.iter().any(|(given, _)| given == name) {
            crate::elements::set_if_there(face, name, &value.to_string());
        }
    }
}

/// Keeps the filter after the scaler at `scale` times the size that comes.
fn enlarge(entry: &gst::Pad, filter: &gst::Element, scale: u32) {
    let filter = filter.downgrade();
    entry.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        if let Some(event) = info.event()
            && let gst::EventView::Caps(caps) = event.view()
            && let Ok(info) = VideoInfo::from_caps(caps.caps())
            && let Some(filter) = filter.upgrade()
        {
            let side = |n: u32| n.saturating_mul(scale).clamp(2, 32768) as i32;
            let caps = gst::Caps::builder("video/x-raw")
                .field("format", gst::List::new(["I420", "NV12"]))
                .field("width", side(info.width()))
                .field("height", side(info.height()))
                .build();
            filter.set_property("caps", caps);
        }
        gst::PadProbeReturn::Ok
    });
}

/// Counts the pictures in front of `facesr`, shows them as they came where that is wanted, and leads them past it
/// while the machine is much too slow.
fn divert(face: &gst::Element, sinks: &Sinks, came: &LastCame) -> Result<(), ServeError> {
    let pad = face.static_pad("sink");
    let pad = pad.ok_or_else(|| gst::glib::bool_error!("facesr has lost its pad"))?;
    let (sinks, came, face) = (sinks.clone(), came.clone(), face.downgrade());
    let info = Mutex::new(None::<(gst::Caps, VideoInfo)>);
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, data| {
        *came.lock() = Instant::now();
        let Some(buffer) = data.buffer() else { return gst::PadProbeReturn::Ok };
        let caps = pad.current_caps();
        let mut known = info.lock();
        if known.as_ref().map(|(caps, _)| caps) != caps.as_ref() {
            *known =
                caps.and_then(|caps| VideoInfo::from_caps(&caps).ok().map(|info| (caps, info)));
            if let Some((_, info)) = &*known {
                sinks.before.expect(info);
            }
        }
        let Some((_, info)) = &*known else { return gst::PadProbeReturn::Ok };
        sinks.status.came((info.width(), info.height()));
        let bypass = sinks.status.bypass.load(Ordering::Relaxed);
        let before = Some(&sinks.before).filter(|output| output.is_wanted());
        if !bypass && before.is_none() {
            return gst::PadProbeReturn::Ok;
        }
        let Some(face) = face.upgrade() else { return gst::PadProbeReturn::Ok };
        let segment = pad.sticky_event::<gst::event::Segment>(0);
        let segment = segment.as_ref().map(|event| event.segment());
        let picture = Picture::new(buffer.clone(), info.clone(), segment, &face);
        if let Some(before) = before {
            before.show(&picture);
        }
        if !bypass {
            return gst::PadProbeReturn::Ok;
        }
        sinks.status.frames_bypassed.fetch_add(1, Ordering::Relaxed);
        sinks.status.done(now().saturating_sub(picture.at));
        sinks.after.show(&picture);
        // Taken, not dropped: GStreamer 1.22 would drop it once more, with a critical warning.
        drop(data.take_buffer());
        gst::PadProbeReturn::Handled
    });
    Ok(())
}

/// What happens to pictures that come out of `facesr`.
fn callbacks(sinks: &Sinks) -> gst_app::AppSinkCallbacks {
    let (after, status, looks) = (sinks.after.clone(), sinks.status.clone(), sinks.looks.clone());
    let mut known = None::<(gst::Caps, VideoInfo)>;
    gst_app::AppSinkCallbacks::builder()
        .new_sample(move |sink| {
            let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
            let Some((buffer, caps)) = sample.buffer_owned().zip(sample.caps_owned()) else {
                return Ok(gst::FlowSuccess::Ok);
            };
            if known.as_ref().map(|(caps, _)| caps) != Some(&caps) {
                known = VideoInfo::from_caps(&caps).ok().map(|info| (caps, info));
            }
            if let Some((_, info)) = &known {
                let element = sink.upcast_ref::<gst::Element>();
                let picture = Picture::new(buffer, info.clone(), sample.segment(), element);
                status.done(now().saturating_sub(picture.at));
                looks.offer(&picture);
                after.show(&picture);
            }
            Ok(gst::FlowSuccess::Ok)
        })
        .build()
}

/// Adds the source. Decoded video comes out of the element that is answered: at its pad, or at pads that it adds.
fn add_source(
    config: &CameraConfig,
    sinks: &Sinks,
    pipeline: &gst::Pipeline,
) -> Result<gst::Element, ServeError> {
    match &config.source {
        Source::Rtsp(uri) => rtsp(config, uri, &sinks.sound, pipeline),
        Source::Uri(uri) => decoded(uri, config, pipeline),
        Source::File(path) => {
            let path = path.canonicalize().unwrap_or_else(|_| path.clone());
            let uri = gst::glib::filename_to_uri(&path, None)
                .map_err(|_| gst::glib::bool_error!("its file has no absolute name"))?;
            decoded(&uri, config, pipeline)
        }
        Source::Device(path) => {
            let camera = make("v4l2src")?;
            camera.set_property("device", path.display().to_string());
            let decoder = make("decodebin")?;
            chain(pipeline, &[camera, decoder.clone()])?;
            Ok(decoder)
        }
        Source::Test => {
            let test = make("videotestsrc")?;
            test.set_property("is-live", true);
            test.set_property_from_str("pattern", "ball");
            let filter = make("capsfilter")?;
            let caps = "video/x-raw,format=I420,width=640,height=360,framerate=25/1";
            filter.set_property_from_str("caps", caps);
            chain(pipeline, &[test, filter.clone()])?;
            Ok(filter)
        }
    }
}

fn rtsp(
    config: &CameraConfig,
    uri: &str,
    sound: &Arc<Sound>,
    pipeline: &gst::Pipeline,
) -> Result<gst::Element, ServeError> {
    let (source, decoder) = (make("rtspsrc")?, make("decodebin")?);
    source.set_property("location", uri);
    source.set_property("latency", config.latency.as_millis().min(10_000) as u32);
    source.set_property_from_str(
        "protocols",
        match config.transport {
            Transport::Auto => "udp+udp-mcast+tcp",
            Transport::Tcp => "tcp",
            Transport::Udp => "udp",
        },
    );
    if let Some(access) = &config.access {
        source.set_property("user-id", &access.user);
        source.set_property("user-pw", access.password.expose());
    }
    // Microseconds without an answer, and without a packet by UDP until TCP is tried.
    let timeout = config.timeout.as_micros().min(u128::from(u32::MAX)) as u64;
    source.set_property("tcp-timeout", timeout.min(5_000_000));
    source.set_property("timeout", (timeout / 2).min(3_000_000));
    let wants_sound = config.sound;
    source.connect("select-stream", false, move |values| {
        let caps = values.get(2).and_then(|value| value.get::<gst::Caps>().ok());
        let stream = caps.as_ref().and_then(|caps| caps.structure(0));
        let is_wanted = stream.is_some_and(|stream| match stream.get("media") {
            Ok("video") => true,
            Ok("audio") => wants_sound && sound::is_known(stream),
            _ => false,
        });
        Some(is_wanted.to_value())
    });
    pipeline.add_many([&source, &decoder])?;
    let sink = decoder.static_pad("sink");
    let (sound, weak) = (sound.clone(), pipeline.downgrade());
    source.connect_pad_added(move |_, pad| {
        let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
        if caps.structure(0).is_some_and(|rtp| rtp.get("media") == Ok("audio")) {
            let _ = weak.upgrade().map(|pipeline| sound::lead(pad, &pipeline, &sound, false));
            return;
        }
        if let Some(sink) = sink.as_ref().filter(|sink| !sink.is_linked()) {
            let _ = pad.link(sink);
        }
    });
    Ok(decoder)
}

fn decoded(
    uri: &str,
    config: &CameraConfig,
    pipeline: &gst::Pipeline,
) -> Result<gst::Element, ServeError> {
    let decoder = make("uridecodebin")?;
    decoder.set_property("uri", uri);
    decoder.set_property("expose-all-streams", false);
    let mut wanted = gst::Caps::builder("video/x-raw").any_features().build();
    if config.sound {
        wanted.make_mut().append(sound::formats());
    }
    decoder.set_property("caps", wanted);
    if let Some(access) = config.access.clone() {
        decoder.connect("source-setup", false, move |values| {
            let source = values.get(1)?.get::<gst::Element>().ok()?;
            for (name, text) in
                [("user-id", access.user.as_str()), ("user-pw", access.password.expose())]
            {
                if source.find_property(name).is_some() {
                    source.set_property(name, text);
                }
            }
            None
        });
    }
    pipeline.add(&decoder)?;
    Ok(decoder)
}
