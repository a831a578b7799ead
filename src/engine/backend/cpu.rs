//! The CPU as a backend: the canvas in system memory, the generator's sessions of this process.

use std::sync::Arc;
use std::time::Duration;

use super::{Backend, PaintTimes, Plan};
use crate::canvas::{ColorTruth, CpuCanvas, Layer};
use crate::cuda::GpuError;
use crate::error::Error;
use crate::frame::Picture;
use crate::generator::{Generator, HIGH_LEN, LOW_LEN};
use crate::geometry::Square;
use crate::stopwatch::Stopwatch;

/// Works in system memory. The generator may serve other streams too.
#[derive(Debug)]
pub struct CpuBackend {
    generator: Arc<Generator>,
    canvas: CpuCanvas,
    truth: ColorTruth,
    /// By place.
    kept: Vec<Kept>,
    wanted: Vec<f32>,
    high: Vec<f32>,
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
    /// Puts `high` in its place, with a share `keep` of what is there mixed in.
    fn take_in(&mut self, high: &[f32], keep: f32, truth: &mut ColorTruth) {
        self.fill();
        if keep > 0.0 {
            for (old, new) in self.high.iter_mut().zip(high) {
                *old = new + keep * (*old - new);
            }
        } else {
            self.high.copy_from_slice(high);
        }
        truth.shrink(&self.high, &mut self.shrunk);
    }

    /// A place that was never filled shows grey.
    fn fill(&mut self) {
        self.high.resize(HIGH_LEN, 0.0);
        self.shrunk.resize(LOW_LEN, 0.0);
    }
}

impl CpuBackend {
    /// A backend for one stream, with as many threads as the generator has.
    pub fn new(generator: Arc<Generator>) -> Self {
        let canvas = CpuCanvas::new(generator.threads());
        Self {
            generator,
            canvas,
            truth: ColorTruth::default(),
            kept: Vec::new(),
            wanted: Vec::new(),
            high: Vec::new(),
        }
    }

    /// Keeps what was generated.
    fn steady(&mut self, plans: &[Plan]) {
        let places = plans.iter().map(|plan| plan.place + 1).max().unwrap_or(0);
        if self.kept.len() < places {
            self.kept.resize(places, Kept::default());
        }
        let mut generated = self.high.chunks_exact(HIGH_LEN);
        for plan in plans {
            let kept = &mut self.kept[plan.place];
            match if plan.generate { generated.next() } else { None } {
                Some(high) => kept.take_in(high, plan.keep, &mut self.truth),
                None => kept.fill(),
            }
        }
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
        self.wanted.clear();
        for (plan, low) in plans.iter().zip(low.chunks_exact(LOW_LEN)) {
            if plan.generate {
                self.wanted.extend_from_slice(low);
            }
        }
        self.high.resize(self.wanted.len() / LOW_LEN * HIGH_LEN, 0.0);
        let generate = self.generator.run(&self.wanted, &mut self.high)?;

        let watch = Stopwatch::start();
        self.steady(plans);
        let steadying = watch.elapsed();
        let layers: Vec<_> = plans
            .iter()
            .zip(low.chunks_exact(LOW_LEN))
            .map(|(plan, low)| {
                let Kept { high, shrunk } = &self.kept[plan.place];
                Layer { square: plan.square, strength: plan.strength, low, high, shrunk }
            })
            .collect();
        Ok(PaintTimes { generate, blend: steadying + self.canvas.blend(frame, &layers) })
    }
}
