//! How long to wait before a camera is tried again.

use std::time::Duration;

/// Shortest and longest pause, and the outage that a pause is a thirtieth of: after a minute's outage the picture is
/// back two seconds after the camera is.
const SHORTEST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(15);
const SHARE: u32 = 30;
/// A camera that refuses a password may lock the user out if it is asked too often.
const SHORTEST_REFUSED: Duration = Duration::from_secs(2);
const LONGEST_REFUSED: Duration = Duration::from_secs(30);
const SHARE_REFUSED: u32 = 15;

/// The pause after an outage of `outage` so far. `chance`, from 0 to 1, spreads cameras that were lost together: a
/// fifth less to a fifth more.
pub(crate) fn pause(outage: Duration, refused: bool, chance: f64) -> Duration {
    let (shortest, longest, share) = match refused {
        true => (SHORTEST_REFUSED, LONGEST_REFUSED, SHARE_REFUSED),
        false => (SHORTEST, LONGEST, SHARE),
    };
    (outage / share).clamp(shortest, longest).mul_f64(0.8 + 0.4 * chance.clamp(0.0, 1.0))
}

/// A number from 0 to 1 that differs from camera to camera and from time to time.
pub(crate) fn chance(seed: &str) -> f64 {
    use std::hash::{BuildHasher, RandomState};
    // Each state has keys of its own.
    (RandomState::new().hash_one(seed) >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pause_grows_with_the_outage_up_to_a_limit() {
        let after = |seconds| pause(Duration::from_secs(seconds), false, 0.5);
        assert_eq!(after(0), SHORTEST);
        assert_eq!(after(60), Duration::from_secs(2));
        assert_eq!(after(1_000_000), LONGEST);
        let day = Duration::from_secs(86_400);
        assert_eq!(pause(day, true, 0.5), LONGEST_REFUSED);
        assert!(pause(Duration::ZERO, true, 0.0) > Duration::from_secs(1));
    }

    #[test]
    fn pause_is_spread_by_chance() {
        let at = |chance| pause(Duration::from_secs(30), false, chance);
        assert_eq!(at(0.0), Duration::from_millis(800));
        assert_eq!(at(1.0), Duration::from_millis(1200));
        assert!((0..20).map(|_| chance("a")).any(|c| c < 0.5));
        assert!((0..200).map(|_| chance("a")).all(|c| (0.0..1.0).contains(&c)));
    }
}
