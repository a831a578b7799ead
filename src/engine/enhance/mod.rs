//! Sharpens the faces of a frame: cut, generate, steady, blend.

pub mod backend;
pub mod cpu;
pub mod cuda;
pub mod generator;
mod options;
mod planner;
mod reuse;

pub use options::{EnhancerOptions, EnhancerStats};

use std::sync::Arc;

use self::backend::Backend;
use self::cpu::CpuBackend;
use self::cuda::OpenError;
use self::generator::{Device, Generator, GeneratorOptions, LR_LEN, NOT_FINITE};
use self::planner::Planner;
use crate::error::{Error, GpuError, ModelError};
use crate::face::Face;
use crate::frame::{CudaFrame, FrameMut, Picture};
use crate::geometry::CropSquare;
use crate::inference::model_source::ModelSource;
use crate::util::cpu_time::CpuTimer;

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
/// let face = Face { id: 1, rect: Rect::new(20.0, 10.0, 20.0, 24.0), score: 0.9 };
/// let mut frame = FrameMut::new(info, [pixels.as_mut_slice()], &[64])?;
/// assert_eq!(enhancer.enhance(&mut frame, &[face])?, 1);
/// assert_ne!(pixels, before);
/// # Ok(())
/// # }
/// ```
pub struct Enhancer {
    backend: Box<dyn Backend>,
    /// The generator of the backend.
    source: ModelSource,
    /// What goes on where the backend, a GPU, fails; `None` on the CPU.
    fallback: Option<Arc<Generator>>,
    notice: Option<String>,
    /// The user was told that the generator returns numbers that are not finite.
    told_not_finite: bool,
    options: EnhancerOptions,
    planner: Planner,
    chosen: Vec<(Face, CropSquare)>,
    squares: Vec<CropSquare>,
    lr: Vec<f32>,
    stats: EnhancerStats,
}

