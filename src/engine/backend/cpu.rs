//! The CPU as a backend: the canvas in system memory, the generator's sessions of this process.

use std::sync::Arc;
use std::time::Duration;

use super::{Backend, PaintTimes, Plan};
use crate::canvas::{CpuCanvas, FACES_A_THREAD, Layer, Patch, Press};
use crate::error::{Error, GpuError};
use crate::frame::{FrameInfo, Picture};
use crate::generator::{Generator, HIGH_LEN, LOW_LEN};
use crate::geometry::Square;
use crate::util::cpu_time::CpuTimer;
use crate::util::parallel::for_each_with;

/// Works in system memory. The generator may serve other streams too.
#[derive(Debug)]
pub struct CpuBackend {
    generator: Arc<Generator>,
    canvas: CpuCanvas,
    /// By place.
    kept: Vec<Kept>,
    /// Cuts of the faces that are generated anew.
    wanted: Vec<f32>,
}

/// The last face of a track.
#[derive(Debug, Clone, Default)]
struct Kept {
    /// `[3, 64, 64]`; grey where there is none.
    high: Vec<f32>,
    /// The same, shrunk to `[3, 16, 16]`: a face that is shown again need not be shrunk again.
    shrunk: Vec<f32>,
}

impl Kept {
    /// A place that was never filled shows grey.
    fn fill(&mut self) {
        self.high.resize(HIGH_LEN, 0.0);
        self.shrunk.resize(LOW_LEN, 0.0);
    }

    /// Puts `high` in its place, with a share `keep` of what is there mixed in.
    fn take_in(&mut self, high: &[f32], keep: f32, press: &mut Press) {
        if keep > 0.0 {
            for (old, new) in self.high.iter_mut().zip(high) {
                *old = new + keep * (*old - new);
            }
        } else {
            self.high.copy_from_slice(high);
        }
        press.shrink(&self.high, &mut self.shrunk);
    }
}

/// A face on its way from the cut to what is laid over the frame.
struct FaceWork<'a> {
    plan: &'a Plan,
    low: &'a [f32],
    kept: &'a mut Kept,
    patch: &'a mut Patch,
}

impl FaceWork<'_> {
    /// Makes the patch out of what is kept.
    fn press(&mut self, press: &mut Press, info: &FrameInfo) {
        let Plan { square, strength, .. } = *self.plan;
        let Kept { high, shrunk } = &*self.kept;
        press.fill(self.patch, &Layer { square, strength, low: self.low, high, shrunk }, info);
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
    press: &'a mut Press,
    generating: Duration,
    outcome: Result<(), Error>,
}

impl CpuBackend {
    /// A backend for one stream, with as many threads as the generator has.
    pub fn new(generator: Arc<Generator>) -> Self {
        let canvas = CpuCanvas::new(generator.threads());
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
        low: &[f32],
        plans: &[Plan],
    ) -> Result<PaintTimes, Error> {
        let places = plans.iter().map(|plan| plan.place + 1).max().unwrap_or(0);
        if self.kept.len() < places {
            self.kept.resize(places, Kept::default());
        }
        let (presses, patches) = self.canvas.tools(plans.len());
        let mut kept: Vec<_> = self.kept.iter_mut().map(Some).collect();
        let (mut anew, mut again) = (Vec::new(), Vec::new());
        self.wanted.clear();
        for ((plan, low), patch) in plans.iter().zip(low.chunks_exact(LOW_LEN)).zip(patches) {
            let Some(kept) = kept[plan.place].take() else {
                // Against the contract of plans.
                patch.clear();
                continue;
            };
            kept.fill();
            let face = FaceWork { plan, low, kept, patch };
            if plan.generate {
                self.wanted.extend_from_slice(low);
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
            .map(|press| Worker { press, generating: Duration::ZERO, outcome: Ok(()) })
            .collect();
        let cuts = self.wanted.chunks(share * LOW_LEN);
        let shares = cuts.zip(anew.chunks_mut(share)).map(|(cuts, faces)| Job::Anew(cuts, faces));
        let jobs = shares.chain(again.iter_mut().map(Job::Again));
        let generator = &*self.generator;
        let all =
            for_each_with(&mut workers, jobs, |worker, job| worker.work(job, generator, info));

        let mut generate = Duration::ZERO;
        for worker in workers {
            worker.outcome?;
            generate += worker.generating;
        }
        Ok(PaintTimes { generate, blend: all.saturating_sub(generate) })
    }
}

impl Worker<'_> {
    /// Does one thing, unless an earlier one has failed.
    fn work(&mut self, job: Job<'_, '_>, generator: &Generator, info: &FrameInfo) {
        let Self { press, generating, outcome } = self;
        if outcome.is_err() {
            return;
        }
        let (cuts, faces) = match job {
            Job::Again(face) => return face.press(press, info),
            Job::Anew(cuts, faces) => (cuts, faces),
        };
        let watch = CpuTimer::start();
        *outcome = generator.run_share(cuts, |high| {
            *generating += watch.elapsed();
            for (face, high) in faces.iter_mut().zip(high.chunks_exact(HIGH_LEN)) {
                face.kept.take_in(high, face.plan.keep, press);
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

    fn cut(
        &mut self,
        picture: &Picture<'_, '_>,
        squares: &[Square],
        low: &mut [f32],
    ) -> Result<Duration, Error> {
        let Picture::Host(frame) = picture else { return Err(out_of_reach()) };
        Ok(self.canvas.cut(&frame.as_frame(), squares, low))
    }

    fn paint(
        &mut self,
        picture: &mut Picture<'_, '_>,
        low: &[f32],
        plans: &[Plan],
    ) -> Result<PaintTimes, Error> {
        let Picture::Host(frame) = picture else { return Err(out_of_reach()) };
        let times = self.press(frame.info(), low, plans)?;
        let laying = self.canvas.lay(frame, plans.len());
        Ok(PaintTimes { blend: times.blend + laying, ..times })
    }
}
