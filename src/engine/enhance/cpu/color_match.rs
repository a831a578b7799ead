//! Color match: a generated face keeps the broad colors and shades of the crop it was made from, but
//! for a small tolerance.
//!
//! A generator may drift in brightness or tint; blended into the frame that would show as a patch.
//! The remedy is back-projection (Irani and Peleg, "Improving resolution by image registration",
//! 1991) of the low frequencies only: the result is shrunk to 16x16, its difference to the crop is
//! smoothed, enlarged and added. Unsmoothed, it would also bring back the noise and the block
//! edges that the generator has removed.
//!
//! What a starved encoder did to the broad shapes can be undone only where the difference may stay,
//! so only what exceeds [`TOLERANCE`] is added. On 592 held-back pairs out of video encoders the
//! 32x32 generator gains 0.89 dB by itself, 0.61 dB if all of the difference is added, and 0.89 dB
//! with this tolerance; the 16x16 one, which was trained closer to its input, 0.04 dB in all three.

use crate::imgproc::resample::{Coefficients, transpose};
use crate::shape::Shape;

/// Side of the grid on which colors are compared.
const GRID: usize = Shape::COMMON;
/// Numbers in one channel of it.
const GRID_PLANE: usize = GRID * GRID;
/// Numbers in a face on the grid, `[3, 16, 16]`.
pub(crate) const GRID_LEN: usize = Shape::COMMON_LEN;

/// Root mean square of the broad difference that may stay, RGB in -1..=1: five levels of 255.
const TOLERANCE: f32 = 0.04;

/// Corrects generated faces of one shape; keeps the filters and scratch space from face to face.
#[derive(Debug)]
pub struct ColorMatch {
    shape: Shape,
    /// From the output, and from the input, to the grid.
    down: Coefficients,
    low: Coefficients,
    /// From the grid to the input, and from the input to the output.
    up: Coefficients,
    whole: Coefficients,
    /// The smoothed difference, `[3, 16, 16]`.
    difference: [f32; GRID_LEN],
    /// `[3, lr, lr]`.
    correction: [Vec<f32>; 3],
    a: Vec<f32>,
    b: Vec<f32>,
}

impl ColorMatch {
    /// A corrector for faces of `shape`.
    pub fn new(shape: Shape) -> Self {
        let resampler = |outputs: usize, inputs: usize| {
            let mut coefficients = Coefficients::default();
            coefficients.set(outputs, inputs, 0.0, inputs as f32 / outputs as f32);
            coefficients
        };
        let (lr, hr) = (shape.lr(), shape.hr());
        Self {
            shape,
            down: resampler(GRID, hr),
            low: resampler(GRID, lr),
            up: resampler(lr, GRID),
            whole: resampler(hr, lr),
            difference: [0.0; GRID_LEN],
            correction: Default::default(),
            a: Vec::new(),
            b: Vec::new(),
        }
    }

    /// The shape of its faces.
    pub(super) fn shape(&self) -> Shape {
        self.shape
    }

    /// Shrinks `hr` (`[3, hr, hr]`) to the grid (`[3, 16, 16]`), as a crop would.
    ///
    /// # Panics
    /// If the lengths are others.
    pub fn shrink(&mut self, hr: &[f32], shrunk: &mut [f32]) {
        assert_eq!((shrunk.len(), hr.len()), (GRID_LEN, self.shape.hr_len()));
        let channels = hr.chunks_exact(self.shape.hr_plane());
        for (shrunk, hr) in shrunk.chunks_exact_mut(GRID_PLANE).zip(channels) {
            resample(&self.down, hr, self.shape.hr(), GRID, &mut self.a, &mut self.b);
            shrunk.copy_from_slice(&self.b);
        }
    }

