//! When frames are shown, where the container does not tell, or tells something else.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Arc, Mutex};

use gst::prelude::*;

use super::status::{PipelineStatus, lock};
use super::timing;

/// How the frames of a video get their times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FrameTimes {
    /// By the container, where it tells.
    AsTheyAre,
    /// The container tells when packets are decoded: the same times, in order.
    Sorted,
    /// By the container, and after so many frames it is over: some decoders begin again.
    UntilFrame(u64),
}

/// Steps back by more than this are a new beginning, not disorder.
const NEW_BEGINNING_NS: i64 = 1_000_000_000;

/// Gives every frame that leaves a decoder a time later than that of the one before.
#[derive(Debug)]
struct Clock {
    times: FrameTimes,
    /// Duration of a frame where nothing tells it, nanoseconds.
    frame: i64,
    last: Option<i64>,
    /// Duration of the last frame.
    step: i64,
    /// What is added since the times began again.
    offset: i64,
    frames: u64,
    /// Whether a frame had a time other than 0.
    is_timed: bool,
}

/// What a clock has noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    None,
    Untimed,
    Restarted,
}

impl Clock {
    fn next(&mut self, pts: Option<i64>, duration: Option<i64>) -> (i64, Event) {
        self.frames += 1;
        let step = duration.filter(|d| *d > 0).unwrap_or(self.frame);
        let Some(last) = self.last else {
            let (time, event) = pts.map_or((0, Event::Untimed), |pts| (pts, Event::None));
            (self.last, self.step) = (Some(time), step);
            return (time, event);
        };
        self.is_timed |= pts.is_some_and(|pts| pts > 0);
        let (time, event) = match pts {
            // Some say that every frame is shown at the very beginning.
            Some(0) if !self.is_timed => (last + self.step, Event::Untimed),
            None => (last + self.step, Event::Untimed),
            Some(pts) => {
                let time = pts + self.offset;
                if time > last {
                    (time, Event::None)
                } else if last - time >= NEW_BEGINNING_NS {
                    self.offset += last + self.step - time;
                    (last + self.step, Event::Restarted)
                } else {
                    // Decoders repeat a time where they know none.
                    (last + self.step, Event::None)
                }
            }
        };
        (self.last, self.step) = (Some(time), step);
        (time, event)
    }
}

/// Times of packets that are in the decoder.
#[derive(Debug, Clone, Default)]
pub(super) struct Pending(Arc<Mutex<BinaryHeap<Reverse<u64>>>>);

impl Pending {
    /// Takes down the times of the packets that pass `pad`.
    pub(super) fn watch(&self, pad: &gst::Pad) {
        let pending = self.0.clone();
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            if let Some(gst::PadProbeData::Buffer(buffer)) = &info.data
                && let Some(time) = buffer.dts().or(buffer.pts())
            {
                lock(&pending).push(Reverse(time.nseconds()));
            }
            gst::PadProbeReturn::Ok
        });
    }
}

/// Mends the times of the frames that leave a decoder by `pad`.
pub(super) fn mend(
    pad: &gst::Pad,
    times: FrameTimes,
    rate: (i32, i32),
    pending: Pending,
    status: Arc<PipelineStatus>,
) {
    let frame = 1_000_000_000 * i64::from(rate.1.max(1)) / i64::from(rate.0.max(1));
    let clock =
        Clock { times, frame, last: None, step: frame, offset: 0, frames: 0, is_timed: false };
    let clock = Mutex::new(clock);
    let what = gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM;
    pad.add_probe(what, move |pad, info| {
        match &mut info.data {
            Some(gst::PadProbeData::Event(event)) => {
                if let gst::EventView::Segment(segment) = event.view()
                    && segment.segment().format() != gst::Format::Time
                {
                    let time = gst::FormattedSegment::<gst::ClockTime>::new();
                    *event = gst::event::Segment::builder(&time).seqnum(segment.seqnum()).build();
                }
            }
            Some(gst::PadProbeData::Buffer(buffer)) => {
                let mut clock = lock(&clock);
                if clock.times == FrameTimes::UntilFrame(clock.frames) {
                    info.flow_res = Err(gst::FlowError::Eos);
                    return timing::SWALLOWED;
                }
                let ns = |time: gst::ClockTime| i64::try_from(time.nseconds()).ok();
                let mut pts = buffer.pts().and_then(ns);
                if clock.times == FrameTimes::Sorted
                    && let Some(Reverse(time)) = lock(&pending.0).pop()
                {
                    pts = i64::try_from(time).ok();
                }
                let is_last = clock.times == FrameTimes::UntilFrame(clock.frames + 1);
                let (time, event) = clock.next(pts, buffer.duration().and_then(ns));
                match event {
                    Event::None => {}
                    Event::Untimed => {
                        let (n, d) = rate;
                        let rate = if d == 1 { n.to_string() } else { format!("{n}/{d}") };
                        status.note_of_kind(
                            "untimed",
                            format!(
                                "the input does not tell when its frames are shown: {rate} a \
                                 second are taken (--fps sets another rate)"
                            ),
                        );
                    }
                    Event::Restarted => {
                        let at = time as f64 / 1e9;
                        status.note_of_kind(
                            "again",
                            format!(
                                "the times of the input begin again at {at:.2} s; what follows is \
                                 put behind it"
                            ),
                        );
                    }
                }
                let time = gst::ClockTime::from_nseconds(u64::try_from(time).unwrap_or(0));
                if buffer.pts() != Some(time) || buffer.duration().is_none() {
                    let step = clock.step;
                    let buffer = buffer.make_mut();
                    buffer.set_pts(time);
                    if buffer.duration().is_none() {
                        let step = u64::try_from(step).unwrap_or(0);
                        buffer.set_duration(gst::ClockTime::from_nseconds(step));
                    }
                }
                drop(clock);
                // Its reader does not end by itself: the end comes once this frame has passed.
                if is_last {
                    let last = buffer.clone();
                    return timing::end_behind(pad, last, info);
                }
            }
            _ => {}
        }
        gst::PadProbeReturn::Ok
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clock_gives_every_frame_a_later_time() {
        let clock = || Clock {
            times: FrameTimes::AsTheyAre,
            frame: 40,
            last: None,
            step: 40,
            offset: 0,
            frames: 0,
            is_timed: false,
        };
        let run = |times: &[Option<i64>]| -> Vec<i64> {
            let mut clock = clock();
            times.iter().map(|pts| clock.next(*pts, None).0).collect()
        };
        assert_eq!(run(&[None, None, None]), [0, 40, 80]);
        assert_eq!(run(&[Some(10), Some(60), None]), [10, 60, 100]);
        assert_eq!(run(&[Some(10), Some(60), Some(60), Some(120)]), [10, 60, 100, 120]);
        let mut clock = clock();
        let second = NEW_BEGINNING_NS;
        clock.next(Some(0), Some(40));
        clock.next(Some(second), Some(40));
        assert_eq!(clock.next(Some(0), Some(40)), (second + 40, Event::Restarted));
        assert_eq!(clock.next(Some(40), Some(40)), (second + 80, Event::None));
    }
}
