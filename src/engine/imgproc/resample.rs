//! One-dimensional resampling with the antialiased bicubic filter that training used. It is our
//! own because the CUDA kernels compute the same bits.
//!
//! The filter is Keys' cubic with a = -0.5, its support scaled when shrinking, weights normalized
//! where it is cut off at the picture's edge: the same numbers as Pillow's `BICUBIC`, but for that
//! library's rounding to 8 bit between the two passes.

use crate::imgproc::simd::with_avx2;

/// Half-width of the unscaled filter.
const SUPPORT: f32 = 2.0;

/// Keys' cubic convolution kernel, a = -0.5.
#[inline(always)]
fn cubic(x: f32) -> f32 {
    const A: f32 = -0.5;
    let x = x.abs();
    // Both are computed and one is chosen: without a branch the loop is vectorized.
    let near = ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0;
    let far = (((x - 5.0) * x + 8.0) * x - 4.0) * A;
    let outer = if x < 2.0 { far } else { 0.0 };
    if x < 1.0 { near } else { outer }
}

/// Weights that are computed at a time.
const LANES: usize = 8;

/// Filter weights: for each output sample, the input samples it is made of and their weights.
#[derive(Debug, Clone, Default)]
pub(crate) struct Coefficients {
    /// Arguments of the last [`set`](Self::set).
    set_for: Option<(usize, usize, f32, f32)>,
    bounds: Vec<Bound>,
    weights: Vec<f32>,
}

#[derive(Debug, Clone, Copy)]
struct Bound {
    first: usize,
    start: usize,
    len: usize,
}

impl Coefficients {
    /// Computes the weights of `outputs` samples, the i-th of which covers `origin + i * scale` to
    /// `origin + (i + 1) * scale` of an input of `inputs` samples (edge coordinates: sample k
    /// covers k to k + 1). Unchanged arguments cost nothing: two planes of chroma have the same.
    pub(crate) fn set(&mut self, outputs: usize, inputs: usize, origin: f32, scale: f32) {
        let set_for = Some((outputs, inputs, origin, scale));
        if self.set_for == set_for {
            return;
        }
        self.set_for = set_for;
        self.bounds.clear();
        self.weights.clear();
        compute_coefficients(outputs, inputs, origin, scale, &mut self.bounds, &mut self.weights);
    }

    /// First and one past the last input sample that any output needs.
    pub(crate) fn input_range(&self) -> (usize, usize) {
        let first = self.bounds.first().map_or(0, |s| s.first);
        let end = self.bounds.last().map_or(0, |s| s.first + s.len);
        (first, end)
    }

    /// Resamples down the columns: `src` is rows of `width` numbers, its first row being input
    /// sample `base`; `dst` gets one such row for each output sample.
    pub(crate) fn apply(&self, src: &[f32], base: usize, width: usize, dst: &mut Vec<f32>) {
        apply(&self.bounds, &self.weights, src, base, width, dst);
    }
}

with_avx2! {
    /// Appends the bounds and weights for [`Coefficients::set`].
    fn compute_coefficients(
        outputs: usize,
        inputs: usize,
        origin: f32,
        scale: f32,
        bounds: &mut Vec<Bound>,
        weights: &mut Vec<f32>,
    ) {
        let stretch = scale.max(1.0);
        let support = SUPPORT * stretch;
        for i in 0..outputs {
            let center = origin + (i as f32 + 0.5) * scale;
            let edge = |v: f32| (v + 0.5).max(0.0) as usize;
            let first = edge(center - support).min(inputs - 1);
            let end = edge(center + support).clamp(first + 1, inputs);
            // Beyond the picture its edge goes on: there all weights may be 0, or nearly cancel.
            if center < 0.0 || center > inputs as f32 {
                let nearest = if center < 0.0 { 0 } else { inputs - 1 };
                bounds.push(Bound { first: nearest, start: weights.len(), len: 1 });
                weights.push(1.0);
                continue;
            }
            let (start, len) = (weights.len(), end - first);
            // Eight at a time, some for nothing: the few of one output are too few for a loop of their own.
            for k in (first..end).step_by(LANES) {
                let mut lanes = [0.0; LANES];
                // 32 bits: longer numbers become floats one at a time.
                for (weight, k) in lanes.iter_mut().zip(k as i32..) {
                    *weight = cubic((k as f32 + 0.5 - center) / stretch);
                }
                weights.extend_from_slice(&lanes);
            }
            weights.truncate(start + len);
            let own = &mut weights[start..];
            let sum: f32 = own.iter().sum();
            own.iter_mut().for_each(|w| *w /= sum);
            bounds.push(Bound { first, start, len });
        }
    }
}

