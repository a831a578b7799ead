//! High-to-Low: learns how real cameras degrade faces (paper, section on the High-to-Low generator).
//!
//! An encoder-decoder of residual blocks, 64 -> 8 -> 16, that sees the face and a noise picture
//! made of z and says what to add to the face shrunk by plain means. Different z, different damage.
//! Faces of 128x128 are folded into channels first, and what is added to the 32x32 face is unfolded
//! after.

use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use super::layers::{Conv, Linear, Residual, assign};
use super::params::{Builder, Param, Params};
use crate::rng::Rng;
use crate::scale::Scale;

/// Numbers in z.
pub const NOISE: i64 = 64;

/// Size of the High-to-Low generator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HighToLowConfig {
    /// Channels of every block.
    pub width: i64,
    /// Residual blocks at 32x32, 16x16 (down), 8x8 and 16x16 (up).
    pub blocks: [usize; 4],
}

impl Default for HighToLowConfig {
    fn default() -> Self {
        Self { width: 64, blocks: [1, 2, 2, 3] }
    }
}

impl HighToLowConfig {
    /// As many blocks as the paper's: twelve.
    pub fn paper() -> Self {
        Self { width: 64, blocks: [2, 3, 4, 3] }
    }
}

/// The generator HR face + z -> LR face.
#[derive(Debug)]
pub struct HighToLow {
    scale: Scale,
    params: Params,
    noise: Linear,
    head: Conv,
    at32: Vec<Residual>,
    down16: Conv,
    at16: Vec<Residual>,
    down8: Conv,
    at8: Vec<Residual>,
    up16: Conv,
    back16: Vec<Residual>,
    last: Conv,
}

fn stack(b: &mut Builder, name: &str, n: usize, c: i64) -> Vec<Residual> {
    (0..n).map(|i| Residual::new(&mut b.sub(format!("{name}.{i}")), c)).collect()
}

fn run(blocks: &[Residual], x: Tensor) -> Tensor {
    blocks.iter().fold(x, |x, block| block.forward(&x))
}

/// Mean over 4x4 pixels: [n, 3, 4h, 4w] -> [n, 3, h, w].
pub fn shrink4(x: &Tensor) -> Tensor {
    x.avg_pool2d([4, 4], [4, 4], [0, 0], false, true, None)
}

impl HighToLow {
    /// Builds it with fresh weights.
    pub fn new(config: &HighToLowConfig, scale: Scale, rng: &mut Rng, device: Device) -> Self {
        let mut params = Params::default();
        let mut b = Builder::new(&mut params, rng, device);
        let c = config.width;
        let folded = 3 * scale.fold() * scale.fold();
        let [n32, n16, n8, n_back] = config.blocks;
        let noise = Linear::new(&mut b.sub("noise"), NOISE, 64 * 64);
        let head = Conv::new(&mut b.sub("head"), folded + 1, c, 4, 2, 1.0);
        let at32 = stack(&mut b, "at32", n32, c);
        let down16 = Conv::new(&mut b.sub("down16"), c, c, 4, 2, 1.0);
        let at16 = stack(&mut b, "at16", n16, c);
        let down8 = Conv::new(&mut b.sub("down8"), c, c, 4, 2, 1.0);
        let at8 = stack(&mut b, "at8", n8, c);
        let up16 = Conv::new(&mut b.sub("up16"), c, 4 * c, 3, 1, 1.0);
        let back16 = stack(&mut b, "back16", n_back, c);
        let last = Conv::new(&mut b.sub("last"), c, folded, 3, 1, 0.3);
        Self { scale, params, noise, head, at32, down16, at16, down8, at8, up16, back16, last }
    }

    /// Face [n, 3, 4s, 4s] and z [n, 64] -> [n, 3, s, s] in fp32, about [-1, 1]. `kind` is the
    /// kind to compute in.
    pub fn forward(&self, face: &Tensor, z: &Tensor, kind: Kind) -> Tensor {
        let n = face.size()[0];
        let noise = self.noise.forward(z).view([n, 1, 64, 64]);
        let fold = self.scale.fold();
        let folded = if fold > 1 { face.pixel_unshuffle(fold) } else { face.shallow_clone() };
        let x = super::layers::channels_last(&Tensor::cat(&[&folded, &noise], 1)).to_kind(kind);
        let x = run(&self.at32, self.head.forward(&x).relu());
        let mid = run(&self.at16, self.down16.forward(&x).relu());
        let x = run(&self.at8, self.down8.forward(&mid).relu());
        let x = mid + self.up16.forward(&x).pixel_shuffle(2);
        let x = self.last.forward(&run(&self.back16, x).relu()).to_kind(Kind::Float);
        let x = if fold > 1 { x.pixel_shuffle(fold) } else { x };
        (shrink4(face) + x).clamp(-1.2, 1.2)
    }

    /// Starts from the generator of a smaller scale: its damage to the shrunk face, each pixel of it
    /// repeated. False when the two are of other size.
    pub fn adopt_smaller(&self, small: &Self) -> bool {
        let k = self.scale.fold();
        let same = |(a, b): (&Param, &Param)| {
            let outer = a.name.starts_with("head.") || a.name.starts_with("last.");
            a.name == b.name && (outer || a.tensor.size() == b.tensor.size())
        };
        let width = |net: &Self| net.head.weight.size()[0];
        let all = self.params.iter().zip(small.params.iter());
        if small.scale.fold() != 1 || width(self) != width(small) || !all.clone().all(same) {
            return false;
        }
        for (mine, theirs) in all {
            let value = match mine.name.as_str() {
                "head.weight" => {
                    let (face, noise) =
                        (theirs.tensor.narrow(1, 0, 3), theirs.tensor.narrow(1, 3, 1));
                    let face = face.repeat_interleave_self_int(k * k, 1i64, None::<i64>);
                    Tensor::cat(&[face / (k * k) as f64, noise], 1)
                }
                "last.weight" | "last.bias" => {
                    theirs.tensor.repeat_interleave_self_int(k * k, 0i64, None::<i64>)
                }
                _ => theirs.tensor.shallow_clone(),
            };
            assign(&mine.tensor, &value);
        }
        true
    }

    /// Its weights.
    pub fn params(&self) -> &Params {
        &self.params
    }
}

/// Noise z [n, 64], standard normal.
pub fn noise(n: usize, rng: &mut Rng, device: Device) -> Tensor {
    Tensor::from_slice(&rng.normals(n * NOISE as usize)).view([n as i64, NOISE]).to_device(device)
}
