//! What JPEG does to pixels (8x8 DCT, quantization with the standard tables, 4:2:0 chroma), without
//! the bit stream. Used to degrade training pictures, so only the loss matters.

use std::sync::LazyLock;

/// Annex K luminance table, row by row.
const LUMA: [u16; 64] = [
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56,
    14, 17, 22, 29, 51, 87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113,
    92, 49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
];
/// Annex K chrominance table.
const CHROMA: [u16; 64] = [
    17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99, 24, 26, 56, 99, 99, 99, 99, 99,
    47, 66, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
    99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
];

/// Orthonormal 8-point DCT-II: `BASIS[k][n]`.
static BASIS: LazyLock<[[f32; 8]; 8]> = LazyLock::new(|| {
    std::array::from_fn(|k| {
        let scale = if k == 0 { (1.0f32 / 8.0).sqrt() } else { 0.5 };
        std::array::from_fn(|n| {
            scale * (std::f32::consts::PI * (2 * n + 1) as f32 * k as f32 / 16.0).cos()
        })
    })
});

fn scaled(table: &[u16; 64], quality: u32) -> [f32; 64] {
    let quality = quality.clamp(1, 100);
    let scale = if quality < 50 { 5000 / quality } else { 200 - 2 * quality };
    std::array::from_fn(|i| ((u32::from(table[i]) * scale + 50) / 100).clamp(1, 255) as f32)
}

/// `out = B * m * B^T` (forward) or `B^T * m * B` (inverse).
fn transform(m: &[f32; 64], inverse: bool) -> [f32; 64] {
    let b = &*BASIS;
    let at = |k: usize, n: usize| if inverse { b[n][k] } else { b[k][n] };
    let mut half = [0.0; 64];
    for k in 0..8 {
        for x in 0..8 {
            half[k * 8 + x] = (0..8).map(|n| at(k, n) * m[n * 8 + x]).sum();
        }
    }
    let mut out = [0.0; 64];
    for y in 0..8 {
        for k in 0..8 {
            out[y * 8 + k] = (0..8).map(|n| at(k, n) * half[y * 8 + n]).sum();
        }
    }
    out
}

/// Quantizes one plane (w x h, values about 0 and within +-128), the block grid starting at
/// (-ox, -oy); beyond the border the edge pixels repeat.
fn quantize(plane: &mut [f32], w: usize, h: usize, ox: usize, oy: usize, table: &[f32; 64]) {
    let source = plane.to_vec();
    let clampi = |i: usize, o: usize, n: usize| i.saturating_sub(o).min(n - 1);
    for by in (0..h + oy).step_by(8) {
        for bx in (0..w + ox).step_by(8) {
            let block: [f32; 64] = std::array::from_fn(|i| {
                source[clampi(by + i / 8, oy, h) * w + clampi(bx + i % 8, ox, w)]
            });
            let mut freq = transform(&block, false);
            freq.iter_mut().zip(table).for_each(|(f, q)| *f = (*f / q).round() * q);
            let back = transform(&freq, true);
            for (i, value) in back.iter().enumerate() {
                let (y, x) = (by + i / 8, bx + i % 8);
                if y >= oy && x >= ox && y - oy < h && x - ox < w {
                    plane[(y - oy) * w + x - ox] = *value;
                }
            }
        }
    }
}

/// Degrades a `w` x `h` RGB picture (0..1) as JPEG of `quality` would; the 16x16 grid of coding units
/// starts `ox`, `oy` pixels before its corner.
pub fn degrade(rgb: &mut [f32], w: usize, h: usize, quality: u32, ox: usize, oy: usize) {
    let (luma, chroma) = (scaled(&LUMA, quality), scaled(&CHROMA, quality));
    let n = w * h;
    let (mut y, mut cb, mut cr) = (vec![0.0; n], vec![0.0; n], vec![0.0; n]);
    for (i, p) in rgb.chunks_exact(3).enumerate() {
        let (r, g, b) = (p[0] * 255.0, p[1] * 255.0, p[2] * 255.0);
        y[i] = 0.299 * r + 0.587 * g + 0.114 * b - 128.0;
        cb[i] = -0.168_736 * r - 0.331_264 * g + 0.5 * b;
        cr[i] = 0.5 * r - 0.418_688 * g - 0.081_312 * b;
    }
    quantize(&mut y, w, h, ox % 8, oy % 8, &luma);
    let (sx, sy) = (ox % 2, oy % 2);
    let (hw, hh) = ((w + sx).div_ceil(2), (h + sy).div_ceil(2));
    for plane in [&mut cb, &mut cr] {
        let clampi = |i: usize, s: usize, n: usize| i.saturating_sub(s).min(n - 1);
        let mut half: Vec<f32> = (0..hw * hh)
            .map(|i| {
                let (v, u) = (2 * (i / hw), 2 * (i % hw));
                let at = |dv, du| plane[clampi(v + dv, sy, h) * w + clampi(u + du, sx, w)];
                0.25 * (at(0, 0) + at(0, 1) + at(1, 0) + at(1, 1))
            })
            .collect();
        quantize(&mut half, hw, hh, (ox / 2) % 8, (oy / 2) % 8, &chroma);
        for (i, value) in plane.iter_mut().enumerate() {
            *value = half[((i / w + sy) / 2) * hw + (i % w + sx) / 2];
        }
    }
    for (i, p) in rgb.chunks_exact_mut(3).enumerate() {
        let luma = y[i] + 128.0;
        p[0] = ((luma + 1.402 * cr[i]) / 255.0).clamp(0.0, 1.0);
        p[1] = ((luma - 0.344_136 * cb[i] - 0.714_136 * cr[i]) / 255.0).clamp(0.0, 1.0);
        p[2] = ((luma + 1.772 * cb[i]) / 255.0).clamp(0.0, 1.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn less_quality_loses_more_and_full_quality_hardly_any() {
        let (w, h) = (21, 19);
        let clean: Vec<f32> = (0..w * h * 3)
            .map(|i| {
                0.5 + 0.3 * ((i / 3 % w) as f32 * 0.9).sin() * ((i / 3 / w) as f32 * 0.7).cos()
            })
            .collect();
        let loss = |quality| {
            let mut x = clean.clone();
            degrade(&mut x, w, h, quality, 5, 3);
            x.iter().zip(&clean).map(|(a, b)| (a - b).powi(2)).sum::<f32>() / x.len() as f32
        };
        let (q100, q60, q15) = (loss(100), loss(60), loss(15));
        assert!(q100 < 1e-4 && q100 < q60 && q60 < q15, "{q100} {q60} {q15}");
    }
}
