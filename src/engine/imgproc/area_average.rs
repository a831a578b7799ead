//! Resampling of one axis or one row: area averaging when shrinking, bilinear when enlarging.
//!
//! Whole ratios have loops of their own, which the compiler turns into vector code; everything
//! else goes through tap tables. Both are held against a naive version in the tests of
//! [`preprocess`](crate::detect).

/// How the samples of one axis become fewer, or more.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Axis {
    /// Inputs per output if the outputs are plain means of so many neighbours.
    whole: Option<usize>,
    /// Taps of each output; every output has as many, some of weight zero.
    taps: usize,
    /// First input of each output.
    starts: Vec<usize>,
    /// `taps` weights of each output, which sum to 1.
    weights: Vec<f32>,
}

impl Axis {
    /// `outputs` samples that cover `extent` inputs of the `inputs` there are; `extent` is less
    /// than `inputs` where the last sample of a subsampled plane lies half outside the picture.
    pub(crate) fn new(inputs: usize, extent: f64, outputs: usize) -> Self {
        let ratio = extent / outputs as f64;
        let last = inputs as f64;
        // Half-open ranges of inputs, as real numbers, and the weight of one input within them.
        let mut raw: Vec<(usize, Vec<f64>)> = Vec::with_capacity(outputs);
        for o in 0..outputs {
            let o = o as f64;
            if ratio >= 1.0 {
                let (from, to) = (o * ratio, ((o + 1.0) * ratio).min(last));
                // Rounding of the ratio must not let in a neighbour of weight 1e-12.
                let first = (from + 1e-6).floor() as usize;
                let end = ((to - 1e-6).ceil() as usize).clamp(first + 1, inputs);
                let weights =
                    (first..end).map(|i| ((i + 1) as f64).min(to) - (i as f64).max(from)).collect();
                raw.push((first, weights));
            } else {
                let center = ((o + 0.5) * ratio - 0.5).clamp(0.0, last - 1.0);
                let first = (center.floor() as usize).min(inputs.saturating_sub(2));
                let part = center - first as f64;
                raw.push((first, if inputs == 1 { vec![1.0] } else { vec![1.0 - part, part] }));
            }
        }
        let taps = raw.iter().map(|(_, w)| w.len()).max().unwrap_or(1);
        let mut axis =
            Self { whole: None, taps, starts: Vec::new(), weights: vec![0.0; taps * outputs] };
        for (o, (first, weights)) in raw.into_iter().enumerate() {
            // A range at the end of the row begins earlier, so that all its taps lie inside.
            let start = first.min(inputs - taps);
            let sum: f64 = weights.iter().sum();
            for (i, w) in weights.into_iter().enumerate() {
                axis.weights[o * taps + first - start + i] = (w / sum) as f32;
            }
            axis.starts.push(start);
        }
        let whole = ratio.round();
        if whole >= 1.0 && whole <= MAX_WHOLE as f64 && extent == whole * outputs as f64 {
            axis.whole = Some(whole as usize);
        }
        axis
    }

    /// Inputs per output if that is a whole number that the fast loops take.
    pub(crate) fn whole(&self) -> Option<usize> {
        self.whole
    }

    /// First input and weights of output `o`.
    pub(crate) fn at(&self, o: usize) -> (usize, &[f32]) {
        (self.starts[o], &self.weights[o * self.taps..(o + 1) * self.taps])
    }
}

/// Largest whole ratio of the fast loops: sums of so many bytes fit 16 bits with ease.
const MAX_WHOLE: usize = 64;

/// Sum of `rows` (all of one length), sample by sample.
pub(crate) fn sum_rows<'a>(out: &mut [u16], mut rows: impl Iterator<Item = &'a [u8]>) {
    match (rows.next(), rows.next()) {
        (Some(a), Some(b)) => {
            for ((o, &a), &b) in out.iter_mut().zip(a).zip(b) {
                *o = u16::from(a) + u16::from(b);
            }
        }
        (Some(a), None) => {
            for (o, &a) in out.iter_mut().zip(a) {
                *o = u16::from(a);
            }
        }
        _ => out.fill(0),
    }
    for row in rows {
        for (o, &a) in out.iter_mut().zip(row) {
            *o += u16::from(a);
        }
    }
}

/// Weighted sum of rows (all of one length), sample by sample.
pub(crate) fn blend_rows<'a>(out: &mut [f32], weights: &[f32], row: impl Fn(usize) -> &'a [u8]) {
    // Zero weights fill up the tables at their ends; those rows need not be read.
    let first = weights.iter().position(|&w| w != 0.0).unwrap_or(0);
    let end = weights.iter().rposition(|&w| w != 0.0).map_or(first, |i| i + 1);
    let mut done = (first + 2).min(end);
    match weights[first..done] {
        [u] => {
            for (o, &a) in out.iter_mut().zip(row(first)) {
                *o = u * f32::from(a);
            }
        }
        [u, v] => {
            for ((o, &a), &b) in out.iter_mut().zip(row(first)).zip(row(first + 1)) {
                *o = u * f32::from(a) + v * f32::from(b);
            }
        }
        _ => out.fill(0.0),
    }
    while done < end {
        let u = weights[done];
        for (o, &a) in out.iter_mut().zip(row(done)) {
            *o += u * f32::from(a);
        }
        done += 1;
    }
}

