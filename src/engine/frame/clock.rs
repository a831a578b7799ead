//! Times of frames.

use std::time::Duration;

/// Time of a frame on the clock of its stream, nanoseconds from any origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(u64);

impl Timestamp {
    /// A time in nanoseconds.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// A time in milliseconds.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis * 1_000_000)
    }

    /// Nanoseconds.
    pub const fn nanos(self) -> u64 {
        self.0
    }

    /// Seconds from `earlier` to this time; negative if `earlier` is later.
    fn seconds_since(self, earlier: Self) -> f64 {
        let seconds = self.0.abs_diff(earlier.0) as f64 * 1e-9;
        if self >= earlier { seconds } else { -seconds }
    }
}

/// Duration of a frame until the stream shows another, seconds: 25 frames/s.
const USUAL_STEP: f64 = 0.04;
/// A stream that stops for longer shows another scene when it goes on, seconds ...
const MAX_GAP: f64 = 2.0;
/// ... unless its frames are far apart anyway: so many of their usual steps are no gap either.
const MAX_GAP_STEPS: f64 = 3.0;
/// A timestamp that lies back by more is a jump; by less, frames were put in a wrong order, seconds.
const MAX_DISORDER: f64 = 1.0;
/// Steps that tell the usual one.
const STEPS: usize = 7;

/// A frame's place on a [`FrameClock`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Tick {
    /// Seconds since the clock's first frame. Later frames have later times, whatever their
    /// timestamps are.
    pub(crate) now: f64,
    /// Seconds since the frame before; 0 for the first.
    pub(crate) step: f64,
    /// Whether so much time has passed, or time has jumped back so far, that what was learned from
    /// earlier frames no longer holds.
    pub(crate) gap: bool,
}

/// Turns the timestamps of a stream into time that passes. Missing, repeated and disordered
/// timestamps count as the usual distance of two frames.
#[derive(Debug, Clone)]
pub(crate) struct FrameClock {
    now: f64,
    /// The latest timestamp, and the clock's time when it came.
    last: Option<(Timestamp, f64)>,
    started: bool,
    /// Frames since the latest timestamp that was new.
    repeats: u32,
    /// Distances of frames, seconds; a ring.
    steps: [f64; STEPS],
    count: usize,
    nominal: f64,
}

impl Default for FrameClock {
    fn default() -> Self {
        Self {
            now: 0.0,
            last: None,
            started: false,
            repeats: 0,
            steps: [0.0; STEPS],
            count: 0,
            nominal: USUAL_STEP,
        }
    }
}

impl FrameClock {
    /// Sets the distance of two frames that the stream announces; it holds until timestamps tell.
    pub(crate) fn set_nominal(&mut self, step: Duration) {
        if !step.is_zero() {
            self.nominal = step.as_secs_f64();
        }
    }

    /// Forgets the last timestamp: another piece of the stream begins. Time goes on.
    pub(crate) fn reset(&mut self) {
        self.last = None;
    }

    /// Usual distance of two frames, seconds: the median of the latest.
    pub(crate) fn usual_step(&self) -> f64 {
        let known = self.count.min(STEPS);
        if known == 0 {
            return self.nominal;
        }
        let mut steps = self.steps;
        let steps = &mut steps[..known];
        steps.sort_by(f64::total_cmp);
        steps[(known - 1) / 2]
    }

    /// The next frame, which has the timestamp `at` if it has one.
    pub(crate) fn tick(&mut self, at: Option<Timestamp>) -> Tick {
        let usual = self.usual_step();
        let (step, gap) = match (at, self.last) {
            _ if !self.started => (0.0, false),
            (Some(at), Some((last, then))) => self.follow(at, last, then, usual),
            _ => (usual, false),
        };
        self.started = true;
        self.now += step;
        let is_new = |at: &Timestamp| self.last.is_none_or(|(last, _)| gap || *at > last);
        match at.filter(is_new) {
            Some(at) => {
                self.last = Some((at, self.now));
                self.repeats = 0;
            }
            None => self.repeats += 1,
        }
        Tick { now: self.now, step, gap }
    }

