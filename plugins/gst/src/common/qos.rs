//! What the sink says about being late.

use parking_lot::Mutex;

use super::buffer_times::BufferTimes;

/// The latest QoS report. (GstBaseTransform would drop late frames; ours pass.)
#[derive(Debug, Default)]
pub(crate) struct QosState(Mutex<Option<Report>>);

#[derive(Debug, Clone, Copy)]
struct Report {
    earliest: gst::ClockTime,
    proportion: f64,
}

/// How late a frame is, and the load: what QoS messages carry.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct LateFrame {
    /// Nanoseconds.
    pub(crate) jitter: i64,
    /// Above 1 where the sink gets frames too slowly.
    pub(crate) proportion: f64,
}

impl QosState {
    /// Records a QoS event.
    pub(crate) fn record(&self, event: &gst::event::Qos) {
        let (_, proportion, diff, timestamp) = event.get();
        let report = timestamp.map(|timestamp| {
            let time = i128::from(timestamp.nseconds()) + i128::from(diff);
            let time = time.clamp(0, i128::from(gst::ClockTime::MAX.nseconds())) as u64;
            Report { earliest: gst::ClockTime::from_nseconds(time), proportion }
        });
        *self.0.lock() = report;
    }

    /// Forgets everything: after a flush or a start.
    pub(crate) fn reset(&self) {
        *self.0.lock() = None;
    }

    /// The lateness of a frame that will be late at the sink whatever is done.
    pub(crate) fn lateness(&self, times: &BufferTimes) -> Option<LateFrame> {
        let report = (*self.0.lock())?;
        let late = report.earliest.checked_sub(times.running?)?;
        let jitter = i64::try_from(late.nseconds()).unwrap_or(i64::MAX);
        Some(LateFrame { jitter, proportion: report.proportion })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_late_as_the_sink_reports() {
        gst::init().unwrap();
        let qos = QosState::default();
        let times = |ms| BufferTimes {
            timestamp: None,
            duration: None,
            running: Some(gst::ClockTime::from_mseconds(ms)),
            stream: None,
        };
        assert!(qos.lateness(&times(0)).is_none());
        let event = |ms: u64, diff: i64| {
            gst::event::Qos::new(
                gst::QOSType::Underflow,
                2.0,
                diff * 1_000_000,
                gst::ClockTime::from_mseconds(ms),
            )
        };
        let record = |event: gst::Event| match event.view() {
            gst::EventView::Qos(event) => qos.record(event),
            _ => unreachable!(),
        };
        record(event(1000, 200));
        let late = LateFrame { jitter: 100_000_000, proportion: 2.0 };
        assert_eq!(qos.lateness(&times(1100)), Some(late));
        assert!(qos.lateness(&times(1201)).is_none());
        record(event(1000, -900));
        assert!(qos.lateness(&times(101)).is_none());
        qos.reset();
        assert!(qos.lateness(&times(0)).is_none());
    }
}
