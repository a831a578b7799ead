//! The loop around the steps: phases, budgets, checkpoints, validation, what is shown meanwhile.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::high_to_low_step::{self, HighToLowFigures};
use super::low_to_high_step::{self, LowToHighFigures};
use super::schedule::Phase;
use super::state::{Progress, State};
use super::training_data::TrainingData;
use super::validate::{self, Validation};
use super::{pair_validation, samples};
use crate::console::Log;
use crate::error::{Error, Result, at};
use crate::report;

/// When to stop and how often to look.
#[derive(Debug, Clone)]
pub struct Budget {
    /// Stop after so many minutes.
    pub minutes: Option<f64>,
    /// Stop after so many steps, all phases together.
    pub steps: Option<u64>,
    /// Time between checkpoints.
    pub checkpoint: Duration,
    /// Steps between lines of metrics.
    pub log: u64,
    /// Steps between validations with sample grids.
    pub validate: u64,
    /// Stop after the step in hand once this is set.
    pub stop: Option<Arc<AtomicBool>>,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            minutes: None,
            steps: None,
            checkpoint: Duration::from_secs(180),
            log: 25,
            validate: 500,
            stop: None,
        }
    }
}

#[derive(Serialize)]
struct Line<'a> {
    phase: &'static str,
    step: u64,
    seconds: f64,
    images_per_second: f64,
    #[serde(flatten)]
    stage1: Option<&'a HighToLowFigures>,
    #[serde(flatten)]
    stage2: Option<&'a LowToHighFigures>,
    #[serde(flatten)]
    validation: Option<&'a Validation>,
}

/// The files of a run.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// Opens or makes the folder of a run that goes on.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(path: &Path) -> Result<Self> {
        let samples = path.join("samples");
        fs::create_dir_all(&samples).map_err(at(&samples))?;
        Ok(Self(path.to_owned()))
    }

    /// Makes the folder of a new run. What another run has left there is removed with `force`.
    ///
    /// # Errors
    /// When there is a run already, or when the folder cannot be made.
    pub fn create(path: &Path, force: bool) -> Result<Self> {
        let folder = Self(path.to_owned());
        let phases = Phase::ALL.iter().flat_map(|p| [folder.after(*p), folder.best(*p)]);
        let files = [folder.metrics(), folder.last(), path.join("report.html")];
        let left: Vec<PathBuf> = phases.chain(files).filter(|f| f.exists()).collect();
        if let (Some(first), false) = (left.first(), force) {
            return Err(Error::Setting(format!(
                "{} holds a run already ({}): go on with it by --resume, name another folder, or \
                 begin again by --force",
                path.display(),
                first.file_name().unwrap_or_default().to_string_lossy()
            )));
        }
        for file in left {
            // A best checkpoint may be named for two phases.
            if file.exists() {
                fs::remove_file(&file).map_err(at(&file))?;
            }
        }
        let samples = path.join("samples");
        if samples.is_dir() {
            fs::remove_dir_all(&samples).map_err(at(&samples))?;
        }
        Self::open(path)
    }

    /// The newest state.
    pub fn last(&self) -> PathBuf {
        self.0.join("last.safetensors")
    }

    /// The state with the best validation score: of the pixel warm-up, or of the phases with a
    /// discriminator.
    pub fn best(&self, phase: Phase) -> PathBuf {
        self.0.join(if phase == Phase::Pixel {
            "best-pixel.safetensors"
        } else {
            "best.safetensors"
        })
    }

    /// The state at the end of a phase.
    pub fn after(&self, phase: Phase) -> PathBuf {
        self.0.join(format!("after-{}.safetensors", phase.name()))
    }

    /// Metrics, one JSON object a line.
    pub fn metrics(&self) -> PathBuf {
        self.0.join("metrics.jsonl")
    }

    /// Notes in the metrics with which learning rates and weights a run goes on.
    ///
    /// # Errors
    /// When the metrics cannot be written.
    pub fn note_resumed(&self, state: &State) -> Result<()> {
        Log::open(&self.metrics())?.line(&serde_json::json!({
            "event": "resumed",
            "phase": state.progress.phase,
            "step": state.progress.step,
            "rates": state.config.rates,
            "weights": state.config.weights,
            "pixel_loss": state.config.pixel_loss,
        }))
    }

    /// Rewrites `report.html`.
    ///
    /// # Errors
    /// When a file of the run cannot be read or the report cannot be written.
    pub fn report(&self, state: &State) -> Result<()> {
        let settings = serde_json::to_string_pretty(&state.config)
            .map_err(|e| Error::Training(format!("the settings cannot be written: {e}")))?;
        let samples = self.0.join("samples");
        report::write(&self.metrics(), &samples, &settings, &self.0.join("report.html"))
    }

    fn sample(&self, phase: Phase, step: u64) -> PathBuf {
        let number = Phase::ALL.iter().position(|p| *p == phase).unwrap_or(0) + 1;
        self.0.join("samples").join(format!("{number}-{}-{step:06}.png", phase.name()))
    }
}

fn one_step(
    state: &mut State,
    data: &TrainingData,
) -> Result<(Option<HighToLowFigures>, Option<LowToHighFigures>)> {
    Ok(match state.progress.phase {
        Phase::HighToLow => (Some(high_to_low_step::step(state, data)?), None),
        Phase::Pixel => (None, Some(low_to_high_step::pixel_step(state, data)?)),
        Phase::Gan => (None, Some(low_to_high_step::gan_step(state, data)?)),
        Phase::Joint => {
            let first = high_to_low_step::step(state, data)?;
            (Some(first), Some(low_to_high_step::gan_step(state, data)?))
        }
    })
}