/// Means of `k` neighbouring samples of `src`, which lie `step` apart and begin at `offset`,
/// times `scale`.
pub(crate) fn mean_row<S>(
    out: &mut [f32],
    src: &[S],
    offset: usize,
    step: usize,
    k: usize,
    scale: f32,
) where
    S: Copy + Into<u32>,
{
    match (k, step) {
        (1, 1) => mean_fixed::<S, 1, 1>(out, src, offset, scale),
        (1, 2) => mean_fixed::<S, 1, 2>(out, src, offset, scale),
        (1, 3) => mean_fixed::<S, 1, 3>(out, src, offset, scale),
        (1, 4) => mean_fixed::<S, 1, 4>(out, src, offset, scale),
        (2, 1) => mean_fixed::<S, 2, 1>(out, src, offset, scale),
        (2, 2) => mean_fixed::<S, 2, 2>(out, src, offset, scale),
        (2, 3) => mean_fixed::<S, 2, 3>(out, src, offset, scale),
        (2, 4) => mean_fixed::<S, 2, 4>(out, src, offset, scale),
        (3, 1) => mean_fixed::<S, 3, 1>(out, src, offset, scale),
        (4, 1) => mean_fixed::<S, 4, 1>(out, src, offset, scale),
        _ => {
            for (x, o) in out.iter_mut().enumerate() {
                let first = offset + x * k * step;
                let sum: u32 = src[first..].iter().step_by(step).take(k).map(|&s| s.into()).sum();
                *o = sum as f32 * scale;
            }
        }
    }
}

fn mean_fixed<S: Copy + Into<u32>, const K: usize, const STEP: usize>(
    out: &mut [f32],
    src: &[S],
    offset: usize,
    scale: f32,
) {
    // The row may end with its last sample, short of a whole group.
    let groups = ((src.len() - offset) / (K * STEP)).min(out.len());
    let (body, tail) = out.split_at_mut(groups);
    let src = &src[offset..];
    for (o, group) in body.iter_mut().zip(src.chunks_exact(K * STEP)) {
        let mut sum = 0u32;
        for i in 0..K {
            sum += group[i * STEP].into();
        }
        *o = sum as i32 as f32 * scale;
    }
    for (x, o) in tail.iter_mut().enumerate() {
        let first = (groups + x) * K * STEP;
        let sum: u32 = (0..K).map(|i| src[first + i * STEP].into()).sum();
        *o = sum as f32 * scale;
    }
}

/// Weighted sums along a row of samples that lie `step` apart and begin at `offset`.
pub(crate) fn weighted_sum_row(
    out: &mut [f32],
    src: &[f32],
    offset: usize,
    step: usize,
    axis: &Axis,
) {
    match axis.taps {
        1 => weighted_sum_fixed::<1>(out, src, offset, step, axis),
        2 => weighted_sum_fixed::<2>(out, src, offset, step, axis),
        3 => weighted_sum_fixed::<3>(out, src, offset, step, axis),
        4 => weighted_sum_fixed::<4>(out, src, offset, step, axis),
        taps => {
            for (x, o) in out.iter_mut().enumerate() {
                let (start, weights) = axis.at(x);
                let samples = src[offset + start * step..].iter().step_by(step).take(taps);
                *o = samples.zip(weights).map(|(s, w)| s * w).sum();
            }
        }
    }
}

fn weighted_sum_fixed<const TAPS: usize>(
    out: &mut [f32],
    src: &[f32],
    offset: usize,
    step: usize,
    axis: &Axis,
) {
    let weights = axis.weights.chunks_exact(TAPS);
    for ((o, &start), weights) in out.iter_mut().zip(&axis.starts).zip(weights) {
        let first = offset + start * step;
        let samples = &src[first..first + (TAPS - 1) * step + 1];
        let mut sum = 0.0;
        for i in 0..TAPS {
            sum += samples[i * step] * weights[i];
        }
        *o = sum;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_sum_to_one_and_stay_inside() {
        for inputs in 1..40usize {
            for outputs in 1..50usize {
                for extent in [inputs as f64, inputs as f64 - 0.5] {
                    let axis = Axis::new(inputs, extent, outputs);
                    for o in 0..outputs {
                        let (start, weights) = axis.at(o);
                        assert!(start + weights.len() <= inputs);
                        assert!((weights.iter().sum::<f32>() - 1.0).abs() < 1e-5);
                        assert!(weights.iter().all(|&w| w >= 0.0));
                    }
                }
            }
        }
    }

    #[test]
    fn whole_ratios_are_noticed() {
        assert_eq!(Axis::new(1920, 1920.0, 960).whole(), Some(2));
        assert_eq!(Axis::new(960, 960.0, 960).whole(), Some(1));
        assert_eq!(Axis::new(540, 540.0, 544).whole(), None);
        assert_eq!(Axis::new(3, 2.5, 5).whole(), None);
        assert_eq!(Axis::new(1280, 1280.0, 960).whole(), None);
    }
}
