//! What a run holds between two steps: networks, moving averages, optimizers, counters. All of it
//! goes into a checkpoint and comes back out of it.

use std::path::Path;

use serde::{Deserialize, Serialize};
use tch::{Device, Kind};

use super::schedule::Phase;
use crate::checkpoint::{Reader, Writer};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::export::weights;
use crate::models::discriminator::Discriminator;
use crate::models::high_to_low::HighToLow;
use crate::models::low_to_high::LowToHigh;
use crate::models::projected::Projected;
use crate::optimizer::Adam;
use crate::rng::{Rng, Stream};
use crate::scale::Scale;

/// The networks that are trained and the averages of the two generators.
#[derive(Debug)]
pub struct Nets {
    /// High-to-Low generator.
    pub h2l: HighToLow,
    /// Its moving average.
    pub h2l_ema: HighToLow,
    /// Low-to-High generator.
    pub l2h: LowToHigh,
    /// Its moving average: what is validated and exported.
    pub l2h_ema: LowToHigh,
    /// Tells real LR faces from degraded ones.
    pub lr_d: Discriminator,
    /// Tells real HR faces from generated ones.
    pub hr_d: Discriminator,
    /// Tells them apart in the features of the fixed network.
    pub heads: Projected,
}

impl Nets {
    /// Fresh networks of a run.
    pub fn new(config: &Config, device: Device) -> Self {
        let rng = |k| Rng::new(config.seed, Stream::Init, k);
        let scale = config.scale;
        Self {
            h2l: HighToLow::new(&config.high_to_low, scale, &mut rng(0), device),
            h2l_ema: HighToLow::new(&config.high_to_low, scale, &mut rng(0), device),
            l2h: LowToHigh::new(&config.low_to_high, scale, &mut rng(1), device),
            l2h_ema: LowToHigh::new(&config.low_to_high, scale, &mut rng(1), device),
            lr_d: Discriminator::new(&config.lr_discriminator, scale, &mut rng(2), device),
            hr_d: Discriminator::new(&config.hr_discriminator, scale, &mut rng(3), device),
            heads: Projected::new(&mut rng(4), device),
        }
    }
}

/// Optimizers of the phase in hand.
#[derive(Debug)]
pub struct Optimizers {
    /// High-to-Low generator.
    pub h2l: Adam,
    /// Low-to-High generator.
    pub l2h: Adam,
    /// Discriminator of LR faces.
    pub lr_d: Adam,
    /// Discriminator of HR faces.
    pub hr_d: Adam,
    /// Heads on the fixed network.
    pub heads: Adam,
}

impl Optimizers {
    /// Fresh ones for a phase: betas (0, 0.9) where a discriminator takes part, a smoother (0.9,
    /// 0.99) for the plain regression of the pixel warm-up.
    pub fn new(nets: &Nets, phase: Phase) -> Self {
        let betas = if phase == Phase::Pixel { (0.9, 0.99) } else { (0.0, 0.9) };
        Self {
            h2l: Adam::new(nets.h2l.params().trainable(), betas),
            l2h: Adam::new(nets.l2h.params().trainable(), betas),
            lr_d: Adam::new(nets.lr_d.params().trainable(), betas),
            hr_d: Adam::new(nets.hr_d.params().trainable(), betas),
            heads: Adam::new(nets.heads.params().trainable(), betas),
        }
    }
}

/// Where a run stands. Random numbers are functions of seed, phase and step (see [`Rng`]), so this
/// is their whole state, too.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Progress {
    /// The phase in hand.
    pub phase: Phase,
    /// Steps done in it.
    pub step: u64,
    /// Seconds of training so far, all phases and resumed runs.
    pub seconds: f64,
    /// The best validation score of the phase so far, lower is better.
    pub best: Option<f64>,
    /// The scores of single pairs that it is the mean of, where pairs of real encoders judge.
    #[serde(default)]
    pub best_scores: Vec<f32>,
    /// How old the moving averages are.
    #[serde(default = "Averaged::old")]
    pub averaged: Averaged,
}

/// Updates that went into the moving averages of the generators. A young average forgets fast; one
/// that was taken over is old.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Averaged {
    /// High-to-Low.
    pub h2l: u64,
    /// Low-to-High.
    pub l2h: u64,
}

impl Averaged {
    /// Old enough for any memory.
    const OLD: u64 = 1 << 20;