    /// What is to be added to a face, at the resolution of its crop (three times `[lr, lr]`), so that its broad
    /// colors are those of `lr` (`[3, lr, lr]`) but for the tolerance; the face is `shrunk` when
    /// [shrunk](Self::shrink). All of `change` (`[3, 16, 16]`) is added: what is in `lr` and was not in the crop
    /// that the face was generated from.
    pub(super) fn correction(
        &mut self,
        lr: &[f32],
        shrunk: &[f32],
        change: &[f32],
    ) -> &[Vec<f32>; 3] {
        assert_eq!((lr.len(), shrunk.len()), (self.shape.lr_len(), GRID_LEN));
        assert_eq!(change.len(), GRID_LEN);
        let shown = shrunk.chunks_exact(GRID_PLANE).zip(change.chunks_exact(GRID_PLANE));
        let channels = lr.chunks_exact(self.shape.lr_plane()).zip(shown);
        for ((lr, (shrunk, change)), difference) in
            channels.zip(self.difference.chunks_exact_mut(GRID_PLANE))
        {
            if self.shape.lr() == GRID {
                self.b.clear();
                self.b.extend_from_slice(lr);
            } else {
                resample(&self.low, lr, self.shape.lr(), GRID, &mut self.a, &mut self.b);
            }
            for ((lr, shrunk), change) in self.b.iter_mut().zip(shrunk).zip(change) {
                *lr = *lr - change - shrunk;
            }
            smooth(&mut self.b, &mut self.a);
            difference.copy_from_slice(&self.b);
        }
        let share = excess(&self.difference);
        let planes =
            self.difference.chunks_exact_mut(GRID_PLANE).zip(change.chunks_exact(GRID_PLANE));
        for ((difference, change), out) in planes.zip(&mut self.correction) {
            for (value, change) in difference.iter_mut().zip(change) {
                *value = *value * share + change;
            }
            if self.shape.lr() == GRID {
                out.clear();
                out.extend_from_slice(difference);
            } else {
                resample(&self.up, difference, GRID, self.shape.lr(), &mut self.a, out);
            }
        }
        &self.correction
    }

    /// Corrects `hr` (`[3, hr, hr]`) to the broad colors of `lr` (`[3, lr, lr]`) but for the
    /// tolerance, both RGB in -1..=1. The result may leave that range by a little.
    ///
    /// # Panics
    /// If the lengths are others.
    pub fn apply(&mut self, lr: &[f32], hr: &mut [f32]) {
        let mut shrunk = [0.0; GRID_LEN];
        self.shrink(hr, &mut shrunk);
        self.correction(lr, &shrunk, &[0.0; GRID_LEN]);
        for (hr, correction) in hr.chunks_exact_mut(self.shape.hr_plane()).zip(&self.correction) {
            let (lr, side) = (self.shape.lr(), self.shape.hr());
            resample(&self.whole, correction, lr, side, &mut self.a, &mut self.b);
            hr.iter_mut().zip(&self.b).for_each(|(h, d)| *h += d);
        }
    }
}

/// Share of `difference` that exceeds the tolerance, 0..=1.
fn excess(difference: &[f32; GRID_LEN]) -> f32 {
    // One after the other, as the kernel does.
    let sum = difference.iter().fold(0.0, |sum, value| sum + value * value);
    let rms = (sum / GRID_LEN as f32).sqrt();
    if rms > TOLERANCE { 1.0 - TOLERANCE / rms } else { 0.0 }
}

/// Resamples a plane of `from` x `from` to `to` x `to` in `out`; `a` is scratch.
fn resample(
    coefficients: &Coefficients,
    plane: &[f32],
    from: usize,
    to: usize,
    a: &mut Vec<f32>,
    out: &mut Vec<f32>,
) {
    coefficients.apply(plane, 0, from, a);
    transpose(a, from, out);
    coefficients.apply(out, 0, to, a);
    transpose(a, to, out);
}

