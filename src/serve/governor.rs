//! Who loses enhancement while the machine is much too slow for all. Being a little too slow is the element's own
//! business: it lets frames pass untouched that would be late.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How often it is looked at.
const PERIOD: Duration = Duration::from_secs(2);
/// Pictures that take longer than this, on average, are far too late; as many periods of it must follow each other.
const TOO_LATE_MS: u64 = 500;
const LATE_PERIODS: u32 = 2;
/// All must take less than this for as many periods before a camera is enhanced again.
const WELL_MS: u64 = 150;
const WELL_PERIODS: u32 = 15;

/// How a camera has fared since it began.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    pub(crate) name: String,
    pub(crate) priority: i32,
    /// Pictures, and milliseconds that they took, in all.
    pub(crate) frames: u64,
    pub(crate) delay_ms: u64,
    /// Whether its faces stay as they are.
    pub(crate) is_off: bool,
}

/// Decides for one camera at a time, and sees what comes of it.
#[derive(Default)]
pub(crate) struct Governor {
    looked: Option<Instant>,
    before: BTreeMap<String, (u64, u64)>,
    late: u32,
    well: u32,
}

impl Governor {
    /// Which camera is to lose enhancement (`true`) or to have it again, if any.
    pub(crate) fn decide(&mut self, now: Instant, loads: Vec<Load>) -> Option<(String, bool)> {
        if self.looked.is_some_and(|looked| now - looked < PERIOD) {
            return None;
        }
        self.looked = Some(now);
        let mut worst = 0;
        for load in &loads {
            let before =
                self.before.get(&load.name).copied().unwrap_or((load.frames, load.delay_ms));
            let frames = load.frames.saturating_sub(before.0);
            let delay = load.delay_ms.saturating_sub(before.1);
            worst = worst.max(delay.checked_div(frames).unwrap_or(0));
        }
        self.before = loads.iter().map(|l| (l.name.clone(), (l.frames, l.delay_ms))).collect();
        self.late = if worst > TOO_LATE_MS { self.late + 1 } else { 0 };
        self.well = if worst < WELL_MS { self.well + 1 } else { 0 };
        if self.late >= LATE_PERIODS {
            self.late = 0;
            let on = loads.iter().filter(|load| !load.is_off);
            return on.min_by_key(|load| load.priority).map(|load| (load.name.clone(), true));
        }
        if self.well >= WELL_PERIODS {
            self.well = 0;
            let off = loads.iter().filter(|load| load.is_off);
            return off.max_by_key(|load| load.priority).map(|load| (load.name.clone(), false));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two cameras, both of which take `delay` milliseconds a picture, for some periods.
    struct Machine {
        governor: Governor,
        now: Instant,
        loads: Vec<Load>,
    }

    impl Machine {
        fn new() -> Self {
            let load = |name: &str, priority| Load {
                name: name.into(),
                priority,
                frames: 0,
                delay_ms: 0,
                is_off: false,
            };
            let loads = vec![load("door", 5), load("yard", 1)];
            Self { governor: Governor::default(), now: Instant::now(), loads }
        }

        fn run(&mut self, periods: usize, delay: u64) -> Vec<(String, bool)> {
            let mut decisions = Vec::new();
            for _ in 0..periods {
                self.now += PERIOD;
                for load in &mut self.loads {
                    load.frames += 50;
                    load.delay_ms += 50 * delay;
                }
                if let Some((name, off)) = self.governor.decide(self.now, self.loads.clone()) {
                    let load = self.loads.iter_mut().find(|load| load.name == name).unwrap();
                    load.is_off = off;
                    decisions.push((name, off));
                }
            }
            decisions
        }
    }

    #[test]
    fn lowest_priority_loses_enhancement_first_and_gets_it_back_last() {
        let mut machine = Machine::new();
        assert_eq!(machine.run(20, 30), []);
        let off = machine.run(9, 900);
        assert_eq!(off, [("yard".to_string(), true), ("door".to_string(), true)]);
        assert_eq!(machine.run(5, 300), []);
        let on = machine.run(40, 20);
        assert_eq!(on, [("door".to_string(), false), ("yard".to_string(), false)]);
    }

    #[test]
    fn one_slow_moment_changes_nothing() {
        let mut machine = Machine::new();
        for _ in 0..5 {
            assert_eq!(machine.run(1, 2000), []);
            assert_eq!(machine.run(1, 50), []);
        }
    }
}
