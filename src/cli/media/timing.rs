//! Times of packets on their way into a muxer.
//!
//! A player skips what lies before a stream's start (an AAC encoder's priming, by an edit list),
//! but needs the packets to get its decoder going. The muxer would drop them, since GStreamer
//! gives them times before the start. So every stream is moved later by [`SHIFT`] before the
//! muxer, and the edit lists are set afterwards from the streams' true starts ([`super::mp4`]).

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicI64};
use std::sync::{Arc, Mutex};

use gst::prelude::*;

/// How much later every stream enters the muxer; more than any codec's priming.
pub(super) const SHIFT: gst::ClockTime = gst::ClockTime::from_seconds(10);

/// What a probe answers that swallows a buffer or an event. `Drop` would do, but GStreamer 1.22
/// then complains that it, which the binding has freed already, is gone.
pub(super) const SWALLOWED: gst::PadProbeReturn = gst::PadProbeReturn::Handled;

/// What a probe on `pad` answers to the last buffer of a stream: it is passed on, and the stream ends behind
/// it. To be called without a lock that the probe itself takes, since the end comes by there, too.
pub(super) fn end_behind(
    pad: &gst::Pad,
    last: gst::Buffer,
    info: &mut gst::PadProbeInfo<'_>,
) -> gst::PadProbeReturn {
    let Some(peer) = pad.peer() else { return gst::PadProbeReturn::Ok };
    let passed = peer.chain(last);
    pad.push_event(gst::event::Eos::new());
    info.flow_res = passed.and(Err(gst::FlowError::Eos));
    SWALLOWED
}

/// From when to when a stream is shown, in nanoseconds of running time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    /// First packet; before 0 if packets are only there to be decoded.
    pub(super) start: i64,
    /// End of the last packet.
    pub(super) end: i64,
    /// Whether the input shows the last packet in part only.
    pub(super) trimmed: bool,
}

/// The span of a stream that is under way.
#[derive(Debug, Clone, Default)]
pub(super) struct SpanRecorder(Arc<Mutex<Option<Span>>>);

impl SpanRecorder {
    /// The span so far, once a packet has come by.
    pub(super) fn get(&self) -> Option<Span> {
        *self.0.lock().unwrap_or_else(|e| e.into_inner())
    }

    fn add(&self, start: i64, duration: Option<gst::ClockTime>, stop: Option<i64>) {
        let end = start + duration.map_or(0, |d| i64::try_from(d.nseconds()).unwrap_or(0));
        let trimmed = stop.is_some_and(|stop| stop < end);
        let end = stop.map_or(end, |stop| stop.min(end));
        let mut span = self.0.lock().unwrap_or_else(|e| e.into_inner());
        *span = Some(match *span {
            None => Span { start, end, trimmed },
            Some(old) => Span {
                start: old.start.min(start),
                end: old.end.max(end),
                trimmed: if end >= old.end { trimmed } else { old.trimmed },
            },
        });
    }
}

type TimeSegment = gst::FormattedSegment<gst::ClockTime>;

/// Running time of `time` in nanoseconds, below 0 before the start.
fn running(segment: &TimeSegment, time: gst::ClockTime) -> Option<i64> {
    let time = segment.to_running_time_full(time)?;
    let nanoseconds = i64::try_from(time.abs().nseconds()).ok()?;
    Some(if time.is_negative() { -nanoseconds } else { nanoseconds })
}

/// What becomes of packets that lie before the start.
#[derive(Debug, Clone)]
pub(super) enum Early {
    /// All packets are moved later by [`SHIFT`]: an edit list tells what is shown.
    Shifted,
    /// All packets are moved later by as much as the first lies before the start, which is noted
    /// here in nanoseconds: the container tells players to begin so much later.
    Delayed(Arc<AtomicI64>),
    /// They are left out.
    Dropped,
}

