//! Which frames of a live stream are worked on when there is not time for all of them.
//!
//! A frame that took so long that the next one is late already costs more than itself: those that
//! came meanwhile can only pass untouched. To try again at once would go on like that for ever. So
//! after each such frame more are let pass before the next attempt, until one is done in time.

use crate::common::qos::LateFrame;

/// How long frames are let pass at most, after those that are late, before the next attempt: less
/// than a second, so that faces are soon sharp again when the machine has recovered.
pub(super) const LONGEST: gst::ClockTime = gst::ClockTime::from_mseconds(800);

/// Remembers how the last attempts went.
#[derive(Debug, Default)]
pub(super) struct LateFramePolicy {
    /// The frame before this one was worked on.
    attempted: bool,
    /// So many frames in time pass between two attempts.
    distance: u32,
    /// So many of them have still to come.
    left: u32,
    /// Load that was reported last.
    proportion: f64,
}

impl LateFramePolicy {
    /// Whether the next frame, which is `late` if it is, passes untouched; if so, how late that
    /// is. Frames that are later than `bearable` nanoseconds after an attempt keep the next one
    /// waiting, for `longest` frames at most.
    pub(super) fn passes(
        &mut self,
        late: Option<LateFrame>,
        bearable: i64,
        longest: u32,
    ) -> Option<LateFrame> {
        let attempted = std::mem::replace(&mut self.attempted, false);
        match late {
            Some(late) => {
                if attempted && late.jitter > bearable {
                    self.distance = (2 * self.distance).clamp(1, longest.max(1));
                    self.left = self.distance;
                }
                self.proportion = late.proportion;
                Some(late)
            }
            None if self.left > 0 => {
                self.left -= 1;
                Some(LateFrame { jitter: 0, proportion: self.proportion })
            }
            None => {
                if attempted {
                    self.distance = 0;
                }
                self.attempted = true;
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: i64 = 40;
    const LONGEST_FRAMES: u32 = 20;

    /// Frames out of `frames` that are worked on, if one takes `cost` and each has `slack` time.
    fn worked(policy: &mut LateFramePolicy, frames: i64, cost: i64, slack: i64) -> i64 {
        let (mut now, mut worked) = (0, 0);
        for n in 0..frames {
            let due = FRAME * n;
            now = now.max(due);
            let late = (now > due + slack)
                .then_some(LateFrame { jitter: now - due - slack, proportion: 2.0 });
            if policy.passes(late, FRAME, LONGEST_FRAMES).is_none() {
                worked += 1;
                now += cost;
            }
        }
        worked
    }

    #[test]
    fn fewer_frames_are_worked_on_the_slower_they_are() {
        let all = worked(&mut LateFramePolicy::default(), 1000, 30, 60);
        assert_eq!(all, 1000);
        // A little too slow: no more pass than have to.
        let most = worked(&mut LateFramePolicy::default(), 1000, 45, 60);
        assert!((850..1000).contains(&most), "{most}");
        let few = worked(&mut LateFramePolicy::default(), 1000, 300, 60);
        assert!((10..50).contains(&few), "{few}");
    }

    #[test]
    fn all_frames_are_worked_on_again_soon_after_an_overload() {
        let mut policy = LateFramePolicy::default();
        worked(&mut policy, 200, 300, 60);
        let after = worked(&mut policy, 200, 20, 60);
        assert!(after >= 200 - i64::from(LONGEST_FRAMES), "{after}");
        assert_eq!(worked(&mut policy, 200, 20, 60), 200);
    }
}
