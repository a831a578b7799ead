//! A fixed network that has seen a million photographs: EfficientNet-Lite0 (Tan and Le 2019; ImageNet
//! weights, Apache-2.0, fetched by `make train-setup`). Faces are compared, and told apart, in its
//! features. It is never trained here and never ships.
//!
//! Blocks of inverted residuals: 1x1 out to six times the channels, depthwise convolution, 1x1 back;
//! batch normalization after each, ReLU6 after the first two. The normalization is folded into the
//! weights when they are read.

use std::path::Path;

use tch::{Device, Kind, Tensor};

use super::frozen::{Convolution, Weights};
use super::layers::channels_last;
use crate::error::Result;

/// Repeats, kernel, stride, factor of expansion, channels out: one row a stage.
const STAGES: [(usize, i64, i64, i64, i64); 7] = [
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
];

/// Stages whose output is used: a quarter, an eighth, a sixteenth and a thirty-second of the side.
const TAPS: [usize; 4] = [1, 2, 4, 6];

/// Channels of the features, finest first.
pub const CHANNELS: [i64; 4] = [24, 40, 112, 320];

/// Faces are enlarged to this side first, or stay as they are if they are larger: the network has
/// learnt from larger pictures than 64x64.
const SIDE: i64 = 96;

/// What TensorFlow added to variances.
const EPS: f64 = 1e-3;

#[derive(Debug)]
struct Block {
    expand: Option<Convolution>,
    depthwise: Convolution,
    project: Convolution,
    skip: bool,
}

impl Block {
    fn forward(&self, x: &Tensor) -> Tensor {
        let wide = match &self.expand {
            Some(conv) => conv.forward_relu6(x),
            None => x.shallow_clone(),
        };
        let y = self.project.forward(&self.depthwise.forward_relu6(&wide));
        if self.skip { x + y } else { y }
    }
}

/// The fixed network.
#[derive(Debug)]
pub struct Perceptual {
    stem: Convolution,
    stages: Vec<Vec<Block>>,
}

/// A convolution without bias and the batch normalization after it, as one.
fn folded(
    file: &Weights,
    conv: &str,
    norm: &str,
    shape: [i64; 4],
    stride: i64,
) -> Result<Convolution> {
    let c = shape[0];
    let part = |what: &str| file.tensor(&format!("{norm}.{what}"), &[c]);
    let gain = part("weight")? / (part("running_var")? + EPS).sqrt();
    let weight = file.tensor(&format!("{conv}.weight"), &shape)? * gain.view([c, 1, 1, 1]);
    let bias = part("bias")? - part("running_mean")? * gain;
    Ok(Convolution::new(weight, bias, stride))
}

impl Perceptual {
    /// Reads the weights (`make train-setup` leaves them in `perceptual.safetensors`).
    ///
    /// # Errors
    /// When the file cannot be read or holds another network.
    pub fn load(path: &Path, device: Device) -> Result<Self> {
        let file = Weights::open(path, device)?;
        let stem = folded(&file, "_conv_stem", "_bn0", [32, 3, 3, 3], 2)?;
        let (mut input, mut number) = (32, 0);
        let mut stages = Vec::new();
        for (repeats, k, stride, factor, output) in STAGES {
            let mut blocks = Vec::new();
            for repeat in 0..repeats {
                let stride = if repeat == 0 { stride } else { 1 };
                let name = |part: &str| format!("_blocks.{number}.{part}");
                let wide = input * factor;
                let conv = |part: &str, norm: &str, shape, stride| {
                    folded(&file, &name(part), &name(norm), shape, stride)
                };
                let expand = (factor > 1)
                    .then(|| conv("_expand_conv", "_bn0", [wide, input, 1, 1], 1))
                    .transpose()?;
                blocks.push(Block {
                    expand,
                    depthwise: conv("_depthwise_conv", "_bn1", [wide, 1, k, k], stride)?,
                    project: conv("_project_conv", "_bn2", [output, wide, 1, 1], 1)?,
                    skip: stride == 1 && input == output,
                });
                input = output;
                number += 1;
            }
            stages.push(blocks);
        }
        Ok(Self { stem, stages })
    }

    /// Faces [n, 3, h, h] in [-1, 1] -> features [n, c, s, s] with c of [`CHANNELS`] and s of 24, 12,
    /// 6 and 3 (32, 16, 8 and 4 for faces of 128x128). Gradients flow through to the faces.
    pub fn features(&self, faces: &Tensor) -> Vec<Tensor> {
        let side = SIDE.max(faces.size()[3]);
        let large = faces.upsample_bilinear2d([side; 2], false, None, None);
        let mut x = self.stem.forward_relu6(&channels_last(&large));
        let mut taps = Vec::with_capacity(TAPS.len());
        for (i, stage) in self.stages.iter().enumerate() {
            x = stage.iter().fold(x, |x, block| block.forward(&x));
            if TAPS.contains(&i) {
                taps.push(x.shallow_clone());
            }
        }
        taps
    }
}

/// How differently two sets of faces look, pair by pair: features brought to length 1 at each place
/// and compared there (Zhang et al. 2018, without their learnt weights), mean over places, layers
/// and faces. 0 for equal faces.
pub fn distance(a: &[Tensor], b: &[Tensor]) -> Tensor {
    let unit = |x: &Tensor| {
        let x = x.to_kind(Kind::Float);
        let length =
            (x.square().sum_dim_intlist([1i64].as_slice(), true, Kind::Float) + 1e-6).sqrt();
        x / length
    };
    let mut total = Tensor::zeros([], (Kind::Float, a[0].device()));
    for (a, b) in a.iter().zip(b) {
        let gap = (unit(a) - unit(&b.detach())).square();
        total += gap.sum_dim_intlist([1i64].as_slice(), false, Kind::Float).mean(Kind::Float);
    }
    total / a.len() as f64
}

/// One vector a face for comparing faces or sets of faces: [n, 496], means over places.
pub fn pooled(features: &[Tensor]) -> Tensor {
    let parts: Vec<Tensor> =
        features.iter().map(|f| f.mean_dim([2i64, 3].as_slice(), false, Kind::Float)).collect();
    Tensor::cat(&parts, 1)
}
