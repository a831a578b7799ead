//! Low-to-High: the super-resolver that ships, 16x16 -> 64x64 or 32x32 -> 128x128, in two forms.
//!
//! `compact` computes everything at 16x16 (residual blocks of 64 channels, then 48 numbers an LR
//! pixel and one depth-to-space) and is held true to its input by [`Consistency`]. An input of 32x32
//! is folded into channels first and the numbers are unfolded after: the trunk stays at 16x16.
//! `paper` follows the released code of Bulat et al., 16x16 -> 64x64 only: 256 channels at 16x16,
//! 128 at 32x32, 96 at 64x64.

use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use super::consistency::{Consistency, Slack};
use super::layers::assign;
use super::layers::{BatchNorm, Conv, Residual, channels_last};
use super::params::{Builder, Params};
use crate::rng::Rng;
use crate::scale::Scale;

/// Which Low-to-High generator, and how large.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "arch", rename_all = "lowercase")]
pub enum LowToHighConfig {
    /// Everything at 16x16.
    Compact {
        /// Channels.
        width: i64,
        /// Residual blocks.
        blocks: usize,
        /// See [`Consistency::slack`].
        #[serde(flatten)]
        slack: Slack,
    },
    /// As in the paper's code.
    Paper {
        /// Channels at 16x16, 32x32 and 64x64.
        widths: [i64; 3],
        /// Blocks at 16x16 and 32x32.
        blocks: [usize; 2],
    },
}

impl LowToHighConfig {
    /// 0.92 M parameters, 234 M multiplications a face.
    pub fn compact() -> Self {
        Self::Compact { width: 64, blocks: 12, slack: Slack::TIGHT }
    }

    /// 15.5 M parameters.
    pub fn paper() -> Self {
        Self::Paper { widths: [256, 128, 96], blocks: [12, 3] }
    }

    /// Its short name.
    pub fn arch(&self) -> &'static str {
        match self {
            Self::Compact { .. } => "compact",
            Self::Paper { .. } => "paper",
        }
    }
}

/// Layers of the compact form.
#[derive(Debug)]
pub struct Compact {
    /// 3 colors of the folded pixels -> width.
    pub head: Conv,
    /// At 16x16.
    pub blocks: Vec<Residual>,
    /// width -> 48 for each folded pixel.
    pub last: Conv,
    /// What holds the output to the input.
    pub consistency: Consistency,
}

/// Pre-activation residual block with batch normalization.
#[derive(Debug)]
pub struct PaperBlock {
    pub(crate) norm1: BatchNorm,
    pub(crate) conv1: Conv,
    pub(crate) norm2: BatchNorm,
    pub(crate) conv2: Conv,
}

impl PaperBlock {
    fn new(b: &mut Builder, c: i64) -> Self {
        Self {
            norm1: BatchNorm::new(&mut b.sub("norm1"), c),
            conv1: Conv::new(&mut b.sub("conv1"), c, c, 3, 1, 1.0),
            norm2: BatchNorm::new(&mut b.sub("norm2"), c),
            conv2: Conv::new(&mut b.sub("conv2"), c, c, 3, 1, 0.3),
        }
    }

    fn forward(&self, x: &Tensor, train: bool) -> Tensor {
        let h = self.conv1.forward(&self.norm1.forward(x, train).relu());
        x + self.conv2.forward(&self.norm2.forward(&h, train).relu())
    }
}

/// Layers of the paper's form.
#[derive(Debug)]
pub struct Paper {
    pub(crate) head: Conv,
    pub(crate) blocks16: Vec<PaperBlock>,
    pub(crate) norm32: BatchNorm,
    pub(crate) to32: Conv,
    pub(crate) skip32: Conv,
    pub(crate) blocks32: Vec<PaperBlock>,
    pub(crate) to64: Conv,
    pub(crate) mix64: Conv,
    pub(crate) last: Conv,
}

/// The layers of either form.
#[derive(Debug)]
pub enum Layers {
    /// Everything at 16x16.
    Compact(Compact),
    /// As in the paper's code.
    Paper(Box<Paper>),
}

/// The generator.
#[derive(Debug)]
pub struct LowToHigh {
    config: LowToHighConfig,
    scale: Scale,
    params: Params,
    layers: Layers,
}

/// Bilinear enlargement to twice the size.
fn double(x: &Tensor) -> Tensor {
    let size = x.size();
    x.upsample_bilinear2d([size[2] * 2, size[3] * 2], false, None, None)
}

/// For each of the 48 k^2 numbers of a folded generator, the one of the 48 of an unfolded generator
/// whose HR pixel covers it.
fn repeated_positions(k: i64) -> Vec<i64> {
    let mut out = Vec::with_capacity((48 * k * k) as usize);
    for color in 0..3 {
        for (py, px) in (0..16).map(|p| (p / 4, p % 4)) {
            for (i, j) in (0..k * k).map(|p| (p / k, p % k)) {
                let (y, x) = ((i * 4 + py) / k, (j * 4 + px) / k);
                out.push(color * 16 + y * 4 + x);
            }
        }
    }
    out
}

