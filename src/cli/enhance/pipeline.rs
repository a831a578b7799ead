//! The pipeline of `facesr enhance`.
//!
//! ```text
//! source ! parsebin ! multiqueue --video--> decodebin ! scale ! facesr ! encoder --> muxer ! filesink
//!                               `--audio, subtitles, other video: untouched -------^
//! ```
//!
//! The multiqueue grows as long as one of its streams is starving, so neither the encoder's
//! look-ahead nor a badly interleaved file can lock it up; full queues slow the reading down, so
//! memory stays small.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Instant;

use gst::prelude::*;

use super::container::{self, Container, Kind};
use super::elements::{add_chain, make};
use super::encode::Encoder;
use super::source::Source;
use super::video::{self, Sink};
use super::watch::Watch;
use super::{mp4, remux, timing};
use crate::failure::Failure;

/// What the pipeline tells while it runs.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Frames that have left the enhancer.
    pub(super) frames: AtomicU64,
    /// When the first of them did.
    pub(super) first: OnceLock<Instant>,
    /// Running time of the last of them, nanoseconds.
    pub(super) position: AtomicU64,
    /// Sentences for the user, not yet shown.
    notes: Mutex<Vec<String>>,
    /// Whether [`note_once`](Self::note_once) has spoken.
    noted: AtomicBool,
    /// What comes out of the decoder and what goes into the encoder.
    sizes: Mutex<Option<video::Sizes>>,
    /// When each track of the output is shown, in the muxer's order.
    spans: Mutex<Vec<timing::Watched>>,
    /// How players have to turn the enhanced picture.
    rotation: Mutex<Option<[i32; 9]>>,
    /// Number of the enhanced video's track in the output.
    video_track: AtomicU64,
    /// Whether the input has a video stream.
    pub(super) has_video: AtomicBool,
    /// How many streams of each kind were kept untouched.
    kept: Mutex<[u32; 3]>,
}

impl Told {
    pub(super) fn note(&self, note: impl Into<String>) {
        lock(&self.notes).push(note.into());
    }

    /// A note that many frames may give cause for.
    pub(super) fn note_once(&self, note: &str) {
        if !self.noted.swap(true, Ordering::Relaxed) {
            self.note(note);
        }
    }

    /// The notes since the last call.
    pub(super) fn take_notes(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.notes))
    }

    pub(super) fn set_sizes(&self, sizes: video::Sizes) {
        *lock(&self.sizes) = Some(sizes);
    }

    /// Sizes and rate of the video, once its first frame was decoded.
    pub(super) fn sizes(&self) -> Option<video::Sizes> {
        lock(&self.sizes).clone()
    }

    /// Streams kept untouched: other video, audio, subtitles.
    pub(super) fn kept(&self) -> [u32; 3] {
        *lock(&self.kept)
    }

    pub(super) fn set_rotation(&self, matrix: [i32; 9]) {
        *lock(&self.rotation) = Some(matrix);
    }

    fn tracks(&self) -> Vec<mp4::Track> {
        let video = self.video_track.load(Ordering::Relaxed);
        let rotation = *lock(&self.rotation);
        (0..)
            .zip(lock(&self.spans).iter())
            .map(|(i, span)| mp4::Track {
                span: span.get(),
                matrix: rotation.filter(|_| i == video),
            })
            .collect()
    }
}

/// A panic elsewhere leaves what is kept here whole.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

/// What is done with the frames of a video.
pub(crate) struct Plan {
    /// The element they pass: `facesr`, or `facesrdetect` where faces are only looked for.
    pub(crate) element: gst::Element,
    /// How much the picture is enlarged first.
    pub(crate) scale: u32,
    /// Whether before and after are put side by side.
    pub(crate) compare: bool,
    /// Without one, frames are thrown away in the end.
    pub(crate) encoder: Option<Encoder>,
    /// Who else looks at the frames.
    pub(crate) watch: Option<Arc<Mutex<dyn Watch>>>,
}

/// A pipeline that is ready to be started.
pub(super) struct Transcode {
    pub(super) pipeline: gst::Pipeline,
    pub(super) element: gst::Element,
    pub(super) told: Arc<Told>,
}

/// Where the output goes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target<'a> {
    pub(super) format: Container,
    pub(super) file: &'a Path,
}

