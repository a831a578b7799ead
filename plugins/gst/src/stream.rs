//! The course of a stream: where it breaks off, whether it is live, and whether it is late.

use std::sync::Mutex;

use gst::prelude::*;

use crate::lock::lock;
use crate::settings::LiveUse;

/// A jump in time that breaks a stream off, if upstream marks it as a discontinuity.
const JUMP: gst::ClockTime = gst::ClockTime::from_seconds(1);

/// Knows when what was learnt from earlier frames no longer holds.
#[derive(Debug, Default)]
pub(crate) struct Timeline {
    segment: Option<gst::Seqnum>,
    last: Option<gst::ClockTime>,
}

impl Timeline {
    /// Whether another piece of the stream begins with this event of the sink pad. All events of
    /// one seek share a number, so a segment that only moves on (a fragmented or a corrected live
    /// stream) is not taken for a seek.
    pub(crate) fn breaks_at_event(&mut self, event: &gst::EventRef) -> bool {
        let breaks = match event.type_() {
            gst::EventType::FlushStop | gst::EventType::StreamStart => true,
            gst::EventType::Segment => {
                self.segment.replace(event.seqnum()).is_some_and(|s| s != event.seqnum())
            }
            _ => false,
        };
        if breaks {
            self.last = None;
        }
        breaks
    }

    /// Whether another piece of the stream begins with this buffer. A lost packet also marks a
    /// discontinuity, but faces are still where they were.
    pub(crate) fn breaks_at_buffer(&mut self, buffer: &gst::BufferRef) -> bool {
        let Some(now) = buffer.pts() else { return false };
        let last = self.last.replace(now);
        buffer.flags().contains(gst::BufferFlags::DISCONT)
            && last.is_some_and(|last| now.absdiff(last) > JUMP)
    }
}

/// What the sink says about being late (GstBaseTransform would drop late frames; ours pass).
#[derive(Debug, Default)]
pub(crate) struct Lateness(Mutex<Option<Report>>);

#[derive(Debug, Clone, Copy)]
struct Report {
    earliest: gst::ClockTime,
    proportion: f64,
}

impl Lateness {
    /// Takes down a QoS event.
    pub(crate) fn update(&self, event: &gst::event::Qos) {
        let (_, proportion, diff, timestamp) = event.get();
        let report = timestamp.map(|timestamp| {
            let time = i128::from(timestamp.nseconds()) + i128::from(diff);
            let time = time.clamp(0, i128::from(gst::ClockTime::MAX.nseconds())) as u64;
            Report { earliest: gst::ClockTime::from_nseconds(time), proportion }
        });
        *lock(&self.0) = report;
    }

    /// Forgets everything: after a flush or a start.
    pub(crate) fn reset(&self) {
        *lock(&self.0) = None;
    }

    /// If `buffer` will be late at the sink whatever is done: how late, and the load that the sink
    /// reported (jitter and proportion of QoS messages).
    pub(crate) fn of(&self, times: &Times) -> Option<(i64, f64)> {
        let report = (*lock(&self.0))?;
        let running = times.running?;
        let late = report.earliest.checked_sub(running)?;
        Some((i64::try_from(late.nseconds()).unwrap_or(i64::MAX), report.proportion))
    }
}

/// Whether the source is live.
#[derive(Debug, Default)]
pub(crate) struct Liveness(Mutex<Option<bool>>);

impl Liveness {
    /// What the elements before `sink` say, asked once. One that cannot say is not live.
    pub(crate) fn of_source(&self, sink: &gst::Pad) -> bool {
        if let Some(known) = *lock(&self.0) {
            return known;
        }
        // The lock is not held: whoever answers may send events, which come by here.
        let mut query = gst::query::Latency::new();
        let live = sink.peer_query(&mut query) && query.result().0;
        *lock(&self.0) = Some(live);
        live
    }

    /// Whether the stream is to be taken for live.
    pub(crate) fn of(&self, wanted: LiveUse, sink: &gst::Pad) -> bool {
        match wanted {
            LiveUse::On => true,
            LiveUse::Off => false,
            LiveUse::Auto => self.of_source(sink),
        }
    }

    /// Asks again: the pipeline has worked out its latency anew.
    pub(crate) fn forget(&self) {
        *lock(&self.0) = None;
    }
}

/// What an element that works on each frame before it passes it on tells of its latency: a frame
/// may stay as long as frames last. An element that needed longer would not keep up.
#[derive(Debug, Default)]
pub(crate) struct Latency(Mutex<Reported>);

#[derive(Debug, Default)]
struct Reported {
    frame: gst::ClockTime,
    latency: gst::ClockTime,
    /// Of the whole pipeline, as it was told last.
    pipeline: gst::ClockTime,
}

impl Latency {
    /// Takes down how long a frame lasts.
    pub(crate) fn set_frame(&self, duration: gst::ClockTime) {
        lock(&self.0).frame = duration;
    }

    /// Takes down whether frames of a live source have to wait. True if that makes another
    /// latency, which the pipeline should hear of.
    pub(crate) fn update(&self, waits: bool) -> bool {
        let mut reported = lock(&self.0);
        let latency = if waits { reported.frame } else { gst::ClockTime::ZERO };
        std::mem::replace(&mut reported.latency, latency) != latency
    }

