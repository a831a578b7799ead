//! How long to wait before a camera is tried again.

use std::time::Duration;

/// Shortest pause, and the longest of the first minute: with the spread by chance, the picture is back two seconds
/// after the camera is.
const SHORTEST: Duration = Duration::from_millis(500);
const LONGEST_AT_FIRST: Duration = Duration::from_millis(1600);
/// Pauses grow up to [`LONGEST_AT_FIRST`] as half of the outage, and later up to this as a fortieth of it.
const LONGEST: Duration = Duration::from_secs(15);
const SHARE_AT_FIRST: u32 = 2;
const SHARE: u32 = 40;
/// A camera that refuses a password may lock the user out if it is asked too often.
const SHORTEST_REFUSED: Duration = Duration::from_secs(2);
const LONGEST_REFUSED: Duration = Duration::from_secs(30);
const SHARE_REFUSED: u32 = 15;

/// The pause after an outage of `outage` so far. `chance`, from 0 to 1, spreads cameras that were lost together: a
/// fifth less to a fifth more.
pub(crate) fn pause(outage: Duration, refused: bool, chance: f64) -> Duration {
    let pause = match refused {
        true => (outage / SHARE_REFUSED).clamp(SHORTEST_REFUSED, LONGEST_REFUSED),
        false => {
            let at_first = (outage / SHARE_AT_FIRST).clamp(SHORTEST, LONGEST_AT_FIRST);
            (outage / SHARE).clamp(at_first, LONGEST)
        }
    };
    pause.mul_f64(0.8 + 0.4 * chance.clamp(0.0, 1.0))
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
        assert_eq!(after(2), Duration::from_secs(1));
        assert_eq!(after(60), LONGEST_AT_FIRST);
        assert_eq!(after(120), Duration::from_secs(3));
        assert_eq!(after(1_000_000), LONGEST);
        let day = Duration::from_secs(86_400);
        assert_eq!(pause(day, true, 0.5), LONGEST_REFUSED);
        assert!(pause(Duration::ZERO, true, 0.0) > Duration::from_secs(1));
    }

    #[test]
    fn few_attempts_are_made_and_none_comes_late_in_the_first_minute() {
        for chance in [0.0, 0.5, 1.0] {
            let (mut outage, mut attempts) = (Duration::ZERO, 0);
            while outage < Duration::from_secs(30) {
                let pause = pause(outage, false, chance);
                assert!(pause <= Duration::from_secs(2), "{pause:?} after {outage:?}");
                outage += pause;
                attempts += 1;
            }
            assert!((15..=28).contains(&attempts), "{attempts}");
        }
    }

    #[test]
    fn pause_is_spread_by_chance() {
        let at = |chance| pause(Duration::from_secs(200), false, chance);
        assert_eq!(at(0.0), Duration::from_secs(4));
        assert_eq!(at(1.0), Duration::from_secs(6));
        assert!((0..20).map(|_| chance("a")).any(|c| c < 0.5));
        assert!((0..200).map(|_| chance("a")).all(|c| (0.0..1.0).contains(&c)));
    }
}
