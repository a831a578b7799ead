//! One path that is served: pictures in whenever there are any, H.264 out as long as anybody takes it. When no
//! pictures come, the last one is repeated with a sign that says so.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use gst::prelude::*;
use gst_video::VideoInfo;
use parking_lot::Mutex;

use crate::elements::{chain, make};
use crate::encoder::{EncoderSettings, make_encoder};
use crate::error::ServeError;
use crate::fanout::Fanout;
use crate::picture::{Picture, now, shown_size, time};

/// After so long without a picture the last one is repeated, as often as [`Output::tick`] is called.
const REPEAT_AFTER: Duration = Duration::from_secs(1);
/// After so long, or three pictures' time of a slow camera, the sign is shown.
const SIGN_AFTER: Duration = Duration::from_secs(2);
/// The encoder stays for so long after the last viewer has gone.
const LINGER: Duration = Duration::from_secs(3);
/// For so long somebody who has looked at a single picture counts as looking.
const LOOK: Duration = Duration::from_secs(5);
/// A picture is made JPEG no more often.
const JPEG_EVERY: Duration = Duration::from_millis(150);
/// Size of a picture where nothing is known of the camera.
const UNKNOWN_SIZE: (u32, u32) = (1280, 720);
/// Pictures that may wait for the encoder, 0.24 s at 25 a second; of more, the oldest are left out.
const MOST_WAITING: u64 = 6;

/// What an output is like.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct OutputSettings {
    /// Width and height; the camera's own if `None`.
    pub(crate) size: Option<(u32, u32)>,
    pub(crate) encoder: EncoderSettings,
}

/// One path.
pub(crate) struct Output {
    settings: OutputSettings,
    /// Whether the last picture is kept though nobody looks. A picture as it came is not: it would have to be copied
    /// before its faces are enhanced.
    keeps: bool,
    /// The last picture as JPEG, and when it was made.
    jpeg: Mutex<Option<(Instant, Arc<Vec<u8>>)>>,
    state: Mutex<State>,
    pub(crate) fanout: Arc<Fanout>,
    /// Whether anybody wants its pictures now.
    wanted: AtomicBool,
    /// When a single picture was last asked for.
    looked: Mutex<Option<Instant>>,
    /// Pictures left out because the encoder is too slow.
    pub(crate) dropped: AtomicU64,
    /// Times that the encoder had to be started again.
    pub(crate) restarts: AtomicU64,
}

struct State {
    picture: Option<Picture>,
    /// What the camera's pictures are like, also while none is kept.
    shape: Option<VideoInfo>,
    /// When it came.
    came: Option<Instant>,
    /// How long it was on its way.
    delay: gst::ClockTime,
    /// Time between pictures.
    interval: Duration,
    encode: Option<Encode>,
    /// Since when nobody takes it.
    idle: Option<Instant>,
}

/// The pipeline that encodes.
struct Encode {
    pipeline: gst::Pipeline,
    source: gst_app::AppSrc,
    sign: gst::Element,
    /// What is said to be the rate and the colors, whatever comes.
    framerate: gst::Fraction,
    last: Option<gst::ClockTime>,
    began: Instant,
}

impl Drop for Encode {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

impl Output {
    pub(crate) fn new(settings: OutputSettings, keeps: bool) -> Self {
        let state = State {
            picture: None,
            shape: None,
            came: None,
            delay: gst::ClockTime::ZERO,
            interval: Duration::ZERO,
            encode: None,
            idle: None,
        };
        Self {
            settings,
            keeps,
            jpeg: Mutex::new(None),
            state: Mutex::new(state),
            fanout: Arc::default(),
            wanted: AtomicBool::new(false),
            looked: Mutex::new(None),
            dropped: AtomicU64::new(0),
            restarts: AtomicU64::new(0),
        }
    }

    pub(crate) fn settings(&self) -> &OutputSettings {
        &self.settings
    }

