//! Crops a face to the size of its set: small faces exactly as the engine crops them at run time.

use facesr::Shape;
use facesr::frame::Frame;
use facesr::geometry::{CropSquare, Rect};
use facesr::internals::cpu::Compositor;

use crate::dataset::resample::window;
use crate::scale::Scale;

/// Which set a face belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// 64x64, out of a square of at least 58 pixels (at most 1.1 times enlarged); twice that for the
    /// large scale.
    Hr,
    /// 16x16, of a face 8 to 30 pixels wide; 32x32, of one of 20 to 72 pixels, for the large scale.
    Lr,
}

impl Kind {
    /// The set of a face by the size of its box and square; none in between.
    pub fn of(face: Rect, square: CropSquare, scale: Scale) -> Option<Self> {
        let widths = if scale == Scale::SMALL { 8.0..=30.0 } else { 20.0..=72.0 };
        if square.side >= 58.0 * scale.fold() as f32 {
            Some(Self::Hr)
        } else if widths.contains(&face.w) {
            Some(Self::Lr)
        } else {
            None
        }
    }

    /// Pixels along an edge.
    pub fn side(self, scale: Scale) -> usize {
        match self {
            Self::Hr => scale.hr(),
            Self::Lr => scale.lr,
        }
    }
}

/// A face that was cropped.
#[derive(Debug, Clone)]
pub struct Crop {
    /// Its set.
    pub kind: Kind,
    /// Pixels along an edge.
    pub side: usize,
    /// side x side x RGB.
    pub pixels: Vec<u8>,
    /// Name of the picture.
    pub original: String,
    /// Who it is, where that is known.
    pub identity: Option<String>,
    /// The face box in the picture.
    pub rect: Rect,
    /// Confidence of the detector.
    pub score: f32,
    /// Variance of the Laplacian.
    pub sharpness: f64,
}

/// Crops `square` out of an RGB picture, given as a frame and as its rows without gaps.
pub fn crop(
    frame: &Frame<'_>,
    rgb: &[u8],
    square: CropSquare,
    kind: Kind,
    scale: Scale,
) -> Vec<u8> {
    let side = kind.side(scale);
    match kind {
        // The engine's own crop at run time.
        Kind::Lr if scale == Scale::SMALL => {
            let mut planes = vec![0.0; 3 * 16 * 16];
            Compositor::default().crop(frame, Shape::SMALL, &[square], &mut planes);
            let level = |v: f32| ((v + 1.0) * 127.5).round().clamp(0.0, 255.0) as u8;
            (0..256).flat_map(|i| [0, 1, 2].map(|c| level(planes[c * 256 + i]))).collect()
        }
        Kind::Lr | Kind::Hr => {
            let (width, height) = (frame.info().width as usize, frame.info().height as usize);
            // Only what the kernel can reach.
            let reach = 2.0 * (square.side / side as f32).max(1.0) + 1.0;
            let from = |v: f32| (v - reach).floor().max(0.0) as usize;
            let to = |v: f32, top: usize| ((v + square.side + reach).ceil() as usize).min(top);
            let (x0, y0) = (from(square.x), from(square.y));
            let (x1, y1) = (to(square.x, width), to(square.y, height));
            let mut area = Vec::with_capacity((x1 - x0) * (y1 - y0) * 3);
            for y in y0..y1 {
                let row = &rgb[(y * width + x0) * 3..(y * width + x1) * 3];
                area.extend(row.iter().map(|v| f32::from(*v)));
            }
            let (x, y) = (square.x - x0 as f32, square.y - y0 as f32);
            let crop = window(&area, (x1 - x0, y1 - y0), (x, y), square.side, side);
            crop.iter().map(|v| v.round().clamp(0.0, 255.0) as u8).collect()
        }
    }
}

/// Variance of the Laplacian of the luma: low for blurred faces.
pub fn sharpness(rgb: &[u8], side: usize) -> f64 {
    let luma: Vec<f64> = rgb
        .chunks_exact(3)
        .map(|p| 0.299 * f64::from(p[0]) + 0.587 * f64::from(p[1]) + 0.114 * f64::from(p[2]))
        .collect();
    let mut values = Vec::with_capacity(side * side);
    for y in 1..side - 1 {
        for x in 1..side - 1 {
            let i = y * side + x;
            let around = luma[i - 1] + luma[i + 1] + luma[i - side] + luma[i + side];
            values.push(around - 4.0 * luma[i]);
        }
    }
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Rng, Stream};
    use facesr::frame::{FrameInfo, PixelFormat};

    #[test]
    fn the_window_is_the_cut_of_the_engine() {
        let (w, h) = (70usize, 50usize);
        let mut rng = Rng::new(1, Stream::Batch, 0);
        let rgb: Vec<u8> = (0..w * h * 3).map(|_| rng.below(256) as u8).collect();
        let info = FrameInfo::new(PixelFormat::Rgb, w as u32, h as u32);
        let frame = Frame::new(info, &[&rgb], &[w * 3]).unwrap();
        let floats: Vec<f32> = rgb.iter().map(|v| f32::from(*v)).collect();
        for (x, y, side) in [(3.3, 4.7, 31.0), (0.0, 0.0, 48.5), (20.2, 10.9, 13.0)] {
            let lr = crop(&frame, &rgb, CropSquare { x, y, side }, Kind::Lr, Scale::SMALL);
            let ours = window(&floats, (w, h), (x, y), side, 16);
            for (a, b) in lr.iter().zip(&ours) {
                assert!(
                    (f32::from(*a) - b.clamp(0.0, 255.0)).abs() <= 1.0,
                    "{side}: {a} against {b}"
                );
            }
        }
        let hr =
            crop(&frame, &rgb, CropSquare { x: 1.5, y: 0.2, side: 48.0 }, Kind::Hr, Scale::SMALL);
        let whole = window(&floats, (w, h), (1.5, 0.2), 48.0, 64);
        for (a, b) in hr.iter().zip(&whole) {
            assert!((f32::from(*a) - b.clamp(0.0, 255.0)).abs() <= 1.0, "{a} against {b}");
        }
    }

    #[test]
    fn blur_lowers_the_sharpness() {
        let checks: Vec<u8> =
            (0..64 * 64).flat_map(|i| [((i + i / 64) % 2 * 255) as u8; 3]).collect();
        assert!(sharpness(&checks, 64) > 1000.0);
        assert_eq!(sharpness(&[90; 64 * 64 * 3], 64), 0.0);
    }
}
