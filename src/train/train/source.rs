//! What a run learns from: training and held-back parts of the high and the low set, the drawing of
//! batches out of them, and the fixed networks through which they may be compared.

use std::path::Path;

use tch::{Device, Tensor};

use crate::config::Config;
use crate::data::batch::{self, Variation};
use crate::data::faces::{Faces, Sampler, Split};
use crate::error::{Error, Result};
use crate::net::identity::Identity;
use crate::net::perceptual::Perceptual;
use crate::rng::Rng;

/// High and low faces, split and ready to draw.
#[derive(Debug)]
pub struct Source {
    /// 64x64 faces.
    pub high: Faces,
    /// Their split, by person.
    pub high_split: Split,
    /// Real 16x16 faces.
    pub low: Faces,
    /// Their split, by blocks of neighbours.
    pub low_split: Split,
    high_sampler: Sampler,
    low_sampler: Sampler,
    perceptual: Option<Perceptual>,
    identity: Option<Identity>,
    device: Device,
}

impl Source {
    /// Reads `hr-faces.tar` and `lr-faces.tar` of a folder.
    pub fn load(
        folder: &Path,
        cache: Option<&Path>,
        config: &Config,
        device: Device,
    ) -> Result<Self> {
        let high = Faces::load(&folder.join("hr-faces.tar"), 64, cache)?;
        let low = Faces::load(&folder.join("lr-faces.tar"), 16, cache)?;
        Self::new(high, low, config, device)
    }

    /// Splits two sets of faces.
    pub fn new(high: Faces, low: Faces, config: &Config, device: Device) -> Result<Self> {
        let high_split = high.split_by_identity(0.02);
        let low_split = low.split_by_block(0.1);
        Self::of_split((high, high_split), (low, low_split), config, device)
    }

    /// Of sets that are split already.
    ///
    /// # Errors
    /// When there is nothing to learn from in one of them.
    pub fn of_split(
        (high, high_split): (Faces, Split),
        (low, low_split): (Faces, Split),
        config: &Config,
        device: Device,
    ) -> Result<Self> {
        let high_sampler = Sampler::new(&high, &high_split.train, 0.0)?;
        let low_sampler = Sampler::new(&low, &low_split.train, config.balance)?;
        Ok(Self {
            high,
            high_split,
            low,
            low_split,
            high_sampler,
            low_sampler,
            perceptual: None,
            identity: None,
            device,
        })
    }

    /// Adds the fixed network of a file.
    ///
    /// # Errors
    /// When the file cannot be read or holds another network.
    pub fn with_perceptual(mut self, file: &Path) -> Result<Self> {
        self.perceptual = Some(Perceptual::load(file, self.device)?);
        Ok(self)
    }

    /// The fixed network.
    ///
    /// # Errors
    /// When the run was started without it.
    pub fn perceptual(&self) -> Result<&Perceptual> {
        self.perceptual.as_ref().ok_or_else(|| {
            Error::Setting(
                "this run compares faces in the fixed network: give its file by --perceptual \
                 (make train-setup leaves it in target/train/perceptual.safetensors)"
                    .into(),
            )
        })
    }

    /// Adds the network that tells people apart.
    ///
    /// # Errors
    /// When the file cannot be read or holds another network.
    pub fn with_identity(mut self, file: &Path) -> Result<Self> {
        self.identity = Some(Identity::load(file, self.device)?);
        Ok(self)
    }

    /// The network that tells people apart.
    ///
    /// # Errors
    /// When the run was started without it.
    pub fn identity(&self) -> Result<&Identity> {
        self.identity.as_ref().ok_or_else(|| {
            Error::Setting(
                "this run has a loss of identity: give its network by --identity (make train-setup \
                 leaves it in target/train/identity.safetensors)"
                    .into(),
            )
        })
    }

    /// Where batches are put.
    pub fn device(&self) -> Device {
        self.device
    }

    /// High faces [n, 3, 64, 64].
    pub fn high(&self, n: usize, how: Variation, rng: &mut Rng) -> Tensor {
        batch::draw_batch(&self.high, &self.high_sampler, n, how, rng, self.device)
    }

    /// Indices of `n` high faces to learn from.
    pub fn high_indices(&self, n: usize, rng: &mut Rng) -> Vec<usize> {
        (0..n).map(|_| self.high_sampler.draw(rng)).collect()
    }

    /// Real low faces [n, 3, 16, 16].
    pub fn low(&self, n: usize, rng: &mut Rng) -> Tensor {
        let how = Variation { flip: true, shift: 0, light: 0.0 };
        batch::draw_batch(&self.low, &self.low_sampler, n, how, rng, self.device)
    }
}

/// Noise z: [n, 64].
pub fn noise(n: usize, rng: &mut Rng, device: Device) -> Tensor {
    let width = crate::net::high_to_low::NOISE;
    Tensor::from_slice(&rng.normals(n * width as usize)).view([n as i64, width]).to_device(device)
}