    /// Whether anybody wants its pictures now.
    pub(crate) fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Relaxed)
            || self.looked.lock().is_some_and(|at| at.elapsed() < LOOK)
    }

    /// The last picture as JPEG, for somebody who looks; made at most some times a second, whoever looks.
    pub(crate) fn jpeg(&self) -> Option<Arc<Vec<u8>>> {
        *self.looked.lock() = Some(Instant::now());
        let picture = self.state.lock().picture.clone()?;
        let mut made = self.jpeg.lock();
        if let Some((at, jpeg)) = &*made
            && at.elapsed() < JPEG_EVERY
        {
            return Some(jpeg.clone());
        }
        let jpeg = Arc::new(picture.to_jpeg()?);
        *made = Some((Instant::now(), jpeg.clone()));
        Some(jpeg)
    }

    /// Tells all viewers that nothing more will come.
    pub(crate) fn end(&self) {
        self.fanout.end();
    }

    /// Whether anything is known of the camera's pictures.
    pub(crate) fn has_pictures(&self) -> bool {
        self.state.lock().shape.is_some()
    }

    /// From now on `source` gets the stream, of which `most_waiting` frames may wait there.
    ///
    /// # Errors
    /// Nothing here can encode.
    pub(crate) fn attach(
        &self,
        source: gst_app::AppSrc,
        most_waiting: u64,
    ) -> Result<u64, ServeError> {
        let mut state = self.state.lock();
        state.idle = None;
        self.wanted.store(true, Ordering::Relaxed);
        if state.encode.is_none() {
            state.encode = Some(self.start(&state)?);
        }
        let id = self.fanout.add(source, most_waiting);
        // What it has now, at once: a camera of one picture a second would let it wait. One that is not kept will
        // come soon.
        if state.picture.is_some() || state.shape.is_none() {
            self.feed(&mut state);
        }
        Ok(id)
    }

    /// What the pictures are like that will come.
    pub(crate) fn expect(&self, info: &VideoInfo) {
        self.state.lock().shape = Some(info.clone());
    }

    /// A picture has come.
    pub(crate) fn show(&self, picture: &Picture) {
        let mut state = self.state.lock();
        if let Some(came) = state.came {
            state.interval = (state.interval * 3 + came.elapsed().min(SIGN_AFTER)) / 4;
        }
        state.came = Some(Instant::now());
        if state.shape.as_ref() != Some(&picture.info) {
            state.shape = Some(picture.info.clone());
        }
        state.delay = now().saturating_sub(picture.at);
        state.picture = Some(picture.clone());
        if let Some(encode) = &mut state.encode {
            encode.sign.set_property("silent", true);
            if encode.source.current_level_buffers() >= MOST_WAITING {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
            encode.push(picture, picture.at);
        }
    }

    /// To be called some times a second: repeats the last picture if none comes, and sees to the encoder.
    pub(crate) fn tick(&self, name: &str) {
        let mut state = self.state.lock();
        if !self.keeps && state.picture.is_some() && !self.is_wanted() {
            (state.picture, state.came) = (None, None);
            *self.jpeg.lock() = None;
        }
        let Some(bus) = state.encode.as_ref().and_then(|encode| encode.pipeline.bus()) else {
            return;
        };
        if self.fanout.len() == 0 {
            let idle = *state.idle.get_or_insert_with(Instant::now);
            if idle.elapsed() >= LINGER {
                state.encode = None;
                self.wanted.store(false, Ordering::Relaxed);
            }
            return;
        }
        state.idle = None;
        if bus.pop_filtered(&[gst::MessageType::Error, gst::MessageType::Eos]).is_some() {
            self.restarts.fetch_add(1, Ordering::Relaxed);
            state.encode = None;
            // One that cannot be made now is tried again at the next call.
            state.encode = self.start(&state).ok();
        }
        let began = state.encode.as_ref().map(|encode| encode.began);
        let away = state.came.max(began).map_or(Duration::MAX, |since| since.elapsed());
        let slow = state.interval * 3;
        if away < REPEAT_AFTER.max(slow) {
            return;
        }
        if away >= SIGN_AFTER.max(slow)
            && let Some(encode) = &state.encode
        {
            encode.sign.set_property("text", sign(name, state.came.map(|came| came.elapsed())));
            encode.sign.set_property("silent", false);
        }
        self.feed(&mut state);
    }

    /// Encodes the last picture once more.
    fn feed(&self, state: &mut State) {
        let at = now().saturating_sub(state.delay);
        let picture = state.picture.clone().or_else(|| Picture::grey(self.size(state)));
        if let Some((encode, picture)) = state.encode.as_mut().zip(picture) {
            encode.push(&picture, at);
        }
    }

    fn start(&self, state: &State) -> Result<Encode, ServeError> {
        let rate = state.shape.as_ref().map(VideoInfo::fps);
        let framerate = rate.filter(|rate| rate.numer() > 0).unwrap_or(gst::Fraction::new(25, 1));
        Encode::start(&self.settings, self.size(state), framerate, &self.fanout)
    }

    /// Width and height that are served.
    fn size(&self, state: &State) -> (u32, u32) {
        self.settings.size.or(state.shape.as_ref().map(shown_size)).unwrap_or(UNKNOWN_SIZE)
    }
}

/// What stands in a picture that is old.
fn sign(name: &str, away: Option<Duration>) -> String {
    let Some(away) = away else { return format!("{name}: no picture") };
    format!("{name}: no picture for {}", time(away))
}

