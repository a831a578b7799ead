//! Cutting faces out of a frame and blending them back, on the CPU.
//!
//! A cut is the crop square resampled once, with an antialiased bicubic filter, straight from the
//! frame's own planes to 16x16 RGB: what the networks saw in training. A blend is the way back:
//! the generated face, its broad colours and shades set to those of the cut, resampled to the
//! square and laid over the frame under an elliptical feather. Only samples inside the squares
//! are read or written. The CUDA kernels do the same sums in the same order.

mod color_match;
mod compositor;
mod crop;
mod patch;

pub use color_match::ColorMatch;
pub use compositor::Compositor;

use std::sync::Arc;
use std::time::Duration;

use self::compositor::FACES_A_THREAD;
use self::patch::{Patch, PatchInput, PatchRenderer};
use super::backend::{Backend, FacePlan, RenderTimes};
use crate::enhance::generator::{Generator, HR_LEN, LR_LEN, is_finite};
use crate::error::{Error, GpuError};
use crate::frame::{FrameInfo, Picture};
use crate::geometry::CropSquare;
use crate::util::cpu_time::CpuTimer;
use crate::util::parallel::for_each_with;

/// A crop square in the sample coordinates of one component.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Area {
    x: f32,
    y: f32,
    w: f32,
    h: f32,
}

impl Area {
    fn of(square: &CropSquare, info: &FrameInfo, hsub: u32, vsub: u32) -> Self {
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

/// Works in system memory. The generator may serve other streams too.
#[derive(Debug)]
pub struct CpuBackend {
    generator: Arc<Generator>,
    canvas: Compositor,
    /// By place.
    kept: Vec<CachedFace>,
    /// Cuts of the faces that are generated anew.
    wanted: Vec<f32>,
}

/// The last face of a track.
#[derive(Debug, Clone, Default)]
struct CachedFace {
    /// `[3, 64, 64]`; grey where there is none.
    hr: Vec<f32>,
    /// The same, shrunk to `[3, 16, 16]`: a face that is shown again need not be shrunk again.
    shrunk: Vec<f32>,
}

impl CachedFace {
    /// A place that was never filled shows grey.
    fn fill(&mut self) {
        self.hr.resize(HR_LEN, 0.0);
        self.shrunk.resize(LR_LEN, 0.0);
    }

    /// Puts `hr` in its place, with a share `keep` of what is there mixed in.
    fn take_in(&mut self, hr: &[f32], keep: f32, press: &mut PatchRenderer) {
        if keep > 0.0 {
            for (old, new) in self.hr.iter_mut().zip(hr) {
                *old = new + keep * (*old - new);
            }
        } else {
            self.hr.copy_from_slice(hr);
        }
        press.shrink(&self.hr, &mut self.shrunk);
    }
}

/// A face on its way from the cut to what is laid over the frame.
struct FaceWork<'a> {
    /// Number of its plan.
    number: usize,
    plan: &'a FacePlan,
    lr: &'a [f32],
    kept: &'a mut CachedFace,
    patch: &'a mut Patch,
}

impl FaceWork<'_> {
    /// Makes the patch out of what is kept.
    fn press(&mut self, press: &mut PatchRenderer, info: &FrameInfo) {
        let FacePlan { square, strength, .. } = *self.plan;
        let CachedFace { hr, shrunk } = &*self.kept;
        press.fill(self.patch, &PatchInput { square, strength, lr: self.lr, hr, shrunk }, info);
    }
}

/// What a thread takes up at a time.
enum Job<'a, 'b> {
    /// Faces to be generated, from these cuts.
    Anew(&'b [f32], &'b mut [FaceWork<'a>]),
    /// A face that is shown again.
    Again(&'b mut FaceWork<'a>),
}

/// A thread's own.
struct Worker<'a> {
    press: &'a mut PatchRenderer,
    generating: Duration,
    not_finite: Vec<usize>,
    outcome: Result<(), Error>,
}

impl CpuBackend {
    /// A backend for one stream, with as many threads as the generator has.
    pub fn new(generator: Arc<Generator>) -> Self {
        let canvas = Compositor::new(generator.threads());
        Self { generator, canvas, kept: Vec::new(), wanted: Vec::new() }
    }

