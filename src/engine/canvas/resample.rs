//! One-dimensional resampling with the antialiased bicubic filter that training used.
//!
//! The filter is Keys' cubic with a = -0.5, its support scaled when shrinking, weights normalised
//! where it is cut off at the picture's edge: the same numbers as Pillow's `BICUBIC`, but for that
//! library's rounding to 8 bit between the two passes.

/// Columns that are resampled together.
const BLOCK: usize = 16;

/// Half-width of the unscaled filter.
const SUPPORT: f32 = 2.0;

/// Keys' cubic convolution kernel, a = -0.5.
fn cubic(x: f32) -> f32 {
    const A: f32 = -0.5;
    let x = x.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

/// For each output sample, which input samples it is made of and with what weights.
#[derive(Debug, Clone, Default)]
pub(crate) struct Taps {
    spans: Vec<Span>,
    weights: Vec<f32>,
}

#[derive(Debug, Clone, Copy)]
struct Span {
    first: usize,
    start: usize,
    len: usize,
}

impl Taps {
    /// Sets the taps for `outputs` samples, the i-th of which covers `origin + i * scale` to
    /// `origin + (i + 1) * scale` of an input of `inputs` samples (edge coordinates: sample k
    /// covers k to k + 1).
    pub(crate) fn set(&mut self, outputs: usize, inputs: usize, origin: f32, scale: f32) {
        self.spans.clear();
        self.weights.clear();
        let stretch = scale.max(1.0);
        let support = SUPPORT * stretch;
        for i in 0..outputs {
            let center = origin + (i as f32 + 0.5) * scale;
            let edge = |v: f32| (v + 0.5).max(0.0) as usize;
            let first = edge(center - support).min(inputs - 1);
            let end = edge(center + support).clamp(first + 1, inputs);
            let start = self.weights.len();
            let weight = |k: usize| cubic((k as f32 + 0.5 - center) / stretch);
            self.weights.extend((first..end).map(weight));
            let sum: f32 = self.weights[start..].iter().sum();
            for w in &mut self.weights[start..] {
                *w /= sum;
            }
            self.spans.push(Span { first, start, len: end - first });
        }
    }

    /// First and one past the last input sample that any output needs.
    pub(crate) fn input_range(&self) -> (usize, usize) {
        let first = self.spans.first().map_or(0, |s| s.first);
        let end = self.spans.last().map_or(0, |s| s.first + s.len);
        (first, end)
    }

    /// Resamples down the columns: `src` is rows of `width` numbers, its first row being input
    /// sample `base`; `dst` gets one such row for each output sample.
    pub(crate) fn apply(&self, src: &[f32], base: usize, width: usize, dst: &mut Vec<f32>) {
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has what the function is compiled for.
            return unsafe { self.apply_avx2(src, base, width, dst) };
        }
        self.apply_anywhere(src, base, width, dst);
    }

    /// The same code in wider registers. Without fused multiply-adds, so that every machine
    /// answers the same bits.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    fn apply_avx2(&self, src: &[f32], base: usize, width: usize, dst: &mut Vec<f32>) {
        self.apply_anywhere(src, base, width, dst);
    }

    #[inline(always)]
    fn apply_anywhere(&self, src: &[f32], base: usize, width: usize, dst: &mut Vec<f32>) {
        dst.resize(self.spans.len() * width, 0.0);
        for (out, span) in dst.chunks_exact_mut(width).zip(&self.spans) {
            let rows = &src[(span.first - base) * width..];
            let weights = &self.weights[span.start..span.start + span.len];
            let mut blocks = out.chunks_exact_mut(BLOCK);
            let mut x = 0;
            for block in &mut blocks {
                // Sums that stay in registers while the rows go by.
                let mut sums = [0.0; BLOCK];
                for (row, &w) in rows.chunks_exact(width).zip(weights) {
                    for (sum, v) in sums.iter_mut().zip(&row[x..x + BLOCK]) {
                        *sum += w * v;
                    }
                }
                block.copy_from_slice(&sums);
                x += BLOCK;
            }
            let rest = blocks.into_remainder();
            rest.fill(0.0);
            for (row, &w) in rows.chunks_exact(width).zip(weights) {
                for (o, v) in rest.iter_mut().zip(&row[x..]) {
                    *o += w * v;
                }
            }
        }
    }
}

/// Turns rows of `width` numbers into columns.
pub(crate) fn transpose(src: &[f32], width: usize, dst: &mut Vec<f32>) {
    /// Side of the tiles that are turned one by one, so that reads and writes share cache lines.
    const TILE: usize = 8;
    let height = src.len() / width;
    // Every number is written below; what is there before does not matter.
    dst.resize(src.len(), 0.0);
    for y0 in (0..height).step_by(TILE) {
        let y1 = (y0 + TILE).min(height);
        for x in 0..width {
            let column = &mut dst[x * height + y0..x * height + y1];
            for (d, row) in column.iter_mut().zip(src[y0 * width..].chunks_exact(width)) {
                *d = row[x];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_sum_to_one_and_stay_inside() {
        let mut taps = Taps::default();
        for (outputs, inputs, origin, scale) in
            [(16, 40, 3.3, 1.9), (16, 9, 0.0, 0.5), (7, 64, -2.0, 10.0), (3, 1, 0.0, 0.2)]
        {
            taps.set(outputs, inputs, origin, scale);
            let (first, end) = taps.input_range();
            assert!(first < end && end <= inputs);
            let mut out = Vec::new();
            taps.apply(&vec![1.0; (end - first) * 2], first, 2, &mut out);
            assert_eq!(out.len(), outputs * 2);
            assert!(out.iter().all(|v| (v - 1.0).abs() < 1e-5), "{out:?}");
        }
    }

    #[test]
    fn same_size_at_whole_offsets_copies() {
        let mut taps = Taps::default();
        taps.set(4, 10, 3.0, 1.0);
        let src: Vec<f32> = (0..10).map(|v| v as f32 * v as f32).collect();
        let mut out = Vec::new();
        taps.apply(&src, 0, 1, &mut out);
        assert_eq!(out, [9.0, 16.0, 25.0, 36.0]);
    }

    #[test]
    fn transposing_twice_is_nothing() {
        let src: Vec<f32> = (0..12).map(|v| v as f32).collect();
        let (mut once, mut twice) = (Vec::new(), Vec::new());
        transpose(&src, 4, &mut once);
        assert_eq!(once[..3], [0.0, 4.0, 8.0]);
        transpose(&once, 3, &mut twice);
        assert_eq!(twice, src);
    }
}
