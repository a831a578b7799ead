//! Which faces are generated again, and which keep what was generated for them before.
//!
//! Generating is what costs most, and most faces of a stream have hardly changed since the last
//! frame. A face whose crop is nearly what it was generated from keeps its result, which moves along
//! with its track. How much of a change passes depends on the face's contrast, against which it is
//! seen, on its size, on which it shows the more the larger it is, and on the age of what is kept.

use std::sync::LazyLock;
use std::time::Duration;

use super::backend::{MAX_RUNGS, RenderTimes};
use crate::imgproc::feather;
use crate::shape::Shape;

/// Side of the grid on which crops are compared, whatever their generator takes: a change of
/// generator must not read as a change of the face.
const SIDE: usize = Shape::COMMON;
const PLANE: usize = SIDE * SIDE;

/// Age at which a face is generated again even if nothing has changed, so that a change too slow to
/// be noticed from frame to frame is followed.
const MAX_AGE: Duration = Duration::from_secs(1);
/// Side of a square, luma pixels, on which a change counts as it is.
const USUAL_SIDE: f32 = 24.0;
/// Contrast of a face on which a change counts as it is; the median of the training faces as
/// cameras see them.
const USUAL_CONTRAST: f32 = 0.38;
/// Contrast below which a change is held against this one: a camera's noise is no change.
const MIN_CONTRAST: f32 = 0.06;

/// Weight of each pixel: what the feather hides does not count. They sum to 1.
static WEIGHTS: LazyLock<Vec<f32>> = LazyLock::new(|| {
    let mut weights = feather::grid(SIDE);
    let sum: f32 = weights.iter().sum();
    weights.iter_mut().for_each(|w| *w /= sum);
    weights
});

/// A crop shrunk to `[3, 16, 16]`, to be compared with later ones of its face.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Signature {
    values: Vec<f32>,
    /// Weighted standard deviation of the values, over all channels.
    contrast: f32,
}

impl Signature {
    /// The signature of a crop of `shape`, `[3, lr, lr]` RGB in -1..=1.
    pub(crate) fn new(lr: &[f32], shape: Shape) -> Self {
        debug_assert_eq!(lr.len(), shape.lr_len());
        let k = shape.lr() / SIDE;
        let mut values = Vec::with_capacity(3 * PLANE);
        for channel in lr.chunks_exact(shape.lr_plane()) {
            for i in 0..PLANE {
                let corner = i / SIDE * k * shape.lr() + i % SIDE * k;
                let rows = (0..k).map(|y| &channel[corner + y * shape.lr()..][..k]);
                let sum: f32 = rows.map(|row| row.iter().sum::<f32>()).sum();
                values.push(sum / (k * k) as f32);
            }
        }
        let moments = values.chunks_exact(PLANE).map(|channel| {
            let pairs = channel.iter().zip(&*WEIGHTS);
            let mean: f32 = pairs.clone().map(|(v, w)| w * v).sum();
            pairs.map(|(v, w)| w * (v - mean) * (v - mean)).sum::<f32>()
        });
        let contrast = (moments.sum::<f32>() / 3.0).sqrt();
        Self { values, contrast }
    }

    /// Root mean square difference to another, the middle counting most.
    pub(crate) fn change(&self, other: &Self) -> f32 {
        let mut sums = [0.0; SIDE];
        for (a, b) in self.values.chunks_exact(PLANE).zip(other.values.chunks_exact(PLANE)) {
            let rows = a.chunks_exact(SIDE).zip(b.chunks_exact(SIDE));
            for ((a, b), w) in rows.zip(WEIGHTS.chunks_exact(SIDE)) {
                for (((sum, a), b), w) in sums.iter_mut().zip(a).zip(b).zip(w) {
                    *sum += w * (a - b) * (a - b);
                }
            }
        }
        (sums.iter().sum::<f32>() / 3.0).sqrt()
    }

    /// What is in this crop and was not in `before`, into `out`.
    pub(crate) fn subtract(&self, before: &Self, out: &mut [f32]) {
        for ((out, now), before) in out.iter_mut().zip(&self.values).zip(&before.values) {
            *out = now - before;
        }
    }

    /// How much more a change shows on this face than on one of usual contrast, 1 or more.
    pub(crate) fn sensitivity(&self) -> f32 {
        (USUAL_CONTRAST / self.contrast.max(MIN_CONTRAST)).max(1.0)
    }
}

/// Shares of red, green and blue in luma.
pub(super) const LUMA: [f32; 3] = [0.299, 0.587, 0.114];

/// Luma of a crop of `shape`, `[3, lr, lr]`, on a grid of `side`, which divides lr: `[side, side]`.
pub(super) fn luma(crop: &[f32], shape: Shape, side: usize, out: &mut Vec<f32>) {
    let k = shape.lr() / side;
    let weights = LUMA.map(|weight| weight / (k * k) as f32);
    out.clear();
    out.resize(side * side, 0.0);
    for (channel, weight) in crop.chunks_exact(shape.lr_plane()).zip(weights) {
        for (y, row) in channel.chunks_exact(shape.lr()).enumerate() {
            let own = &mut out[y / k * side..][..side];
            for (sum, values) in own.iter_mut().zip(row.chunks_exact(k)) {
                *sum += weight * values.iter().sum::<f32>();
            }
        }
    }
}

