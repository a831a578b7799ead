//! What a run learns from: training and held-back parts of the HR and the LR set, the drawing of
//! batches out of them, and the fixed networks through which they may be compared.

use std::path::Path;

use tch::{Device, Tensor};

use crate::config::Config;
use crate::dataset::batch::{self, Variation};
use crate::dataset::faces::{Faces, Sampler, Split};
use crate::error::{Error, Result};
use crate::models::identity::Identity;
use crate::models::perceptual::Perceptual;
use crate::rng::Rng;

/// HR and LR faces, split and ready to draw.
#[derive(Debug)]
pub struct TrainingData {
    /// 64x64 faces.
    pub hr: Faces,
    /// Their split, by person.
    pub hr_split: Split,
    /// Real 16x16 faces.
    pub lr: Faces,
    /// Their split, by blocks of neighbours.
    pub lr_split: Split,
    hr_sampler: Sampler,
    lr_sampler: Sampler,
    perceptual: Option<Perceptual>,
    identity: Option<Identity>,
    device: Device,
}

impl TrainingData {
    /// Reads `hr-faces.tar` and `lr-faces.tar` of a folder.
    pub fn load(
        folder: &Path,
        cache: Option<&Path>,
        config: &Config,
        device: Device,
    ) -> Result<Self> {
        let hr = Faces::load(&folder.join("hr-faces.tar"), 64, cache)?;
        let lr = Faces::load(&folder.join("lr-faces.tar"), 16, cache)?;
        Self::new(hr, lr, config, device)
    }

    /// Splits two sets of faces.
    pub fn new(hr: Faces, lr: Faces, config: &Config, device: Device) -> Result<Self> {
        let hr_split = hr.split_by_identity(0.02);
        let lr_split = lr.split_by_block(0.1);
        Self::of_split((hr, hr_split), (lr, lr_split), config, device)
    }

    /// Of sets that are split already.
    ///
    /// # Errors
    /// When there is nothing to learn from in one of them.
    pub fn of_split(
        (hr, hr_split): (Faces, Split),
        (lr, lr_split): (Faces, Split),
        config: &Config,
        device: Device,
    ) -> Result<Self> {
        let hr_sampler = Sampler::new(&hr, &hr_split.train, 0.0)?;
        let lr_sampler = Sampler::new(&lr, &lr_split.train, config.balance)?;
        Ok(Self {
            hr,
            hr_split,
            lr,
            lr_split,
            hr_sampler,
            lr_sampler,
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

    /// HR faces [n, 3, 64, 64].
    pub fn hr(&self, n: usize, how: Variation, rng: &mut Rng) -> Tensor {
        batch::draw_batch(&self.hr, &self.hr_sampler, n, how, rng, self.device)
    }

    /// Indices of `n` HR faces to learn from.
    pub fn hr_indices(&self, n: usize, rng: &mut Rng) -> Vec<usize> {
        (0..n).map(|_| self.hr_sampler.draw(rng)).collect()
    }

    /// Real LR faces [n, 3, 16, 16].
    pub fn lr(&self, n: usize, rng: &mut Rng) -> Tensor {
        let how = Variation { flip: true, shift: 0, light: 0.0 };
        batch::draw_batch(&self.lr, &self.lr_sampler, n, how, rng, self.device)
    }
}
