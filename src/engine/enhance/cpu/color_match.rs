//! Colour truth: a generated face keeps the broad colours and shades of the cut it was made from.
//!
//! A generator may drift in brightness or tint; laid over the frame that would show as a patch.
//! The remedy is back-projection (Irani and Peleg, "Improving resolution by image registration",
//! 1991) of the low frequencies only: the result is shrunk to 16x16, its difference to the cut is
//! smoothed, enlarged and added. Unsmoothed, it would also bring back the noise and the block
//! edges that the generator has removed.

use crate::enhance::generator::{HR_SIZE, LR_LEN, LR_SIZE};
use crate::imgproc::resample::{Coefficients, transpose};

/// Numbers in one channel of a 16x16 face.
const LR_PLANE: usize = LR_SIZE * LR_SIZE;
/// Numbers in one channel of a 64x64 face.
const HR_PLANE: usize = HR_SIZE * HR_SIZE;

/// Corrects generated faces; keeps the filters and scratch space from face to face.
#[derive(Debug)]
pub struct ColorMatch {
    down: Coefficients,
    up: Coefficients,
    /// The correction, `[3, 64, 64]`.
    correction: [Vec<f32>; 3],
    a: Vec<f32>,
    b: Vec<f32>,
}

impl Default for ColorMatch {
    fn default() -> Self {
        let (mut down, mut up) = (Coefficients::default(), Coefficients::default());
        down.set(LR_SIZE, HR_SIZE, 0.0, (HR_SIZE / LR_SIZE) as f32);
        up.set(HR_SIZE, LR_SIZE, 0.0, LR_SIZE as f32 / HR_SIZE as f32);
        Self { down, up, correction: Default::default(), a: Vec::new(), b: Vec::new() }
    }
}

impl ColorMatch {
    /// Shrinks `hr` (`[3, 64, 64]`) to `lr` (`[3, 16, 16]`), as a cut would.
    ///
    /// # Panics
    /// If the lengths are others.
    pub fn shrink(&mut self, hr: &[f32], lr: &mut [f32]) {
        assert_eq!((lr.len(), hr.len()), (LR_LEN, 3 * HR_PLANE));
        for (lr, hr) in lr.chunks_exact_mut(LR_PLANE).zip(hr.chunks_exact(HR_PLANE)) {
            self.down.apply(hr, 0, HR_SIZE, &mut self.a);
            transpose(&self.a, HR_SIZE, &mut self.b);
            self.down.apply(&self.b, 0, LR_SIZE, &mut self.a);
            transpose(&self.a, LR_SIZE, &mut self.b);
            lr.copy_from_slice(&self.b);
        }
    }

    /// What is to be added to a face (three times `[64, 64]`) so that it has the broad colours of
    /// `lr` (`[3, 16, 16]`); the face is `shrunk` when [shrunk](Self::shrink).
    pub(super) fn correction(&mut self, lr: &[f32], shrunk: &[f32]) -> &[Vec<f32>; 3] {
        assert_eq!((lr.len(), shrunk.len()), (LR_LEN, LR_LEN));
        let channels = lr.chunks_exact(LR_PLANE).zip(shrunk.chunks_exact(LR_PLANE));
        for ((lr, shrunk), out) in channels.zip(&mut self.correction) {
            self.b.clear();
            self.b.extend(lr.iter().zip(shrunk).map(|(l, h)| l - h));
            smooth(&mut self.b, &mut self.a);
            self.up.apply(&self.b, 0, LR_SIZE, &mut self.a);
            transpose(&self.a, LR_SIZE, &mut self.b);
            self.up.apply(&self.b, 0, HR_SIZE, &mut self.a);
            transpose(&self.a, HR_SIZE, out);
        }
        &self.correction
    }

    /// Corrects `hr` (`[3, 64, 64]`) to the broad colours of `lr` (`[3, 16, 16]`), both RGB in
    /// -1..=1. The result may leave that range by a little.
    ///
    /// # Panics
    /// If the lengths are others.
    pub fn apply(&mut self, lr: &[f32], hr: &mut [f32]) {
        let mut shrunk = [0.0; LR_LEN];
        self.shrink(hr, &mut shrunk);
        let correction = self.correction(lr, &shrunk).iter().flatten();
        hr.iter_mut().zip(correction).for_each(|(h, d)| *h += d);
    }
}

/// Smooths a `[16, 16]` plane with the binomial filter 1 4 6 4 1 both ways, edges repeated.
fn smooth(plane: &mut Vec<f32>, scratch: &mut Vec<f32>) {
    const TAPS: [f32; 5] = [1.0 / 16.0, 4.0 / 16.0, 6.0 / 16.0, 4.0 / 16.0, 1.0 / 16.0];
    // Down the columns, turned, down the columns, turned back.
    for _ in 0..2 {
        scratch.resize(LR_PLANE, 0.0);
        for (y, out) in scratch.chunks_exact_mut(LR_SIZE).enumerate() {
            let mut sums = [0.0; LR_SIZE];
            for (k, w) in TAPS.iter().enumerate() {
                let from = (y + k).saturating_sub(2).min(LR_SIZE - 1);
                for (sum, v) in sums.iter_mut().zip(&plane[from * LR_SIZE..][..LR_SIZE]) {
                    *sum += w * v;
                }
            }
            out.copy_from_slice(&sums);
        }
        transpose(scratch, LR_SIZE, plane);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::enhance::generator::HR_LEN;

    fn lr() -> Vec<f32> {
        (0..LR_LEN).map(|i| ((i % 16) as f32 / 8.0 - 1.0) * 0.5 + (i / 256) as f32 * 0.1).collect()
    }

    /// Enlarged cut plus a tint, a shade and fine detail.
    fn drifted(lr: &[f32]) -> Vec<f32> {
        let mut hr = vec![0.0; HR_LEN];
        for (i, h) in hr.iter_mut().enumerate() {
            let (c, y, x) = (i / HR_PLANE, i / HR_SIZE % HR_SIZE, i % HR_SIZE);
            let detail = if (x / 2 + y / 2) % 2 == 0 { 0.1 } else { -0.1 };
            let drift = 0.3 - 0.2 * c as f32 + 0.1 * (y as f32 / 64.0);
            *h = lr[c * LR_PLANE + (y / 4) * LR_SIZE + x / 4] + detail + drift;
        }
        hr
    }

    #[test]
    fn drift_goes_and_detail_stays() {
        let lr = lr();
        let mut hr = drifted(&lr);
        let before = hr.clone();
        let mut truth = ColorMatch::default();
        truth.apply(&lr, &mut hr);
        let mut shrunk = vec![0.0; LR_LEN];
        truth.shrink(&hr, &mut shrunk);
        let worst = shrunk.iter().zip(&lr).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 0.06, "off by {worst}");
        // Neighbours two apart differ by the same as before: the detail is untouched.
        let contrast = |v: &[f32]| -> f32 {
            v.windows(3).map(|w| (w[2] - w[0]).abs()).sum::<f32>() / v.len() as f32
        };
        assert!((contrast(&hr) / contrast(&before) - 1.0).abs() < 0.02);
    }

    #[test]
    fn a_true_face_is_left_alone() {
        let lr = vec![0.25; LR_LEN];
        let mut hr = vec![0.25; HR_LEN];
        ColorMatch::default().apply(&lr, &mut hr);
        assert!(hr.iter().all(|v| (v - 0.25).abs() < 1e-5));
    }
}
