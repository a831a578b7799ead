//! Cuts and blends all faces of a frame, in system memory.

use std::time::Duration;

use super::crop::Cropper;
use super::patch::{Patch, PatchInput, PatchRenderer};
use crate::enhance::generator::{HR_LEN, LR_LEN};
use crate::frame::{Frame, FrameMut};
use crate::geometry::CropSquare;
use crate::util::cpu_time::CpuTimer;
use crate::util::parallel::for_each_with;

/// Fewer faces than this to be cut or pressed, for each thread, are not worth a thread.
pub(crate) const FACES_A_THREAD: usize = 12;

/// The CPU's canvas. It keeps its scratch space from frame to frame.
#[derive(Debug)]
pub struct Compositor {
    croppers: Vec<Cropper>,
    presses: Vec<PatchRenderer>,
    patches: Vec<Patch>,
}

impl Default for Compositor {
    fn default() -> Self {
        Self::new(1)
    }
}

impl Compositor {
    /// A canvas on which at most `threads` threads work at a time, the caller's included.
    pub fn new(threads: usize) -> Self {
        let threads = threads.max(1);
        Self {
            croppers: (0..threads).map(|_| Cropper::default()).collect(),
            presses: (0..threads).map(|_| PatchRenderer::default()).collect(),
            patches: Vec::new(),
        }
    }

    /// Cuts each of `squares` into `lr`: `[N, 3, 16, 16]` RGB in -1..=1, N being the number of
    /// squares, and answers the CPU time over all threads. A square that does not
    /// [lie in](CropSquare::lies_in) the frame gives grey, and is left out by [`blend`](Self::blend).
    ///
    /// # Panics
    /// If the lengths are not those of the same N.
    pub fn crop(&mut self, frame: &Frame<'_>, squares: &[CropSquare], lr: &mut [f32]) -> Duration {
        assert_eq!(lr.len(), squares.len() * LR_LEN, "one cut for each square");
        let workers = (squares.len() / FACES_A_THREAD).clamp(1, self.croppers.len());
        let faces = squares.iter().zip(lr.chunks_exact_mut(LR_LEN));
        for_each_with(&mut self.croppers[..workers], faces, |cropper, (square, lr)| {
            cropper.crop(frame, square, lr);
        })
    }

    /// A press for each thread, and a patch for each of so many faces. What is laid over a frame
    /// does not depend on it, so all threads make patches at once; only the [laying](Self::lay) has
    /// an order.
    pub(crate) fn tools(&mut self, faces: usize) -> (&mut [PatchRenderer], &mut [Patch]) {
        if self.patches.len() < faces {
            self.patches.resize_with(faces, Patch::default);
        }
        (&mut self.presses, &mut self.patches[..faces])
    }

    /// Lays the patches of so many faces over the frame they were made for, in their order: where
    /// faces overlap, the later lies on top. Answers the CPU time that took.
    pub(crate) fn lay(&self, frame: &mut FrameMut<'_>, faces: usize) -> Duration {
        let watch = CpuTimer::start();
        self.patches.iter().take(faces).for_each(|patch| patch.lay(frame));
        watch.elapsed()
    }

    /// Blends `hr` (`[N, 3, 64, 64]` RGB in -1..=1), generated from the cuts `lr`
    /// (`[N, 3, 16, 16]`) of `squares`, with `strengths` `[N]`, in their order, on one thread.
    ///
    /// # Panics
    /// If the lengths are not those of the same N.
    pub fn blend(
        &mut self,
        frame: &mut FrameMut<'_>,
        squares: &[CropSquare],
        lr: &[f32],
        hr: &[f32],
        strengths: &[f32],
    ) {
        assert_eq!(lr.len(), squares.len() * LR_LEN, "one cut for each square");
        assert_eq!(hr.len(), squares.len() * HR_LEN, "one face for each square");
        assert_eq!(strengths.len(), squares.len(), "one strength for each square");
        let info = *frame.info();
        let (presses, patches) = self.tools(squares.len());
        let press = &mut presses[0];
        let mut shrunk = [0.0; LR_LEN];
        let faces = lr.chunks_exact(LR_LEN).zip(hr.chunks_exact(HR_LEN));
        let places = squares.iter().zip(strengths).zip(patches);
        for ((lr, hr), ((&square, &strength), patch)) in faces.zip(places) {
            press.shrink(hr, &mut shrunk);
            let layer = PatchInput { square, strength, lr, hr, shrunk: &shrunk };
            press.fill(patch, &layer, &info);
        }
        self.lay(frame, squares.len());
    }
}
