//! Leads the streams that the parser finds: the first video to its decoder, the rest to the muxer.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use gst::prelude::*;

use super::container::{self, Container, Kind};
use super::elements::{add_chain, make};
use super::excerpt::{self, Excerpt};
use super::inventory::{self, Inventory};
use super::status::{OutputTrack, PipelineStatus, fail, lock};
use super::video::{self, Sink};
use super::{edits, matroska, mp4, remux, sound_headers};
use crate::term::Failure;

/// Leads the streams that the parser finds to where they belong.
pub(super) struct StreamRouter {
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
    /// Whether the muxer waits for that.
    waits: AtomicBool,
    /// Streams so far of each kind.
    numbers: Mutex<[usize; 3]>,
    /// Inputs of the muxer that wait until it has all.
    gate: Arc<Gate>,
}

/// Holds the muxer's inputs back until all streams that begin together have one: it takes none once
/// it has begun.
#[derive(Debug, Default)]
struct Gate {
    /// Streams that are still missing.
    missing: AtomicUsize,
    /// Packets, and events between them, that may still come before no stream is waited for.
    patience: AtomicUsize,
    held: Mutex<Vec<(gst::Pad, gst::PadProbeId)>>,
}

impl Gate {
    /// A stream has come; its packets, on their way into the gate, pass `pad`.
    fn stream(self: &Arc<Self>, pad: &gst::Pad) {
        let one_less = |n: usize| n.checked_sub(1);
        let before = self.missing.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less);
        if before.is_err() {
            return;
        }
        let gate = self.clone();
        let what = gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM;
        pad.add_probe(what, move |_, info| {
            let is_end = matches!(&info.data, Some(gst::PadProbeData::Event(event))
                if event.type_() == gst::EventType::Eos);
            let before = gate.patience.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less);
            // What has not come by then does not come.
            if is_end || before.is_err() {
                gate.missing.store(0, Ordering::Relaxed);
            }
            if gate.missing.load(Ordering::Relaxed) > 0 {
                return gst::PadProbeReturn::Ok;
            }
            gate.open();
            gst::PadProbeReturn::Remove
        });
    }

    /// Holds back what comes into the muxer by `pad`.
    fn hold(&self, pad: &gst::Pad) {
        if self.is_open() {
            return;
        }
        let id = pad.add_probe(gst::PadProbeType::BLOCK_DOWNSTREAM, |_, _| gst::PadProbeReturn::Ok);
        lock(&self.held).extend(id.map(|id| (pad.clone(), id)));
    }

    fn is_open(&self) -> bool {
        self.missing.load(Ordering::Relaxed) == 0
    }

    fn open(&self) {
        for (pad, id) in std::mem::take(&mut *lock(&self.held)) {
            pad.remove_probe(id);
        }
    }
}

/// Packets and events that may come before all streams are known: some 20 s of picture and sound.
const MOST_WAITING: usize = 2000;

/// What a new pad carries, as the pad, its stream or its element knows.
pub(super) fn caps_of(pad: &gst::Pad) -> gst::Caps {
    pad.current_caps()
        .or_else(|| pad.stream().and_then(|stream| stream.caps()))
        .unwrap_or_else(|| pad.query_caps(None))
}

/// Number of an MP4's track, by which its demuxer names the stream.
fn track_id(pad: &gst::Pad) -> Option<u32> {
    pad.stream_id()?.rsplit_once('/')?.1.parse().ok()
}

impl StreamRouter {
    /// A router of the streams of `pipeline` through `queue` into the muxer, if there is one, the
    /// first video by way of `branch`.
    ///
    /// # Errors
    /// A [`Failure`] if there is no decoder.
    pub(super) fn new(
        pipeline: &gst::Pipeline,
        queue: gst::Element,
        mux: Option<(gst::Element, Container)>,
        branch: video::VideoBranch,
        (status, inventory): (Arc<PipelineStatus>, Arc<Inventory>),
        (own_edits, excerpt): (bool, Excerpt),
    ) -> Result<Self, Failure> {
        let gate = Arc::new(Gate::default());
        let (streams, packets) = inventory.streams();
        if streams > 1 {
            gate.missing.store(streams, Ordering::Relaxed);
            gate.patience.store(2 * packets, Ordering::Relaxed);
            // A queue that is alone does not grow by itself.
            queue.set_property("max-size-buffers", 4 * packets as u32);
        }
        Ok(Self {
            pipeline: pipeline.downgrade(),
            queue,
            mux,
            decoder: make("decodebin")?,
            branch: Mutex::new(Some(branch)),
            status,
            inventory,
            own_edits,
            excerpt,
            is_complete: AtomicBool::new(false),
            waits: AtomicBool::new(false),
            numbers: Mutex::default(),
            gate,
        })
    }

    /// All streams are known: what comes later is something else.
    pub(super) fn complete(&self) {
        self.is_complete.store(true, Ordering::Relaxed);
        if self.waits.load(Ordering::Relaxed) {
            self.gate.missing.store(0, Ordering::Relaxed);
            self.gate.open();
        }
    }

    /// Lets the muxer wait until all streams are known, to be called before the first: they come one
    /// after another, each with its packets.
    pub(super) fn wait_for_all(&self) {
        self.waits.store(true, Ordering::Relaxed);
        self.gate.missing.store(usize::MAX, Ordering::Relaxed);
        self.gate.patience.store(MOST_WAITING, Ordering::Relaxed);
        self.queue.set_property("max-size-buffers", MOST_WAITING as u32);
    }

    /// Leads a new stream to where it belongs.
    pub(super) fn add(&self, pad: &gst::Pad) {
        let Some(pipeline) = self.pipeline.upgrade() else { return };
        let caps = caps_of(pad);
        let kind = Kind::of(&caps);
        let is_late = self.is_complete.load(Ordering::Relaxed) || self.status.ledger.has_begun();
        if is_late && self.gate.is_open() {
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
        self.gate.stream(pad);
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
        if !sound_headers::are_whole(&caps) {
            let codec = caps.structure(0).map_or("unknown", |s| s.name().as_str());
            self.status.loss(format!(
                "left out one audio stream ({codec}): its headers are damaged, nothing can decode it"
            ));
            return;
        }
        match remux::keep(&pipeline, mux, *format, &caps, || self.queued(pad)) {
            Ok(kept) => {
                if let Some(note) = kept.note {
                    self.status.note(note);
                }
                remux::hold_format(&kept.sink, self.status.clone());
                if kept.kind == Kind::Audio {
                    remux::hold_order(&kept.sink, self.status.clone());
                }
                self.gate.hold(&kept.sink);
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

    /// A stream that comes when all were known: the input has begun again.
    fn late(&self, pipeline: &gst::Pipeline, pad: &gst::Pad, kind: Option<Kind>) {
        let name = kind.map_or("data", Kind::name);
        let at = self.status.position.load(Ordering::Relaxed) as f64 / 1e9;
        self.status.loss(format!(
            "from {at:.1} s on the streams begin again under other numbers: one {name} stream was \
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
                self.gate.hold(&pad);
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