/// Refresh priority of a face; at 1 or more it is due.
///
/// `change` is that of its crop since it was generated, as it shows on a face of usual contrast,
/// `age` the time since, `side` the side of its square in luma pixels, `tolerance` the change that
/// passes.
pub(crate) fn priority(change: f32, age: Duration, side: f32, tolerance: f32) -> f32 {
    if tolerance <= 0.0 {
        return f32::INFINITY;
    }
    let size = (side / USUAL_SIDE).clamp(0.5, 2.0).sqrt();
    change * size / tolerance + age.as_secs_f32() / MAX_AGE.as_secs_f32()
}

/// Knows what a face costs on each rung.
#[derive(Debug, Default)]
pub(crate) struct CostModel {
    /// CPU time of one face, as far as is known.
    each: [Option<Duration>; MAX_RUNGS],
}

impl CostModel {
    /// Records the CPU time that so many faces of each rung took.
    pub(crate) fn record(&mut self, counts: [usize; MAX_RUNGS], times: &RenderTimes) {
        for ((each, count), time) in self.each.iter_mut().zip(counts).zip(times.generate) {
            let Ok(count @ 1..) = u32::try_from(count) else { continue };
            let now = time / count;
            *each = Some(each.map_or(now, |each| (3 * each + now) / 4));
        }
    }

    /// CPU time of one face of `rung`; one that is not known may take for ever.
    pub(crate) fn cost(&self, rung: usize) -> Duration {
        self.each[rung].unwrap_or(Duration::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signature(values: &[f32]) -> Signature {
        Signature::new(values, Shape::SMALL)
    }

    #[test]
    fn change_counts_in_the_middle_and_not_in_a_corner() {
        let a = vec![0.1; Shape::SMALL.lr_len()];
        let change = |b: &[f32]| signature(&a).change(&signature(b));
        assert_eq!(change(&a), 0.0);
        assert!((change(&vec![0.3; a.len()]) - 0.2).abs() < 1e-5);
        let (mut middle, mut corner) = (a.clone(), a.clone());
        middle[8 * SIDE + 8] = 0.9;
        corner[0] = 0.9;
        assert!(change(&middle) > 0.02);
        assert_eq!(change(&corner), 0.0);
    }

    #[test]
    fn change_is_the_same_whatever_the_generator_takes() {
        let pixel = |i: usize| ((i * 37 % 101) as f32 / 50.0 - 1.0) * 0.5;
        let small: Vec<f32> = (0..Shape::SMALL.lr_len()).map(pixel).collect();
        let large: Vec<f32> = (0..Shape::LARGE.lr_len())
            .map(|i| {
                let (c, y, x) = (i / 1024, i / 32 % 32, i % 32);
                small[c * PLANE + y / 2 * SIDE + x / 2]
            })
            .collect();
        let (small, large) = (signature(&small), Signature::new(&large, Shape::LARGE));
        assert!(small.change(&large) < 1e-6);
        assert!((small.contrast - large.contrast).abs() < 1e-6);
    }

    #[test]
    fn change_shows_more_on_a_face_of_low_contrast() {
        let face = |contrast: f32| -> Vec<f32> {
            (0..Shape::SMALL.lr_len())
                .map(|i| contrast * ((i * 31 % 17) as f32 / 8.0 - 1.0))
                .collect()
        };
        let mirrored = |contrast: f32| -> f32 {
            let (face, mut other) = (face(contrast), face(contrast));
            other.chunks_exact_mut(SIDE).for_each(<[f32]>::reverse);
            let (a, b) = (signature(&other), signature(&face));
            a.change(&b) * a.sensitivity()
        };
        let full = mirrored(1.0);
        for contrast in [0.5, 0.25, 0.15] {
            assert!(mirrored(contrast) > 0.45 * full.min(0.8), "{contrast}");
        }
        // A gray wall is no face of infinite sensitivity.
        assert!(signature(&vec![0.0; 768]).sensitivity() < 7.0);
        assert_eq!(signature(&face(1.0)).sensitivity(), 1.0);
    }

    #[test]
    fn priority_grows_with_change_size_and_age() {
        let ms = Duration::from_millis;
        let base = priority(0.02, ms(80), 24.0, 0.05);
        assert!(base < 1.0);
        assert!(priority(0.03, ms(80), 24.0, 0.05) > base);
        assert!(priority(0.02, ms(360), 24.0, 0.05) > base);
        assert!(priority(0.02, ms(80), 60.0, 0.05) > base);
        assert!(priority(0.0, MAX_AGE, 24.0, 0.05) >= 1.0);
        assert!(priority(0.0, ms(0), 24.0, 0.0) >= 1.0);
    }

    #[test]
    fn cost_is_learned_for_each_rung() {
        let times = |a: u64, b: u64| RenderTimes {
            generate: [Duration::from_millis(a), Duration::from_millis(b)],
            ..RenderTimes::default()
        };
        let mut costs = CostModel::default();
        assert_eq!(costs.cost(0), Duration::MAX);
        costs.record([4, 0], &times(8, 0));
        assert_eq!((costs.cost(0), costs.cost(1)), (Duration::from_millis(2), Duration::MAX));
        for _ in 0..30 {
            costs.record([2, 1], &times(2, 5));
        }
        assert!(costs.cost(0) <= Duration::from_micros(1001));
        assert_eq!(costs.cost(1), Duration::from_millis(5));
    }
}
