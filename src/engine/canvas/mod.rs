//! Cutting faces out of a frame and blending them back, on the CPU.
//!
//! A cut is the crop square resampled once, with an antialiased bicubic filter, straight from the
//! frame's own planes to 16x16 RGB: what the networks saw in training. A blend is the way back:
//! the generated face, its broad colours and shades set to those of the cut, resampled to the
//! square and laid over the frame under an elliptical feather. Only samples inside the squares
//! are read or written. The CUDA kernels do the same sums in the same order.

mod cpu;
mod cut;
mod patch;
mod truth;

pub use cpu::CpuCanvas;
pub(crate) use cpu::{FACES_A_THREAD, Layer};
pub(crate) use patch::{Patch, Press};
pub use truth::ColorTruth;

use crate::frame::FrameInfo;
use crate::geometry::Square;

/// A crop square in the sample coordinates of one component.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Area {
    x: f32,
    y: f32,
    w: f32,
    h: f32,
}

impl Area {
    fn of(square: &Square, info: &FrameInfo, hsub: u32, vsub: u32) -> Self {
        let (dx, dy) = info.chroma_site.offsets();
        let axis = |start: f32, offset: f32, shift: u32| match shift {
            0 => (start, square.side),
            _ => ((start + offset) / 2.0, square.side / 2.0),
        };
        let (x, w) = axis(square.x, dx, hsub);
        let (y, h) = axis(square.y, dy, vsub);
        Self { x, y, w, h }
    }
}
