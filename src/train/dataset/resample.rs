//! Separable antialiased resampling of small float pictures, interleaved RGB.

/// Interpolation kernels. When shrinking, their support grows with the factor (antialiasing).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filter {
    /// Mean of the covered area.
    Area,
    /// Bicubic with a = -0.5, as Pillow's BICUBIC.
    Bicubic,
}

impl Filter {
    fn support(self) -> f32 {
        match self {
            Self::Area => 0.5,
            Self::Bicubic => 2.0,
        }
    }

    fn weight(self, x: f32) -> f32 {
        let x = x.abs();
        match self {
            Self::Area => f32::from(x <= 0.5),
            Self::Bicubic if x < 1.0 => (1.5 * x - 2.5) * x * x + 1.0,
            Self::Bicubic if x < 2.0 => ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0,
            Self::Bicubic => 0.0,
        }
    }
}

/// For each output pixel: first input pixel and the weights from there on (they sum to 1).
fn taps(from: usize, to: usize, filter: Filter) -> Vec<(usize, Vec<f32>)> {
    let ratio = from as f32 / to as f32;
    let scale = ratio.max(1.0);
    let support = filter.support() * scale;
    (0..to)
        .map(|o| {
            let center = (o as f32 + 0.5) * ratio;
            let first = (center - support).floor().max(0.0) as usize;
            let last = ((center + support).ceil() as usize).min(from).max(first + 1);
            let weight_of = |i: usize| match filter {
                // The exact share of pixel [i, i+1) under the window.
                Filter::Area => {
                    let low = (center - support).max(i as f32);
                    let high = (center + support).min(i as f32 + 1.0);
                    (high - low).max(0.0)
                }
                Filter::Bicubic => filter.weight((i as f32 + 0.5 - center) / scale),
            };
            let mut weights: Vec<f32> = (first..last).map(weight_of).collect();
            let sum: f32 = weights.iter().sum();
            weights.iter_mut().for_each(|w| *w /= sum);
            (first, weights)
        })
        .collect()
}

/// Resizes a `w` x `h` RGB picture to `to_w` x `to_h`.
pub fn resize(
    src: &[f32],
    w: usize,
    h: usize,
    to_w: usize,
    to_h: usize,
    filter: Filter,
) -> Vec<f32> {
    let mut wide = vec![0.0; to_w * h * 3];
    let across = taps(w, to_w, filter);
    for (row, out) in src.chunks_exact(w * 3).zip(wide.chunks_exact_mut(to_w * 3)) {
        for ((first, weights), pixel) in across.iter().zip(out.chunks_exact_mut(3)) {
            for (k, weight) in weights.iter().enumerate() {
                let s = &row[(first + k) * 3..(first + k) * 3 + 3];
                pixel[0] += weight * s[0];
                pixel[1] += weight * s[1];
                pixel[2] += weight * s[2];
            }
        }
    }
    let mut out = vec![0.0; to_w * to_h * 3];
    let down = taps(h, to_h, filter);
    for ((first, weights), line) in down.iter().zip(out.chunks_exact_mut(to_w * 3)) {
        for (k, weight) in weights.iter().enumerate() {
            let row = &wide[(first + k) * to_w * 3..(first + k + 1) * to_w * 3];
            line.iter_mut().zip(row).for_each(|(o, s)| *o += weight * s);
        }
    }
    out
}

/// Crops the square at `corner` (x, y; `side` long; in pixels of the `size.0` x `size.1` RGB
/// picture, 0..255) and resamples it to `to` x `to` by antialiased bicubic interpolation. The same
/// taps as in the engine and in Pillow.
pub fn window(
    src: &[f32],
    size: (usize, usize),
    corner: (f32, f32),
    side: f32,
    to: usize,
) -> Vec<f32> {
    let axis = |start: f32, from: usize| -> Vec<(usize, Vec<f32>)> {
        let ratio = side / to as f32;
        let scale = ratio.max(1.0);
        let support = Filter::Bicubic.support() * scale;
        // As in the engine and in Pillow, so that both look at the same pixels.
        let edge = |v: f32| (v + 0.5).max(0.0) as usize;
        (0..to)
            .map(|o| {
                let center = start + (o as f32 + 0.5) * ratio;
                let first = edge(center - support).min(from - 1);
                let last = edge(center + support).clamp(first + 1, from);
                let weight_of = |i| Filter::Bicubic.weight((i as f32 + 0.5 - center) / scale);
                let mut weights: Vec<f32> = (first..last).map(weight_of).collect();
                let sum: f32 = weights.iter().sum();
                weights.iter_mut().for_each(|w| *w /= sum);
                (first, weights)
            })
            .collect()
    };
    let (across, down) = (axis(corner.0, size.0), axis(corner.1, size.1));
    // Clipped between the passes, as in the engine and in Pillow.
    let mut wide = Vec::with_capacity(to * size.1 * 3);
    for row in src.chunks_exact(size.0 * 3) {
        for (x, weights) in &across {
            for c in 0..3 {
                let taps = weights.iter().enumerate().map(|(k, w)| w * row[(x + k) * 3 + c]);
                wide.push(taps.sum::<f32>().clamp(0.0, 255.0));
            }
        }
    }
    let mut out = vec![0.0; to * to * 3];
    for ((y, weights), line) in down.iter().zip(out.chunks_exact_mut(to * 3)) {
        for (k, w) in weights.iter().enumerate() {
            let row = &wide[(y + k) * to * 3..(y + k + 1) * to * 3];
            line.iter_mut().zip(row).for_each(|(o, s)| *o += w * s);
        }
    }
    out
}

