//! The pipeline that carries out a plan.
//!
//! ```text
//! source ! parsebin ! multiqueue --video--> decodebin ! scale ! facesr ! encoder --> muxer ! filesink
//!                               `--audio, subtitles, other video: as they are -------^
//! ```
//!
//! The multiqueue grows as long as one of its streams is starving, so neither the encoder's
//! look-ahead nor a badly interleaved file can lock it up; full queues slow the reading down, so
//! memory stays small.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Instant;

use gst::prelude::*;

use super::container::{self, Container, Kind};
use super::elements::{add_chain, make};
use super::encoder::Encoder;
use super::excerpt::{self, Excerpt};
use super::format::Format;
use super::frame_times::FrameTimes;
use super::input::Input;
use super::inventory::{self, Inventory};
use super::ledger::Ledger;
use super::observer::FrameObserver;
use super::video::{self, Sink};
use super::{edits, matroska, mp4, remux, timing};
use crate::term::{Failure, Note};

/// What is known of a track of the output.
#[derive(Debug, Clone, Default)]
struct OutputTrack {
    /// When it is shown.
    span: timing::SpanRecorder,
    /// How much of it lies before the start, nanoseconds.
    delay: Arc<AtomicI64>,
    /// What it is called.
    name: Option<String>,
    /// Whether players show it unasked.
    is_default: Option<bool>,
    /// Elements that it has as Matroska has them.
    copied: Vec<(u32, Vec<u8>)>,
}

/// What the pipeline tells while it runs.
#[derive(Debug, Default)]
pub(super) struct PipelineStatus {
    /// Frames that have left the enhancer.
    pub(super) frames: AtomicU64,
    /// When the first of them did.
    pub(super) first: OnceLock<Instant>,
    /// Running time of the last of them, nanoseconds.
    pub(super) position: AtomicU64,
    /// Sentences for the user, not yet shown.
    notes: Mutex<Vec<Note>>,
    /// Whether [`warn_once`](Self::warn_once) has spoken.
    warned: AtomicBool,
    /// Kinds of notes that were given.
    kinds: Mutex<HashSet<&'static str>>,
    /// What comes out of the decoder and what goes into the encoder.
    sizes: Mutex<Option<video::Sizes>>,
    /// The tracks of the output, in the muxer's order.
    tracks: Mutex<Vec<OutputTrack>>,
    /// How wide and high the enhanced picture is shown.
    display: Mutex<Option<(u32, u32)>>,
    /// How players have to turn the enhanced picture.
    rotation: Mutex<Option<[i32; 9]>>,
    /// Number of the enhanced video's track in the output.
    video_track: AtomicU64,
    /// Whether the input has a video stream.
    pub(super) has_video: AtomicBool,
    /// Chapters that the demuxer tells of: begin in nanoseconds, and title.
    chapters: Mutex<Vec<(u64, String)>>,
    /// How many streams of each kind were kept.
    kept: Mutex<[u32; 3]>,
    /// What has passed where.
    pub(super) ledger: Ledger,
}

impl PipelineStatus {
    /// Tells the user something.
    pub(super) fn note(&self, note: impl Into<String>) {
        lock(&self.notes).push(Note { text: note.into(), is_loss: false });
    }

    /// Tells the user of something that is not in the output.
    pub(super) fn loss(&self, note: impl Into<String>) {
        lock(&self.notes).push(Note { text: note.into(), is_loss: true });
    }

    /// A note of which one of its kind is enough.
    pub(super) fn note_of_kind(&self, kind: &'static str, note: impl Into<String>) {
        if lock(&self.kinds).insert(kind) {
            self.note(note);
        }
    }

    /// A note that many frames may give cause for.
    pub(super) fn warn_once(&self, note: &str) {
        if !self.warned.swap(true, Ordering::Relaxed) {
            self.note(note);
        }
    }

    /// The notes since the last call.
    pub(super) fn take_notes(&self) -> Vec<Note> {
        std::mem::take(&mut lock(&self.notes))
    }

    pub(super) fn set_sizes(&self, sizes: video::Sizes) {
        *lock(&self.sizes) = Some(sizes);
    }

    /// Sizes and rate of the video, once its first frame was decoded.
    pub(super) fn sizes(&self) -> Option<video::Sizes> {
        lock(&self.sizes).clone()
    }