    fn old() -> Self {
        Self { h2l: Self::OLD, l2h: Self::OLD }
    }
}

#[derive(Serialize, Deserialize)]
struct Saved {
    config: Config,
    progress: Progress,
}

/// A run between two steps.
#[derive(Debug)]
pub struct State {
    /// Its settings.
    pub config: Config,
    /// Its networks.
    pub nets: Nets,
    /// Its optimizers.
    pub optimizers: Optimizers,
    /// Where it stands.
    pub progress: Progress,
}

impl State {
    /// A new run.
    pub fn new(config: Config, device: Device) -> Self {
        let nets = Nets::new(&config, device);
        let phase = Phase::HighToLow;
        let optimizers = Optimizers::new(&nets, phase);
        let averaged = Averaged { h2l: 0, l2h: 0 };
        let (best, best_scores) = (None, Vec::new());
        let progress = Progress { phase, step: 0, seconds: 0.0, best, best_scores, averaged };
        Self { config, nets, optimizers, progress }
    }

    /// The random numbers of a purpose at the present step.
    pub fn rng(&self, stream: Stream) -> Rng {
        let phase = (self.progress.phase as u64) << 40;
        Rng::new(self.config.seed, stream, phase + self.progress.step)
    }

    /// The same for stage 1, which in the joint phase must not see the faces and the noise of stage 2.
    pub fn stage1_rng(&self, stream: Stream) -> Rng {
        let phase = (self.progress.phase as u64) << 40;
        let stage = if self.progress.phase == Phase::Joint { 1 << 39 } else { 0 };
        Rng::new(self.config.seed, stream, phase + stage + self.progress.step)
    }

    /// False when a weight is no longer a number.
    pub fn is_finite(&self) -> bool {
        let nets = &self.nets;
        [nets.h2l.params(), nets.l2h.params(), nets.lr_d.params(), nets.hr_d.params()]
            .iter()
            .flat_map(|params| params.iter())
            .all(|p| p.tensor.sum(Kind::Float).double_value(&[]).is_finite())
    }

    /// Goes on to the next phase, with fresh optimizers. False when there is none.
    pub fn next_phase(&mut self) -> bool {
        let Some(phase) = self.progress.phase.next() else { return false };
        if self.progress.phase == Phase::Pixel {
            // The averages start the next phase from here, not from some steps ago.
            self.nets.l2h_ema.params().lerp(self.nets.l2h.params(), 1.0);
        }
        if self.progress.phase == Phase::Pixel {
            (self.progress.best, self.progress.best_scores) = (None, Vec::new());
        }
        self.progress.phase = phase;
        self.progress.step = 0;
        self.optimizers = Optimizers::new(&self.nets, phase);
        true
    }

    /// Writes everything.
    pub fn save(&self, path: &Path) -> Result<()> {
        let mut file = Writer::default();
        let nets = &self.nets;
        file.network("h2l", nets.h2l.params());
        file.network("h2l_ema", nets.h2l_ema.params());
        file.network("l2h", nets.l2h.params());
        file.network("l2h_ema", nets.l2h_ema.params());
        file.network("lr_d", nets.lr_d.params());
        file.network("hr_d", nets.hr_d.params());
        file.network("heads", nets.heads.params());
        file.optimizer("h2l", &self.optimizers.h2l);
        file.optimizer("l2h", &self.optimizers.l2h);
        file.optimizer("lr_d", &self.optimizers.lr_d);
        file.optimizer("hr_d", &self.optimizers.hr_d);
        file.optimizer("heads", &self.optimizers.heads);
        let saved = Saved { config: self.config.clone(), progress: self.progress.clone() };
        let json = serde_json::to_string(&saved)
            .map_err(|e| Error::Training(format!("the state cannot be written: {e}")))?;
        file.save(path, &json)
    }

    /// Writes stage 1 alone, as [`Self::adopt_high_to_low`] reads it: the High-to-Low generator (its
    /// moving average) and its discriminator.
    pub fn save_high_to_low(&self, path: &Path) -> Result<()> {
        let mut file = Writer::default();
        file.network("h2l_ema", self.nets.h2l_ema.params());
        file.network("lr_d", self.nets.lr_d.params());
        file.save(path, "{}")
    }

