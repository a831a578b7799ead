//! Adapts trained generators to one camera: High-to-Low learns from real faces of that camera how it
//! degrades them, then Low-to-High learns to undo just that. A quarter of the faces, by track, is held
//! back and judged before and after.

use std::path::Path;
use std::time::Instant;

use serde::Serialize;
use tch::{Kind, Tensor, no_grad};

use crate::config::{Config, Pairs, PhaseSteps, Rates, Weights};
use crate::console::bicubic;
use crate::dataset::batch::{fixed_batch, to_8bit};
use crate::dataset::faces::Faces;
use crate::error::{Error, Result};
use crate::export::weights;
use crate::metrics::distance::kernel_distance;
use crate::metrics::quality::mean_psnr;
use crate::metrics::random_features::Features;
use crate::models::high_to_low::noise;
use crate::models::low_to_high::LowToHighConfig;
use crate::rng::{Rng, Stream};
use crate::scale::Scale;
use crate::training::low_to_high_step::degrade;
use crate::training::schedule::Phase;
use crate::training::state::{Progress, State};
use crate::training::trainer::{self, Budget, Folder};
use crate::training::training_data::TrainingData;
use crate::training::validate::{self, Validation};
use crate::training::{high_to_low_step, low_to_high_step};

/// Share of a camera's faces that is held back.
const HELD: f64 = 0.25;
/// Least faces to learn from, and of other people to judge by. Adapted to 8 of one person, the shipped
/// generator put specks on that person's cheeks.
const LEAST: (usize, usize) = (32, 8);
/// Fewer faces held back than this and the figures about the camera are noise.
const FEW: usize = 20;
/// Share of the time for High-to-Low.
const FIRST: f64 = 0.35;
/// Share of the time that is planned with: the machine may get busier.
const PLANNED: f64 = 0.9;
/// HR faces that are held back at most.
const MOST_HR: usize = 256;

/// Splits the faces of a camera by track, as the manifest of a harvest names them, and the sharp
/// ones by person.
///
/// # Errors
/// When there are too few.
pub fn training_data(
    hr: Faces,
    lr: Faces,
    config: &Config,
    device: tch::Device,
) -> Result<TrainingData> {
    let lr_split = lr.hold_back(HELD);
    let (train, held) = (lr_split.train.len(), lr_split.held.len());
    if train < LEAST.0 || held < LEAST.1 {
        return Err(Error::Data(format!(
            "{} faces of the camera are too few ({train} to learn from, {held} of other people to \
             judge by): harvest more footage",
            lr.len()
        )));
    }
    let hr_split = hr.hold_back((MOST_HR as f64 / hr.len() as f64).min(HELD));
    let (train, held) = (hr_split.train.len(), hr_split.held.len());
    if train < LEAST.0 || held < LEAST.1 {
        return Err(Error::Data(format!("{} sharp faces are too few", hr.len())));
    }
    TrainingData::of_split((hr, hr_split), (lr, lr_split), config, device)
}

/// Settings for a start from trained generators: the losses that the shipped Low-to-High generator
/// was trained with last, at half the rate, and most pairs from the learnt camera.
pub fn settings() -> Config {
    let start = Config::default();
    Config {
        batch: 24,
        rates: Rates { generator: start.rates.generator / 2.0, ..start.rates },
        weights: Weights {
            alpha: 2.0,
            beta_hr: 0.0,
            projected: 0.001,
            perceptual: 0.01,
            identity: 0.02,
            ..start.weights
        },
        pairs: Pairs { camera: 0.25, ..start.pairs },
        discriminator_first: 30,
        ..start
    }
}

