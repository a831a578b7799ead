//! Sharpens the faces of a frame: crop, generate, steady, blend.

mod align;
pub(crate) mod backend;
pub(crate) mod cpu;
pub(crate) mod cuda;
mod denoise;
mod fade;
mod focus;
pub mod generator;
pub mod ladder;
mod options;
mod planner;
mod reuse;

pub use options::{EnhancerOptions, EnhancerStats};

use std::time::Duration;

use self::backend::{Backend, Crops};
use self::cpu::CpuBackend;
use self::cuda::OpenError;
use self::generator::{Device, GeneratorOptions};
use self::ladder::Ladder;
use self::planner::Planner;
use crate::error::{Error, GpuError, InferenceError, ModelError};
use crate::face::Face;
use crate::frame::{CudaFrame, FrameClock, FrameMut, Picture, Timestamp};
use crate::geometry::CropSquare;
use crate::inference::model_source::{self, ModelSource};
use crate::util::cpu_time::CpuTimer;

/// With a limit to their number, faces that were sharpened before count as so much larger: two of
/// nearly one size would take turns otherwise.
const INCUMBENT: f32 = 1.15;

/// Sharpens faces of one stream.
///
/// ```
/// use facesr::{Enhancer, EnhancerOptions, Face, FrameInfo, FrameMut, GeneratorOptions};
/// use facesr::{PixelFormat, Rect};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut enhancer = Enhancer::open(&GeneratorOptions::default(), EnhancerOptions::default())?;
/// let info = FrameInfo::new(PixelFormat::Gray8, 64, 48);
/// let mut pixels: Vec<u8> = (0..64 * 48).map(|i| (i * i % 251) as u8).collect();
/// let before = pixels.clone();
///
/// let face = Face::new(1, Rect::new(20.0, 10.0, 20.0, 24.0), 0.9);
/// let mut frame = FrameMut::new(info, [pixels.as_mut_slice()], &[64])?;
/// assert_eq!(enhancer.enhance(&mut frame, &[face])?, 1);
/// assert_ne!(pixels, before);
/// # Ok(())
/// # }
/// ```
pub struct Enhancer {
    backend: Box<dyn Backend>,
    /// The generators of the backend.
    sources: Vec<ModelSource>,
    /// What goes on where the backend, a GPU, fails; `None` on the CPU.
    fallback: Option<Ladder>,
    notice: Option<String>,
    /// The user was told that the generator returns numbers that are not finite.
    told_not_finite: bool,
    options: EnhancerOptions,
    planner: Planner,
    /// When frames are shown, and the latest of them.
    clock: FrameClock,
    at: Duration,
    chosen: Vec<(Face, CropSquare)>,
    crops: Crops,
    stats: EnhancerStats,
}

impl Enhancer {
    /// An enhancer for one stream on the device that `generator` names, with the generators that it
    /// names. If the device is left open, a GPU is used if there is one and it works; if there is
    /// one that does not, [`take_notice`](Self::take_notice) says why.
    ///
    /// # Errors
    /// [`ModelError`] if a generator cannot be used, or not on the device that was asked for.
    pub fn open(
        generator: &GeneratorOptions,
        options: EnhancerOptions,
    ) -> Result<Self, ModelError> {
        let named = generator.files()?;
        let on_cpu = named.clone().unwrap_or_else(model_source::default_generators);
        let on_cpu = Ladder::open(&on_cpu, generator.threads)?;
        if generator.device == Device::Cpu {
            return Ok(Self::new(on_cpu, options));
        }
        match cuda::open(generator.cuda_device, named, &on_cpu) {
            Ok((backend, sources)) => Ok(Self::on(backend, sources, on_cpu, options)),
            Err(error) if generator.device == Device::Cuda => Err(match error {
                OpenError::Model(error) => error,
                OpenError::Gpu(error) => ModelError::Device {
                    model: on_cpu.generator(0).source().to_string(),
                    device: "cuda",
                    source: error.into(),
                    remedy: "; device=cpu or device=auto does without",
                },
            }),
            Err(error) => {
                let mut enhancer = Self::new(on_cpu, options);
                // A machine without a GPU is nothing to be told about.
                if !matches!(error, OpenError::Gpu(GpuError::NoDriver)) {
                    enhancer.notice =
                        Some(format!("The GPU is not used, the CPU does the work: {error}"));
                }
                Ok(enhancer)
            }
        }
    }

    /// An enhancer for one stream on the CPU; the generators may serve others too.
    pub fn new(ladder: impl Into<Ladder>, options: EnhancerOptions) -> Self {
        let ladder = ladder.into();
        let sources = sources(&ladder);
        Self::with(Box::new(CpuBackend::new(ladder)), sources, None, options)
    }

