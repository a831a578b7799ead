//! The residual discriminators of both stages (paper's released code): first block without leading
//! ReLU, average-pool halvings, plain blocks, ReLU, pool, linear; spectral normalization on every
//! convolution and on the linear layer, no batch normalization.
//!
//! Two departures, both switchable. The pool sums: with spectral normalization everywhere a mean
//! leaves outputs too small to saturate the hinge. And the compact form folds 2x2 pixels into
//! channels first, which a CPU runs several times faster than convolutions at 64x64.

use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use super::params::{Builder, Params};
use super::spectral_norm::{SpectralConv, SpectralLinear};
use crate::rng::Rng;
use crate::scale::Scale;

/// Size of a discriminator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiscriminatorConfig {
    /// Fold so many pixels (along each edge) into channels first; 1 for none. So many at the small
    /// scale: at the large one, twice as many, which leaves the cost of a face as it is.
    pub unshuffle: i64,
    /// Channels of the halving blocks.
    pub widths: Vec<i64>,
    /// Plain blocks after them.
    pub plain: usize,
}

impl DiscriminatorConfig {
    /// 64x64 faces, light enough for a CPU: 1.5 M parameters.
    pub fn hr_compact() -> Self {
        Self { unshuffle: 2, widths: vec![64, 128, 192], plain: 1 }
    }

    /// Less than half of the multiplications of [`Self::hr_compact`]: 4x4 pixels are folded.
    pub fn hr_light() -> Self {
        Self { unshuffle: 4, widths: vec![96, 160], plain: 1 }
    }

    /// 64x64 faces as in the paper's code: 128 channels, four halvings.
    pub fn hr_paper() -> Self {
        Self { unshuffle: 1, widths: vec![128; 4], plain: 2 }
    }

    /// 16x16 faces, light.
    pub fn lr_compact() -> Self {
        Self { unshuffle: 1, widths: vec![64, 128], plain: 1 }
    }

    /// 16x16 faces as in the paper's code: 128 channels, two halvings.
    pub fn lr_paper() -> Self {
        Self { unshuffle: 1, widths: vec![128; 2], plain: 2 }
    }
}

#[derive(Debug)]
struct Block {
    first: SpectralConv,
    second: SpectralConv,
    skip: Option<SpectralConv>,
    halve: bool,
    leading_relu: bool,
}

fn pool2(x: &Tensor) -> Tensor {
    x.avg_pool2d([2, 2], [2, 2], [0, 0], false, true, None)
}

impl Block {
    fn new(b: &mut Builder, input: i64, output: i64, halve: bool, leading_relu: bool) -> Self {
        let gain = std::f64::consts::SQRT_2;
        Self {
            first: SpectralConv::new(&mut b.sub("first"), input, output, 3, 1.0),
            second: SpectralConv::new(&mut b.sub("second"), output, output, 3, 1.0),
            skip: (halve || input != output)
                .then(|| SpectralConv::new(&mut b.sub("skip"), input, output, 1, gain)),
            halve,
            leading_relu,
        }
    }

    fn forward(&self, x: &Tensor) -> Tensor {
        let start = if self.leading_relu { x.relu() } else { x.shallow_clone() };
        let mut branch = self.second.forward(&self.first.forward(&start).relu());
        // Pooling and a 1x1 convolution commute: pool first, a quarter of the work.
        let mut skip = x.shallow_clone();
        if self.halve {
            branch = pool2(&branch);
            skip = pool2(&skip);
        }
        match &self.skip {
            Some(conv) => branch + conv.forward(&skip),
            None => branch + skip,
        }
    }
}

/// Tells real faces from generated ones.
#[derive(Debug)]
pub struct Discriminator {
    params: Params,
    unshuffle: i64,
    blocks: Vec<Block>,
    last: SpectralLinear,
}

impl Discriminator {
    /// Builds it with fresh weights.
    pub fn new(config: &DiscriminatorConfig, scale: Scale, rng: &mut Rng, device: Device) -> Self {
        let mut params = Params::default();
        let mut b = Builder::new(&mut params, rng, device);
        let unshuffle = config.unshuffle * scale.fold();
        let mut channels = 3 * unshuffle * unshuffle;
        let mut blocks = Vec::new();
        let halving = config.widths.iter().map(|&w| (w, true));
        let plain = config.widths.last().into_iter().flat_map(|&w| vec![(w, false); config.plain]);
        for (i, (width, halve)) in halving.chain(plain).enumerate() {
            let mut b = b.sub(format!("blocks.{i}"));
            blocks.push(Block::new(&mut b, channels, width, halve, i > 0));
            channels = width;
        }
        let last = SpectralLinear::new(&mut b.sub("last"), channels);
        Self { params, unshuffle, blocks, last }
    }

    /// [n, 3, h, w] -> scores [n, 1] (fp32) and the features after each block.
    pub fn features(&self, x: &Tensor) -> (Tensor, Vec<Tensor>) {
        let mut x = if self.unshuffle > 1 {
            super::layers::channels_last(&x.pixel_unshuffle(self.unshuffle))
        } else {
            x.shallow_clone()
        };
        let mut features = Vec::with_capacity(self.blocks.len());
        for block in &self.blocks {
            x = block.forward(&x);
            features.push(x.shallow_clone());
        }
        let pooled =
            x.relu().to_kind(Kind::Float).sum_dim_intlist([2i64, 3].as_slice(), false, None);
        (self.last.forward(&pooled), features)
    }

    /// [n, 3, h, w] -> scores [n, 1], high for real.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        self.features(x).0
    }

    /// One round of power iteration in every layer: once before each update.
    pub fn power_iteration(&self) {
        for block in &self.blocks {
            block.first.weight.power_iteration();
            block.second.weight.power_iteration();
            if let Some(skip) = &block.skip {
                skip.weight.power_iteration();
            }
        }
        self.last.weight.power_iteration();
    }

    /// Its weights and state.
    pub fn params(&self) -> &Params {
        &self.params
    }
}
