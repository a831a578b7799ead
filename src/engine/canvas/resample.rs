//! One-dimensional resampling with the antialiased bicubic filter that training used.
//!
//! The filter is Keys' cubic with a = -0.5, its support scaled when shrinking, weights normalised
//! where it is cut off at the picture's edge: the same numbers as Pillow's `BICUBIC`, but for that
//! library's rounding to 8 bit between the two passes.

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
#[derive(Debug, Default)]
pub(super) struct Taps {
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
    pub(super) fn set(&mut self, outputs: usize, inputs: usize, origin: f32, scale: f32) {
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
    pub(super) fn input_range(&self) -> (usize, usize) {
        let first = self.spans.first().map_or(0, |s| s.first);
        let end = self.spans.last().map_or(0, |s| s.first + s.len);
        (first, end)
    }

    /// Number of output samples.
    pub(super) fn outputs(&self) -> usize {
        self.spans.len()
    }

    /// Resamples down the columns: `src` is rows of `width` numbers, its first row being input
    /// sample `base`; `dst` gets one such row for each output sample.
    pub(super) fn apply(&self, src: &[f32], base: usize, width: usize, dst: &mut Vec<f32>) {
        dst.clear();
        dst.resize(self.spans.len() * width, 0.0);
        for (out, span) in dst.chunks_exact_mut(width).zip(&self.spans) {
            let rows = src[(span.first - base) * width..].chunks_exact(width);
            for (row, &w) in rows.zip(&self.weights[span.start..span.start + span.len]) {
                for (o, v) in out.iter_mut().zip(row) {
                    *o += w * v;
                }
            }
        }
    }
}

/// Turns rows of `width` numbers into columns.
pub(super) fn transpose(src: &[f32], width: usize, dst: &mut Vec<f32>) {
    let height = src.len() / width;
    dst.clear();
    dst.resize(src.len(), 0.0);
    for (y, row) in src.chunks_exact(width).enumerate() {
        for (x, v) in row.iter().enumerate() {
            dst[x * height + y] = *v;
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
