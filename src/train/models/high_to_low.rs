//! High-to-Low: learns how real cameras degrade faces (paper, section on the High-to-Low generator).
//!
//! An encoder-decoder of residual blocks, 64 -> 8 -> 16, that sees the face and a noise picture
//! made of z and says what to add to the face shrunk by plain means. Different z, different damage.

use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use super::layers::{Conv, Linear, Residual};
use super::params::{Builder, Params};
use crate::rng::Rng;

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

/// The generator 64x64 + z -> 16x16.
#[derive(Debug)]
pub struct HighToLow {
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

/// Mean over 4x4 pixels: [n, 3, 64, 64] -> [n, 3, 16, 16].
pub fn shrink4(x: &Tensor) -> Tensor {
    x.avg_pool2d([4, 4], [4, 4], [0, 0], false, true, None)
}

impl HighToLow {
    /// Builds it with fresh weights.
    pub fn new(config: &HighToLowConfig, rng: &mut Rng, device: Device) -> Self {
        let mut params = Params::default();
        let mut b = Builder::new(&mut params, rng, device);
        let c = config.width;
        let [n32, n16, n8, n_back] = config.blocks;
        let noise = Linear::new(&mut b.sub("noise"), NOISE, 64 * 64);
        let head = Conv::new(&mut b.sub("head"), 4, c, 4, 2, 1.0);
        let at32 = stack(&mut b, "at32", n32, c);
        let down16 = Conv::new(&mut b.sub("down16"), c, c, 4, 2, 1.0);
        let at16 = stack(&mut b, "at16", n16, c);
        let down8 = Conv::new(&mut b.sub("down8"), c, c, 4, 2, 1.0);
        let at8 = stack(&mut b, "at8", n8, c);
        let up16 = Conv::new(&mut b.sub("up16"), c, 4 * c, 3, 1, 1.0);
        let back16 = stack(&mut b, "back16", n_back, c);
        let last = Conv::new(&mut b.sub("last"), c, 3, 3, 1, 0.3);
        Self { params, noise, head, at32, down16, at16, down8, at8, up16, back16, last }
    }

    /// Face [n, 3, 64, 64] and z [n, 64] -> [n, 3, 16, 16] in fp32, about [-1, 1]. `kind` is the
    /// kind to compute in.
    pub fn forward(&self, face: &Tensor, z: &Tensor, kind: Kind) -> Tensor {
        let n = face.size()[0];
        let noise = self.noise.forward(z).view([n, 1, 64, 64]);
        let x = super::layers::channels_last(&Tensor::cat(&[face, &noise], 1)).to_kind(kind);
        let x = run(&self.at32, self.head.forward(&x).relu());
        let mid = run(&self.at16, self.down16.forward(&x).relu());
        let x = run(&self.at8, self.down8.forward(&mid).relu());
        let x = mid + self.up16.forward(&x).pixel_shuffle(2);
        let x = self.last.forward(&run(&self.back16, x).relu()).to_kind(Kind::Float);
        (shrink4(face) + x).clamp(-1.2, 1.2)
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