impl Early {
    /// When a packet of running time `time` enters the muxer; `None` for not at all.
    fn place(&self, time: i64, is_first: bool) -> Option<gst::ClockTime> {
        let shift = match self {
            Self::Shifted => SHIFT.nseconds() as i64,
            Self::Delayed(delay) => {
                if is_first {
                    let before = time.saturating_neg();
                    let is_priming = (0..=MAX_DELAY).contains(&before);
                    delay.store(if is_priming { before } else { 0 }, Relaxed);
                }
                delay.load(Relaxed)
            }
            Self::Dropped => 0,
        };
        let time = time.checked_add(shift)?;
        u64::try_from(time).ok().map(gst::ClockTime::from_nseconds)
    }
}

/// No codec needs more before the start than this, nanoseconds: what begins earlier was cut off by an
/// edit list.
const MAX_DELAY: i64 = 200_000_000;

/// Moves the packets that leave `pad` to where they belong, those before the stream's start as
/// `early` says. The first holds `priming` samples of the time before, which an encoder adds. A track
/// of `texts` begins with an empty one: readers take it for as long as its texts, and would end the
/// last of one that begins later too early.
pub(super) fn keep_early_packets(
    pad: &gst::Pad,
    priming: u64,
    early: Early,
    texts: bool,
) -> SpanRecorder {
    let span = SpanRecorder::default();
    let noted = span.clone();
    let segment: Mutex<Option<TimeSegment>> = Mutex::new(None);
    let delay = AtomicI64::new(0);
    let begun = AtomicBool::new(false);
    let is_first = AtomicBool::new(true);
    let what = gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM;
    pad.add_probe(what, move |pad, info| {
        let mut segment = segment.lock().unwrap_or_else(|e| e.into_inner());
        match &mut info.data {
            Some(gst::PadProbeData::Event(event)) => match event.view() {
                gst::EventView::Segment(new) => {
                    let Ok(new_segment) = new.segment().clone().downcast() else {
                        return gst::PadProbeReturn::Ok;
                    };
                    let first = segment.replace(new_segment).is_none();
                    if !first {
                        // Times are running times already: one segment says it all.
                        return SWALLOWED;
                    }
                    let plain = TimeSegment::new();
                    *event = gst::event::Segment::builder(&plain).seqnum(new.seqnum()).build();
                }
                gst::EventView::Caps(caps) if priming > 0 => {
                    let rate = caps.caps().structure(0).and_then(|s| s.get::<i32>("rate").ok());
                    // Sound of fewer samples a second has no encoder.
                    if let Some(rate) = rate.filter(|rate| *rate >= 4000) {
                        delay.store(priming as i64 * 1_000_000_000 / i64::from(rate), Relaxed);
                    }
                }
                gst::EventView::Gap(gap) => {
                    let (time, duration) = gap.get();
                    let time = segment.as_ref().and_then(|s| running(s, time));
                    let time = time.and_then(|time| early.place(time, false));
                    let Some(time) = time else { return SWALLOWED };
                    *event = gst::event::Gap::builder(time).duration(duration).build();
                }
                _ => {}
            },
            Some(gst::PadProbeData::Buffer(buffer)) => {
                let Some(segment) = segment.as_ref() else { return gst::PadProbeReturn::Ok };
                let delay = delay.load(Relaxed);
                let Some(pts) = buffer.pts().and_then(|pts| running(segment, pts)) else {
                    return gst::PadProbeReturn::Ok;
                };
                let pts = pts - delay;
                let in_segment = buffer
                    .pts()
                    .is_some_and(|pts| pts >= segment.start().unwrap_or(gst::ClockTime::ZERO));
                let past = buffer.pts().zip(segment.stop()).is_some_and(|(pts, stop)| pts >= stop);
                // Packets before a later segment only prime a seek; their times lie in what has
                // been written already.
                let late_priming = !in_segment && begun.load(Relaxed);
                if past || late_priming {
                    return SWALLOWED;
                }
                let first = is_first.swap(false, Relaxed);
                let Some(time) = early.place(pts, first) else { return SWALLOWED };
                if texts
                    && first
                    && pts > 0
                    && let Some(start) = early.place(0, false)
                    && let Some(peer) = pad.peer()
                {
                    let mut empty = gst::Buffer::from_slice([0u8]);
                    if let Some(empty) = empty.get_mut() {
                        empty.set_pts(start);
                        empty.set_duration(time.saturating_sub(start));
                    }
                    noted.add(0, None, None);
                    // The packet that follows tells how it went.
                    let _ = peer.chain(empty);
                }
                let dts = buffer.dts().and_then(|dts| running(segment, dts));
                let dts = dts.and_then(|dts| early.place(dts - delay, false));
                if in_segment {
                    begun.store(true, Relaxed);
                }
                let stop = segment.stop().and_then(|stop| running(segment, stop));
                noted.add(pts, buffer.duration(), stop);
                let buffer = buffer.make_mut();
                buffer.set_pts(time);
                buffer.set_dts(dts);
            }
            _ => {}
        }
        gst::PadProbeReturn::Ok
    });
    span
}