    /// Streams kept: other video, audio, subtitles.
    pub(super) fn kept(&self) -> [u32; 3] {
        *lock(&self.kept)
    }

    pub(super) fn set_rotation(&self, matrix: [i32; 9]) {
        *lock(&self.rotation) = Some(matrix);
    }

    pub(super) fn set_display(&self, display: (u32, u32)) {
        *lock(&self.display) = Some(display);
    }

    fn matroska_tracks(&self) -> Vec<matroska::Track> {
        let video = self.video_track.load(Ordering::Relaxed);
        let display = *lock(&self.display);
        (0..)
            .zip(lock(&self.tracks).iter())
            .map(|(i, track)| matroska::Track {
                name: track.name.clone(),
                is_default: track.is_default,
                copied: track.copied.clone(),
                delay: u64::try_from(track.delay.load(Ordering::Relaxed)).unwrap_or(0),
                display: display.filter(|_| i == video),
            })
            .collect()
    }

    fn mp4_tracks(&self) -> Vec<mp4::Track> {
        let video = self.video_track.load(Ordering::Relaxed);
        let rotation = *lock(&self.rotation);
        (0..)
            .zip(lock(&self.tracks).iter())
            .map(|(i, track)| mp4::Track {
                span: track.span.get(),
                matrix: rotation.filter(|_| i == video),
                name: track.name.clone(),
                is_enabled: track.is_default,
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
    pub(crate) observer: Option<Arc<Mutex<dyn FrameObserver>>>,
    /// Frames a second where the input does not tell.
    pub(crate) fps: Option<(i32, i32)>,
    /// What of the input is wanted.
    pub(crate) excerpt: Excerpt,
    /// Name of the input, for messages.
    pub(crate) input: String,
}

/// A pipeline that is ready to be started.
pub(super) struct Transcode {
    pub(super) pipeline: gst::Pipeline,
    pub(super) element: gst::Element,
    pub(super) status: Arc<PipelineStatus>,
    pub(super) excerpt: Excerpt,
    queue: gst::Element,
    inventory: Arc<Inventory>,
    /// The input, if it is a file.
    source: Option<PathBuf>,
}

/// Where the output goes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target<'a> {
    pub(super) format: Container,
    /// The file; `None` for standard output.
    pub(super) file: Option<&'a Path>,
}

/// What is said in every output.
const MARK: &str = concat!(
    "Processed by facesr ",
    env!("FACESR_VERSION"),
    ": small faces are generated by a neural network, plausible guesses and never evidence of \
     anyone's identity."
);

/// Builds the pipeline. There must be a target if the plan has an encoder.
pub(super) fn build(
    plan: Plan,
    source: &Input,
    target: Option<Target<'_>>,
) -> Result<Transcode, Failure> {
    let pipeline = gst::Pipeline::new();
    let status = Arc::new(PipelineStatus::default());
    let excerpt = plan.excerpt;
    let inventory = Arc::new(Inventory::of(source).part(excerpt));
    for note in inventory.notes(target.map(|target| target.format)) {
        lock(&status.notes).push(note);
    }
    let element = plan.element.clone();
    let (reader, parser) = source.add(&pipeline)?;
    let own_edits = inventory.movie.as_ref().is_some_and(edits::are_simple);
    if let Some(movie) = &inventory.movie {
        edits::hide(&reader, movie, own_edits);
    }
    let queue = make("multiqueue")?;
    // Counted in packets only: a limit in bytes or time would not give way to a starving stream.
    queue.set_property("max-size-buffers", 8u32);
    queue.set_property("max-size-bytes", 0u32);
    queue.set_property("max-size-time", 0u64);
    pipeline.add(&queue).map_err(Failure::running)?;

    let mux = target.map(|target| add_mux(&pipeline, target, &inventory)).transpose()?;
    let decoder = make("decodebin")?;
    let branch = video::VideoBranch::new(plan, status.clone(), times_of(source));
    let router = StreamRouter {
        pipeline: pipeline.downgrade(),
        queue: queue.clone(),
        mux: mux.clone().zip(target.map(|target| target.format)),
        decoder,
        branch: Mutex::new(Some(branch)),
        status: status.clone(),
        inventory: inventory.clone(),
        own_edits,
        excerpt,
        is_complete: AtomicBool::new(false),
        numbers: Mutex::default(),
    };
    let router = Arc::new(router);
    let adding = router.clone();
    parser.connect_pad_added(move |_, pad| adding.add(pad));
    let (weak, seen, name) = (pipeline.downgrade(), status.clone(), source.name());
    parser.connect_no_more_pads(move |_| {
        router.is_complete.store(true, Ordering::Relaxed);
        if let Some(pipeline) = weak.upgrade().filter(|_| !seen.has_video.load(Ordering::Relaxed)) {
            fail(&pipeline, &no_video(&name));
        }
    });
    let source = source.path().map(Path::to_path_buf);
    Ok(Transcode { pipeline, element, status, excerpt, queue, inventory, source })
}

/// How the frames of `source` get their times.
fn times_of(source: &Input) -> FrameTimes {
    match source.format() {
        // It says when frames are decoded; they are shown in another order.
        Format::Avi => FrameTimes::Sorted,
        Format::Gif { frames, .. } => FrameTimes::UntilFrame(frames),
        _ => FrameTimes::AsTheyAre,
    }
}

fn add_mux(
    pipeline: &gst::Pipeline,
    target: Target<'_>,
    inventory: &Inventory,
) -> Result<gst::Element, Failure> {
    let mux = target.format.muxer(inventory.recorded_at(), target.file.is_none())?;
    // The muxer then writes texts, which are replaced by those of the input when it has ended.
    if target.format.is_matroska()
        && let Some(tagged) = mux.dynamic_cast_ref::<gst::TagSetter>()
    {
        tagged.add_tag::<gst::tags::Comment>(&MARK, gst::TagMergeMode::Keep);
    }
    if target.format.is_matroska() && target.file.is_some() {
        let (tracks, names) = inventory.names();
        mux.set_property("writing-app", matroska::reserve(tracks, names));
    }
    if let Some(toc) = inventory.toc()
        && let Some(setter) = mux.dynamic_cast_ref::<gst::TocSetter>()
    {
        setter.set_toc(Some(&toc));
    }
    let sink = match target.file {
        Some(file) => {
            let sink = make("filesink")?;
            sink.set_property("location", file);
            sink
        }
        None => {
            let sink = make("fdsink")?;
            sink.set_property("fd", 1i32);
            sink.set_property("sync", false);
            sink
        }
    };
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
struct StreamRouter {
    /// Weak, since the pipeline holds what holds this.
    pipeline: gst::glib::WeakRef<gst::Pipeline>,
    queue: gst::Element,
    mux: Option<(gst::Element, Container)>,
    decoder: gst::Element,
    /// Taken by the first video stream.
    branch: Mutex<Option<video::VideoBranch>>,
    status: Arc<PipelineStatus>,
    inventory: Arc<Inventory>,
    /// Whether the edit lists of the input are carried out here, not by the demuxer.
    own_edits: bool,
    excerpt: Excerpt,
    /// Whether all streams are known: what comes later is something else.
    is_complete: AtomicBool,
    /// Streams so far of each kind.
    numbers: Mutex<[usize; 3]>,
}

/// What a new pad carries, as the pad, its stream or its element knows.
fn caps_of(pad: &gst::Pad) -> gst::Caps {
    pad.current_caps()
        .or_else(|| pad.stream().and_then(|stream| stream.caps()))
        .unwrap_or_else(|| pad.query_caps(None))
}

/// Number of an MP4's track, by which its demuxer names the stream.
fn track_id(pad: &gst::Pad) -> Option<u32> {
    pad.stream_id()?.rsplit_once('/')?.1.parse().ok()
}

impl StreamRouter {
    fn add(&self, pad: &gst::Pad) {
        let Some(pipeline) = self.pipeline.upgrade() else { return };
        let caps = caps_of(pad);
        let kind = Kind::of(&caps);
        if self.is_complete.load(Ordering::Relaxed) || self.status.ledger.has_begun() {
            self.late(&pipeline, pad, kind);
            return;
        }
        let track = track_id(pad).and_then(|id| self.inventory.movie.as_ref()?.track(id));
        let count = self.status.ledger.stream(track.map(|track| track.id), kind);
        if let Some(track) = track {
            if self.own_edits
                && let Some(movie) = &self.inventory.movie
            {
                edits::apply(pad, track, movie.timescale);
            }
            if let Some(colors) = track.colors {
                video::declare_colors(pad, colors);
            }
        }
        excerpt::cut(pad, kind, self.excerpt);
        // Behind what changes the segment.
        count.watch(pad);
        self.watch_toc(pad);
        remux::drop_titles(pad);
        if kind == Some(Kind::Video)
            && let Some(branch) = lock(&self.branch).take()
        {
            self.status.has_video.store(true, Ordering::Relaxed);
            if let Err(e) = self.add_video(&pipeline, pad, (&caps, track), branch) {
                fail(&pipeline, &e.message);
            }
            return;
        }
        let Some((mux, format)) = &self.mux else { return };
        if matches!(format, Container::Picture(_)) {
            return;
        }
        if track.is_some_and(|track| self.inventory.holds_chapters(track.id)) {
            // They are written as chapters.
            return;
        }
        match remux::keep(&pipeline, mux, *format, &caps, || self.queued(pad)) {
            Ok(kept) => {
                if let Some(note) = kept.note {
                    self.status.note(note);
                }
                remux::hold_format(&kept.sink, self.status.clone());
                let about = self.about(kept.kind, track);
                let (span, delay) = (kept.span, kept.delay);
                lock(&self.status.tracks).push(OutputTrack { span, delay, ..about });
                lock(&self.status.kept)[kept.kind as usize] += 1;
            }
            Err(refusal) => self.status.loss(refusal),
        }
    }

    /// What a stream is called and how players choose it, as far as the container tells.
    fn about(&self, kind: Kind, track: Option<&mp4::TrackInfo>) -> OutputTrack {
        let mut numbers = lock(&self.numbers);
        let number = numbers[kind as usize];
        numbers[kind as usize] += 1;
        let matroska = self.inventory.matroska.as_ref();
        match (track, matroska.and_then(|matroska| matroska.track(kind, number))) {
            (Some(track), _) => OutputTrack {
                name: track.name.clone(),
                is_default: Some(track.is_enabled),
                ..OutputTrack::default()
            },
            (None, Some(entry)) => OutputTrack {
                name: entry.name.clone(),
                is_default: Some(entry.is_default),
                copied: entry.copied.clone(),
                ..OutputTrack::default()
            },
            (None, None) => OutputTrack::default(),
        }
    }

    /// A stream that comes when all were known: the input has begun anew.
    fn late(&self, pipeline: &gst::Pipeline, pad: &gst::Pad, kind: Option<Kind>) {
        let name = kind.map_or("data", Kind::name);
        let at = self.status.position.load(Ordering::Relaxed) as f64 / 1e9;
        self.status.loss(format!(
            "from {at:.1} s on the streams begin anew under other numbers: one {name} stream was \
             left out"
        ));
        let discard = || -> Option<()> {
            let sink = make("fakesink").ok()?;
            sink.set_property("sync", false);
            sink.set_property("async", false);
            add_chain(pipeline, &[&sink]).ok()?;
            pad.link(&sink.static_pad("sink")?).ok().map(drop)
        };
        discard();
    }

    /// Takes down the chapters that come by.
    fn watch_toc(&self, pad: &gst::Pad) {
        let (status, excerpt) = (self.status.clone(), self.excerpt);
        let end = self.inventory.duration();
        let what = gst::PadProbeType::EVENT_DOWNSTREAM;
        pad.add_probe(what, move |_, info| {
            if let Some(gst::PadProbeData::Event(event)) = &mut info.data
                && let gst::EventView::Toc(toc) = event.view()
            {
                let found = matroska::chapters(&toc.toc().0.to_owned());
                let found = excerpt.chapters(found);
                if !excerpt.is_whole() {
                    let toc = inventory::toc_of(&found, end);
                    *event = gst::event::Toc::builder(&toc, false).seqnum(event.seqnum()).build();
                }
                if !found.is_empty() {
                    *lock(&status.chapters) = found;
                }
            }
            gst::PadProbeReturn::Ok
        });
    }

    /// Leads `pad` into the multiqueue and returns where it comes out.
    fn queued(&self, pad: &gst::Pad) -> Option<gst::Pad> {
        let sink = self.queue.request_pad_simple("sink_%u")?;
        pad.link(&sink).ok()?;
        self.queue.static_pad(&sink.name().replace("sink", "src"))
    }

    fn add_video(
        &self,
        pipeline: &gst::Pipeline,
        pad: &gst::Pad,
        (caps, track): (&gst::Caps, Option<&mp4::TrackInfo>),
        branch: video::VideoBranch,
    ) -> Result<(), Failure> {
        let broken = || Failure::running("the video cannot be led to its decoder");
        let sink = match &self.mux {
            None => Sink::Discard,
            Some((mux, format)) => {
                // Asked for before any packet flows, or the muxer would start without it.
                let pad = container::request(mux, Kind::Video).ok_or_else(broken)?;
                if format.is_boxes() {
                    let scale = timescale(self.inventory.video_timescale(), caps);
                    pad.set_property("trak-timescale", scale);
                    // Edits are counted in the movie's ticks; ones too fine would overflow.
                    let movie = if scale <= 1_000_000 { scale } else { 90_000 };
                    mux.set_property("movie-timescale", movie);
                }
                let track = self.about(Kind::Video, track);
                let mut tracks = lock(&self.status.tracks);
                self.status.video_track.store(tracks.len() as u64, Ordering::Relaxed);
                let span = track.span.clone();
                tracks.push(track);
                Sink::Mux { pad, format: *format, span }
            }
        };
        let queued = self.queued(pad).ok_or_else(broken)?;
        branch.watch_compressed(&queued);
        let branch = Mutex::new(Some((branch, sink)));
        let (weak, compressed, status) =
            (self.pipeline.clone(), queued.clone(), self.status.clone());
        self.decoder.connect_pad_added(move |_, decoded| {
            let Some(pipeline) = weak.upgrade() else { return };
            let Some((branch, sink)) = lock(&branch).take() else { return };
            status.ledger.watch_decoded(decoded);
            if let Err(e) = branch.turned(&compressed).attach(&pipeline, decoded, sink) {
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
    pub(super) fn finish(&self, format: Container, file: &Path) -> std::io::Result<()> {
        let status = &self.status;
        if format.is_boxes() {
            let mut extra = self.inventory.mp4_extra(MARK);
            if extra.chapters.is_empty() {
                extra.chapters = lock(&status.chapters).clone();
            }
            mp4::finish(file, &status.mp4_tracks(), &extra)
        } else if format.is_matroska() {
            let extra = self.inventory.matroska_extra(self.source.as_deref(), format, MARK);
            matroska::finish(file, &status.matroska_tracks(), &extra)
        } else {
            Ok(())
        }
    }

    /// Holds what has passed against what the input promised.
    pub(super) fn compare(&self) {
        for note in self.inventory.compare(&self.status.ledger, self.position().0) {
            lock(&self.status.notes).push(note);
        }
    }

    /// Holds the written file against what has passed.
    ///
    /// # Errors
    /// A [`Failure`] if the file is not what was sent into it.
    pub(super) fn check(&self, format: Container, file: &Path) -> Result<(), Failure> {
        if format.is_boxes()
            && let Some(written) = mp4::Movie::read(file)
        {
            let frames = self.status.frames.load(Ordering::Relaxed);
            let video = written.tracks.iter().find(|track| &track.handler == b"vide");
            let held = video.map_or(0, |track| track.samples);
            let sounds = written.tracks.iter().filter(|track| &track.handler == b"soun").count();
            let empty = self.status.ledger.empty_streams();
            let empty = empty.iter().filter(|kind| **kind == Kind::Audio).count();
            let kept = (self.status.kept()[Kind::Audio as usize] as usize).saturating_sub(empty);
            if sounds < kept {
                self.status
                    .loss(format!("only {sounds} of {kept} audio streams are in the output"));
            }
            if held != frames {
                return Err(Failure::running(format_args!(
                    "the output would hold {held} of {frames} frames and is not written; \
                     please report this"
                )));
            }
        }
        Ok(())
    }

    /// Ends a stream that has no end of its own: what is under way is still written.
    pub(super) fn end_now(&self) {
        for pad in self.queue.sink_pads() {
            // Each waits for the packet that is just being handed over.
            std::thread::spawn(move || pad.send_event(gst::event::Eos::new()));
        }
    }

    /// How far it is, as running time in nanoseconds, and frames so far.
    pub(super) fn position(&self) -> (u64, u64) {
        let status = &self.status;
        (status.position.load(Ordering::Relaxed), status.frames.load(Ordering::Relaxed))
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