impl Enhancer {
    /// An enhancer for one stream on the device that `generator` names, with the generator that it
    /// names. If the device is left open, a GPU is used if there is one and it works; if there is
    /// one that does not, [`take_notice`](Self::take_notice) says why.
    ///
    /// # Errors
    /// [`ModelError`] if the generator cannot be used, or not on the device that was asked for.
    pub fn open(
        generator: &GeneratorOptions,
        options: EnhancerOptions,
    ) -> Result<Self, ModelError> {
        let on_cpu = Generator::open(generator)?;
        if generator.device == Device::Cpu {
            return Ok(Self::new(on_cpu, options));
        }
        match cuda::open(generator.cuda_device, generator.file()?) {
            Ok((backend, source)) => Ok(Self::on(backend, source, on_cpu, options)),
            Err(error) if generator.device == Device::Cuda => Err(match error {
                OpenError::Model(error) => error,
                OpenError::Gpu(error) => ModelError::Device {
                    model: on_cpu.source().to_string(),
                    device: "cuda",
                    reason: format!("{error}; device=cpu or device=auto does without"),
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

    /// An enhancer for one stream on the CPU; the generator may serve others too.
    pub fn new(generator: Arc<Generator>, options: EnhancerOptions) -> Self {
        let source = generator.source().clone();
        Self::with(Box::new(CpuBackend::new(generator)), source, None, options)
    }

    /// An enhancer for one stream on `backend`, which runs the generator of `source`. When it fails
    /// for the first time, the CPU takes over with `fallback`, from that very frame on.
    pub fn on(
        backend: Box<dyn Backend>,
        source: ModelSource,
        fallback: Arc<Generator>,
        options: EnhancerOptions,
    ) -> Self {
        Self::with(backend, source, Some(fallback), options)
    }

    fn with(
        backend: Box<dyn Backend>,
        source: ModelSource,
        fallback: Option<Arc<Generator>>,
        options: EnhancerOptions,
    ) -> Self {
        Self {
            backend,
            source,
            fallback,
            notice: None,
            told_not_finite: false,
            options,
            planner: Planner::default(),
            chosen: Vec::new(),
            squares: Vec::new(),
            lr: Vec::new(),
            stats: EnhancerStats::default(),
        }
    }

    /// What does the work, for messages.
    pub fn device(&self) -> &str {
        self.backend.name()
    }

    /// The generator that runs.
    pub fn source(&self) -> &ModelSource {
        &self.source
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

    /// Sharpens `faces` in `frame`, and answers how many of them: those whose crop square has a
    /// size within the options' limits. A GPU that fails is replaced by the CPU at once.
    ///
    /// # Errors
    /// What the generator answers; the frame is then untouched.
    pub fn enhance(&mut self, frame: &mut FrameMut<'_>, faces: &[Face]) -> Result<usize, Error> {
        self.stats.frames += 1;
        match self.work(&mut Picture::Host(frame), faces) {
            Err(error) if self.fall_back(&error) => self.work(&mut Picture::Host(frame), faces),
            done => done,
        }
    }

    /// The same for a frame in the memory of the GPU that is used. If the GPU fails, the CPU takes
    /// over, and the frame is to be shown again in system memory, to [`enhance`](Self::enhance).
    ///
    /// # Errors
    /// [`Error::Gpu`] if the GPU failed, or if none is in use; the frame may then hold faces
    /// already.
    pub fn enhance_cuda(&mut self, frame: CudaFrame<'_>, faces: &[Face]) -> Result<usize, Error> {
        self.stats.frames += 1;
        let done = self.work(&mut Picture::Cuda(frame), faces);
        done.inspect_err(|error| {
            self.fall_back(error);
            // It comes again.
            self.stats.frames -= 1;
        })
    }

    /// Replaces a GPU that failed by the CPU; whether there was one. What a model does wrong is
    /// not the device's fault.
    fn fall_back(&mut self, error: &Error) -> bool {
        if !matches!(error, Error::Gpu(GpuError::Failed { .. })) {
            return false;
        }
        let Some(generator) = self.fallback.take() else { return false };
        self.notice = Some(format!("The GPU failed, the CPU goes on: {error}"));
        self.source = generator.source().clone();
        self.backend = Box::new(CpuBackend::new(generator));
        self.reset();
        true
    }

    fn work(&mut self, picture: &mut Picture<'_, '_>, faces: &[Face]) -> Result<usize, Error> {
        let (width, height) = (picture.info().width, picture.info().height);
        self.choose(width, height, faces);
        let n = self.chosen.len();
        if n == 0 || self.options.strength <= 0.0 {
            self.reset();
            return Ok(0);
        }

        self.squares.clear();
        self.squares.extend(self.chosen.iter().map(|(_, square)| *square));
        self.lr.resize(n * LR_LEN, 0.0);
        self.stats.crop += self.backend.crop(picture, &self.squares, &mut self.lr)?;

        let watch = CpuTimer::start();
        let plans = self.planner.plan(self.stats.frames, &self.chosen, &self.lr, &self.options);
        self.stats.blend += watch.elapsed();

        let times = self.backend.render(picture, &self.lr, plans);
        let times = times.inspect_err(|_| self.planner.reset())?;
        self.stats.faces_generated += self.planner.record(&times) as u64;
        self.stats.generate += times.generate;
        self.stats.blend += times.blend;
        let bad = times.not_finite.len();
        if bad == n {
            self.planner.reset();
            return Err(Error::Inference {
                model: self.source.to_string(),
                reason: NOT_FINITE.into(),
            });
        }
        if bad > 0 && !std::mem::replace(&mut self.told_not_finite, true) {
            self.notice = Some(format!(
                "{bad} of {n} faces stay as they are: {} failed: {NOT_FINITE}",
                self.source
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
        chosen.sort_by(|a, b| a.1.side.total_cmp(&b.1.side).then(b.0.id.cmp(&a.0.id)));
        let limit = self.options.max_faces;
        if limit > 0 && chosen.len() > limit {
            chosen.drain(..chosen.len() - limit);
        }
        self.chosen = chosen;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use self::generator::GeneratorOptions;
    use super::*;
    use crate::frame::{FrameInfo, PixelFormat};
    use crate::geometry::Rect;

    fn face(id: u64, x: f32, y: f32, size: f32) -> Face {
        Face { id, rect: Rect::new(x, y, size, size), score: 0.9 }
    }

    fn enhancer(options: EnhancerOptions) -> Enhancer {
        Enhancer::new(Generator::open(&GeneratorOptions::default()).unwrap(), options)
    }

    fn gray(seed: u32) -> Vec<u8> {
        (0..200u32 * 120).map(|i| ((i * i / 7 + i * seed) % 199) as u8 + 20).collect()
    }

    fn run(enhancer: &mut Enhancer, data: &mut [u8], faces: &[Face]) -> usize {
        let info = FrameInfo::new(PixelFormat::Gray8, 200, 120);
        enhancer.enhance(&mut FrameMut::new(info, [data], &[200]).unwrap(), faces).unwrap()
    }

    #[test]
    fn only_faces_of_the_right_size_and_only_their_squares_change() {
        let mut enhancer = enhancer(EnhancerOptions::default());
        let before = gray(3);
        let mut data = before.clone();
        let faces =
            [face(1, 20.0, 30.0, 24.0), face(2, 100.0, 20.0, 5.0), face(3, 90.0, 10.0, 95.0)];
        assert_eq!(run(&mut enhancer, &mut data, &faces), 1);
        let square = CropSquare::around(&faces[0].rect, 200, 120).unwrap();
        let mut changed = 0;
        for (i, (a, b)) in before.iter().zip(&data).enumerate() {
            let (x, y) = ((i % 200) as f32 + 0.5, (i / 200) as f32 + 0.5);
            let inside = x > square.x
                && x < square.x + square.side
                && y > square.y
                && y < square.y + square.side;
            assert!(inside || a == b, "pixel {x} {y} changed");
            changed += usize::from(a != b);
        }
        assert!(changed > 200);
    }

    #[test]
    fn no_two_faces_of_a_frame_share_a_place() {
        let mut enhancer = enhancer(EnhancerOptions::default());
        for round in 0..4u64 {
            // Numbers that come twice, and others that come and go.
            let faces: Vec<_> = (0..5)
                .map(|i| face(1 + (i + round) % 4, 10.0 + 36.0 * i as f32, 40.0, 16.0))
                .collect();
            run(&mut enhancer, &mut gray(1), &faces);
            let mut places: Vec<_> =
                enhancer.planner.plans().iter().map(|plan| plan.slot).collect();
            places.sort_unstable();
            places.dedup();
            assert_eq!(places.len(), 5);
        }
    }

    #[test]
    fn strength_zero_and_no_faces_change_nothing() {
        let mut off = enhancer(EnhancerOptions { strength: 0.0, ..Default::default() });
        let before = gray(5);
        let mut data = before.clone();
        assert!(!off.wants(200, 120, &[face(1, 20.0, 30.0, 24.0)]));
        assert_eq!(run(&mut off, &mut data, &[face(1, 20.0, 30.0, 24.0)]), 0);
        let mut on = enhancer(EnhancerOptions::default());
        assert_eq!(run(&mut on, &mut data, &[]), 0);
        assert_eq!(before, data);
    }

    #[test]
    fn strength_fades_towards_the_size_limits() {
        let options = EnhancerOptions { strength: 0.8, ..Default::default() };
        for (side, wanted) in [(8.0, 0.0), (10.0, 0.8), (40.0, 0.8), (60.0, 0.4), (80.0, 0.0)] {
            assert!((options.strength_at(side) - wanted).abs() < 1e-5, "{side}");
        }
        let all = EnhancerOptions { min_face_size: 0.0, max_face_size: 1e6, ..Default::default() };
        assert_eq!(all.strength_at(300.0), 1.0);
    }

    #[test]
    fn the_largest_faces_are_kept() {
        let mut enhancer = enhancer(EnhancerOptions { max_faces: 2, ..Default::default() });
        let faces: Vec<_> =
            (0..5).map(|i| face(i + 1, 10.0 + 35.0 * i as f32, 40.0, 12.0 + i as f32)).collect();
        assert_eq!(run(&mut enhancer, &mut gray(1), &faces), 2);
        let ids: Vec<_> = enhancer.chosen.iter().map(|(f, _)| f.id).collect();
        assert_eq!(ids, [4, 5]);
    }

    #[test]
    fn faces_are_generated_anew_only_where_they_have_changed() {
        let mut enhancer =
            enhancer(EnhancerOptions { temporal_smoothing: 0.0, ..Default::default() });
        let faces = [face(1, 20.0, 30.0, 24.0), face(2, 100.0, 30.0, 24.0)];
        let (mut once, mut again) = (gray(3), gray(3));
        run(&mut enhancer, &mut once, &faces);
        run(&mut enhancer, &mut again, &faces);
        assert_eq!((enhancer.stats().faces_enhanced, enhancer.stats().faces_generated), (4, 2));
        assert_eq!(once, again);
        // The right half changes.
        let mut other = gray(3);
        for (i, v) in other.iter_mut().enumerate() {
            *v = if i % 200 >= 90 { 255 - *v } else { *v };
        }
        run(&mut enhancer, &mut other, &faces);
        assert_eq!(enhancer.stats().faces_generated, 3);
        let left = |data: &[u8]| -> Vec<u8> {
            data.chunks(200).flat_map(|row| row[..80].to_vec()).collect()
        };
        assert_eq!(left(&other), left(&once));
        // After a second each is.
        for _ in 0..30 {
            run(&mut enhancer, &mut gray(3), &faces);
        }
        assert_eq!(enhancer.stats().faces_generated, 6);
        // And always, if that is what is asked for.
        enhancer.set_options(EnhancerOptions { reuse: 0.0, ..Default::default() });
        run(&mut enhancer, &mut gray(3), &faces);
        assert_eq!(enhancer.stats().faces_generated, 8);
    }

    #[test]
    fn within_a_budget_faces_take_their_turn() {
        let mut enhancer = enhancer(EnhancerOptions {
            budget: Some(Duration::from_nanos(1)),
            ..Default::default()
        });
        let faces: Vec<_> = (0..4).map(|i| face(i + 1, 45.0 * i as f32, 40.0, 30.0)).collect();
        let before = gray(3);
        for n in 1..=4 {
            let mut data = before.clone();
            run(&mut enhancer, &mut data, &faces);
            assert_eq!(enhancer.stats().faces_generated, n);
            let touched = faces.iter().filter(|face| {
                let at = face.rect.center();
                let at = at.y as usize * 200 + at.x as usize;
                (0..5).any(|d| data[at + d] != before[at + d])
            });
            assert_eq!(touched.count() as u64, n);
        }
    }

    #[test]
    fn a_still_face_flickers_less_with_smoothing() {
        let flicker = |smoothing: f32, reuse: f32| {
            let mut enhancer = enhancer(EnhancerOptions {
                temporal_smoothing: smoothing,
                reuse,
                ..Default::default()
            });
            let mut last: Option<Vec<u8>> = None;
            let mut sum = 0u64;
            for i in 0..12u32 {
                let mut data = gray(3);
                for (k, v) in data.iter_mut().enumerate() {
                    *v = v.saturating_add(
                        ((k as u32).wrapping_mul(2_654_435_761 + i * 977) >> 29) as u8,
                    );
                }
                run(&mut enhancer, &mut data, &[face(1, 60.0, 40.0, 30.0)]);
                if let Some(last) = &last {
                    sum +=
                        last.iter().zip(&data).map(|(a, b)| u64::from(a.abs_diff(*b))).sum::<u64>();
                }
                last = Some(data);
            }
            sum
        };
        assert!(flicker(1.0, 0.0) < flicker(0.0, 0.0));
        assert!(flicker(0.0, 0.1) < flicker(0.0, 0.0));
    }
}