/// How many steps of either stage fit into `minutes` on this machine, by doing a few of each on a
/// state that is thrown away. At least one of each.
///
/// # Errors
/// When a step fails.
pub fn steps_within(
    minutes: f64,
    fresh: impl Fn() -> Result<State>,
    data: &TrainingData,
) -> Result<PhaseSteps> {
    let mut state = fresh()?;
    // The networks as they are in the middle of a phase, where everything takes part.
    state.config.discriminator_first = 0;
    let mut seconds = |stage: &mut dyn FnMut(&mut State) -> Result<()>| -> Result<f64> {
        stage(&mut state)?;
        let begun = Instant::now();
        stage(&mut state)?;
        stage(&mut state)?;
        Ok(begun.elapsed().as_secs_f64() / 2.0)
    };
    let first = seconds(&mut |state| high_to_low_step::step(state, data).map(drop))?;
    let second = seconds(&mut |state| low_to_high_step::gan_step(state, data).map(drop))?;
    let planned = minutes * 60.0 * PLANNED;
    let fit = |share: f64, each: f64| ((planned * share / each.max(1e-6)) as u64).max(1);
    Ok(PhaseSteps {
        high_to_low: fit(FIRST, first),
        pixel: 0,
        gan: fit(1.0 - FIRST, second),
        joint: 0,
    })
}

/// A given number of steps, split between the stages as the time is. At least one of each.
pub fn split_steps(steps: u64) -> PhaseSteps {
    let first = ((steps as f64 * FIRST) as u64).max(1);
    PhaseSteps { high_to_low: first, pixel: 0, gan: steps.saturating_sub(first).max(1), joint: 0 }
}

/// Trains High-to-Low, then Low-to-High, for the steps that the state's settings name. False when
/// the time was up before.
///
/// # Errors
/// As [`trainer::train`], and when the time was up before Low-to-High had learned anything.
pub fn train(
    state: &mut State,
    data: &TrainingData,
    folder: &Folder,
    minutes: Option<f64>,
) -> Result<bool> {
    let budget = Budget {
        minutes,
        // At the end of each phase only: figures of so few faces choose nothing.
        validate: u64::MAX,
        log: 10,
        ..Budget::default()
    };
    trainer::train(state, data, folder, &budget)?;
    let Progress { phase, step, .. } = state.progress;
    if phase == Phase::HighToLow || (phase == Phase::Gan && step == 0) {
        return Err(Error::Training(
            "the time was up before Low-to-High could learn anything: this machine needs more \
             --minutes"
                .into(),
        ));
    }
    Ok(phase == Phase::Joint)
}

/// Figures of generators on faces held back.
#[derive(Debug, Clone, Serialize)]
pub struct Figures {
    /// Kernel distance x 1000 of HR faces degraded by High-to-Low to the camera's held-back faces:
    /// how well it knows the camera. With few faces it is noisy: see [`Scores::of_itself`].
    pub camera: f64,
    /// PSNR (dB) of Low-to-High on faces degraded by the adapted High-to-Low.
    pub psnr: f64,
    /// The rest: on the camera's held-back faces, and on the synthetic camera's.
    pub validation: Validation,
}

/// Before and after.
#[derive(Debug, Clone, Serialize)]
pub struct Scores {
    /// Faces of the camera that were learnt from, and those held back.
    pub faces: (usize, usize),
    /// [`Figures::camera`] of the camera's other faces: as near as anything can come.
    pub of_itself: f64,
    /// PSNR (dB) of bicubic enlargement on faces degraded by the adapted High-to-Low.
    pub psnr_bicubic: f64,
    /// The generators as they came.
    pub before: Figures,
    /// As they are now.
    pub after: Figures,
}

