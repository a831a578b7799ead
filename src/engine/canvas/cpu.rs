//! Cuts and blends all faces of a frame, in system memory.

use std::time::Duration;

use super::cut::Cutter;
use super::patch::{Patch, Press};
use crate::frame::{Frame, FrameMut};
use crate::generator::{HIGH_LEN, LOW_LEN};
use crate::geometry::Square;
use crate::util::cpu_time::CpuTimer;
use crate::util::parallel::for_each_with;

/// Fewer faces than this to be cut or pressed, for each thread, are not worth a thread.
pub(crate) const FACES_A_THREAD: usize = 12;

/// A face to be blended into a frame.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Layer<'a> {
    /// The square it was cut from.
    pub(crate) square: Square,
    /// Weight in the middle of the feather, 0..=1.
    pub(crate) strength: f32,
    /// The cut, `[3, 16, 16]` RGB in -1..=1.
    pub(crate) low: &'a [f32],
    /// What was generated from it or from an earlier one, `[3, 64, 64]` RGB in -1..=1.
    pub(crate) high: &'a [f32],
    /// The same [shrunk](super::ColorTruth::shrink), `[3, 16, 16]`.
    pub(crate) shrunk: &'a [f32],
}

/// The CPU's canvas. It keeps its scratch space from frame to frame.
#[derive(Debug)]
pub struct CpuCanvas {
    cutters: Vec<Cutter>,
    presses: Vec<Press>,
    patches: Vec<Patch>,
}

impl Default for CpuCanvas {
    fn default() -> Self {
        Self::new(1)
    }
}

impl CpuCanvas {
    /// A canvas on which at most `threads` threads work at a time, the caller's included.
    pub fn new(threads: usize) -> Self {
        let threads = threads.max(1);
        Self {
            cutters: (0..threads).map(|_| Cutter::default()).collect(),
            presses: (0..threads).map(|_| Press::default()).collect(),
            patches: Vec::new(),
        }
    }

    /// Cuts each of `squares` into `low`: `[N, 3, 16, 16]` RGB in -1..=1, N being the number of
    /// squares, and answers the CPU time over all threads. A square that does not
    /// [lie in](Square::lies_in) the frame gives grey, and is left out by [`blend`](Self::blend).
    ///
    /// # Panics
    /// If the lengths are not those of the same N.
    pub fn cut(&mut self, frame: &Frame<'_>, squares: &[Square], low: &mut [f32]) -> Duration {
        assert_eq!(low.len(), squares.len() * LOW_LEN, "one cut for each square");
        let workers = (squares.len() / FACES_A_THREAD).clamp(1, self.cutters.len());
        let faces = squares.iter().zip(low.chunks_exact_mut(LOW_LEN));
        for_each_with(&mut self.cutters[..workers], faces, |cutter, (square, low)| {
            cutter.cut(frame, square, low);
        })
    }

    /// A press for each thread, and a patch for each of so many faces. What is laid over a frame
    /// does not depend on it, so all threads make patches at once; only the [laying](Self::lay) has
    /// an order.
    pub(crate) fn tools(&mut self, faces: usize) -> (&mut [Press], &mut [Patch]) {
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

    /// Blends `high` (`[N, 3, 64, 64]` RGB in -1..=1), generated from the cuts `low`
    /// (`[N, 3, 16, 16]`) of `squares`, with `strengths` `[N]`, in their order, on one thread.
    ///
    /// # Panics
    /// If the lengths are not those of the same N.
    pub fn blend(
        &mut self,
        frame: &mut FrameMut<'_>,
        squares: &[Square],
        low: &[f32],
        high: &[f32],
        strengths: &[f32],
    ) {
        assert_eq!(low.len(), squares.len() * LOW_LEN, "one cut for each square");
        assert_eq!(high.len(), squares.len() * HIGH_LEN, "one face for each square");
        assert_eq!(strengths.len(), squares.len(), "one strength for each square");
        let info = *frame.info();
        let (presses, patches) = self.tools(squares.len());
        let press = &mut presses[0];
        let mut shrunk = [0.0; LOW_LEN];
        let faces = low.chunks_exact(LOW_LEN).zip(high.chunks_exact(HIGH_LEN));
        let places = squares.iter().zip(strengths).zip(patches);
        for ((low, high), ((&square, &strength), patch)) in faces.zip(places) {
            press.shrink(high, &mut shrunk);
            let layer = Layer { square, strength, low, high, shrunk: &shrunk };
            press.fill(patch, &layer, &info);
        }
        self.lay(frame, squares.len());
    }
}