/// Smooths a `[16, 16]` plane with the binomial filter 1 4 6 4 1 both ways, edges repeated.
fn smooth(plane: &mut Vec<f32>, scratch: &mut Vec<f32>) {
    const TAPS: [f32; 5] = [1.0 / 16.0, 4.0 / 16.0, 6.0 / 16.0, 4.0 / 16.0, 1.0 / 16.0];
    // Down the columns, turned, down the columns, turned back.
    for _ in 0..2 {
        scratch.resize(GRID_PLANE, 0.0);
        for (y, out) in scratch.chunks_exact_mut(GRID).enumerate() {
            let mut sums = [0.0; GRID];
            for (k, w) in TAPS.iter().enumerate() {
                let from = (y + k).saturating_sub(2).min(GRID - 1);
                for (sum, v) in sums.iter_mut().zip(&plane[from * GRID..][..GRID]) {
                    *sum += w * v;
                }
            }
            out.copy_from_slice(&sums);
        }
        transpose(scratch, GRID, plane);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPES: [Shape; 2] = [Shape::SMALL, Shape::LARGE];

    /// A ramp of colors, `[3, lr, lr]`.
    fn lr(shape: Shape) -> Vec<f32> {
        let ramp = |i: usize| (i % shape.lr()) as f32 / shape.lr() as f32 - 0.5;
        (0..shape.lr_len()).map(|i| ramp(i) + (i / shape.lr_plane()) as f32 * 0.1).collect()
    }

    /// Enlarged crop plus a tint, a shade and fine detail.
    fn drifted(shape: Shape, lr: &[f32]) -> Vec<f32> {
        let side = shape.hr();
        let at = |i: usize| (i / shape.hr_plane(), i / side % side, i % side);
        let value = |(c, y, x): (usize, usize, usize)| {
            let detail = if (x / 2 + y / 2).is_multiple_of(2) { 0.1 } else { -0.1 };
            let drift = 0.3 - 0.2 * c as f32 + 0.1 * (y as f32 / side as f32);
            lr[c * shape.lr_plane() + (y / 4) * shape.lr() + x / 4] + detail + drift
        };
        (0..shape.hr_len()).map(|i| value(at(i))).collect()
    }

    #[test]
    fn color_match_removes_all_but_the_tolerance_and_keeps_detail() {
        for shape in SHAPES {
            let lr = lr(shape);
            let mut hr = drifted(shape, &lr);
            let before = hr.clone();
            let mut colors = ColorMatch::new(shape);
            colors.apply(&lr, &mut hr);
            let mut shrunk = vec![0.0; GRID_LEN];
            colors.shrink(&hr, &mut shrunk);
            let k = shape.lr() / GRID;
            let off = |i: usize| {
                let (c, y, x) = (i / GRID_PLANE, i / GRID % GRID, i % GRID);
                let area = (0..k * k).map(|j| {
                    let (dy, dx) = (j / k, j % k);
                    lr[c * shape.lr_plane() + (y * k + dy) * shape.lr() + x * k + dx]
                });
                shrunk[i] - area.sum::<f32>() / (k * k) as f32
            };
            let squares: f32 = (0..GRID_LEN).map(|i| off(i) * off(i)).sum();
            let rms = (squares / GRID_LEN as f32).sqrt();
            assert!((rms - TOLERANCE).abs() < 0.005, "{shape}: off by {rms}");
            // Neighbors two apart differ by the same as before: the detail is untouched.
            let contrast = |v: &[f32]| -> f32 {
                v.windows(3).map(|w| (w[2] - w[0]).abs()).sum::<f32>() / v.len() as f32
            };
            assert!((contrast(&hr) / contrast(&before) - 1.0).abs() < 0.02, "{shape}");
        }
    }

    #[test]
    fn color_match_leaves_a_face_within_the_tolerance_alone() {
        for shape in SHAPES {
            let lr = lr(shape);
            let mut hr = drifted(shape, &lr);
            ColorMatch::new(shape).apply(&lr, &mut hr);
            let before = hr.clone();
            // What is left of the drift is the tolerance, give or take what resampling rounds.
            ColorMatch::new(shape).apply(&lr, &mut hr);
            let moved = hr.iter().zip(&before).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(moved < 0.02, "{shape}: {moved}");
        }
    }

    #[test]
    fn color_match_leaves_a_true_face_alone() {
        for shape in SHAPES {
            let lr = vec![0.25; shape.lr_len()];
            let mut hr = vec![0.25; shape.hr_len()];
            ColorMatch::new(shape).apply(&lr, &mut hr);
            assert!(hr.iter().all(|v| (v - 0.25).abs() < 1e-5), "{shape}");
        }
    }
}
