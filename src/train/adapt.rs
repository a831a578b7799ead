//! Adapts trained generators to one camera: High-to-Low learns from real faces of that camera how it
//! spoils them, then Low-to-High learns to undo just that. A quarter of the faces, by track, is held
//! back and judged before and after.

use std::path::Path;
use std::time::Instant;

use serde::Serialize;
use tch::{Kind, Tensor, no_grad};

use crate::config::{Config, Pairs, PhaseSteps, Rates, Weights};
use crate::data::batch::{fixed_batch, to_8bit};
use crate::data::faces::Faces;
use crate::error::{Error, Result};
use crate::rng::{Rng, Stream};
use crate::show::bicubic64;
use crate::train::features::{Features, kernel_distance};
use crate::train::run::{self, Budget, Folder};
use crate::train::schedule::Phase;
use crate::train::source::{Source, noise};
use crate::train::stage2::degrade;
use crate::train::state::State;
use crate::train::validate::{self, Validation, psnr};
use crate::train::{stage1, stage2};

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
/// High faces that are held back at most.
const HIGH: usize = 256;

/// Splits the faces of a camera by track, as the manifest of a harvest names them, and the sharp
/// ones by person.
///
/// # Errors
/// When there are too few.
pub fn source(high: Faces, low: Faces, config: &Config, device: tch::Device) -> Result<Source> {
    let low_split = low.hold_back(HELD);
    let (train, held) = (low_split.train.len(), low_split.held.len());
    if train < LEAST.0 || held < LEAST.1 {
        return Err(Error::Data(format!(
            "{} faces of the camera are too few ({train} to learn from, {held} of other people to \
             judge by): harvest more footage",
            low.len()
        )));
    }
    let high_split = high.hold_back((HIGH as f64 / high.len() as f64).min(HELD));
    let (train, held) = (high_split.train.len(), high_split.held.len());
    if train < LEAST.0 || held < LEAST.1 {
        return Err(Error::Data(format!("{} sharp faces are too few", high.len())));
    }
    Source::of_split((high, high_split), (low, low_split), config, device)
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
            beta_high: 0.0,
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
    source: &Source,
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
    let first = seconds(&mut |state| stage1::step(state, source).map(drop))?;
    let second = seconds(&mut |state| stage2::gan_step(state, source).map(drop))?;
    let planned = minutes * 60.0 * PLANNED;
    let fit = |share: f64, each: f64| ((planned * share / each.max(1e-6)) as u64).max(1);
    Ok(PhaseSteps {
        high_to_low: fit(FIRST, first),
        pixel: 0,
        gan: fit(1.0 - FIRST, second),
        joint: 0,
    })
}

/// Trains High-to-Low, then Low-to-High, for the steps that the state's settings name. False when
/// the time was up before.
///
/// # Errors
/// As [`run::train`].
pub fn train(state: &mut State, source: &Source, folder: &Folder, minutes: f64) -> Result<bool> {
    let budget = Budget {
        minutes: Some(minutes),
        // At the end of each phase only: figures of so few faces choose nothing.
        validate: u64::MAX,
        log: 10,
        ..Budget::default()
    };
    run::train(state, source, folder, &budget)?;
    Ok(state.progress.phase == Phase::Joint)
}

/// Figures of generators on faces held back.
#[derive(Debug, Clone, Serialize)]
pub struct Figures {
    /// Kernel distance x 1000 of high faces spoilt by High-to-Low to the camera's held-back faces:
    /// how well it knows the camera. With few faces it is noisy: see [`Scores::of_itself`].
    pub camera: f64,
    /// PSNR (dB) of Low-to-High on faces spoilt by the adapted High-to-Low.
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
    /// PSNR (dB) of bicubic enlargement on faces spoilt by the adapted High-to-Low.
    pub psnr_bicubic: f64,
    /// The generators as they came.
    pub before: Figures,
    /// As they are now.
    pub after: Figures,
}

/// Judges both states on what was held back.
pub fn judge(before: &State, after: &State, source: &Source) -> Scores {
    let device = source.device();
    let features = Features::new(device);
    let of = |low: &Tensor| features.of(&to_8bit(&bicubic64(low)));
    let held = of(&fixed_batch(&source.low, &source.low_split.held, device));
    let learnt = of(&fixed_batch(&source.low, &source.low_split.train, device));
    // The held-back ones alone may be too few to tell how much a feature varies.
    let all = Tensor::cat(&[&held, &learnt], 0);
    let mean = all.mean_dim([0i64].as_slice(), true, Kind::Float);
    let scale =
        (&all - &mean).square().mean_dim([0i64].as_slice(), true, Kind::Float).sqrt() + 1e-6;
    let white = |x: &Tensor| (x - &mean) / &scale;
    let high = fixed_batch(&source.high, &source.high_split.held, device);
    let z = noise(source.high_split.held.len(), &mut Rng::new(7, Stream::Validation, 0), device);
    let distance = |x: &Tensor| 1e3 * kernel_distance(&white(x), &white(&held), false);
    no_grad(|| {
        let pairs = degrade(after, &high, &z);
        let figures = |state: &State| {
            let output = state.nets.l2h_ema.forward(&pairs, state.config.kind(), false);
            Figures {
                camera: distance(&of(&degrade(state, &high, &z))),
                psnr: psnr(&output.to_kind(Kind::Float).clamp(-1.0, 1.0), &high),
                validation: validate::measure(state, source),
            }
        };
        Scores {
            faces: (source.low_split.train.len(), source.low_split.held.len()),
            of_itself: distance(&learnt),
            psnr_bicubic: psnr(&bicubic64(&pairs), &high),
            before: figures(before),
            after: figures(after),
        }
    })
}

impl Scores {
    /// A table for people.
    pub fn table(&self) -> String {
        let (b, a) = (&self.before, &self.after);
        let (bv, av) = (&b.validation, &a.validation);
        let rows = [
            ("spoilt faces, distance to this camera's", None, b.camera, a.camera),
            ("PSNR on faces spoilt like this camera's", Some(self.psnr_bicubic), b.psnr, a.psnr),
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