    /// Takes over a trained High-to-Low generator (its moving average) and its discriminator from
    /// another run. A run of the large scale takes the generator of the small one, too, but then not
    /// its discriminator.
    ///
    /// # Errors
    /// When the file cannot be read or holds networks of another size.
    pub fn adopt_high_to_low(&mut self, path: &Path) -> Result<()> {
        self.progress.averaged.h2l = Averaged::OLD;
        let file = Reader::open(path)?;
        let nets = &self.nets;
        let Err(error) = file.network("h2l_ema", nets.h2l_ema.params()) else {
            file.network("h2l_ema", nets.h2l.params())?;
            return file.network("lr_d", nets.lr_d.params());
        };
        let mut rng = Rng::new(0, Stream::Init, 0);
        let device = nets.lr_d.params().device();
        let small = HighToLow::new(&self.config.high_to_low, Scale::SMALL, &mut rng, device);
        let fits = self.config.scale != Scale::SMALL
            && file.network("h2l_ema", small.params()).is_ok()
            && nets.h2l.adopt_smaller(&small)
            && nets.h2l_ema.adopt_smaller(&small);
        if fits { Ok(()) } else { Err(error) }
    }

    /// Takes over a trained Low-to-High generator: from another run (its moving average), from an
    /// exported fp32 ONNX file, or from bare weights in a safetensors file. A run of the large scale
    /// takes a compact generator of the small one, too.
    ///
    /// # Errors
    /// When the file cannot be read or holds a network of another size.
    pub fn adopt_low_to_high(&mut self, path: &Path) -> Result<()> {
        self.progress.averaged.l2h = Averaged::OLD;
        let nets = &self.nets;
        let Err(error) = read_low_to_high(path, &nets.l2h_ema) else {
            return read_low_to_high(path, &nets.l2h);
        };
        let mut rng = Rng::new(0, Stream::Init, 0);
        let device = nets.lr_d.params().device();
        let small = LowToHigh::new(&self.config.low_to_high, Scale::SMALL, &mut rng, device);
        let fits = self.config.scale != Scale::SMALL
            && read_low_to_high(path, &small).is_ok()
            && nets.l2h.adopt_smaller(&small)
            && nets.l2h_ema.adopt_smaller(&small);
        if fits { Ok(()) } else { Err(error) }
    }

    /// Takes over the trained discriminators of HR faces from another run.
    pub fn adopt_hr_discriminator(&mut self, path: &Path) -> Result<()> {
        let file = Reader::open(path)?;
        file.network("heads", self.nets.heads.params())?;
        file.network("hr_d", self.nets.hr_d.params())
    }

    /// Takes a run up again.
    pub fn load(path: &Path, device: Device) -> Result<Self> {
        let file = Reader::open(path)?;
        let saved: Saved = serde_json::from_str(file.state()?).map_err(|e| Error::Checkpoint {
            path: path.to_owned(),
            reason: format!("its settings are not readable ({e})"),
        })?;
        let nets = Nets::new(&saved.config, device);
        let mut optimizers = Optimizers::new(&nets, saved.progress.phase);
        file.network("h2l", nets.h2l.params())?;
        file.network("h2l_ema", nets.h2l_ema.params())?;
        file.network("l2h", nets.l2h.params())?;
        file.network("l2h_ema", nets.l2h_ema.params())?;
        file.network("lr_d", nets.lr_d.params())?;
        file.network("hr_d", nets.hr_d.params())?;
        file.network("heads", nets.heads.params())?;
        file.optimizer("h2l", &mut optimizers.h2l)?;
        file.optimizer("l2h", &mut optimizers.l2h)?;
        file.optimizer("lr_d", &mut optimizers.lr_d)?;
        file.optimizer("hr_d", &mut optimizers.hr_d)?;
        file.optimizer("heads", &mut optimizers.heads)?;
        Ok(Self { config: saved.config, nets, optimizers, progress: saved.progress })
    }
}

/// Fills a generator from a file of any of the kinds that [`State::adopt_low_to_high`] takes.
fn read_low_to_high(path: &Path, net: &LowToHigh) -> Result<()> {
    if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("onnx")) {
        return weights::read(path, net.params());
    }
    Reader::open(path)?.network("l2h_ema", net.params())
}

/// Moving average of a generator: short memory at the start, `limit` later.
pub fn ema_decay(step: u64, limit: f64) -> f64 {
    1.0 - limit.min((1.0 + step as f64) / (10.0 + step as f64))
}