/// Builds the pipeline. There must be a target if the plan has an encoder.
pub(super) fn build(
    plan: Plan,
    source: &Source,
    target: Option<Target<'_>>,
) -> Result<Transcode, Failure> {
    let pipeline = gst::Pipeline::new();
    let told = Arc::new(Told::default());
    let element = plan.element.clone();
    let parser = source.add(&pipeline)?;
    let queue = make("multiqueue")?;
    // Counted in packets only: a limit in bytes or time would not give way to a starving stream.
    queue.set_property("max-size-buffers", 8u32);
    queue.set_property("max-size-bytes", 0u32);
    queue.set_property("max-size-time", 0u64);
    pipeline.add(&queue).map_err(Failure::running)?;

    let mux = target.map(|target| add_mux(&pipeline, target)).transpose()?;
    let decoder = make("decodebin")?;
    let tail = video::Tail::new(plan, told.clone());
    let sorter = Sorter {
        pipeline: pipeline.downgrade(),
        queue,
        mux: mux.clone().zip(target.map(|target| target.format)),
        decoder,
        tail: Mutex::new(Some(tail)),
        told: told.clone(),
        timescale: source.path().and_then(|path| mp4::video_timescale(&path)),
    };
    parser.connect_pad_added(move |_, pad| sorter.add(pad));
    let (weak, seen, name) = (pipeline.downgrade(), told.clone(), source.name());
    parser.connect_no_more_pads(move |_| {
        if let Some(pipeline) = weak.upgrade().filter(|_| !seen.has_video.load(Ordering::Relaxed)) {
            fail(&pipeline, &no_video(&name));
        }
    });
    Ok(Transcode { pipeline, element, told })
}

fn add_mux(pipeline: &gst::Pipeline, target: Target<'_>) -> Result<gst::Element, Failure> {
    let mux = target.format.muxer()?;
    let sink = make("filesink")?;
    sink.set_property("location", target.file);
    let wired = pipeline.add_many([&mux, &sink]).and_then(|()| mux.link(&sink));
    wired.map_err(Failure::running)?;
    Ok(mux)
}

/// What to say of an input without video.
pub(super) fn no_video(name: &str) -> String {
    format!("{name} holds no video")
}

/// Ends the pipeline with an error that says `text` to the user.
pub(super) fn fail(pipeline: &gst::Pipeline, text: &str) {
    pipeline.post_error_message(gst::error_msg!(gst::StreamError::Failed, ["{text}"]));
}

/// Leads the streams that the parser finds to where they belong.
struct Sorter {
    /// Weak, since the pipeline holds what holds this.
    pipeline: gst::glib::WeakRef<gst::Pipeline>,
    queue: gst::Element,
    mux: Option<(gst::Element, Container)>,
    decoder: gst::Element,
    /// Taken by the first video stream.
    tail: Mutex<Option<video::Tail>>,
    told: Arc<Told>,
    /// Ticks a second of the input's video, if it is an MP4.
    timescale: Option<u32>,
}

/// What a new pad carries, as the pad, its stream or its element knows.
fn caps_of(pad: &gst::Pad) -> gst::Caps {
    pad.current_caps()
        .or_else(|| pad.stream().and_then(|stream| stream.caps()))
        .unwrap_or_else(|| pad.query_caps(None))
}

impl Sorter {
    fn add(&self, pad: &gst::Pad) {
        let Some(pipeline) = self.pipeline.upgrade() else { return };
        let caps = caps_of(pad);
        let kind = Kind::of(&caps);
        if kind == Some(Kind::Video)
            && let Some(tail) = lock(&self.tail).take()
        {
            self.told.has_video.store(true, Ordering::Relaxed);
            if let Err(e) = self.add_video(&pipeline, pad, &caps, tail) {
                fail(&pipeline, &e.message);
            }
            return;
        }
        let Some((mux, format)) = &self.mux else { return };
        match remux::keep(&pipeline, mux, *format, &caps, || self.queued(pad)) {
            Ok((kind, span)) => {
                lock(&self.told.spans).push(span);
                lock(&self.told.kept)[kind as usize] += 1;
            }
            Err(refusal) => self.told.note(refusal),
        }
    }

