//! The CPU as a backend: the canvas in system memory, the generator's sessions of this process.

use std::sync::Arc;

use super::{Backend, PaintTimes, Plan};
use crate::canvas::{Canvas, CpuCanvas};
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
    /// The last face of each place, `[3, 64, 64]`; empty where there is none.
    kept: Vec<Vec<f32>>,
    wanted: Vec<f32>,
    high: Vec<f32>,
    shown: Vec<f32>,
    squares: Vec<Square>,
    strengths: Vec<f32>,
}

impl CpuBackend {
    /// A backend for one stream.
    pub fn new(generator: Arc<Generator>) -> Self {
        Self {
            generator,
            canvas: CpuCanvas::default(),
            kept: Vec::new(),
            wanted: Vec::new(),
            high: Vec::new(),
            shown: Vec::new(),
            squares: Vec::new(),
            strengths: Vec::new(),
        }
    }

    /// Gathers in `self.shown` what each face is to look like, and keeps it.
    fn steady(&mut self, plans: &[Plan]) {
        self.shown.clear();
        let mut generated = self.high.chunks_exact_mut(HIGH_LEN);
        for plan in plans {
            if self.kept.len() <= plan.place {
                self.kept.resize(plan.place + 1, Vec::new());
            }
            let kept = &mut self.kept[plan.place];
            if plan.generate
                && let Some(high) = generated.next()
            {
                if plan.keep > 0.0 {
                    for (new, old) in high.iter_mut().zip(&*kept) {
                        *new += plan.keep * (old - *new);
                    }
                }
                kept.clear();
                kept.extend_from_slice(high);
            }
            // A place that was never filled shows grey rather than shift its neighbours.
            kept.resize(HIGH_LEN, 0.0);
            self.shown.extend_from_slice(kept);
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
    ) -> Result<(), Error> {
        let Picture::Host(frame) = picture else { return Err(out_of_reach()) };
        self.canvas.cut(&frame.as_frame(), squares, low);
        Ok(())
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
        self.squares.clear();
        self.squares.extend(plans.iter().map(|plan| plan.square));
        self.strengths.clear();
        self.strengths.extend(plans.iter().map(|plan| plan.strength));
        self.canvas.blend(frame, &self.squares, low, &self.shown, &self.strengths);
        Ok(PaintTimes { generate, blend: watch.elapsed() })
    }
}
