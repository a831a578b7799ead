//! What has passed where: packets by stream, frames that were decoded.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use gst::prelude::*;

use super::container::Kind;
use super::status::lock;

/// What came out of the demuxer of one stream.
#[derive(Debug, Default)]
pub(super) struct StreamCount {
    /// Number of the track in the container, if that numbers them.
    pub(super) track: Option<u32>,
    /// What it is.
    pub(super) kind: Option<Kind>,
    /// Packets.
    pub(super) packets: AtomicU64,
    /// Packets that are never shown, by their own word.
    hidden: AtomicU64,
    /// How its packets become frames.
    rule: Mutex<Rule>,
    /// What of the stream is shown.
    segment: Mutex<Option<gst::FormattedSegment<gst::ClockTime>>>,
}

impl StreamCount {
    /// Counts what passes `pad`.
    pub(super) fn watch(self: &Arc<Self>, pad: &gst::Pad) {
        let count = self.clone();
        let what = gst::PadProbeType::BUFFER
            | gst::PadProbeType::BUFFER_LIST
            | gst::PadProbeType::EVENT_DOWNSTREAM;
        pad.add_probe(what, move |_, info| {
            match &info.data {
                Some(gst::PadProbeData::Buffer(buffer)) => count.packet(buffer),
                Some(gst::PadProbeData::BufferList(list)) => {
                    list.iter().for_each(|buffer| count.packet(buffer));
                }
                Some(gst::PadProbeData::Event(event)) => match event.view() {
                    gst::EventView::Caps(caps) => {
                        *lock(&count.rule) = Rule::of(caps.caps());
                    }
                    gst::EventView::Segment(segment) => {
                        *lock(&count.segment) = segment.segment().clone().downcast().ok();
                    }
                    _ => {}
                },
                _ => {}
            }
            gst::PadProbeReturn::Ok
        });
    }

    fn packet(&self, buffer: &gst::BufferRef) {
        self.packets.fetch_add(1, Ordering::Relaxed);
        let flags = buffer.flags();
        if flags.intersects(gst::BufferFlags::DECODE_ONLY | gst::BufferFlags::HEADER)
            && !flags.contains(gst::BufferFlags::MARKER)
            || buffer.size() == 0
            || lock(&self.rule).hides(buffer)
            || self.is_outside(buffer)
        {
            self.hidden.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl StreamCount {
    /// Whether one packet is one frame, but for those that are known to be hidden.
    pub(super) fn is_one_to_one(&self) -> bool {
        *lock(&self.rule) != Rule::Unknown
    }

    /// Whether a packet is only there to be decoded: its frame is not shown.
    fn is_outside(&self, buffer: &gst::BufferRef) -> bool {
        let segment = lock(&self.segment);
        let Some((segment, pts)) = segment.as_ref().zip(buffer.pts()) else { return false };
        segment.start().is_some_and(|start| pts < start)
            || segment.stop().is_some_and(|stop| pts >= stop)
    }
}

/// How packets become frames.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Rule {
    /// Two fields may be two packets, or the codec has frames that are never shown.
    #[default]
    Unknown,
    /// Each packet is one frame.
    Each,
    /// Each packet of MPEG-4 Part 2 is, but for the few bytes that say that nothing is coded.
    Mpeg4,
    /// Each packet of VP8 says whether it is shown.
    Vp8,
}

impl Rule {
    /// Most bytes of a packet of MPEG-4 in which nothing is coded.
    const NOT_CODED: usize = 8;

    fn of(caps: &gst::CapsRef) -> Self {
        let Some(s) = caps.structure(0) else { return Self::Unknown };
        let is = |name: &str, value: &str| s.get::<&str>(name).is_ok_and(|told| told == value);
        // Parsers say it by one word or the other.
        let progressive =
            is("interlace-mode", "progressive") || is("coded-picture-structure", "frame");
        match s.name().as_str() {
            "video/x-h265" => Self::Each,
            "video/x-h264"
                if progressive && s.get::<&str>("alignment").is_ok_and(|a| a == "au") =>
            {
                Self::Each
            }
            "video/mpeg" if s.get::<i32>("mpegversion").is_ok_and(|version| version == 4) => {
                Self::Mpeg4
            }
            "video/mpeg" if progressive => Self::Each,
            "video/x-vp8" => Self::Vp8,
            _ => Self::Unknown,
        }
    }

    /// Whether a packet becomes no frame by its own word.
    fn hides(self, packet: &gst::BufferRef) -> bool {
        match self {
            Self::Unknown | Self::Each => false,
            Self::Mpeg4 => packet.size() <= Self::NOT_CODED,
            // RFC 6386, 9.1: the fifth bit is set for frames that are shown.
            Self::Vp8 => {
                packet.map_readable().is_ok_and(|map| map.first().is_some_and(|b| b & 0x10 == 0))
            }
        }
    }
}

/// All counts of a run.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    streams: Mutex<Vec<Arc<StreamCount>>>,
    decoded: Arc<AtomicU64>,
}

impl Ledger {
    /// A new stream.
    pub(super) fn stream(&self, track: Option<u32>, kind: Option<Kind>) -> Arc<StreamCount> {
        let count = Arc::new(StreamCount { track, kind, ..StreamCount::default() });
        lock(&self.streams).push(count.clone());
        count
    }

    /// Counts the frames that leave the decoder by `pad`.
    pub(super) fn watch_decoded(&self, pad: &gst::Pad) {
        let decoded = self.decoded.clone();
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            decoded.fetch_add(1, Ordering::Relaxed);
            gst::PadProbeReturn::Ok
        });
    }

    /// Whether packets flow already: all streams that begin together are known then.
    pub(super) fn has_begun(&self) -> bool {
        let streams = lock(&self.streams);
        streams.iter().any(|stream| stream.packets.load(Ordering::Relaxed) > 0)
    }

    /// The stream of a track.
    pub(super) fn of_track(&self, track: u32) -> Option<Arc<StreamCount>> {
        lock(&self.streams).iter().find(|stream| stream.track == Some(track)).cloned()
    }

    /// How many streams of a kind there are.
    pub(super) fn streams_of(&self, kind: Kind) -> usize {
        lock(&self.streams).iter().filter(|stream| stream.kind == Some(kind)).count()
    }

    /// Streams that were announced and gave nothing.
    pub(super) fn empty_streams(&self) -> Vec<Kind> {
        let streams = lock(&self.streams);
        let empty = streams.iter().filter(|stream| stream.packets.load(Ordering::Relaxed) == 0);
        empty.filter_map(|stream| stream.kind).collect()
    }

    /// Frames of the first video stream that should have been decoded and were not, as far as
    /// that can be told, and all that should have.
    pub(super) fn undecoded(&self) -> Option<(u64, u64)> {
        let streams = lock(&self.streams);
        let video = streams.iter().find(|stream| stream.kind == Some(Kind::Video))?;
        if !video.is_one_to_one() {
            return None;
        }
        let hidden = video.hidden.load(Ordering::Relaxed);
        let packets = video.packets.load(Ordering::Relaxed).saturating_sub(hidden);
        let decoded = self.decoded.load(Ordering::Relaxed);
        packets.checked_sub(decoded).filter(|lost| *lost > 0).map(|lost| (lost, packets))
    }
}
