//! Colour truth: a generated face keeps the broad colours and shades of the cut it was made from.
//!
//! A generator may drift in brightness or tint; laid over the frame that would show as a patch.
//! The remedy is back-projection (Irani and Peleg, "Improving resolution by image registration",
//! 1991) of the low frequencies only: the result is shrunk to 16x16, its difference to the cut is
//! smoothed, enlarged and added. Unsmoothed, it would also bring back the noise and the block
//! edges that the generator has removed.

use crate::generator::{HIGH, LOW, LOW_LEN};
use crate::imgproc::resample::{Coefficients, transpose};

/// Numbers in one channel of a 16x16 face.
const LOW_PLANE: usize = LOW * LOW;
/// Numbers in one channel of a 64x64 face.
const HIGH_PLANE: usize = HIGH * HIGH;

/// Corrects generated faces; keeps the filters and scratch space from face to face.
#[derive(Debug)]
pub struct ColorTruth {
    down: Coefficients,
    up: Coefficients,
    /// The correction, `[3, 64, 64]`.
    correction: [Vec<f32>; 3],
    a: Vec<f32>,
    b: Vec<f32>,
}

impl Default for ColorTruth {
    fn default() -> Self {
        let (mut down, mut up) = (Coefficients::default(), Coefficients::default());
        down.set(LOW, HIGH, 0.0, (HIGH / LOW) as f32);
        up.set(HIGH, LOW, 0.0, LOW as f32 / HIGH as f32);
        Self { down, up, correction: Default::default(), a: Vec::new(), b: Vec::new() }
    }
}

impl ColorTruth {
    /// Shrinks `high` (`[3, 64, 64]`) to `low` (`[3, 16, 16]`), as a cut would.
    ///
    /// # Panics
    /// If the lengths are others.
    pub fn shrink(&mut self, high: &[f32], low: &mut [f32]) {
        assert_eq!((low.len(), high.len()), (LOW_LEN, 3 * HIGH_PLANE));
        for (low, high) in low.chunks_exact_mut(LOW_PLANE).zip(high.chunks_exact(HIGH_PLANE)) {
            self.down.apply(high, 0, HIGH, &mut self.a);
            transpose(&self.a, HIGH, &mut self.b);
            self.down.apply(&self.b, 0, LOW, &mut self.a);
            transpose(&self.a, LOW, &mut self.b);
            low.copy_from_slice(&self.b);
        }
    }

    /// What is to be added to a face (three times `[64, 64]`) so that it has the broad colours of
    /// `low` (`[3, 16, 16]`); the face is `shrunk` when [shrunk](Self::shrink).
    pub(super) fn correction(&mut self, low: &[f32], shrunk: &[f32]) -> &[Vec<f32>; 3] {
        assert_eq!((low.len(), shrunk.len()), (LOW_LEN, LOW_LEN));
        let channels = low.chunks_exact(LOW_PLANE).zip(shrunk.chunks_exact(LOW_PLANE));
        for ((low, shrunk), out) in channels.zip(&mut self.correction) {
            self.b.clear();
            self.b.extend(low.iter().zip(shrunk).map(|(l, h)| l - h));
            smooth(&mut self.b, &mut self.a);
            self.up.apply(&self.b, 0, LOW, &mut self.a);
            transpose(&self.a, LOW, &mut self.b);
            self.up.apply(&self.b, 0, HIGH, &mut self.a);
            transpose(&self.a, HIGH, out);
        }
        &self.correction
    }

    /// Corrects `high` (`[3, 64, 64]`) to the broad colours of `low` (`[3, 16, 16]`), both RGB in
    /// -1..=1. The result may leave that range by a little.
    ///
    /// # Panics
    /// If the lengths are others.
    pub fn apply(&mut self, low: &[f32], high: &mut [f32]) {
        let mut shrunk = [0.0; LOW_LEN];
        self.shrink(high, &mut shrunk);
        let correction = self.correction(low, &shrunk).iter().flatten();
        high.iter_mut().zip(correction).for_each(|(h, d)| *h += d);
    }
}

/// Smooths a `[16, 16]` plane with the binomial filter 1 4 6 4 1 both ways, edges repeated.
fn smooth(plane: &mut Vec<f32>, scratch: &mut Vec<f32>) {
    const TAPS: [f32; 5] = [1.0 / 16.0, 4.0 / 16.0, 6.0 / 16.0, 4.0 / 16.0, 1.0 / 16.0];
    // Down the columns, turned, down the columns, turned back.
    for _ in 0..2 {
        scratch.resize(LOW_PLANE, 0.0);
        for (y, out) in scratch.chunks_exact_mut(LOW).enumerate() {
            let mut sums = [0.0; LOW];
            for (k, w) in TAPS.iter().enumerate() {
                let from = (y + k).saturating_sub(2).min(LOW - 1);
                for (sum, v) in sums.iter_mut().zip(&plane[from * LOW..][..LOW]) {
                    *sum += w * v;
                }
            }
            out.copy_from_slice(&sums);
        }
        transpose(scratch, LOW, plane);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generator::HIGH_LEN;

    fn low() -> Vec<f32> {
        (0..LOW_LEN).map(|i| ((i % 16) as f32 / 8.0 - 1.0) * 0.5 + (i / 256) as f32 * 0.1).collect()
    }

    /// Enlarged cut plus a tint, a shade and fine detail.
    fn drifted(low: &[f32]) -> Vec<f32> {
        let mut high = vec![0.0; HIGH_LEN];
        for (i, h) in high.iter_mut().enumerate() {
            let (c, y, x) = (i / HIGH_PLANE, i / HIGH % HIGH, i % HIGH);
            let detail = if (x / 2 + y / 2) % 2 == 0 { 0.1 } else { -0.1 };
            let drift = 0.3 - 0.2 * c as f32 + 0.1 * (y as f32 / 64.0);
            *h = low[c * LOW_PLANE + (y / 4) * LOW + x / 4] + detail + drift;
        }
        high
    }

    #[test]
    fn drift_goes_and_detail_stays() {
        let low = low();
        let mut high = drifted(&low);
        let before = high.clone();
        let mut truth = ColorTruth::default();
        truth.apply(&low, &mut high);
        let mut shrunk = vec![0.0; LOW_LEN];
        truth.shrink(&high, &mut shrunk);
        let worst = shrunk.iter().zip(&low).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 0.06, "off by {worst}");
        // Neighbours two apart differ by the same as before: the detail is untouched.
        let contrast = |v: &[f32]| -> f32 {
            v.windows(3).map(|w| (w[2] - w[0]).abs()).sum::<f32>() / v.len() as f32
        };
        assert!((contrast(&high) / contrast(&before) - 1.0).abs() < 0.02);
    }

    #[test]
    fn a_true_face_is_left_alone() {
        let low = vec![0.25; LOW_LEN];
        let mut high = vec![0.25; HIGH_LEN];
        ColorTruth::default().apply(&low, &mut high);
        assert!(high.iter().all(|v| (v - 0.25).abs() < 1e-5));
    }
}