    /// Takes down the latency that the pipeline has settled on.
    pub(crate) fn settle(&self, pipeline: gst::ClockTime) {
        lock(&self.0).pipeline = pipeline;
    }

    /// How long ago the moment was at which the frame that belongs to `running` should have been
    /// shown; `None` if it is still to come.
    pub(crate) fn overdue(
        &self,
        running: gst::ClockTime,
        now: gst::ClockTime,
    ) -> Option<gst::ClockTime> {
        now.checked_sub(running + lock(&self.0).pipeline).filter(|late| !late.is_zero())
    }

    /// Answers a LATENCY query: what the elements before `sink` say, and this one's on top.
    pub(crate) fn answer(&self, sink: &gst::Pad, query: &mut gst::query::Latency) -> bool {
        if !sink.peer_query(query) {
            return false;
        }
        let (live, min, max) = query.result();
        let own = lock(&self.0).latency;
        if live {
            query.set(live, min + own, max.map(|max| max + own));
        }
        true
    }

    /// As before the first frame.
    pub(crate) fn reset(&self) {
        *lock(&self.0) = Reported::default();
    }
}

/// How many buffers wait before `sink`, as far as can be told: in a queue that is linked to it.
pub(crate) fn waiting(sink: &gst::Pad) -> u32 {
    let queue = sink.peer().and_then(|peer| peer.parent_element());
    let level = queue.filter(|queue| queue.find_property(LEVEL).is_some());
    // queue, queue2 and their likes all have it as an unsigned integer.
    level.and_then(|queue| queue.property_value(LEVEL).get().ok()).unwrap_or(0)
}

const LEVEL: &str = "current-level-buffers";

/// A buffer's times in the segment it came in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    pub(crate) timestamp: Option<gst::ClockTime>,
    pub(crate) duration: Option<gst::ClockTime>,
    pub(crate) running: Option<gst::ClockTime>,
    pub(crate) stream: Option<gst::ClockTime>,
}

impl Times {
    /// Times of `buffer` in `segment`.
    pub(crate) fn new(buffer: &gst::BufferRef, segment: &gst::Segment) -> Self {
        let timestamp = buffer.pts();
        let segment = segment.downcast_ref::<gst::ClockTime>();
        Self {
            timestamp,
            duration: buffer.duration(),
            running: segment.and_then(|s| s.to_running_time(timestamp)),
            stream: segment.and_then(|s| s.to_stream_time(timestamp)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buffer(ms: u64, discont: bool) -> gst::Buffer {
        let mut buffer = gst::Buffer::new();
        let b = buffer.get_mut().unwrap();
        b.set_pts(gst::ClockTime::from_mseconds(ms));
        if discont {
            b.set_flags(gst::BufferFlags::DISCONT);
        }
        buffer
    }

    #[test]
    fn only_seeks_flushes_and_marked_jumps_break() {
        gst::init().unwrap();
        let mut line = Timeline::default();
        let segment = |seqnum| {
            gst::event::Segment::builder(&gst::FormattedSegment::<gst::ClockTime>::new())
                .seqnum(seqnum)
                .build()
        };
        let (first, second) = (gst::Seqnum::next(), gst::Seqnum::next());
        assert!(!line.breaks_at_event(&segment(first)));
        assert!(!line.breaks_at_event(&segment(first)));
        assert!(line.breaks_at_event(&segment(second)));
        assert!(line.breaks_at_event(&gst::event::FlushStop::new(true)));
        assert!(!line.breaks_at_event(&gst::event::Eos::new()));
        assert!(!line.breaks_at_buffer(&buffer(0, true)));
        assert!(!line.breaks_at_buffer(&buffer(40, true)));
        assert!(!line.breaks_at_buffer(&buffer(4000, false)));
        assert!(line.breaks_at_buffer(&buffer(9000, true)));
        assert!(line.breaks_at_buffer(&buffer(0, true)));
    }

    #[test]
    fn late_is_what_the_sink_says() {
        gst::init().unwrap();
        let lateness = Lateness::default();
        let times = |ms| Times {
            timestamp: None,
            duration: None,
            running: Some(gst::ClockTime::from_mseconds(ms)),
            stream: None,
        };
        assert!(lateness.of(&times(0)).is_none());
        let event = |ms: u64, diff: i64| {
            gst::event::Qos::new(
                gst::QOSType::Underflow,
                2.0,
                diff * 1_000_000,
                gst::ClockTime::from_mseconds(ms),
            )
        };
        let update = |event: gst::Event| match event.view() {
            gst::EventView::Qos(qos) => lateness.update(qos),
            _ => unreachable!(),
        };
        update(event(1000, 200));
        assert_eq!(lateness.of(&times(1100)), Some((100_000_000, 2.0)));
        assert!(lateness.of(&times(1201)).is_none());
        update(event(1000, -900));
        assert!(lateness.of(&times(101)).is_none());
        lateness.reset();
        assert!(lateness.of(&times(0)).is_none());
    }
}