    /// An enhancer for one stream on `backend`, which runs the generators of `sources`. When it
    /// fails for the first time, the CPU takes over with `fallback`, from that very frame on.
    // Backends are no part of the public API.
    #[doc(hidden)]
    pub fn on(
        backend: Box<dyn Backend>,
        sources: Vec<ModelSource>,
        fallback: impl Into<Ladder>,
        options: EnhancerOptions,
    ) -> Self {
        Self::with(backend, sources, Some(fallback.into()), options)
    }

    fn with(
        backend: Box<dyn Backend>,
        sources: Vec<ModelSource>,
        fallback: Option<Ladder>,
        options: EnhancerOptions,
    ) -> Self {
        Self {
            backend,
            sources,
            fallback,
            notice: None,
            told_not_finite: false,
            options,
            planner: Planner::default(),
            clock: FrameClock::default(),
            at: Duration::ZERO,
            chosen: Vec::new(),
            crops: Crops::default(),
            stats: EnhancerStats::default(),
        }
    }

    /// What does the work, for messages.
    pub fn device(&self) -> &str {
        self.backend.name()
    }

    /// The generators that run, by increasing size of their faces.
    pub fn sources(&self) -> &[ModelSource] {
        &self.sources
    }

    /// The same in words.
    pub fn generators(&self) -> String {
        let names: Vec<_> = self.sources.iter().map(ModelSource::to_string).collect();
        names.join(" and ")
    }

    /// Whether it works on a GPU, so that [`enhance_cuda`](Self::enhance_cuda) can be used.
    pub fn is_on_gpu(&self) -> bool {
        self.fallback.is_some()
    }

    /// Something to tell the user, once: that, and why, a GPU is not or no longer used.
    pub fn take_notice(&mut self) -> Option<String> {
        self.notice.take()
    }

    /// Changes the options from the next frame on.
    pub fn set_options(&mut self, options: EnhancerOptions) {
        self.options = options;
    }

    /// Forgets what was kept of the faces: after a seek, a flush or a new scene.
    pub fn reset(&mut self) {
        self.planner.reset();
    }

    /// Counts and times since the enhancer was made.
    pub fn stats(&self) -> EnhancerStats {
        self.stats
    }

    /// Whether [`enhance`](Self::enhance) would change any pixel of a `width` x `height` frame:
    /// if not, the frame need not even be mapped.
    pub fn wants(&self, width: u32, height: u32, faces: &[Face]) -> bool {
        self.options.strength > 0.0
            && faces.iter().any(|face| self.square_of(face, width, height).is_some())
    }

    fn square_of(&self, face: &Face, width: u32, height: u32) -> Option<CropSquare> {
        let sizes = self.options.min_face_size..=self.options.max_face_size;
        CropSquare::around(&face.rect, width, height).filter(|s| sizes.contains(&s.side))
    }

    /// Sharpens `faces` in `frame`, and returns how many of them: those whose crop square has a
    /// size within the options' limits. The frame is taken to be shown one usual distance (40 ms) after the one before;
    /// [`enhance_at`](Self::enhance_at) is told. A GPU that fails is replaced by the CPU at once.
    ///
    /// # Errors
    /// What the generators return; the frame is then untouched.
    pub fn enhance(&mut self, frame: &mut FrameMut<'_>, faces: &[Face]) -> Result<usize, Error> {
        self.enhance_at(frame, faces, None)
    }

    /// The same for a frame that is shown `at` that time of the stream. Faces are remembered,
    /// refreshed and faded by it; after a long gap, or a jump back, nothing is known. `None` is
    /// one usual distance after the frame before.
    ///
    /// # Errors
    /// What the generators return; the frame is then untouched.
    pub fn enhance_at(
        &mut self,
        frame: &mut FrameMut<'_>,
        faces: &[Face],
        at: Option<Timestamp>,
    ) -> Result<usize, Error> {
        self.begin(at);
        match self.work(&mut Picture::Host(frame), faces) {
            Err(error) if self.fall_back(&error) => self.work(&mut Picture::Host(frame), faces),
            done => done,
        }
    }

    /// [`enhance`](Self::enhance) for a frame in the memory of the GPU that is used. If the GPU
    /// fails, the CPU takes over, and the frame is to be shown again in system memory.
    ///
    /// # Errors
    /// [`Error::Gpu`] if the GPU failed, or if none is in use; the frame may then hold faces
    /// already.
    pub fn enhance_cuda(&mut self, frame: CudaFrame<'_>, faces: &[Face]) -> Result<usize, Error> {
        self.enhance_cuda_at(frame, faces, None)
    }