    /// The step to a frame with the timestamp `at`, after one with `last` at the clock's time `then`.
    fn follow(&mut self, at: Timestamp, last: Timestamp, then: f64, usual: f64) -> (f64, bool) {
        let passed = at.seconds_since(last);
        if passed < -MAX_DISORDER {
            return (usual, true);
        }
        if passed <= 0.0 {
            return (usual, false);
        }
        self.steps[self.count % STEPS] = passed / f64::from(self.repeats + 1);
        self.count += 1;
        // After repeated timestamps the clock may be ahead of the stream.
        let step = (then + passed - self.now).max(usual / 4.0);
        (step, step > MAX_GAP.max(MAX_GAP_STEPS * usual))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Steps of a clock in milliseconds, and whether each is a gap.
    fn steps(stamps: &[Option<u64>]) -> Vec<(f64, bool)> {
        let mut clock = FrameClock::default();
        let tick = |at: &Option<u64>| clock.tick(at.map(Timestamp::from_millis));
        stamps.iter().map(tick).map(|t| ((t.step * 1e3).round(), t.gap)).collect()
    }

    fn lengths(stamps: &[Option<u64>]) -> Vec<f64> {
        steps(stamps).into_iter().map(|step| step.0).collect()
    }

    #[test]
    fn clock_follows_timestamps() {
        assert_eq!(lengths(&[7, 47, 147, 167].map(Some)), [0.0, 40.0, 100.0, 20.0]);
    }

    #[test]
    fn clock_counts_the_usual_step_without_timestamps() {
        assert_eq!(lengths(&[None; 3]), [0.0, 40.0, 40.0]);
        let some = [Some(0), Some(100), Some(200), None, Some(400), None];
        assert_eq!(lengths(&some), [0.0, 100.0, 100.0, 100.0, 100.0, 100.0]);
        let mut clock = FrameClock::default();
        clock.set_nominal(Duration::from_millis(500));
        clock.tick(None);
        assert_eq!(clock.tick(None).step, 0.5);
    }

    #[test]
    fn clock_spreads_repeated_timestamps_evenly() {
        let doubled = lengths(&[0, 0, 80, 80, 160, 160, 240].map(Some));
        assert_eq!(doubled, [0.0, 40.0, 40.0, 40.0, 40.0, 40.0, 40.0]);
    }

    #[test]
    fn clock_never_stands_still_or_goes_back() {
        let mut clock = FrameClock::default();
        let mut last = -1.0;
        for at in [0, 40, 30, 80, 79, 80, 81, 120, 120, 120, 120, 160, 200] {
            let tick = clock.tick(Some(Timestamp::from_millis(at)));
            assert!(tick.now > last && tick.step < 0.1 && !tick.gap, "{at}: {tick:?}");
            last = tick.now;
        }
        assert!((last - 0.3).abs() < 0.15, "{last}");
    }

    #[test]
    fn clock_tells_gaps_from_low_rates_and_lost_packets() {
        let gaps = |stamps: &[u64]| {
            let stamps: Vec<_> = stamps.iter().copied().map(Some).collect();
            steps(&stamps).into_iter().map(|step| step.1).collect::<Vec<_>>()
        };
        assert_eq!(gaps(&[0, 40, 1500, 1540, 61_540]), [false, false, false, false, true]);
        assert_eq!(gaps(&[0, 40, 5000, 0, 40]), [false, false, true, true, false]);
        // A frame every 5 seconds, of which one is missing: only the first step can be a gap.
        let slow: Vec<u64> = [0, 5, 10, 15, 25, 30].iter().map(|s| s * 1000).collect();
        assert_eq!(gaps(&slow), [false, true, false, false, false, false]);
    }
}
