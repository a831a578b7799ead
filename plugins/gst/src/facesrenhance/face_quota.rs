//! How many faces a frame may have while the machine is too slow for all of them.
//!
//! Where a crowd costs more than the time there is, frames passed untouched and came sharp by turns.
//! Fewer faces, always the same ones, are calmer to look at than all of them now and then.

use std::time::Duration;

/// Part of the time between two frames that the work on one may take.
const SHARE: f64 = 0.8;
/// What is left at least when the number of faces is cut, so that one hitch of the machine does not
/// take nearly all.
const GENTLEST: f64 = 0.25;
/// So many frames in time let the number grow...
const CALM: u32 = 25;
/// ... by this part of it, and by one at least.
const GROWTH: usize = 8;

/// Follows what frames take.
#[derive(Debug, Default)]
pub(super) struct FaceQuota {
    limit: Option<usize>,
    /// Faces of the latest frame that was worked on, and what it took; until it is judged.
    latest: Option<(usize, Duration)>,
    /// Frames in time since the limit has changed.
    in_time: u32,
}

impl FaceQuota {
    /// Most faces that are to be sharpened in a frame; `None` for all.
    pub(super) fn limit(&self) -> Option<usize> {
        self.limit
    }

    /// Takes down that sharpening `faces` faces took so long.
    pub(super) fn record(&mut self, faces: usize, took: Duration) {
        self.latest = Some((faces, took));
    }

    /// Judges the latest frame by whether the next one `is_late`; frames are `frame` apart.
    pub(super) fn judge(&mut self, is_late: bool, frame: Duration) {
        let Some((faces, took)) = self.latest.take() else { return };
        let fitting = SHARE * frame.as_secs_f64() / took.as_secs_f64().max(1e-9);
        if is_late {
            // Late for a reason that lies elsewhere: fewer faces would not help.
            if fitting < 1.0 {
                let fewer = (faces as f64 * fitting.max(GENTLEST)) as usize;
                self.limit = Some(self.limit.map_or(fewer, |limit| limit.min(fewer)).max(1));
                self.in_time = 0;
            }
            return;
        }
        let Some(limit) = self.limit else { return };
        self.in_time += 1;
        if faces < limit {
            self.limit = None;
        } else if self.in_time >= CALM && fitting > 1.0 {
            self.in_time = 0;
            self.limit = Some(limit + (limit / GROWTH).max(1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: Duration = Duration::from_millis(40);

    /// Faces sharpened in each of `frames` frames with `faces` faces that cost so long each, on a
    /// machine that shows a frame at most two frames late.
    fn play(quota: &mut FaceQuota, frames: usize, faces: usize, each: Duration) -> Vec<usize> {
        let mut behind = Duration::ZERO;
        (0..frames)
            .map(|_| {
                let is_late = behind > 2 * FRAME;
                quota.judge(is_late, FRAME);
                let done = if is_late { 0 } else { faces.min(quota.limit().unwrap_or(faces)) };
                if done > 0 {
                    quota.record(done, each * done as u32);
                }
                behind = (behind + each * done as u32).saturating_sub(FRAME);
                done
            })
            .collect()
    }

    #[test]
    fn crowd_is_cut_to_what_there_is_time_for() {
        let mut quota = FaceQuota::default();
        // For 40 faces of 190 there is time.
        let done = play(&mut quota, 500, 190, Duration::from_millis(1));
        let untouched = done[100..].iter().filter(|n| **n == 0).count();
        assert!(untouched < 8, "{untouched} of 400 frames are untouched: {done:?}");
        assert!(done[100..].iter().filter(|n| **n >= 20).count() > 390, "{done:?}");
    }

    #[test]
    fn all_faces_are_back_when_the_machine_has_recovered() {
        let mut quota = FaceQuota::default();
        play(&mut quota, 100, 20, Duration::from_millis(10));
        assert!(quota.limit().is_some());
        let done = play(&mut quota, 700, 20, Duration::from_millis(1));
        assert_eq!((quota.limit(), done[699]), (None, 20), "{done:?}");
    }

    #[test]
    fn lateness_for_other_reasons_takes_no_face_away() {
        let mut quota = FaceQuota::default();
        quota.record(10, Duration::from_millis(5));
        quota.judge(true, FRAME);
        assert_eq!(quota.limit(), None);
    }

    #[test]
    fn one_hitch_leaves_a_quarter() {
        let mut quota = FaceQuota::default();
        quota.record(8, Duration::from_secs(3));
        quota.judge(true, FRAME);
        assert_eq!(quota.limit(), Some(2));
    }
}