    /// The same for a frame that is shown `at` that time of the stream, as
    /// [`enhance_at`](Self::enhance_at).
    ///
    /// # Errors
    /// As [`enhance_cuda`](Self::enhance_cuda).
    pub fn enhance_cuda_at(
        &mut self,
        frame: CudaFrame<'_>,
        faces: &[Face],
        at: Option<Timestamp>,
    ) -> Result<usize, Error> {
        let before = self.clock.clone();
        self.begin(at);
        let done = self.work(&mut Picture::Cuda(frame), faces);
        done.inspect_err(|error| {
            self.fall_back(error);
            // It comes again.
            self.stats.frames -= 1;
            self.clock = before;
        })
    }

    fn begin(&mut self, at: Option<Timestamp>) {
        let tick = self.clock.tick(at);
        if tick.gap {
            self.reset();
        }
        self.at = Duration::try_from_secs_f64(tick.now).unwrap_or(self.at);
        self.stats.frames += 1;
    }

    /// Replaces a GPU that failed by the CPU; whether there was one. What a model does wrong is
    /// not the device's fault.
    fn fall_back(&mut self, error: &Error) -> bool {
        if !matches!(error, Error::Gpu(GpuError::Failed { .. })) {
            return false;
        }
        let Some(ladder) = self.fallback.take() else { return false };
        self.notice = Some(format!("The GPU failed, the CPU goes on: {error}"));
        self.sources = sources(&ladder);
        self.backend = Box::new(CpuBackend::new(ladder));
        self.reset();
        true
    }

    fn work(&mut self, picture: &mut Picture<'_, '_>, faces: &[Face]) -> Result<usize, Error> {
        let (width, height) = (picture.info().width, picture.info().height);
        self.choose(width, height, faces);
        let n = self.chosen.len();
        if n == 0 || self.options.strength <= 0.0 {
            self.planner.forget_old(self.at);
            return Ok(0);
        }

        let (now, at) = (self.stats.frames, self.at);
        let Self { backend, planner, chosen, crops, options, .. } = self;
        planner.choose_rungs((now, at), chosen, backend.shapes(), options, crops);
        let cropped = backend.crop(picture, crops);
        self.stats.crop += cropped.inspect_err(|_| planner.reset())?;
        let timer = CpuTimer::start();
        let moved = planner.align(at, (width, height), chosen, crops, options);
        self.stats.crop += timer.elapsed();
        if moved {
            let cropped = backend.crop(picture, crops);
            self.stats.crop += cropped.inspect_err(|_| planner.reset())?;
        }

        let timer = CpuTimer::start();
        let plans = planner.plan(at, chosen, crops, options);
        self.stats.blend += timer.elapsed();

        let times = backend.render(picture, crops, plans);
        let times = times.inspect_err(|_| planner.reset())?;
        let generated = planner.record(&times);
        self.stats.faces_generated += generated as u64;
        self.stats.generate += times.generate.iter().sum::<Duration>();
        self.stats.blend += times.blend;
        let bad = times.not_finite.len();
        if bad == n {
            planner.reset();
            return Err(Error::inference(self.generators(), InferenceError::NotFinite));
        }
        if bad > 0 && !std::mem::replace(&mut self.told_not_finite, true) {
            self.notice = Some(format!(
                "{bad} of {n} faces stay as they are: {} failed: {}",
                self.generators(),
                InferenceError::NotFinite
            ));
        }
        self.stats.faces_not_finite += bad as u64;
        self.stats.faces_enhanced += (n - bad) as u64;
        Ok(n - bad)
    }

    /// Picks the faces to enhance, smallest first: where faces overlap, the larger is nearer to
    /// the camera and belongs on top.
    fn choose(&mut self, width: u32, height: u32, faces: &[Face]) {
        let mut chosen = std::mem::take(&mut self.chosen);
        chosen.clear();
        chosen
            .extend(faces.iter().filter_map(|f| self.square_of(f, width, height).map(|s| (*f, s))));
        let limit = self.options.max_faces;
        if limit > 0 && chosen.len() > limit {
            let rank = |(face, square): &(Face, CropSquare)| {
                square.side * if self.planner.remembers(face.id) { INCUMBENT } else { 1.0 }
            };
            chosen.sort_by(|a, b| rank(b).total_cmp(&rank(a)).then(a.0.id.cmp(&b.0.id)));
            chosen.truncate(limit);
        }
        chosen.sort_by(|a, b| a.1.side.total_cmp(&b.1.side).then(b.0.id.cmp(&a.0.id)));
        self.chosen = chosen;
    }
}

fn sources(ladder: &Ladder) -> Vec<ModelSource> {
    ladder.generators().iter().map(|generator| generator.source().clone()).collect()
}

#[cfg(test)]
mod tests;