impl Encode {
    fn start(
        settings: &OutputSettings,
        (width, height): (u32, u32),
        framerate: gst::Fraction,
        fanout: &Arc<Fanout>,
    ) -> Result<Self, ServeError> {
        let pipeline = gst::Pipeline::new();
        let source = gst_app::AppSrc::builder()
            .is_live(true)
            .format(gst::Format::Time)
            .max_bytes(0)
            .max_buffers(MOST_WAITING)
            .leaky_type(gst_app::AppLeakyType::Downstream)
            .build();
        let (convert, scale, filter) =
            (make("videoconvert")?, make("videoscale")?, make("capsfilter")?);
        let encoder = make_encoder(&settings.encoder, (width, height))?;
        // A stream whose format, colors or rate change begins again, which some recorders do not survive.
        let fixed = gst::Caps::builder("video/x-raw")
            .field("format", encoder_format(&encoder))
            .field("width", width as i32)
            .field("height", height as i32)
            .field("pixel-aspect-ratio", gst::Fraction::new(1, 1))
            .field("colorimetry", if height > 576 { "bt709" } else { "bt601" })
            .build();
        filter.set_property("caps", fixed);
        let sign = make("textoverlay")?;
        sign.set_property("silent", true);
        sign.set_property("shaded-background", true);
        sign.set_property_from_str("valignment", "center");
        sign.set_property_from_str("font-desc", "Sans 18");
        let parser = make("h264parse")?;
        parser.set_property("config-interval", -1);
        let sink = gst_app::AppSink::builder()
            .sync(false)
            .caps(
                &gst::Caps::builder("video/x-h264")
                    .field("stream-format", "byte-stream")
                    .field("alignment", "au")
                    .build(),
            )
            .build();
        let taker = fanout.clone();
        let new_sample = move |sink: &gst_app::AppSink| {
            let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
            let pts = sample.buffer().and_then(|buffer| buffer.pts());
            let age = sink.current_running_time().zip(pts).map(|(now, pts)| {
                // x264 shifts its stamps so that none that is to be decoded first is below zero.
                let pts = sample
                    .segment()
                    .and_then(|segment| segment.downcast_ref::<gst::ClockTime>())
                    .and_then(|segment| segment.to_running_time(pts))
                    .unwrap_or(pts);
                now.saturating_sub(pts)
            });
            if taker.deliver(&sample, age.unwrap_or_default()) {
                let event =
                    gst_video::UpstreamForceKeyUnitEvent::builder().all_headers(true).build();
                sink.send_event(event);
            }
            Ok(gst::FlowSuccess::Ok)
        };
        sink.set_callbacks(gst_app::AppSinkCallbacks::builder().new_sample(new_sample).build());
        chain(
            &pipeline,
            &[
                source.clone().upcast(),
                convert,
                scale,
                filter,
                sign.clone(),
                encoder,
                parser,
                sink.upcast(),
            ],
        )?;
        let encode = Self { pipeline, source, sign, framerate, last: None, began: Instant::now() };
        encode.pipeline.use_clock(Some(&gst::SystemClock::obtain()));
        encode
            .pipeline
            .set_state(gst::State::Playing)
            .map_err(|_| gst::glib::bool_error!("the encoder does not start"))?;
        Ok(encode)
    }

    /// Encodes a picture that came at the time `at`.
    fn push(&mut self, picture: &Picture, at: gst::ClockTime) {
        let Some(running) = self.source.current_running_time() else { return };
        let age = now().saturating_sub(at);
        let after = self.last.map_or(gst::ClockTime::ZERO, |last| last + gst::ClockTime::MSECOND);
        let time = running.saturating_sub(age).max(after);
        let info = &picture.info;
        let told = VideoInfo::builder(info.format(), info.width(), info.height())
            .par(info.par())
            .fps(self.framerate)
            .colorimetry(&info.colorimetry())
            .build();
        let Some(caps) = told.ok().and_then(|info| info.to_caps().ok()) else { return };
        let mut copy = picture.buffer.copy();
        let it = copy.make_mut();
        it.set_pts(time);
        it.set_dts(None);
        it.set_duration(None);
        self.source.set_caps(Some(&caps));
        if self.source.push_buffer(copy).is_ok() {
            self.last = Some(time);
        }
    }
}

/// The format that suits an encoder.
fn encoder_format(encoder: &gst::Element) -> &'static str {
    let template = encoder.pad_template("sink").map(|template| template.caps().clone());
    let i420 = gst::Caps::builder("video/x-raw").field("format", "I420").build();
    match template.is_some_and(|caps| caps.can_intersect(&i420)) {
        true => "I420",
        false => "NV12",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sign_says_how_old_the_picture_is() {
        let after = |seconds| sign("door", Some(Duration::from_secs(seconds)));
        assert_eq!(sign("door", None), "door: no picture");
        assert_eq!(after(12), "door: no picture for 12 s");
        assert_eq!(after(192), "door: no picture for 3 min 12 s");
        assert_eq!(after(7_380), "door: no picture for 2 h 3 min");
    }
}
