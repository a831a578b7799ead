//! Everything that decides how a run goes. Saved in each checkpoint.

use serde::{Deserialize, Serialize};

use crate::dataset::camera::Camera;
use crate::error::{Error, Result};
use crate::models::discriminator::DiscriminatorConfig;
use crate::models::high_to_low::HighToLowConfig;
use crate::models::low_to_high::LowToHighConfig;
use crate::scale::Scale;

/// Settings of a training run.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Same seed, same run (on the CPU, with the same number of threads).
    pub seed: u64,
    /// Sides of the faces.
    pub scale: Scale,
    /// Faces a step.
    pub batch: usize,
    /// bf16 arithmetic (fp32 master weights).
    pub bf16: bool,
    /// Steps of each phase.
    pub steps: PhaseSteps,
    /// High-to-Low generator.
    pub high_to_low: HighToLowConfig,
    /// Low-to-High generator.
    pub low_to_high: LowToHighConfig,
    /// Discriminator of LR faces.
    #[serde(alias = "low_discriminator")]
    pub lr_discriminator: DiscriminatorConfig,
    /// Discriminator of HR faces.
    #[serde(alias = "high_discriminator")]
    pub hr_discriminator: DiscriminatorConfig,
    /// Weights of the losses.
    pub weights: Weights,
    /// How outputs are compared with their originals.
    pub pixel_loss: PixelLoss,
    /// Side at which the network of identity looks at faces.
    pub identity_side: i64,
    /// Learning rates.
    pub rates: Rates,
    /// Where the LR pictures of the second stage come from.
    pub pairs: Pairs,
    /// The synthetic camera.
    pub camera: Camera,
    /// 0: every LR picture equally often, 1: every source equally often.
    pub balance: f64,
    /// Largest move of a face in 64ths of its side.
    pub shift: i64,
    /// Strength of the change of light that falls on LR picture and target alike.
    pub light: f32,
    /// Memory of the moving average of both generators.
    pub ema: f64,
    /// How far High-to-Low may take a face from the shrunk original before the pixel loss speaks up:
    /// a root mean square of faces in [-1, 1].
    pub damage: f64,
    /// Update the discriminator of HR faces by half of each batch, the other half in the next step.
    pub half_discriminator: bool,
    /// Steps at the start of a GAN phase in which only the discriminator learns.
    pub discriminator_first: u64,
}

/// How many steps each phase takes.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(default)]
pub struct PhaseSteps {
    /// Stage 1: High-to-Low.
    pub high_to_low: u64,
    /// Stage 2, warm-up: Low-to-High by the pixel loss alone.
    pub pixel: u64,
    /// Stage 2: Low-to-High with its discriminator.
    pub gan: u64,
    /// Both stages in each step, as the paper draws it.
    pub joint: u64,
}

/// Weights of the losses: alpha * pixel + beta * GAN + gamma * features.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(default)]
pub struct Weights {
    /// Pixel loss of both stages.
    pub alpha: f64,
    /// GAN loss of stage 1.
    #[serde(alias = "beta_low")]
    pub beta_lr: f64,
    /// GAN loss of stage 2.
    #[serde(alias = "beta_high")]
    pub beta_hr: f64,
    /// Feature matching in stage 2.
    pub features: f64,
    /// GAN loss of the heads on the fixed network in stage 2 (see [`crate::models::projected`]).
    pub projected: f64,
    /// Distance to the original in the fixed network's features (see [`crate::models::perceptual`]).
    pub perceptual: f64,
    /// Distance to the original's embedding in stage 2 (see [`crate::models::identity`]).
    pub identity: f64,
    /// Against checkerboards in stage 2.
    pub grid: f64,
}

/// How outputs are compared with their originals in stage 2, and what joins in during the pixel
/// warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PixelLoss {
    /// What becomes of a difference.
    pub penalty: Penalty,
    /// Weight of the absolute difference of gradients.
    pub gradients: f64,
    /// Look at an ellipse around the face only; what is behind it is nobody's.
    pub ellipse: bool,
    /// Weight of the distance to the original's embedding in the warm-up, on half of every second
    /// batch.
    pub identity: f64,
    /// Weight of the distance in the fixed network in the warm-up, on half of every second batch,
    /// between those of identity.
    pub perceptual: f64,
    /// Steps of the warm-up before those two join in.
    pub from_step: u64,
}

/// What a difference of pixels costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Penalty {
    /// Its square (paper).
    Squared,
    /// About its absolute value, smooth near 0 (Charbonnier et al. 1994): blur gains less by it.
    Charbonnier,
}

impl Default for PixelLoss {
    fn default() -> Self {
        Self {
            penalty: Penalty::Squared,
            gradients: 0.0,
            ellipse: false,
            identity: 0.0,
            perceptual: 0.0,
            from_step: 400,
        }
    }
}

impl PixelLoss {
    /// For pairs of real encoders. Without a loss of identity: it pulled towards what its own network takes
    /// for the person, and another one recognized fewer people then (models/low-to-high-32-compact.md).
    pub fn robust() -> Self {
        Self { penalty: Penalty::Charbonnier, gradients: 0.4, ellipse: true, ..Self::default() }
    }
}

/// Learning rates.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(default)]
pub struct Rates {
    /// Both generators in the GAN phases.
    pub generator: f64,
    /// Both discriminators.
    pub discriminator: f64,
    /// The pixel warm-up.
    pub pixel: f64,
}

