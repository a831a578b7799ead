//! Phases of a run and the learning rate within them.

use serde::{Deserialize, Serialize};

use crate::config::PhaseSteps;

/// What is being learnt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Stage 1: how cameras degrade faces.
    HighToLow,
    /// Stage 2, warm-up by the pixel loss.
    Pixel,
    /// Stage 2 with its discriminator.
    Gan,
    /// Both stages in each step.
    Joint,
}

impl Phase {
    /// In the order in which they run.
    pub const ALL: [Self; 4] = [Self::HighToLow, Self::Pixel, Self::Gan, Self::Joint];

    /// Its length.
    pub fn steps(self, steps: &PhaseSteps) -> u64 {
        match self {
            Self::HighToLow => steps.high_to_low,
            Self::Pixel => steps.pixel,
            Self::Gan => steps.gan,
            Self::Joint => steps.joint,
        }
    }

    /// Its short name.
    pub fn name(self) -> &'static str {
        match self {
            Self::HighToLow => "high-to-low",
            Self::Pixel => "pixel",
            Self::Gan => "gan",
            Self::Joint => "joint",
        }
    }

    /// The one after it.
    pub fn next(self) -> Option<Self> {
        let at = Self::ALL.iter().position(|p| *p == self)?;
        Self::ALL.get(at + 1).copied()
    }
}

/// Factor on the learning rate at `step` of `total`. The pixel warm-up follows half a cosine after
/// a short run-up; the GAN phases keep their rate and glide down over the last 30 %.
pub fn rate_schedule(phase: Phase, step: u64, total: u64) -> f64 {
    let done = step as f64 / total.max(1) as f64;
    match phase {
        Phase::Pixel => {
            let run_up = ((step + 1) as f64 / 100.0).min(1.0);
            run_up * (0.03 + 0.97 * 0.5 * (1.0 + (std::f64::consts::PI * done.min(1.0)).cos()))
        }
        _ => (1.0 - (done - 0.7).max(0.0) / 0.3 * 0.9).max(0.1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_start_full_and_end_low() {
        assert_eq!(rate_schedule(Phase::Gan, 0, 100), 1.0);
        assert_eq!(rate_schedule(Phase::Gan, 69, 100), 1.0);
        assert!((rate_schedule(Phase::Gan, 100, 100) - 0.1).abs() < 1e-9);
        assert!(rate_schedule(Phase::Pixel, 0, 1000) < 0.02);
        assert!(rate_schedule(Phase::Pixel, 150, 1000) > 0.9);
        assert!(rate_schedule(Phase::Pixel, 1000, 1000) < 0.04);
    }
}