/// Convolves along x (`dx` = 1) or y with an odd kernel; the border is mirrored.
fn convolve(src: &[f32], side: usize, kernel: &[f32], along_x: bool) -> Vec<f32> {
    let radius = kernel.len() as i64 / 2;
    let mirror = |i: i64| {
        let top = side as i64 - 1;
        let i = if i < 0 { -i } else { i };
        (if i > top { 2 * top - i } else { i }).clamp(0, top) as usize
    };
    let mut out = vec![0.0; src.len()];
    for a in 0..side {
        let from: Vec<usize> = (-radius..=radius).map(|k| mirror(a as i64 + k)).collect();
        for (weight, &i) in kernel.iter().zip(&from) {
            if along_x {
                for y in 0..side {
                    for c in 0..3 {
                        out[(y * side + a) * 3 + c] += weight * src[(y * side + i) * 3 + c];
                    }
                }
            } else {
                let (o, s) = (a * side * 3, i * side * 3);
                let row = &src[s..s + side * 3];
                out[o..o + side * 3].iter_mut().zip(row).for_each(|(o, s)| *o += weight * s);
            }
        }
    }
    out
}

/// Gaussian blur of a square RGB picture, `sigma` in its pixels.
pub fn gaussian(src: &[f32], side: usize, sigma: f32) -> Vec<f32> {
    let radius = (3.0 * sigma).ceil() as i64;
    if radius < 1 || sigma < 0.1 {
        return src.to_vec();
    }
    let mut kernel: Vec<f32> =
        (-radius..=radius).map(|i| (-0.5 * (i as f32 / sigma).powi(2)).exp()).collect();
    let sum: f32 = kernel.iter().sum();
    kernel.iter_mut().for_each(|k| *k /= sum);
    convolve(&convolve(src, side, &kernel, true), side, &kernel, false)
}

/// Motion blur: the mean of the picture along a line of `length` pixels at `angle`.
pub fn motion(src: &[f32], side: usize, length: f32, angle: f32) -> Vec<f32> {
    let steps = (length.ceil() as usize + 1).max(2);
    let top = (side - 1) as f32;
    let mut out = vec![0.0; src.len()];
    for k in 0..steps {
        let t = length * (k as f32 / (steps - 1) as f32 - 0.5);
        let (dx, dy) = (t * angle.cos(), t * angle.sin());
        for y in 0..side {
            let v = (y as f32 + dy).clamp(0.0, top);
            let (y0, fy) = (v as usize, v.fract());
            let y1 = (y0 + 1).min(side - 1);
            for x in 0..side {
                let u = (x as f32 + dx).clamp(0.0, top);
                let (x0, fx) = (u as usize, u.fract());
                let x1 = (x0 + 1).min(side - 1);
                for c in 0..3 {
                    let p = |y: usize, x: usize| src[(y * side + x) * 3 + c];
                    let upper = p(y0, x0) * (1.0 - fx) + p(y0, x1) * fx;
                    let lower = p(y1, x0) * (1.0 - fx) + p(y1, x1) * fx;
                    out[(y * side + x) * 3 + c] += upper * (1.0 - fy) + lower * fy;
                }
            }
        }
    }
    let scale = 1.0 / steps as f32;
    out.iter_mut().for_each(|o| *o *= scale);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn area_is_the_block_mean_and_flat_stays_flat() {
        let src: Vec<f32> = (0..8 * 8 * 3).map(|i| (i / 3 % 8) as f32).collect();
        let out = resize(&src, 8, 8, 2, 2, Filter::Area);
        assert!((out[0] - 1.5).abs() < 1e-6 && (out[3] - 5.5).abs() < 1e-6);
        let flat = vec![0.25; 20 * 20 * 3];
        for filter in [Filter::Area, Filter::Bicubic] {
            let out = resize(&flat, 20, 20, 7, 33, filter);
            assert!(out.iter().all(|v| (v - 0.25).abs() < 1e-5));
        }
        assert!(gaussian(&flat, 20, 1.7).iter().all(|v| (v - 0.25).abs() < 1e-5));
        assert!(motion(&flat, 20, 3.3, 0.7).iter().all(|v| (v - 0.25).abs() < 1e-5));
    }
}