    /// Generates, steadies and presses: one round of threads, who begin with what takes longest, so
    /// that small things fill the time until all are done.
    ///
    /// # Errors
    /// What the generator answers.
    fn press(
        &mut self,
        info: &FrameInfo,
        lr: &[f32],
        plans: &[FacePlan],
    ) -> Result<RenderTimes, Error> {
        let places = plans.iter().map(|plan| plan.slot + 1).max().unwrap_or(0);
        if self.kept.len() < places {
            self.kept.resize(places, CachedFace::default());
        }
        let (presses, patches) = self.canvas.tools(plans.len());
        let mut kept: Vec<_> = self.kept.iter_mut().map(Some).collect();
        let (mut anew, mut again) = (Vec::new(), Vec::new());
        self.wanted.clear();
        let faces = plans.iter().zip(lr.chunks_exact(LR_LEN)).zip(patches);
        for (number, ((plan, lr), patch)) in faces.enumerate() {
            let Some(kept) = kept[plan.slot].take() else {
                // Against the contract of plans.
                patch.clear();
                continue;
            };
            kept.fill();
            let face = FaceWork { number, plan, lr, kept, patch };
            if plan.generate {
                self.wanted.extend_from_slice(lr);
                anew.push(face);
            } else {
                again.push(face);
            }
        }

        let share = self.generator.share(anew.len());
        let needed = anew.len().div_ceil(share) + again.len() / FACES_A_THREAD;
        let mut workers: Vec<_> = presses
            .iter_mut()
            .take(needed.max(1))
            .map(|press| Worker {
                press,
                generating: Duration::ZERO,
                not_finite: Vec::new(),
                outcome: Ok(()),
            })
            .collect();
        let cuts = self.wanted.chunks(share * LR_LEN);
        let shares = cuts.zip(anew.chunks_mut(share)).map(|(cuts, faces)| Job::Anew(cuts, faces));
        let jobs = shares.chain(again.iter_mut().map(Job::Again));
        let generator = &*self.generator;
        let all =
            for_each_with(&mut workers, jobs, |worker, job| worker.work(job, generator, info));

        let (mut generate, mut not_finite) = (Duration::ZERO, Vec::new());
        for worker in workers {
            worker.outcome?;
            generate += worker.generating;
            not_finite.extend(worker.not_finite);
        }
        Ok(RenderTimes { generate, blend: all.saturating_sub(generate), not_finite })
    }
}

impl Worker<'_> {
    /// Does one thing, unless an earlier one has failed.
    fn work(&mut self, job: Job<'_, '_>, generator: &Generator, info: &FrameInfo) {
        let Self { press, generating, not_finite, outcome } = self;
        if outcome.is_err() {
            return;
        }
        let (cuts, faces) = match job {
            Job::Again(face) => return face.press(press, info),
            Job::Anew(cuts, faces) => (cuts, faces),
        };
        let watch = CpuTimer::start();
        *outcome = generator.run_share(cuts, |hr| {
            *generating += watch.elapsed();
            for (face, hr) in faces.iter_mut().zip(hr.chunks_exact(HR_LEN)) {
                if !is_finite(hr) {
                    not_finite.push(face.number);
                    face.patch.clear();
                    continue;
                }
                face.kept.take_in(hr, face.plan.keep, press);
                face.press(press, info);
            }
        });
    }
}

/// What a frame in device memory is to the CPU.
fn out_of_reach() -> Error {
    GpuError::Unusable("the CPU cannot reach a frame in CUDA memory".into()).into()
}

impl Backend for CpuBackend {
    fn name(&self) -> &str {
        "the CPU"
    }

    fn crop(
        &mut self,
        picture: &Picture<'_, '_>,
        squares: &[CropSquare],
        lr: &mut [f32],
    ) -> Result<Duration, Error> {
        let Picture::Host(frame) = picture else { return Err(out_of_reach()) };
        Ok(self.canvas.crop(&frame.as_frame(), squares, lr))
    }

    fn render(
        &mut self,
        picture: &mut Picture<'_, '_>,
        lr: &[f32],
        plans: &[FacePlan],
    ) -> Result<RenderTimes, Error> {
        let Picture::Host(frame) = picture else { return Err(out_of_reach()) };
        let times = self.press(frame.info(), lr, plans)?;
        let laying = self.canvas.lay(frame, plans.len());
        Ok(RenderTimes { blend: times.blend + laying, ..times })
    }
}