    /// Leads `pad` into the multiqueue and answers where it comes out.
    fn queued(&self, pad: &gst::Pad) -> Option<gst::Pad> {
        let sink = self.queue.request_pad_simple("sink_%u")?;
        pad.link(&sink).ok()?;
        self.queue.static_pad(&sink.name().replace("sink", "src"))
    }

    fn add_video(
        &self,
        pipeline: &gst::Pipeline,
        pad: &gst::Pad,
        caps: &gst::Caps,
        tail: video::Tail,
    ) -> Result<(), Failure> {
        let broken = || Failure::running("the video cannot be led to its decoder");
        let sink = match &self.mux {
            None => Sink::Discard,
            Some((mux, format)) => {
                // Asked for before any packet flows, or the muxer would start without it.
                let pad = container::request(mux, Kind::Video).ok_or_else(broken)?;
                if *format == Container::Mp4 {
                    let scale = timescale(self.timescale, caps);
                    pad.set_property("trak-timescale", scale);
                    // Edits are counted in the movie's ticks; ones too fine would overflow.
                    let movie = if scale <= 1_000_000 { scale } else { 90_000 };
                    mux.set_property("movie-timescale", movie);
                }
                let span = timing::Watched::default();
                let mut spans = lock(&self.told.spans);
                self.told.video_track.store(spans.len() as u64, Ordering::Relaxed);
                spans.push(span.clone());
                Sink::Mux { pad, format: *format, span }
            }
        };
        let queued = self.queued(pad).ok_or_else(broken)?;
        let tail = Mutex::new(Some((tail, sink)));
        let (weak, compressed) = (self.pipeline.clone(), queued.clone());
        self.decoder.connect_pad_added(move |_, decoded| {
            let Some(pipeline) = weak.upgrade() else { return };
            let Some((tail, sink)) = lock(&tail).take() else { return };
            if let Err(e) = tail.turned(&compressed).attach(&pipeline, decoded, sink) {
                fail(&pipeline, &e.message);
            }
        });
        add_chain(pipeline, &[&self.decoder]).map_err(Failure::running)?;
        let input = self.decoder.static_pad("sink").ok_or_else(broken)?;
        queued.link(&input).map_err(|_| broken())?;
        Ok(())
    }
}

/// Ticks a second in which every time of the input is a whole number: those of the input where it
/// tells them, else a multiple of its frame rate and of the 1000 (Matroska) and 90000 (MPEG-TS)
/// that others count in.
fn timescale(input: Option<u32>, caps: &gst::CapsRef) -> u32 {
    const COMMON: u32 = 90_000;
    input.unwrap_or_else(|| {
        let rate = caps.structure(0).and_then(|s| s.get::<gst::Fraction>("framerate").ok());
        let numerator = rate.and_then(|rate| u32::try_from(rate.numer()).ok()).unwrap_or(0);
        if numerator == 0 {
            return COMMON;
        }
        let (mut a, mut b) = (numerator, COMMON);
        while b != 0 {
            (a, b) = (b, a % b);
        }
        (numerator / a).checked_mul(COMMON).filter(|n| *n <= 10_000_000).unwrap_or(COMMON)
    })
}

impl Transcode {
    /// What is left to do once the muxer has written its file.
    pub(super) fn finish(&self, target: Target<'_>) -> std::io::Result<()> {
        match target.format {
            Container::Mp4 => mp4::finish(target.file, &self.told.tracks()),
            Container::Matroska => Ok(()),
        }
    }

    /// How far it is, as running time in nanoseconds, and frames so far.
    pub(super) fn position(&self) -> (u64, u64) {
        let told = &self.told;
        (told.position.load(Ordering::Relaxed), told.frames.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_hold_common_rates() {
        let _ = gst::init();
        let at = |n, d| {
            gst::Caps::builder("video/x-raw").field("framerate", gst::Fraction::new(n, d)).build()
        };
        assert_eq!(timescale(Some(12_800), &at(25, 1)), 12_800);
        assert_eq!(timescale(None, &at(30_000, 1001)), 90_000);
        assert_eq!(timescale(None, &at(24_000, 1001)), 360_000);
        assert_eq!(timescale(None, &at(25, 2)), 90_000);
        assert_eq!(timescale(None, &at(0, 1)), 90_000);
    }
}
