//! Converts between a frame's component codes (0..=255) and RGB (0..=255).
//!
//! Source: ITU-R BT.601, BT.709 and BT.2020, which differ in their luma coefficients only.

use crate::frame::{ColorModel, FrameInfo, Range};

/// Color conversion for one kind of frame.
#[derive(Debug, Clone, Copy)]
pub struct Color {
    pub(crate) model: ColorModel,
    pub(crate) kr: f32,
    pub(crate) kg: f32,
    pub(crate) kb: f32,
    pub(crate) luma_zero: f32,
    /// Codes for 255 steps of luma.
    pub(crate) luma_gain: f32,
    /// Codes for 255 steps of chroma, peak to peak.
    pub(crate) chroma_gain: f32,
}

impl Color {
    /// That of frames of this kind.
    pub fn of(info: &FrameInfo) -> Self {
        let model = info.format.model();
        let (kr, kb) = info.matrix.coefficients();
        let (luma_zero, luma_gain, chroma_gain) = match info.range {
            Range::Full => (0.0, 1.0, 1.0),
            Range::Limited => (16.0, 219.0 / 255.0, 224.0 / 255.0),
        };
        Self { model, kr, kg: 1.0 - kr - kb, kb, luma_zero, luma_gain, chroma_gain }
    }

    /// Component codes to RGB, both 0..=255 and not clamped.
    #[inline]
    pub fn rgb(self, c: [f32; 3]) -> [f32; 3] {
        match self.model {
            ColorModel::Rgb => c,
            ColorModel::Gray => [(c[0] - self.luma_zero) / self.luma_gain; 3],
            ColorModel::Yuv => {
                let y = (c[0] - self.luma_zero) / self.luma_gain;
                let u = (c[1] - 128.0) / self.chroma_gain;
                let v = (c[2] - 128.0) / self.chroma_gain;
                let r = y + 2.0 * (1.0 - self.kr) * v;
                let b = y + 2.0 * (1.0 - self.kb) * u;
                [r, (y - self.kr * r - self.kb * b) / self.kg, b]
            }
        }
    }

    /// Component `i` of black.
    pub(crate) fn black(self, i: usize) -> f32 {
        match (self.model, i) {
            (ColorModel::Rgb, _) => 0.0,
            (_, 0) => self.luma_zero,
            _ => 128.0,
        }
    }

    /// A row of component `i` from RGB, both 0..=255 and not clamped. Gray is component 0.
    #[inline(always)]
    pub fn row<const N: usize>(self, i: usize, [r, g, b]: &[[f32; N]; 3], out: &mut [f32]) {
        if self.model == ColorModel::Rgb {
            out.copy_from_slice([r, g, b][i]);
            return;
        }
        let rgb = r.iter().zip(g).zip(b);
        let luma = |r: f32, g: f32, b: f32| self.kr * r + self.kg * g + self.kb * b;
        let chroma =
            |c: f32, y: f32, k: f32| 128.0 + (c - y) / (2.0 * (1.0 - k)) * self.chroma_gain;
        match i {
            0 => out.iter_mut().zip(rgb).for_each(|(out, ((r, g), b))| {
                *out = self.luma_zero + luma(*r, *g, *b) * self.luma_gain;
            }),
            1 => out.iter_mut().zip(rgb).for_each(|(out, ((r, g), b))| {
                *out = chroma(*b, luma(*r, *g, *b), self.kb);
            }),
            _ => out.iter_mut().zip(rgb).for_each(|(out, ((r, g), b))| {
                *out = chroma(*r, luma(*r, *g, *b), self.kr);
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Matrix, PixelFormat};

    fn codes(color: Color, rgb: [f32; 3]) -> [f32; 3] {
        std::array::from_fn(|i| {
            let mut out = [0.0];
            color.row(i, &rgb.map(|v| [v]), &mut out);
            out[0]
        })
    }

    fn color(format: PixelFormat, matrix: Matrix, range: Range) -> Color {
        Color::of(&FrameInfo { matrix, range, ..FrameInfo::new(format, 8, 8) })
    }

    #[test]
    fn color_returns_the_codes_of_the_standards() {
        let hd = color(PixelFormat::Nv12, Matrix::Bt709, Range::Limited);
        let close = |a: [f32; 3], b: [f32; 3]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 0.6);
        assert!(close(codes(hd, [255.0; 3]), [235.0, 128.0, 128.0]));
        assert!(close(codes(hd, [255.0, 0.0, 0.0]), [63.0, 102.0, 240.0]));
        let sd = color(PixelFormat::I420, Matrix::Bt601, Range::Limited);
        assert!(close(codes(sd, [0.0, 0.0, 255.0]), [41.0, 240.0, 110.0]));
        let jpeg = color(PixelFormat::I420, Matrix::Bt601, Range::Full);
        assert!(close(codes(jpeg, [255.0, 255.0, 0.0]), [226.0, 0.5, 148.7]));
    }

    #[test]
    fn color_returns_the_same_rgb_after_a_round_trip() {
        for format in PixelFormat::ALL {
            for matrix in [Matrix::Bt601, Matrix::Bt709, Matrix::Bt2020] {
                for range in [Range::Full, Range::Limited] {
                    let c = color(format, matrix, range);
                    let gray = format.model() == ColorModel::Gray;
                    let rgb = if gray { [77.0; 3] } else { [12.0, 200.0, 77.0] };
                    let back = c.rgb(codes(c, rgb));
                    for (a, b) in rgb.iter().zip(back) {
                        assert!((a - b).abs() < 1e-2, "{format:?} {matrix:?} {range:?}: {back:?}");
                    }
                }
            }
        }
    }
}
