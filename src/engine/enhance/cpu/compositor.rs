//! Crops and blends all faces of a frame, in system memory.

use std::time::Duration;

use super::color_match::GRID_LEN;
use super::crop::Cropper;
use super::patch::{Patch, PatchInput, PatchRenderer};
use crate::enhance::backend::{BlendWeights, Crops};
use crate::frame::{Frame, FrameMut};
use crate::geometry::CropSquare;
use crate::shape::Shape;
use crate::util::cpu_time::CpuTimer;
use crate::util::parallel::for_each_with;

/// Minimum faces per thread to be cropped or rendered; below this, starting a thread costs more
/// than it saves.
pub(crate) const FACES_A_THREAD: usize = 12;

/// Faces of one shape that are blended into a frame without a [backend](crate::enhance::backend).
#[derive(Debug, Clone, Copy)]
pub struct FaceBatch<'a> {
    /// Sides of the crops and of the faces.
    pub shape: Shape,
    /// Where they were cropped, `[N]`.
    pub squares: &'a [CropSquare],
    /// The crops, `[N, 3, lr, lr]` RGB in -1..=1.
    pub lr: &'a [f32],
    /// The same without their noise.
    pub denoised: &'a [f32],
    /// What has changed in those since the faces were generated, `[N, 3, 16, 16]`.
    pub changes: &'a [f32],
    /// What was generated from those, `[N, 3, hr, hr]` RGB in -1..=1.
    pub hr: &'a [f32],
    /// Weights in the middle of the feather, `[N]`, 0..=1.
    pub strengths: &'a [f32],
    /// What is shown of each.
    pub weights: BlendWeights,
}

/// The CPU's canvas. It keeps its scratch space from frame to frame.
#[derive(Debug)]
pub struct Compositor {
    croppers: Vec<Cropper>,
    renderers: Vec<PatchRenderer>,
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
            renderers: (0..threads).map(|_| PatchRenderer::default()).collect(),
            patches: Vec::new(),
        }
    }

    /// Crops each of `squares` into `lr`: `[N, 3, lr, lr]` RGB in -1..=1, lr being the side that
    /// `shape` says and N the number of squares, and returns the CPU time over all threads. A
    /// square that does not [lie in](CropSquare::lies_in) the frame gives gray, and is left out by
    /// [`blend`](Self::blend).
    ///
    /// # Panics
    /// If the lengths are not those of the same N.
    pub fn crop(
        &mut self,
        frame: &Frame<'_>,
        shape: Shape,
        squares: &[CropSquare],
        lr: &mut [f32],
    ) -> Duration {
        assert_eq!(lr.len(), squares.len() * shape.lr_len(), "one crop for each square");
        let faces = squares.iter().zip(lr.chunks_exact_mut(shape.lr_len()));
        self.crop_each(frame, squares.len(), faces.map(|(square, lr)| (*square, shape, lr)))
    }

    /// The same for crops of several shapes.
    pub(crate) fn crop_all(&mut self, frame: &Frame<'_>, crops: &mut Crops) -> Duration {
        let count = crops.len();
        self.crop_each(frame, count, crops.iter_mut())
    }

    fn crop_each<'a>(
        &mut self,
        frame: &Frame<'_>,
        count: usize,
        faces: impl Iterator<Item = (CropSquare, Shape, &'a mut [f32])> + Send,
    ) -> Duration {
        let workers = (count / FACES_A_THREAD).clamp(1, self.croppers.len());
        for_each_with(&mut self.croppers[..workers], faces, |cropper, (square, shape, lr)| {
            cropper.crop(frame, &square, shape.lr(), lr);
        })
    }

    /// A renderer for each thread, and a patch for each of so many faces. What is blended into a
    /// frame does not depend on it, so all threads make patches at once; only the
    /// [compositing](Self::composite) has an order.
    pub(crate) fn tools(&mut self, faces: usize) -> (&mut [PatchRenderer], &mut [Patch]) {
        if self.patches.len() < faces {
            self.patches.resize_with(faces, Patch::default);
        }
        (&mut self.renderers, &mut self.patches[..faces])
    }

    /// Blends patches into the frame they were made for. `layers` says for each face, in their
    /// order, how many of the patches are its own, 1 or 2, and how much of the second goes into the
    /// first. Where faces overlap, the later lies on top. Returns the CPU time that took.
    pub(crate) fn composite(
        &mut self,
        frame: &mut FrameMut<'_>,
        layers: impl Iterator<Item = (usize, f32)>,
    ) -> Duration {
        let timer = CpuTimer::start();
        let mut at = 0;
        for (count, weight) in layers {
            if let [first, second] = &mut self.patches[at..at + count] {
                first.mix(second, weight);
            }
            self.patches[at].blend(frame);
            at += count;
        }
        timer.elapsed()
    }

    /// Blends `faces` into `frame`, in their order, on one thread.
    ///
    /// # Panics
    /// If their lengths are not those of the same number of faces.
    pub fn blend(&mut self, frame: &mut FrameMut<'_>, faces: &FaceBatch<'_>) {
        let FaceBatch { shape, squares, lr, denoised, changes, hr, strengths, weights } = *faces;
        let (lr_len, hr_len) = (shape.lr_len(), shape.hr_len());
        assert_eq!(lr.len(), squares.len() * lr_len, "one crop for each square");
        assert_eq!(denoised.len(), lr.len(), "one crop for each square");
        assert_eq!(changes.len(), squares.len() * GRID_LEN, "one change for each square");
        assert_eq!(hr.len(), squares.len() * hr_len, "one face for each square");
        assert_eq!(strengths.len(), squares.len(), "one strength for each square");
        let info = *frame.info();
        let (renderers, patches) = self.tools(squares.len());
        let renderer = &mut renderers[0];
        let mut shrunk = [0.0; GRID_LEN];
        let crops = lr.chunks_exact(lr_len).zip(denoised.chunks_exact(lr_len));
        let faces = crops.zip(hr.chunks_exact(hr_len));
        let places = squares.iter().zip(strengths).zip(patches);
        let faces = faces.zip(changes.chunks_exact(GRID_LEN));
        for ((((lr, denoised), hr), change), ((&square, &strength), patch)) in faces.zip(places) {
            renderer.shrink(shape, hr, &mut shrunk);
            let shrunk = &shrunk;
            let input =
                PatchInput { square, shape, strength, weights, lr, denoised, change, hr, shrunk };
            renderer.render(patch, &input, &info);
        }
        self.composite(frame, squares.iter().map(|_| (1, 0.0)));
    }
}
