//! Where a stream starts again, so that faces of what came before must be forgotten.
//!
//! Events may come while a frame is in work, from other threads. They only raise a counter here and
//! never wait; the streaming thread compares the counter at the next frame.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use gst::glib::translate::IntoGlib;

/// Faces are forgotten when time jumps by more than this beyond the usual distance of frames: no
/// track outlives it, and a lost packet is far shorter.
const JUMP: gst::ClockTime = gst::ClockTime::from_seconds(1);

/// A jump is also longer than so many usual distances: a camera of 0.5 frames/s that loses a frame
/// has not jumped.
const JUMP_FRAMES: u64 = 2;

/// Counts the discontinuities that events bring.
#[derive(Debug, Default)]
pub(crate) struct DiscontTracker {
    epoch: AtomicU64,
    /// Sequence number of the latest segment; 0 is none.
    segment: AtomicU32,
}

impl DiscontTracker {
    /// Records an event of the sink pad. All events of one seek share a number, so a segment that
    /// only moves on (a fragmented or a corrected live stream) is not taken for a seek.
    pub(crate) fn record_event(&self, event: &gst::EventRef) {
        let starts_again = match event.type_() {
            gst::EventType::FlushStop | gst::EventType::StreamStart => true,
            gst::EventType::Segment => {
                let number = event.seqnum().into_glib();
                let before = self.segment.swap(number, Ordering::AcqRel);
                before != 0 && before != number
            }
            _ => false,
        };
        if starts_again {
            self.record();
        }
    }

    /// Records a discontinuity.
    pub(crate) fn record(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
    }
}

/// The streaming thread's view: which discontinuities it has seen, and when the last frame was.
#[derive(Debug, Default)]
pub(crate) struct FrameClock {
    epoch: u64,
    last: Option<gst::ClockTime>,
    /// Between the two frames before this one.
    distance: gst::ClockTime,
}

impl FrameClock {
    /// Whether a new piece of the stream begins with the frame stamped `pts`, either by an event
    /// since the last one or by a jump in time, whether upstream marks it (`DISCONT`) or not.
    /// `duration` is how long frames last, if the caps say so.
    pub(crate) fn starts_again(
        &mut self,
        tracker: &DiscontTracker,
        pts: Option<gst::ClockTime>,
        duration: Option<gst::ClockTime>,
    ) -> bool {
        let epoch = tracker.epoch.load(Ordering::Acquire);
        if std::mem::replace(&mut self.epoch, epoch) != epoch {
            (self.last, self.distance) = (pts, gst::ClockTime::ZERO);
            return true;
        }
        let Some(now) = pts else { return false };
        let Some(last) = self.last.replace(now) else { return false };
        let distance = now.absdiff(last);
        let usual = duration.unwrap_or_default().max(self.distance);
        self.distance = distance;
        let jumps = distance > JUMP.saturating_add(usual.saturating_mul(JUMP_FRAMES));
        if jumps {
            self.distance = gst::ClockTime::ZERO;
        }
        jumps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: gst::ClockTime = gst::ClockTime::MSECOND;

    /// Whether each frame, at so many milliseconds, starts again.
    fn starts(duration: Option<u64>, frames: &[u64]) -> Vec<bool> {
        let (tracker, mut clock) = (DiscontTracker::default(), FrameClock::default());
        let duration = duration.map(gst::ClockTime::from_mseconds);
        frames.iter().map(|at| clock.starts_again(&tracker, Some(*at * MS), duration)).collect()
    }

    #[test]
    fn tracker_counts_seeks_and_flushes_only() {
        gst::init().unwrap();
        let (tracker, mut clock) = (DiscontTracker::default(), FrameClock::default());
        let mut starts = |event: &gst::Event| {
            tracker.record_event(event);
            clock.starts_again(&tracker, None, None)
        };
        let segment = |seqnum| {
            gst::event::Segment::builder(&gst::FormattedSegment::<gst::ClockTime>::new())
                .seqnum(seqnum)
                .build()
        };
        let (first, second) = (gst::Seqnum::next(), gst::Seqnum::next());
        assert!(!starts(&segment(first)));
        assert!(!starts(&segment(first)));
        assert!(starts(&segment(second)));
        assert!(starts(&gst::event::FlushStop::new(true)));
        assert!(!starts(&gst::event::FlushStart::new()));
        assert!(!starts(&gst::event::Eos::new()));
    }

    #[test]
    fn clock_finds_jumps_whether_marked_or_not() {
        assert_eq!(
            starts(Some(40), &[0, 40, 80, 10_080, 10_120, 0, 40]),
            [false, false, false, true, false, true, false]
        );
        // A lost packet is none, and neither are doubled stamps.
        assert_eq!(starts(Some(40), &[0, 40, 40, 900]), [false; 4]);
        // Rewinding goes backwards frame by frame.
        assert_eq!(starts(Some(40), &[2000, 1960, 1920]), [false; 3]);
    }

    #[test]
    fn clock_takes_no_slow_camera_for_a_jump() {
        // Two seconds between frames, and one that is lost; then minutes.
        assert_eq!(
            starts(Some(2000), &[0, 2000, 6000, 8000, 200_000]),
            [false, false, false, false, true]
        );
        // The same where the caps do not say: known after the second frame.
        assert_eq!(starts(None, &[0, 1000, 2000, 4000, 5000]), [false; 5]);
    }
}
