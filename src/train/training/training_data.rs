//! What a run learns from: training and held-back parts of the HR and the LR set, the drawing of
//! batches out of them, and the fixed networks through which they may be compared.

use std::path::{Path, PathBuf};

use tch::{Device, Tensor};

use crate::config::Config;
use crate::dataset::batch::{self, Variation};
use crate::dataset::faces::{Faces, Sampler, Split};
use crate::dataset::pairs::PairSet;
use crate::dataset::pictures::Size;
use crate::error::{Error, Result};
use crate::models::identity::Identity;
use crate::models::perceptual::Perceptual;
use crate::rng::Rng;
use crate::scale::Scale;

/// HR and LR faces, split and ready to draw.
#[derive(Debug)]
pub struct TrainingData {
    /// HR faces.
    pub hr: Faces,
    /// Their split, by person.
    pub hr_split: Split,
    /// Real LR faces.
    pub lr: Faces,
    /// Their split, by tracks or runs of neighbors.
    pub lr_split: Split,
    hr_sampler: Sampler,
    lr_sampler: Sampler,
    perceptual: Option<Perceptual>,
    identity: Option<Identity>,
    pairs: Option<EncodedPairs>,
    device: Device,
}

/// Pairs that went through real encoders.
#[derive(Debug)]
pub struct EncodedPairs {
    /// Those to learn from.
    pub train: PairSet,
    /// Other scenes and people, for validation.
    pub held: PairSet,
}

/// Where a run finds its faces.
#[derive(Debug, Clone, Default)]
pub struct Archives {
    /// Archives of HR faces; those of twice the side are shrunk.
    pub hr: Vec<PathBuf>,
    /// Archives of real LR faces.
    pub lr: Vec<PathBuf>,
    /// Folders of shards of pairs.
    pub pairs: Vec<PathBuf>,
}

impl Archives {
    /// The usual names in a folder: `hr-faces.tar` and `lr-faces.tar`, or `hr-faces-128.tar` and
    /// `lr-faces-32.tar` for the large scale.
    pub fn of_folder(folder: &Path, scale: Scale) -> Self {
        let [hr, lr] = if scale == Scale::SMALL {
            ["hr-faces.tar", "lr-faces.tar"]
        } else {
            ["hr-faces-128.tar", "lr-faces-32.tar"]
        };
        Self { hr: vec![folder.join(hr)], lr: vec![folder.join(lr)], pairs: Vec::new() }
    }
}

impl TrainingData {
    /// Reads archives, or their decoded copies in `cache`.
    ///
    /// # Errors
    /// When one of them cannot be read or does not hold faces of the run's scale.
    pub fn load(
        archives: &Archives,
        cache: Option<&Path>,
        config: &Config,
        device: Device,
    ) -> Result<Self> {
        let scale = config.scale;
        let hr = Faces::load_all(&archives.hr, Size::OrTwice(scale.hr() as u32), cache)?;
        let lr = Faces::load_all(&archives.lr, Size::Exactly(scale.lr as u32), cache)?;
        let mut data = Self::new(hr, lr, config, device)?;
        if !archives.pairs.is_empty() {
            let open = |held| PairSet::open(&archives.pairs, held, scale);
            data.pairs = Some(EncodedPairs { train: open(false)?, held: open(true)? });
        }
        Ok(data)
    }

    /// Splits two sets of faces.
    pub fn new(hr: Faces, lr: Faces, config: &Config, device: Device) -> Result<Self> {
        let hr_split = hr.split_by_identity(0.02);
        let lr_split = lr.split_by_track(0.1);
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
            pairs: None,
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

    /// Adds the network that tells people apart; it looks at faces of this side.
    ///
    /// # Errors
    /// When the file cannot be read or holds another network.
    pub fn with_identity(mut self, file: &Path, side: i64) -> Result<Self> {
        self.identity = Some(Identity::load(file, self.device)?.at_side(side));
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

    /// The pairs of real encoders.
    ///
    /// # Errors
    /// When the run was started without them.
    pub fn pairs(&self) -> Result<&EncodedPairs> {
        self.pairs.as_ref().ok_or_else(|| {
            Error::Setting(
                "this run learns from pairs of real encoders: give their folder by --pairs \
                 (facesr-train pairs makes them)"
                    .into(),
            )
        })
    }

    /// Takes in shards of pairs that have come since the start.
    ///
    /// # Errors
    /// When one of them cannot be read.
    pub fn rescan(&self) -> Result<()> {
        if let Some(pairs) = &self.pairs {
            pairs.train.rescan()?;
        }
        Ok(())
    }

    /// Where batches are put.
    pub fn device(&self) -> Device {
        self.device
    }

    /// HR faces [n, 3, 4s, 4s].
    pub fn hr(&self, n: usize, how: Variation, rng: &mut Rng) -> Tensor {
        batch::draw_batch(&self.hr, &self.hr_sampler, n, how, rng, self.device)
    }

    /// Indices of `n` HR faces to learn from.
    pub fn hr_indices(&self, n: usize, rng: &mut Rng) -> Vec<usize> {
        (0..n).map(|_| self.hr_sampler.draw(rng)).collect()
    }

    /// Real LR faces [n, 3, s, s].
    pub fn lr(&self, n: usize, rng: &mut Rng) -> Tensor {
        let how = Variation { flip: true, shift: 0, light: 0.0 };
        batch::draw_batch(&self.lr, &self.lr_sampler, n, how, rng, self.device)
    }
}