with_avx2! {
    /// Does the work of [`Coefficients::apply`].
    fn apply(
        bounds: &[Bound],
        weights: &[f32],
        src: &[f32],
        base: usize,
        width: usize,
        dst: &mut Vec<f32>,
    ) {
        // Every number is written below; what is there before does not matter.
        dst.resize(bounds.len() * width, 0.0);
        for (out, bound) in dst.chunks_exact_mut(width).zip(bounds) {
            let rows = &src[(bound.first - base) * width..][..bound.len * width];
            let weights = &weights[bound.start..][..bound.len];
            // As many sums side by side as registers hold, so that none waits for the one before.
            let mut x = sums::<32>(rows, weights, width, 0, out);
            x = sums::<16>(rows, weights, width, x, out);
            x = sums::<8>(rows, weights, width, x, out);
            sums::<1>(rows, weights, width, x, out);
        }
    }
}

/// Sums of `rows` under `weights` for columns from `x` on, `N` at a time as long as there are as
/// many; returns where it stopped.
#[inline(always)]
fn sums<const N: usize>(
    rows: &[f32],
    weights: &[f32],
    width: usize,
    mut x: usize,
    out: &mut [f32],
) -> usize {
    while x + N <= width {
        // They stay in registers while the rows go by.
        let mut sums = [0.0; N];
        for (row, &w) in rows.chunks_exact(width).zip(weights) {
            for (sum, v) in sums.iter_mut().zip(&row[x..x + N]) {
                *sum += w * v;
            }
        }
        out[x..x + N].copy_from_slice(&sums);
        x += N;
    }
    x
}

/// Side of the blocks that are transposed at a time.
const TILE: usize = 4;

/// Transposes rows of `width` numbers.
pub(crate) fn transpose(src: &[f32], width: usize, dst: &mut Vec<f32>) {
    let height = src.len() / width;
    // Every number is written below; what is there before does not matter.
    dst.resize(src.len(), 0.0);
    let (whole_width, whole_height) = (width / TILE * TILE, height / TILE * TILE);
    for y in (0..whole_height).step_by(TILE) {
        let rows = &src[y * width..][..TILE * width];
        for x in (0..whole_width).step_by(TILE) {
            let row = |k: usize| rows[k * width + x..].first_chunk();
            let [Some(a), Some(b), Some(c), Some(d)] = [0, 1, 2, 3].map(row) else { break };
            for (column, k) in transpose4x4([a, b, c, d]).iter().zip(x..) {
                dst[k * height + y..][..TILE].copy_from_slice(column);
            }
        }
    }
    // The rest: columns on the right, rows below.
    for y in 0..height {
        for x in (if y < whole_height { whole_width } else { 0 })..width {
            dst[x * height + y] = src[y * width + x];
        }
    }
}