/// Gives packets of sound that leave `pad` without a time that of the end of the packet before: a demuxer that finds
/// several in one packet of a transport stream knows that of the first.
pub(super) fn fill_times(pad: &gst::Pad, is_opus: bool) {
    let next: Mutex<Option<gst::ClockTime>> = Mutex::new(None);
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        let Some(gst::PadProbeData::Buffer(buffer)) = &mut info.data else {
            return gst::PadProbeReturn::Ok;
        };
        let mut next = next.lock().unwrap_or_else(|e| e.into_inner());
        let opus = || opus_duration(&buffer.map_readable().ok()?);
        let duration = buffer.duration().or_else(|| is_opus.then(opus).flatten());
        let pts = buffer.pts().or(*next);
        if pts != buffer.pts() || duration != buffer.duration() {
            let buffer = buffer.make_mut();
            buffer.set_pts(pts);
            buffer.set_duration(duration);
        }
        *next = pts.zip(duration).map(|(pts, duration)| pts + duration);
        gst::PadProbeReturn::Ok
    });
}

/// How long a packet of Opus lasts, by its first bytes (RFC 6716, 3.1).
fn opus_duration(packet: &[u8]) -> Option<gst::ClockTime> {
    let toc = *packet.first()?;
    let mode = usize::from(toc >> 3);
    // In units of 2.5 ms.
    let frame = match mode {
        0..=11 => [4, 8, 16, 24][mode % 4],
        12..=15 => [4, 8][mode % 2],
        _ => [1, 2, 4, 8][mode % 4],
    };
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u64::from(*packet.get(1)? & 0x3f),
    };
    Some(gst::ClockTime::from_useconds(2500) * (frame * frames))
}

/// Running time of a buffer on `pad` in nanoseconds.
pub(super) fn running_time(pad: &gst::Pad, buffer: &gst::Buffer) -> Option<i64> {
    let event = pad.sticky_event::<gst::event::Segment>(0)?;
    running(event.segment().downcast_ref::<gst::ClockTime>()?, buffer.pts()?)
}

/// Moves the encoded video that enters the muxer by `pad` later by [`SHIFT`], and notes in `span`
/// from when to when the frames that leave `frames` are shown.
pub(super) fn shift_video(frames: &gst::Pad, pad: &gst::Pad, span: SpanRecorder) {
    pad.set_offset(SHIFT.nseconds() as i64);
    frames.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        if let Some(gst::PadProbeData::Buffer(buffer)) = &info.data
            && let Some(time) = running_time(pad, buffer)
        {
            span.add(time, buffer.duration(), None);
        }
        gst::PadProbeReturn::Ok
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opus_packets_tell_how_long_they_last() {
        let ms = |packet: &[u8]| opus_duration(packet).map(|d| d.useconds() as f64 / 1000.0);
        assert_eq!(ms(&[0xfc]), Some(20.0), "CELT, one frame");
        assert_eq!(ms(&[0x80]), Some(2.5));
        assert_eq!(ms(&[0x19]), Some(120.0), "SILK, two of 60 ms");
        assert_eq!(ms(&[0x7b, 0x43]), Some(60.0), "three of 20 ms");
        assert_eq!((ms(&[]), ms(&[3])), (None, None));
    }
}
