//! A small blur.

use super::resample::transpose;

/// Smooths a `[side, side]` plane with the filter 1 2 1 both ways, edges repeated.
pub(crate) fn blur(plane: &mut Vec<f32>, scratch: &mut Vec<f32>, side: usize) {
    for _ in 0..2 {
        scratch.resize(side * side, 0.0);
        for (y, out) in scratch.chunks_exact_mut(side).enumerate() {
            let row = |y: usize| &plane[y * side..][..side];
            let (above, own, below) =
                (row(y.saturating_sub(1)), row(y), row((y + 1).min(side - 1)));
            for (((out, a), b), c) in out.iter_mut().zip(above).zip(own).zip(below) {
                *out = 0.25 * a + 0.5 * b + 0.25 * c;
            }
        }
        transpose(scratch, side, plane);
    }
}