/// Transposes one block.
#[inline(always)]
fn transpose4x4([a, b, c, d]: [&[f32; TILE]; TILE]) -> [[f32; TILE]; TILE] {
    // The compiler makes one move for each number of the plain code below.
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86_64 processor has SSE; loads and stores are of arrays of four and need no
    // alignment.
    unsafe {
        use std::arch::x86_64::{
            _mm_loadu_ps, _mm_movehl_ps, _mm_movelh_ps, _mm_storeu_ps, _mm_unpackhi_ps,
            _mm_unpacklo_ps,
        };
        let [a, b, c, d] = [a, b, c, d].map(|row| _mm_loadu_ps(row.as_ptr()));
        let (ab, cd) = (_mm_unpacklo_ps(a, b), _mm_unpacklo_ps(c, d));
        let (ab2, cd2) = (_mm_unpackhi_ps(a, b), _mm_unpackhi_ps(c, d));
        let columns = [
            _mm_movelh_ps(ab, cd),
            _mm_movehl_ps(cd, ab),
            _mm_movelh_ps(ab2, cd2),
            _mm_movehl_ps(cd2, ab2),
        ];
        let mut out = [[0.0; TILE]; TILE];
        for (out, column) in out.iter_mut().zip(columns) {
            _mm_storeu_ps(out.as_mut_ptr(), column);
        }
        out
    }
    #[cfg(not(target_arch = "x86_64"))]
    [0, 1, 2, 3].map(|k| [a[k], b[k], c[k], d[k]])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coefficients_sum_to_one_and_stay_inside() {
        let mut coefficients = Coefficients::default();
        for (outputs, inputs, origin, scale) in
            [(16, 40, 3.3, 1.9), (16, 9, 0.0, 0.5), (7, 64, -2.0, 10.0), (3, 1, 0.0, 0.2)]
        {
            coefficients.set(outputs, inputs, origin, scale);
            let (first, end) = coefficients.input_range();
            assert!(first < end && end <= inputs);
            let mut out = Vec::new();
            coefficients.apply(&vec![1.0; (end - first) * 2], first, 2, &mut out);
            assert_eq!(out.len(), outputs * 2);
            assert!(out.iter().all(|v| (v - 1.0).abs() < 1e-5), "{out:?}");
        }
    }

    #[test]
    fn samples_beyond_the_picture_repeat_its_edge() {
        let mut coefficients = Coefficients::default();
        let src = [5.0, 1.0, 1.0, 1.0, 9.0];
        for scale in [0.3, 0.7, 1.0, 1.6] {
            let (outputs, origin) = (41, -20.0 * scale);
            coefficients.set(outputs, src.len(), origin, scale);
            let mut out = Vec::new();
            coefficients.apply(&src, coefficients.input_range().0, 1, &mut out);
            for (i, v) in out.into_iter().enumerate() {
                let center = origin + (i as f32 + 0.5) * scale;
                let edge = if center < 0.0 { 5.0 } else { 9.0 };
                let outside = !(0.0..=5.0).contains(&center);
                assert!(v.is_finite() && (!outside || v == edge), "{v} at {center}");
            }
        }
    }

    #[test]
    fn coefficients_copy_at_scale_one_and_whole_offsets() {
        let mut coefficients = Coefficients::default();
        coefficients.set(4, 10, 3.0, 1.0);
        let src: Vec<f32> = (0..10).map(|v| v as f32 * v as f32).collect();
        let mut out = Vec::new();
        coefficients.apply(&src, 0, 1, &mut out);
        assert_eq!(out, [9.0, 16.0, 25.0, 36.0]);
    }

    #[test]
    fn transpose_twice_returns_the_input() {
        let src: Vec<f32> = (0..12).map(|v| v as f32).collect();
        let (mut once, mut twice) = (Vec::new(), Vec::new());
        transpose(&src, 4, &mut once);
        assert_eq!(once[..3], [0.0, 4.0, 8.0]);
        transpose(&once, 3, &mut twice);
        assert_eq!(twice, src);
        for (width, height) in [(8, 8), (64, 20), (17, 9), (1, 30), (25, 16)] {
            let src: Vec<f32> = (0..width * height).map(|v| v as f32).collect();
            transpose(&src, width, &mut once);
            for (i, v) in once.iter().enumerate() {
                assert_eq!(*v, src[i % height * width + i / height]);
            }
        }
    }
}
