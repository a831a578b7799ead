//! Which faces are generated anew, and which keep what was generated for them before.
//!
//! Generating is what costs most, and most faces of a stream have hardly changed since the last
//! frame. A face whose cut is nearly what it was generated from keeps its result, which moves along
//! with its track. How much of a change is let pass depends on the face's size, on which a change
//! shows the more the larger it is, and on the age of what is kept.

use std::sync::LazyLock;
use std::time::Duration;

use crate::enhance::generator::{LR_LEN, LR_SIZE};
use crate::imgproc::feather;

/// Frames after which a face is generated anew even if nothing has changed: one second, so that a
/// change too slow to be noticed from frame to frame is followed.
const MAX_AGE: u64 = 25;
/// Side of a square, luma pixels, on which a change counts as it is.
const USUAL_SIDE: f32 = 24.0;

/// Weight of each pixel of a cut: what the feather hides does not count. They sum to 1.
static WEIGHTS: LazyLock<[f32; LR_SIZE * LR_SIZE]> = LazyLock::new(|| {
    let at = |i: usize| (i as f32 + 0.5) / LR_SIZE as f32 * 2.0 - 1.0;
    let mut weights: [f32; LR_SIZE * LR_SIZE] =
        std::array::from_fn(|i| feather::weight(at(i % LR_SIZE), at(i / LR_SIZE)));
    let sum: f32 = weights.iter().sum();
    weights.iter_mut().for_each(|w| *w /= sum);
    weights
});

/// Root mean square difference of two cuts (`[3, 16, 16]`, RGB in -1..=1), the middle counting
/// most.
pub(crate) fn change(a: &[f32], b: &[f32]) -> f32 {
    debug_assert_eq!((a.len(), b.len()), (LR_LEN, LR_LEN));
    let mut sums = [0.0; LR_SIZE];
    for (a, b) in a.chunks_exact(LR_SIZE * LR_SIZE).zip(b.chunks_exact(LR_SIZE * LR_SIZE)) {
        let rows = a.chunks_exact(LR_SIZE).zip(b.chunks_exact(LR_SIZE));
        for ((a, b), w) in rows.zip(WEIGHTS.chunks_exact(LR_SIZE)) {
            for (((sum, a), b), w) in sums.iter_mut().zip(a).zip(b).zip(w) {
                *sum += w * (a - b) * (a - b);
            }
        }
    }
    (sums.iter().sum::<f32>() / 3.0).sqrt()
}

/// How badly a face wants to be generated anew; from 1 on it is, if there is time.
///
/// `change` is that of its cut since, `age` the number of frames since, `side` the side of its
/// square in luma pixels, `tolerance` the change that is let pass.
pub(crate) fn need(change: f32, age: u64, side: f32, tolerance: f32) -> f32 {
    if tolerance <= 0.0 {
        return f32::INFINITY;
    }
    let size = (side / USUAL_SIDE).clamp(0.5, 2.0).sqrt();
    change * size / tolerance + age as f32 / MAX_AGE as f32
}

/// Says how many faces may be generated in a frame.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    /// CPU time of one face, as far as is known.
    each: Option<Duration>,
}

impl Budget {
    /// Takes down that `count` faces took `time`.
    pub(crate) fn learn(&mut self, count: usize, time: Duration) {
        let Ok(count @ 1..) = u32::try_from(count) else { return };
        let now = time / count;
        self.each = Some(self.each.map_or(now, |each| (3 * each + now) / 4));
    }

    /// Number of faces that `limit` has room for, at least one; all if there is no limit.
    pub(crate) fn faces(&self, limit: Option<Duration>) -> usize {
        match (limit, self.each) {
            (None, _) => usize::MAX,
            (Some(_), None) => 1,
            (Some(limit), Some(each)) => {
                ((limit.as_nanos() / each.as_nanos().max(1)) as usize).max(1)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_in_the_middle_counts_and_one_in_a_corner_does_not() {
        let a = vec![0.1; LR_LEN];
        assert_eq!(change(&a, &a), 0.0);
        let brighter = vec![0.3; LR_LEN];
        assert!((change(&a, &brighter) - 0.2).abs() < 1e-5);
        let (mut middle, mut corner) = (a.clone(), a.clone());
        middle[8 * LR_SIZE + 8] = 0.9;
        corner[0] = 0.9;
        assert!(change(&a, &middle) > 0.02);
        assert_eq!(change(&a, &corner), 0.0);
    }

    #[test]
    fn need_grows_with_change_size_and_age() {
        let base = need(0.02, 2, 24.0, 0.05);
        assert!(base < 1.0);
        assert!(need(0.03, 2, 24.0, 0.05) > base);
        assert!(need(0.02, 9, 24.0, 0.05) > base);
        assert!(need(0.02, 2, 60.0, 0.05) > base);
        assert!(need(0.0, MAX_AGE, 24.0, 0.05) >= 1.0);
        assert!(need(0.0, 0, 24.0, 0.0) >= 1.0);
    }

    #[test]
    fn the_budget_learns_what_a_face_costs() {
        let mut budget = Budget::default();
        let limit = Some(Duration::from_millis(10));
        assert_eq!(budget.faces(None), usize::MAX);
        assert_eq!(budget.faces(limit), 1);
        budget.learn(4, Duration::from_millis(8));
        assert_eq!(budget.faces(limit), 5);
        for _ in 0..30 {
            budget.learn(2, Duration::from_millis(2));
        }
        assert!(budget.faces(limit) >= 9);
        budget.learn(0, Duration::from_millis(2));
        budget.learn(1, Duration::from_secs(100));
        assert_eq!(budget.faces(limit), 1);
    }
}
