//! Cuts and blends all faces of a frame, in system memory.

use std::time::Duration;

use super::cut::Cutter;
use super::patch::{Patch, Press};
use super::truth::ColorTruth;
use crate::frame::{Frame, FrameMut};
use crate::generator::{HIGH_LEN, LOW_LEN};
use crate::geometry::Square;
use crate::spread::spread;
use crate::stopwatch::Stopwatch;

/// Fewer faces than this, for each thread, are not worth a thread.
const FACES_A_THREAD: usize = 12;

/// A face to be blended into a frame.
#[derive(Debug, Clone, Copy)]
pub struct Layer<'a> {
    /// The square it was cut from.
    pub square: Square,
    /// Weight in the middle of the feather, 0..=1.
    pub strength: f32,
    /// The cut, `[3, 16, 16]` RGB in -1..=1.
    pub low: &'a [f32],
    /// What was generated from it or from an earlier one, `[3, 64, 64]` RGB in -1..=1.
    pub high: &'a [f32],
    /// The same [shrunk](ColorTruth::shrink), `[3, 16, 16]`.
    pub shrunk: &'a [f32],
}

/// The CPU's canvas. It keeps its scratch space from frame to frame.
#[derive(Debug)]
pub struct CpuCanvas {
    cutters: Vec<Cutter>,
    presses: Vec<Press>,
    patches: Vec<Patch>,
    truth: ColorTruth,
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
            truth: ColorTruth::default(),
        }
    }

    fn workers(&self, faces: usize) -> usize {
        (faces / FACES_A_THREAD).clamp(1, self.cutters.len())
    }

    /// Cuts each of `squares` into `low`: `[N, 3, 16, 16]` RGB in -1..=1, N being the number of
    /// squares, and answers the CPU time over all threads. A square that does not
    /// [lie in](Square::lies_in) the frame gives grey, and is left out by [`blend`](Self::blend).
    ///
    /// # Panics
    /// If the lengths are not those of the same N.
    pub fn cut(&mut self, frame: &Frame<'_>, squares: &[Square], low: &mut [f32]) -> Duration {
        assert_eq!(low.len(), squares.len() * LOW_LEN, "one cut for each square");
        let workers = self.workers(squares.len());
        let faces = squares.iter().zip(low.chunks_exact_mut(LOW_LEN));
        spread(&mut self.cutters[..workers], faces, |cutter, (square, low)| {
            cutter.cut(frame, square, low);
        })
    }

    /// Blends `layers` into the frame, in their order: where faces overlap, the later lies on top.
    /// Answers the CPU time over all threads.
    ///
    /// # Panics
    /// If the lengths in a layer are not as said there.
    pub fn blend(&mut self, frame: &mut FrameMut<'_>, layers: &[Layer<'_>]) -> Duration {
        let info = *frame.info();
        let workers = self.workers(layers.len());
        if self.patches.len() < layers.len() {
            self.patches.resize_with(layers.len(), Patch::default);
        }
        // What is laid over a frame does not depend on it, so only the laying has an order.
        let patches = self.patches.iter_mut().zip(layers);
        let pressing = spread(&mut self.presses[..workers], patches, |press, (patch, layer)| {
            press.fill(patch, layer, &info);
        });
        let watch = Stopwatch::start();
        for (patch, _) in self.patches.iter().zip(layers) {
            patch.lay(frame);
        }
        pressing + watch.elapsed()
    }

    /// [Blends](Self::blend) `high` (`[N, 3, 64, 64]` RGB in -1..=1), generated from the cuts `low`
    /// (`[N, 3, 16, 16]`) of `squares`, with `strengths` `[N]`.
    ///
    /// # Panics
    /// If the lengths are not those of the same N.
    pub fn blend_all(
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
        let mut shrunk = vec![0.0; low.len()];
        let faces = high.chunks_exact(HIGH_LEN).zip(shrunk.chunks_exact_mut(LOW_LEN));
        faces.for_each(|(high, shrunk)| self.truth.shrink(high, shrunk));
        let faces = low.chunks_exact(LOW_LEN).zip(high.chunks_exact(HIGH_LEN));
        let layers: Vec<_> = squares
            .iter()
            .zip(strengths)
            .zip(faces.zip(shrunk.chunks_exact(LOW_LEN)))
            .map(|((&square, &strength), ((low, high), shrunk))| Layer {
                square,
                strength,
                low,
                high,
                shrunk,
            })
            .collect();
        self.blend(frame, &layers);
    }
}