/// Shares of the LR pictures of stage 2.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(default)]
pub struct Pairs {
    /// False: no learnt degradation, antialiased bicubic instead (ablation).
    pub high_to_low: bool,
    /// Share of pairs that went through real encoders.
    pub encoded: f64,
    /// Share of those over which the learnt degradation is laid, too.
    pub overlaid: f64,
    /// Share of the other pairs that come from the synthetic camera.
    pub camera: f64,
    /// Share of each GAN batch that are real LR pictures: they have no target and are judged by
    /// the discriminator alone.
    pub real: f64,
}

impl Default for PhaseSteps {
    fn default() -> Self {
        Self { high_to_low: 1500, pixel: 4000, gan: 8000, joint: 0 }
    }
}

impl Default for Weights {
    fn default() -> Self {
        Self {
            alpha: 1.0,
            beta_lr: 0.05,
            beta_hr: 0.01,
            features: 0.0,
            projected: 0.0,
            perceptual: 0.0,
            identity: 0.0,
            grid: 2.0,
        }
    }
}

impl Weights {
    /// Default weight of identity in a run that has its network: its gradient at the output is then
    /// of about the size of those of the other two fixed-net losses.
    pub const IDENTITY: f64 = 0.05;

    /// The defaults of a run that has the fixed network.
    pub fn with_perceptual() -> Self {
        Self { projected: 0.01, perceptual: 0.1, ..Self::default() }
    }
}

impl Default for Rates {
    fn default() -> Self {
        Self { generator: 1.5e-4, discriminator: 3e-4, pixel: 8e-4 }
    }
}

impl Default for Pairs {
    fn default() -> Self {
        Self { high_to_low: true, encoded: 0.0, overlaid: 0.0, camera: 0.5, real: 0.25 }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            seed: 1,
            scale: Scale::SMALL,
            batch: 32,
            bf16: true,
            steps: PhaseSteps::default(),
            high_to_low: HighToLowConfig::default(),
            low_to_high: LowToHighConfig::compact(),
            lr_discriminator: DiscriminatorConfig::lr_compact(),
            hr_discriminator: DiscriminatorConfig::hr_compact(),
            weights: Weights::default(),
            pixel_loss: PixelLoss::default(),
            identity_side: crate::models::identity::SIDE,
            rates: Rates::default(),
            pairs: Pairs::default(),
            camera: Camera::default(),
            balance: 0.5,
            shift: 2,
            light: 1.0,
            ema: 0.999,
            damage: 0.1,
            half_discriminator: false,
            discriminator_first: 100,
        }
    }
}

impl Config {
    /// Refuses settings that cannot work.
    ///
    /// # Errors
    /// Names the setting and its bounds.
    pub fn check(&self) -> Result<()> {
        let wrong = |what: &str| Err(Error::Setting(what.to_owned()));
        let share = |v: f64| (0.0..=1.0).contains(&v);
        if !(1..=4096).contains(&self.batch) {
            return wrong("a batch has 1 to 4096 faces");
        }
        let pairs = &self.pairs;
        let shares = [pairs.encoded, pairs.overlaid, pairs.camera, pairs.real, self.balance];
        if !shares.into_iter().all(share) {
            return wrong("shares (encoded, overlaid, camera, real, balance) lie between 0 and 1");
        }
        if !self.scale.is_valid() {
            return wrong("faces are 16x16 or 32x32 pixels and become four times as large");
        }
        if self.scale != Scale::SMALL && self.low_to_high.arch() == "paper" {
            return wrong("the paper's generator is for 16x16 faces only");
        }
        if !(32..=256).contains(&self.identity_side) {
            return wrong("the network of identity looks at faces of 32 to 256 pixels");
        }
        if !(0.0..=2.0).contains(&self.damage) {
            return wrong("the damage that is allowed lies between 0 and 2");
        }
        if !(0..=16).contains(&self.shift) {
            return wrong("faces can be moved by 0 to 16 pixels");
        }
        let rates = [self.rates.generator, self.rates.discriminator, self.rates.pixel];
        let weights = &self.weights;
        let weights = [
            weights.alpha,
            weights.beta_lr,
            weights.beta_hr,
            weights.features,
            weights.projected,
            weights.perceptual,
            weights.identity,
            weights.grid,
            self.pixel_loss.gradients,
            self.pixel_loss.identity,
            self.pixel_loss.perceptual,
        ];
        if rates.iter().chain(&weights).any(|v| !(0.0..1e3).contains(v)) {
            return wrong("learning rates and weights of losses are positive numbers");
        }
        for d in [&self.lr_discriminator, &self.hr_discriminator] {
            if d.widths.is_empty() || d.widths.iter().any(|w| !(1..=1024).contains(w)) {
                return wrong("a discriminator needs blocks of 1 to 1024 channels");
            }
        }
        if let LowToHighConfig::Compact { width, blocks, slack } = self.low_to_high
            && (!(4..=512).contains(&width)
                || blocks > 64
                || !(0.0..=2.0).contains(&slack.fine.unwrap_or(0.0))
                || !(0.0..=2.0).contains(&slack.coarse))
        {
            return wrong("the compact generator has 4 to 512 channels and up to 64 blocks");
        }
        Ok(())
    }

    /// True when a loss looks through the fixed network.
    pub fn needs_perceptual(&self) -> bool {
        self.weights.projected > 0.0
            || self.weights.perceptual > 0.0
            || self.pixel_loss.perceptual > 0.0
    }

    /// True when a loss looks through the network that tells people apart.
    pub fn needs_identity(&self) -> bool {
        self.weights.identity > 0.0 || self.pixel_loss.identity > 0.0
    }

    /// The kind to compute in.
    pub fn kind(&self) -> tch::Kind {
        if self.bf16 { tch::Kind::BFloat16 } else { tch::Kind::Float }
    }
}
