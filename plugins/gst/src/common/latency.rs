//! The latency that a filter reports: what a frame's work takes, measured.
//!
//! Every new value makes the whole pipeline work out its latency again and its sinks wait longer or
//! shorter, which shows. So a value stays until what is measured differs markedly.

use std::time::Duration;

use gst::prelude::*;
use parking_lot::Mutex;

/// What is reported before anything has been measured, and at least: below, the scheduling of
/// threads decides, not the work.
const FLOOR: gst::ClockTime = gst::ClockTime::from_mseconds(20);

/// What is reported at most, if the caps do not say how long a frame lasts. If they do it is that:
/// an element that needs longer falls behind whatever it reports.
const CAP: gst::ClockTime = gst::ClockTime::from_mseconds(200);

/// Durations that are remembered, each of a frame.
const WINDOW: usize = 64;

/// Durations that must have been measured before the report is raised: so many that one slow frame
/// among them is beyond the quantile.
const LEAST: usize = 24;

/// Of the remembered durations so many hundredths are at most what is reported.
const QUANTILE: usize = 95;

/// What an element that works on each frame before it passes it on reports of its latency.
#[derive(Debug, Default)]
pub(crate) struct LatencyReport(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// How long a frame lasts, if the caps say so.
    frame: Option<gst::ClockTime>,
    /// Whether frames of a live source wait for work here.
    waits: bool,
    measured: Vec<u64>,
    next: usize,
    reported: gst::ClockTime,
    /// Of the whole pipeline, as it was settled last.
    pipeline: gst::ClockTime,
}

impl State {
    fn cap(&self) -> gst::ClockTime {
        self.frame.unwrap_or(CAP)
    }

    /// What should be reported now.
    fn target(&self) -> gst::ClockTime {
        let mut sorted = self.measured.clone();
        sorted.sort_unstable();
        let quantile = sorted.get((sorted.len() * QUANTILE / 100).min(sorted.len().max(1) - 1));
        let quantile = gst::ClockTime::from_nseconds(quantile.copied().unwrap_or(0));
        // A quarter more, for what is measured on a quiet machine.
        let wanted = quantile.saturating_add(quantile / 4);
        wanted.max(FLOOR).min(self.cap())
    }

    /// Reports again where that makes a marked difference; true if it does.
    fn renew(&mut self) -> bool {
        if !self.waits {
            return !std::mem::take(&mut self.reported).is_zero();
        }
        let target = self.target();
        let raised = target > self.reported + self.reported / 4 && self.measured.len() >= LEAST;
        let lowered = target < self.reported / 2 && self.measured.len() >= WINDOW;
        let renewed = self.reported.is_zero() || raised || lowered || self.reported > self.cap();
        if renewed {
            self.reported = target;
            self.measured.clear();
            self.next = 0;
        }
        renewed
    }
}

impl LatencyReport {
    /// Records how long a frame lasts, if that is known.
    pub(crate) fn set_frame(&self, duration: Option<gst::ClockTime>) {
        self.0.lock().frame = duration;
    }

    /// Records whether frames of a live source have to wait. True if the pipeline should hear of
    /// another latency.
    pub(crate) fn set_waits(&self, waits: bool) -> bool {
        let mut state = self.0.lock();
        state.waits = waits;
        state.renew()
    }

    /// Records how long a frame was worked on; it counts at the next [`set_waits`](Self::set_waits).
    pub(crate) fn record(&self, took: Duration) {
        let mut state = self.0.lock();
        let took = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let at = state.next % WINDOW;
        match state.measured.get_mut(at) {
            Some(oldest) => *oldest = took,
            None => state.measured.push(took),
        }
        state.next = at + 1;
    }

    /// Records the latency that the pipeline has settled on.
    pub(crate) fn settle(&self, pipeline: gst::ClockTime) {
        self.0.lock().pipeline = pipeline;
    }

    /// How long ago the frame that belongs to `running` should have been shown; `None` if that is
    /// still to come.
    pub(crate) fn overdue(
        &self,
        running: gst::ClockTime,
        now: gst::ClockTime,
    ) -> Option<gst::ClockTime> {
        now.checked_sub(running + self.0.lock().pipeline).filter(|late| !late.is_zero())
    }

    /// Answers a LATENCY query: what the elements before `sink` say, and this one's on top.
    pub(crate) fn answer(&self, sink: &gst::Pad, query: &mut gst::query::Latency) -> bool {
        if !sink.peer_query(query) {
            return false;
        }
        let (live, min, max) = query.result();
        let own = self.0.lock().reported;
        if live {
            query.set(live, min + own, max.map(|max| max + own));
        }
        true
    }

    /// As before the first frame.
    pub(crate) fn reset(&self) {
        *self.0.lock() = State::default();
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Records `count` frames of `ms` each; how often the report was renewed on the way.
    fn work(report: &LatencyReport, count: usize, ms: u64) -> usize {
        let renewed = (0..count).map(|_| {
            report.record(Duration::from_millis(ms));
            usize::from(report.set_waits(true))
        });
        renewed.sum()
    }

    fn reported(report: &LatencyReport) -> u64 {
        report.0.lock().reported.mseconds()
    }

    #[test]
    fn latency_follows_the_work_and_not_the_frame_rate() {
        for frame in [None, Some(1000), Some(5000)] {
            let report = LatencyReport::default();
            report.set_frame(frame.map(gst::ClockTime::from_mseconds));
            assert!(report.set_waits(true));
            assert_eq!(reported(&report), 20);
            // A few milliseconds make no other latency, however often they are measured.
            assert_eq!(work(&report, 500, 4), 0);
            assert_eq!(work(&report, 200, 60), 1);
            assert_eq!(reported(&report), 75);
            assert_eq!(work(&report, 200, 70), 0);
            assert_eq!(work(&report, 200, 2), 1);
            assert_eq!(reported(&report), 20);
        }
    }

    #[test]
    fn latency_has_a_cap() {
        let report = LatencyReport::default();
        report.set_frame(Some(gst::ClockTime::from_mseconds(40)));
        report.set_waits(true);
        work(&report, 100, 900);
        assert_eq!(reported(&report), 40);
        // Faster frames: the cap comes down, and the report with it.
        report.set_frame(Some(gst::ClockTime::from_mseconds(10)));
        assert!(report.set_waits(true));
        assert_eq!(reported(&report), 10);
        let unknown = LatencyReport::default();
        unknown.set_waits(true);
        work(&unknown, 100, 900);
        assert_eq!(reported(&unknown), 200);
    }

    #[test]
    fn latency_is_none_where_nothing_waits() {
        let report = LatencyReport::default();
        assert!(!report.set_waits(false));
        assert!(report.set_waits(true) && report.set_waits(false));
        assert_eq!(reported(&report), 0);
        assert!(!report.set_waits(false));
    }

    #[test]
    fn single_slow_frames_make_no_other_latency() {
        let report = LatencyReport::default();
        report.set_waits(true);
        let renewed: usize = (0..20).map(|_| work(&report, 30, 5) + work(&report, 1, 150)).sum();
        assert_eq!(renewed, 0);
    }
}