fn finite(first: Option<&HighToLowFigures>, second: Option<&LowToHighFigures>) -> bool {
    first.is_none_or(|f| (f.lr_d + f.lr_gan + f.lr_pixel).is_finite())
        && second.is_none_or(|s| {
            let all = [
                s.hr_d,
                s.hr_gan,
                s.hr_pixel,
                s.features,
                s.projected_gan,
                s.perceptual,
                s.identity,
            ];
            all.iter().sum::<f64>().is_finite()
        })
}

/// True for a validation that is better than the best of its phase by more than chance. Without pairs
/// of real encoders to judge by, only what a discriminator has a say in counts.
fn is_best(progress: &Progress, found: &Validation) -> bool {
    let judged = match progress.phase {
        Phase::HighToLow => false,
        Phase::Pixel => found.encoded.is_some(),
        Phase::Gan | Phase::Joint => true,
    };
    let Some(best) = progress.best else { return judged };
    let clearly = match &found.encoded {
        Some(pairs) => pair_validation::clearly_better(&pairs.scores, &progress.best_scores),
        None => found.score() < best - found.score_error,
    };
    judged && clearly
}

/// Saves a state, unless its weights are no longer numbers: what lies there is better.
fn keep(state: &State, path: &Path) -> Result<()> {
    if state.is_finite() {
        return state.save(path);
    }
    Err(Error::Training(format!(
        "the weights are no longer numbers at step {} of {}: {} stays as it was; resume from it with \
         a lower learning rate",
        state.progress.step,
        state.progress.phase.name(),
        path.display()
    )))
}

fn bar(phase: Phase, from: u64, total: u64) -> ProgressBar {
    let bar = ProgressBar::new(total);
    let style = "{prefix:11} {bar:30} {pos}/{len}  {eta} left  {msg}";
    if let Ok(style) = ProgressStyle::with_template(style) {
        bar.set_style(style);
    }
    bar.set_prefix(phase.name());
    bar.set_position(from);
    bar.reset_eta();
    bar
}

/// Trains until the phases or the budget are at an end. The last state is always saved.
///
/// # Errors
/// When a file cannot be written, or when a loss is no longer a number (the last checkpoint is kept).
pub fn train(
    state: &mut State,
    data: &TrainingData,
    folder: &Folder,
    budget: &Budget,
) -> Result<()> {
    let mut log = Log::open(&folder.metrics())?;
    let start = Instant::now();
    let before = state.progress.seconds;
    let mut saved = Instant::now();
    let mut steps_done = 0u64;
    loop {
        let phase = state.progress.phase;
        let total = phase.steps(&state.config.steps);
        let bar = bar(phase, state.progress.step, total);
        let mut mark = (Instant::now(), 0u64);
        while state.progress.step < total {
            let out_of_time =
                budget.minutes.is_some_and(|m| start.elapsed().as_secs_f64() > m * 60.0);
            let asked = budget.stop.as_ref().is_some_and(|stop| stop.load(Ordering::Relaxed));
            if asked || out_of_time || budget.steps.is_some_and(|s| steps_done >= s) {
                return keep(state, &folder.last());
            }
            let (first, second) = one_step(state, data)?;
            state.progress.step += 1;
            state.progress.seconds = before + start.elapsed().as_secs_f64();
            steps_done += 1;
            mark.1 += 1;
            bar.inc(1);
            let step = state.progress.step;
            if !finite(first.as_ref(), second.as_ref()) {
                return Err(Error::Training(format!(
                    "the loss is no longer a number at step {step} of {}: resume from the last \
                     checkpoint with a lower learning rate",
                    phase.name()
                )));
            }
            let validation = (step.is_multiple_of(budget.validate) || step == total)
                .then(|| validate::measure(state, data))
                .transpose()?;
            if step.is_multiple_of(budget.log) || validation.is_some() {
                let speed = (mark.1 * state.config.batch as u64) as f64
                    / mark.0.elapsed().as_secs_f64().max(1e-9);
                mark = (Instant::now(), 0);
                bar.set_message(format!("{speed:.0} img/s"));
                log.line(&Line {
                    phase: phase.name(),
                    step,
                    seconds: state.progress.seconds,
                    images_per_second: speed,
                    stage1: first.as_ref(),
                    stage2: second.as_ref(),
                    validation: validation.as_ref(),
                })?;
            }
            if let Some(found) = validation {
                if is_best(&state.progress, &found) {
                    state.progress.best = Some(found.score());
                    state.progress.best_scores = found.encoded.map_or(Vec::new(), |e| e.scores);
                    keep(state, &folder.best(phase))?;
                }
                data.rescan()?;
                samples::write(state, data, &folder.sample(phase, step))?;
                folder.report(state)?;
            }
            if saved.elapsed() > budget.checkpoint {
                keep(state, &folder.last())?;
                saved = Instant::now();
            }
        }
        bar.finish_and_clear();
        if total > 0 {
            keep(state, &folder.after(phase))?;
        }
        if !state.next_phase() {
            return keep(state, &folder.last());
        }
    }
}