/// Judges both states on what was held back.
///
/// # Errors
/// When the faces cannot be read.
pub fn judge(before: &State, after: &State, data: &TrainingData) -> Result<Scores> {
    let device = data.device();
    let features = Features::new(device);
    let of = |lr: &Tensor| features.of(&to_8bit(&bicubic(lr)));
    let held = of(&fixed_batch(&data.lr, &data.lr_split.held, device));
    let learnt = of(&fixed_batch(&data.lr, &data.lr_split.train, device));
    // The held-back ones alone may be too few to tell how much a feature varies.
    let all = Tensor::cat(&[&held, &learnt], 0);
    let mean = all.mean_dim([0i64].as_slice(), true, Kind::Float);
    let scale =
        (&all - &mean).square().mean_dim([0i64].as_slice(), true, Kind::Float).sqrt() + 1e-6;
    let white = |x: &Tensor| (x - &mean) / &scale;
    let hr = fixed_batch(&data.hr, &data.hr_split.held, device);
    let z = noise(data.hr_split.held.len(), &mut Rng::new(7, Stream::Validation, 0), device);
    let distance = |x: &Tensor| 1e3 * kernel_distance(&white(x), &white(&held), false);
    no_grad(|| {
        let pairs = degrade(after, &hr, &z);
        let figures = |state: &State| -> Result<Figures> {
            let output = state.nets.l2h_ema.forward(&pairs, state.config.kind(), false);
            Ok(Figures {
                camera: distance(&of(&degrade(state, &hr, &z))),
                psnr: mean_psnr(&output.to_kind(Kind::Float).clamp(-1.0, 1.0), &hr),
                validation: validate::measure(state, data)?,
            })
        };
        Ok(Scores {
            faces: (data.lr_split.train.len(), data.lr_split.held.len()),
            of_itself: distance(&learnt),
            psnr_bicubic: mean_psnr(&bicubic(&pairs), &hr),
            before: figures(before)?,
            after: figures(after)?,
        })
    })
}

impl Scores {
    /// A table for people.
    pub fn table(&self) -> String {
        let (b, a) = (&self.before, &self.after);
        let (bv, av) = (&b.validation, &a.validation);
        let rows = [
            ("degraded faces, distance to this camera's", None, b.camera, a.camera),
            ("PSNR on faces degraded like this camera's", Some(self.psnr_bicubic), b.psnr, a.psnr),
            (
                "PSNR on the synthetic camera",
                Some(av.psnr_camera_bicubic),
                bv.psnr_camera,
                av.psnr_camera,
            ),
            (
                "outputs, distance to sharp faces",
                Some(1e3 * av.distance_bicubic),
                1e3 * bv.distance,
                1e3 * av.distance,
            ),
            ("outputs shrunk back, dB to the input", None, bv.kept, av.kept),
            ("detail against that of sharp faces", None, bv.sharp, av.sharp),
        ];
        let mut text = format!(
            "{} faces of the camera learnt from, {} held back and judged here\n\
             {:42}{:>10}{:>10}{:>10}\n",
            self.faces.0, self.faces.1, "", "bicubic", "before", "after"
        );
        for (name, bicubic, before, after) in rows {
            let bicubic = bicubic.map_or_else(|| "-".into(), |v| format!("{v:.2}"));
            text += &format!("{name:42}{bicubic:>10}{before:>10.2}{after:>10.2}\n");
        }
        text += &format!(
            "The camera's own other faces lie at {:.2} from those held back.\n",
            self.of_itself
        );
        if self.faces.1 < FEW {
            text +=
                "So few held-back faces judge nothing: the figures about this camera are noise.\n";
        }
        text
    }
}

/// The scale and the Low-to-High network of a file that is to be adapted: a checkpoint or ONNX.
///
/// # Errors
/// When the file cannot be read.
pub fn network_of(path: &Path) -> Result<(Scale, LowToHighConfig)> {
    if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("onnx")) {
        return weights::describe(path);
    }
    let config = State::load(path, tch::Device::Cpu)?.config;
    Ok((config.scale, config.low_to_high))
}

/// Both generators of a start: High-to-Low from a checkpoint, Low-to-High from a checkpoint or ONNX.
///
/// # Errors
/// When a file does not fit.
pub fn adopt(
    config: &Config,
    high_to_low: &Path,
    low_to_high: &Path,
    device: tch::Device,
) -> Result<State> {
    let mut state = State::new(config.clone(), device);
    state.adopt_high_to_low(high_to_low)?;
    state.adopt_low_to_high(low_to_high)?;
    debug_assert_eq!(state.progress.phase, Phase::HighToLow);
    Ok(state)
}
