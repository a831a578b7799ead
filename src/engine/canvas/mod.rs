//! Cutting faces out of a frame and blending them back, on one device.
//!
//! A cut is the crop square resampled once, with an antialiased bicubic filter, straight from the
//! frame's own planes to 16x16 RGB: what the networks saw in training. A blend is the way back:
//! the generated face, its broad colours and shades set to those of the cut, resampled to the
//! square and laid over the frame under an elliptical feather. Only samples inside the squares
//! are read or written.

mod color;
mod cpu;
pub(crate) mod feather;
pub(crate) mod resample;
mod truth;

pub use cpu::CpuCanvas;
pub use truth::ColorTruth;

use crate::frame::{Frame, FrameMut};
use crate::geometry::Square;

/// Cuts and blends faces of frames that lie in one kind of memory.
pub trait Canvas: Send {
    /// Cuts each of `squares` into `low`: `[N, 3, 16, 16]` RGB in -1..=1, N being the number of
    /// squares. A square that does not [lie in](Square::lies_in) the frame gives grey, and is left
    /// out by [`blend`](Self::blend).
    fn cut(&mut self, frame: &Frame<'_>, squares: &[Square], low: &mut [f32]);

    /// Blends `high` (`[N, 3, 64, 64]` RGB in -1..=1), generated from the cuts `low`, into the
    /// frame, in the order of `squares`: where faces overlap, the later lies on top. `strengths`
    /// `[N]`, 0..=1, are the weights in the middle of the feather.
    fn blend(
        &mut self,
        frame: &mut FrameMut<'_>,
        squares: &[Square],
        low: &[f32],
        high: &[f32],
        strengths: &[f32],
    );
}
