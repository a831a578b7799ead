//! Times of packets on their way into an MP4.
//!
//! A player skips what lies before a stream's start (an AAC encoder's priming, by an edit list),
//! but needs the packets to get its decoder going. The muxer would drop them, since GStreamer
//! gives them times before the start. So every stream is moved later by [`SHIFT`] before the
//! muxer, and the edit lists are set afterwards from the streams' true starts ([`super::mp4`]).

use std::sync::{Arc, Mutex};

use gst::prelude::*;

/// How much later every stream enters the muxer; more than any codec's priming.
pub(super) const SHIFT: gst::ClockTime = gst::ClockTime::from_seconds(10);

/// When a stream starts, in nanoseconds of running time; before 0 if packets are to be skipped.
#[derive(Debug, Clone, Default)]
pub(super) struct Start(Arc<Mutex<Option<i64>>>);

impl Start {
    /// The start, once the first packet has come by.
    pub(super) fn get(&self) -> Option<i64> {
        *self.0.lock().unwrap_or_else(|e| e.into_inner())
    }

    fn lower_to(&self, time: i64) {
        let mut start = self.0.lock().unwrap_or_else(|e| e.into_inner());
        *start = Some(start.map_or(time, |start| start.min(time)));
    }
}

type TimeSegment = gst::FormattedSegment<gst::ClockTime>;

/// Running time of `time` in nanoseconds, below 0 before the start.
fn running(segment: &TimeSegment, time: gst::ClockTime) -> Option<i64> {
    let time = segment.to_running_time_full(time)?;
    let nanoseconds = i64::try_from(time.abs().nseconds()).ok()?;
    Some(if time.is_negative() { -nanoseconds } else { nanoseconds })
}

fn shifted(time: i64) -> Option<gst::ClockTime> {
    let time = time.checked_add_unsigned(SHIFT.nseconds())?;
    u64::try_from(time).ok().map(gst::ClockTime::from_nseconds)
}

/// Moves the packets that leave `pad` later by [`SHIFT`], those before the stream's start too.
pub(super) fn keep_early_packets(pad: &gst::Pad) -> Start {
    let start = Start::default();
    let noted = start.clone();
    let segment: Mutex<Option<TimeSegment>> = Mutex::new(None);
    let begun = std::sync::atomic::AtomicBool::new(false);
    use std::sync::atomic::Ordering::Relaxed;
    let what = gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM;
    pad.add_probe(what, move |_, info| {
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
                        return gst::PadProbeReturn::Drop;
                    }
                    let plain = TimeSegment::new();
                    *event = gst::event::Segment::builder(&plain).seqnum(new.seqnum()).build();
                }
                gst::EventView::Gap(gap) => {
                    let (time, duration) = gap.get();
                    let time = segment.as_ref().and_then(|s| running(s, time)).and_then(shifted);
                    let Some(time) = time else { return gst::PadProbeReturn::Drop };
                    *event = gst::event::Gap::builder(time).duration(duration).build();
                }
                _ => {}
            },
            Some(gst::PadProbeData::Buffer(buffer)) => {
                let Some(segment) = segment.as_ref() else { return gst::PadProbeReturn::Ok };
                let Some(pts) = buffer.pts().and_then(|pts| running(segment, pts)) else {
                    return gst::PadProbeReturn::Ok;
                };
                let in_segment = buffer
                    .pts()
                    .is_some_and(|pts| pts >= segment.start().unwrap_or(gst::ClockTime::ZERO));
                let past = buffer.pts().zip(segment.stop()).is_some_and(|(pts, stop)| pts >= stop);
                // Packets before a later segment only prime a seek; their times lie in what has
                // been written already.
                let late_priming = !in_segment && begun.load(Relaxed);
                let Some(time) = shifted(pts).filter(|_| !past && !late_priming) else {
                    return gst::PadProbeReturn::Drop;
                };
                let dts = buffer.dts().and_then(|dts| running(segment, dts)).and_then(shifted);
                if in_segment {
                    begun.store(true, Relaxed);
                }
                noted.lower_to(pts);
                let buffer = buffer.make_mut();
                buffer.set_pts(time);
                buffer.set_dts(dts);
            }
            _ => {}
        }
        gst::PadProbeReturn::Ok
    });
    start
}

/// Running time of a buffer on `pad` in nanoseconds.
pub(super) fn running_time(pad: &gst::Pad, buffer: &gst::Buffer) -> Option<i64> {
    let event = pad.sticky_event::<gst::event::Segment>(0)?;
    running(event.segment().downcast_ref::<gst::ClockTime>()?, buffer.pts()?)
}

/// Moves the encoded video that enters the muxer by `pad` later by [`SHIFT`], and notes in `start`
/// when the frames that leave `frames` start.
pub(super) fn shift_video(frames: &gst::Pad, pad: &gst::Pad, start: Start) {
    pad.set_offset(SHIFT.nseconds() as i64);
    frames.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        if let Some(gst::PadProbeData::Buffer(buffer)) = &info.data
            && let Some(time) = running_time(pad, buffer)
        {
            start.lower_to(time);
        }
        gst::PadProbeReturn::Ok
    });
}