impl LowToHigh {
    /// Builds it with fresh weights.
    pub fn new(config: &LowToHighConfig, scale: Scale, rng: &mut Rng, device: Device) -> Self {
        let folded = scale.fold() * scale.fold();
        let mut params = Params::default();
        let mut b = Builder::new(&mut params, rng, device);
        let layers = match *config {
            LowToHighConfig::Compact { width, blocks, slack } => Layers::Compact(Compact {
                head: Conv::new(&mut b.sub("head"), 3 * folded, width, 3, 1, 1.0),
                blocks: (0..blocks)
                    .map(|i| Residual::new(&mut b.sub(format!("blocks.{i}")), width))
                    .collect(),
                last: Conv::new(&mut b.sub("last"), width, 48 * folded, 3, 1, 0.1),
                consistency: Consistency::new(slack, device),
            }),
            LowToHighConfig::Paper { widths: [wide, half, fine], blocks: [n16, n32] } => {
                let stack = |b: &mut Builder, name: &str, n: usize, c: i64| {
                    (0..n).map(|i| PaperBlock::new(&mut b.sub(format!("{name}.{i}")), c)).collect()
                };
                Layers::Paper(Box::new(Paper {
                    head: Conv::new(&mut b.sub("head"), 3, wide, 3, 1, 1.0),
                    blocks16: stack(&mut b, "blocks16", n16, wide),
                    norm32: BatchNorm::new(&mut b.sub("norm32"), wide),
                    to32: Conv::new(&mut b.sub("to32"), wide, half, 1, 1, 1.0),
                    skip32: Conv::new(&mut b.sub("skip32"), half, half, 1, 1, 1.0),
                    blocks32: stack(&mut b, "blocks32", n32, half),
                    to64: Conv::new(&mut b.sub("to64"), half, fine, 3, 1, 1.0),
                    mix64: Conv::new(&mut b.sub("mix64"), fine, fine, 1, 1, 1.0),
                    last: Conv::new(&mut b.sub("last"), fine, 3, 1, 1, 0.3),
                }))
            }
        };
        Self { config: *config, scale, params, layers }
    }

    /// Holds the output to the input by another ball, which lies around the network: no weight changes. False for
    /// the paper's form, which is not held.
    pub fn set_slack(&mut self, new: Slack) -> bool {
        let LowToHighConfig::Compact { slack, .. } = &mut self.config else { return false };
        *slack = new;
        if let Layers::Compact(net) = &mut self.layers {
            net.consistency.slack = new;
        }
        true
    }

    /// LR [n, 3, s, s] -> HR [n, 3, 4s, 4s], both fp32 in [-1, 1] (the compact form may run past it
    /// a little: clamp for show). `kind` is the kind to compute in; `train` only concerns the batch
    /// normalization of the paper's form.
    pub fn forward(&self, lr: &Tensor, kind: Kind, train: bool) -> Tensor {
        let x = channels_last(lr).to_kind(kind);
        match &self.layers {
            Layers::Compact(net) => {
                let fold = self.scale.fold();
                let x = if fold > 1 { channels_last(&x.pixel_unshuffle(fold)) } else { x };
                let head = net.head.forward(&x);
                let body = net.blocks.iter().fold(head.shallow_clone(), |x, b| b.forward(&x));
                let detail = net.last.forward(&(body + head)).to_kind(Kind::Float);
                let detail = if fold > 1 { detail.pixel_shuffle(fold) } else { detail };
                net.consistency.apply(lr, &detail)
            }
            Layers::Paper(net) => {
                let head = net.head.forward(&x);
                let x = net.blocks16.iter().fold(head.shallow_clone(), |x, b| b.forward(&x, train));
                let x = double(&(x + head));
                let x = net.to32.forward(&net.norm32.forward(&x, train).relu());
                let skip = net.skip32.forward(&x);
                let x = net.blocks32.iter().fold(x, |x, b| b.forward(&x, train)) + skip;
                let x = net.to64.forward(&double(&x)).relu();
                net.last.forward(&net.mix64.forward(&x).relu()).to_kind(Kind::Float).tanh()
            }
        }
    }

    /// Starts from the compact generator of a smaller scale: the face fills both crops alike, so the
    /// trunk has learned the same thing. The output is then that of the smaller one on the shrunk
    /// face, each of its pixels repeated. False when the two are of other width, depth or form.
    pub fn adopt_smaller(&self, small: &Self) -> bool {
        let (Layers::Compact(mine), Layers::Compact(theirs)) = (&self.layers, &small.layers) else {
            return false;
        };
        let k = self.scale.fold();
        let width = |net: &Compact| net.head.weight.size()[0];
        if small.scale.fold() != 1
            || width(mine) != width(theirs)
            || mine.blocks.len() != theirs.blocks.len()
        {
            return false;
        }
        // The mean of the folded pixels.
        let head = theirs.head.weight.repeat_interleave_self_int(k * k, 1i64, None::<i64>);
        assign(&mine.head.weight, &(head / (k * k) as f64));
        assign(&mine.head.bias, &theirs.head.bias);
        for (mine, theirs) in mine.blocks.iter().zip(&theirs.blocks) {
            for (mine, theirs) in [(&mine.first, &theirs.first), (&mine.second, &theirs.second)] {
                assign(&mine.weight, &theirs.weight);
                assign(&mine.bias, &theirs.bias);
            }
        }
        let source = Tensor::from_slice(&repeated_positions(k)).to_device(mine.last.bias.device());
        assign(&mine.last.weight, &theirs.last.weight.index_select(0, &source));
        assign(&mine.last.bias, &theirs.last.bias.index_select(0, &source));
        true
    }

    /// Its scale.
    pub fn scale(&self) -> Scale {
        self.scale
    }

    /// Its size.
    pub fn config(&self) -> &LowToHighConfig {
        &self.config
    }

    /// Its layers, for the export.
    pub fn layers(&self) -> &Layers {
        &self.layers
    }

    /// Its weights.
    pub fn params(&self) -> &Params {
        &self.params
    }
}
