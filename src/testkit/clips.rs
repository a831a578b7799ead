//! Clips as the engine's frames, and what can be measured of them.

use std::path::Path;

use facesr::Shape;
use facesr::internals::cpu::Compositor;
use facesr::{CropSquare, Frame, FrameInfo, FrameMut, PixelFormat};

use crate::media;

/// A clip, decoded to I420.
#[derive(Debug, Clone)]
pub struct Clip {
    /// Format and size of all frames.
    pub info: FrameInfo,
    /// Pixels of the frames, without padding.
    pub frames: Vec<Vec<u8>>,
}

impl Clip {
    /// Decodes `path`, at most `limit` frames of it.
    ///
    /// # Panics
    /// If it cannot be decoded to I420.
    pub fn open(path: &Path, limit: usize) -> Self {
        let stream = media::first_frames(path, limit);
        let info = gst_video::VideoInfo::from_caps(&stream.caps).expect("video");
        assert_eq!(info.format(), gst_video::VideoFormat::I420);
        let info = FrameInfo::new(PixelFormat::I420, info.width(), info.height());
        Self { info, frames: stream.packets.into_iter().map(|p| p.data).collect() }
    }

    /// Frame `i` as it is.
    pub fn frame(&self, i: usize) -> Frame<'_> {
        view(self.info, &self.frames[i])
    }
}

/// Bytes of the planes of an I420 frame.
fn sizes(info: FrameInfo) -> [(usize, usize); 3] {
    [0, 1, 2].map(|i| info.format.plane_size(i, info.width, info.height))
}

/// The pixels of an I420 frame without padding.
pub fn view(info: FrameInfo, data: &[u8]) -> Frame<'_> {
    let [y, u, v] = sizes(info);
    let (luma, chroma) = data.split_at(y.0 * y.1);
    let (cb, cr) = chroma.split_at(u.0 * u.1);
    Frame::new(info, &[luma, cb, cr], &[y.0, u.0, v.0]).expect("a whole frame")
}

/// The same, to be changed.
pub fn view_mut(info: FrameInfo, data: &mut [u8]) -> FrameMut<'_> {
    let [y, u, v] = sizes(info);
    let (luma, chroma) = data.split_at_mut(y.0 * y.1);
    let (cb, cr) = chroma.split_at_mut(u.0 * u.1);
    FrameMut::new(info, [luma, cb, cr], &[y.0, u.0, v.0]).expect("a whole frame")
}

/// The luma of `square`, bicubic, `[64, 64]` codes.
///
/// # Panics
/// If the square does not lie in the frame.
pub fn aligned(frame: &Frame<'_>, square: &CropSquare) -> Vec<f32> {
    // Four by four crops of sixteen samples: the compositor takes no more at once.
    let (mut canvas, part) = (Compositor::default(), square.side / 4.0);
    let parts: Vec<CropSquare> = (0..16)
        .map(|i| CropSquare {
            x: square.x + (i % 4) as f32 * part,
            y: square.y + (i / 4) as f32 * part,
            side: part,
        })
        .collect();
    let mut lr = vec![0.0; parts.len() * Shape::SMALL.lr_len()];
    canvas.crop(frame, Shape::SMALL, &parts, &mut lr);
    const SIDE: usize = Shape::SMALL.lr();
    let mut out = vec![0.0; 64 * 64];
    for (i, part) in lr.chunks_exact(Shape::SMALL.lr_len()).enumerate() {
        for k in 0..SIDE * SIDE {
            let rgb = [0, 1, 2].map(|c| (part[c * SIDE * SIDE + k] + 1.0) * 127.5);
            let (x, y) = (i % 4 * SIDE + k % SIDE, i / 4 * SIDE + k / SIDE);
            out[y * 64 + x] = 0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2];
        }
    }
    out
}

/// Sum of squared differences of two frames inside a square, and the number of samples, over all
/// planes.
pub fn squared_error(info: FrameInfo, a: &[u8], b: &[u8], square: &CropSquare) -> (f64, u64) {
    let (a, b) = (view(info, a), view(info, b));
    let (mut sum, mut count) = (0.0, 0);
    for i in 0..3 {
        let (a, b) = (a.component(i), b.component(i));
        let range = |start: f32, sub: u32, limit: usize| {
            let scale = (1u32 << sub) as f32;
            let end = ((start + square.side) / scale).floor().max(0.0) as usize;
            ((start / scale).ceil().max(0.0) as usize, end.min(limit))
        };
        let (x0, x1) = range(square.x, a.hsub, a.width);
        let (y0, y1) = range(square.y, a.vsub, a.height);
        for y in y0..y1 {
            let (a, b) = (&a.data[y * a.stride..], &b.data[y * b.stride..]);
            for x in x0..x1 {
                sum += f64::from(a[x].abs_diff(b[x])).powi(2);
                count += 1;
            }
        }
    }
    (sum, count)
}

/// Peak signal-to-noise ratio of `count` samples with squared differences of `sum`, dB.
pub fn psnr((sum, count): (f64, u64)) -> f64 {
    10.0 * (255.0 * 255.0 * count as f64 / sum.max(1e-9)).log10()
}
