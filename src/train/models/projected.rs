//! A discriminator that looks through the fixed network of [`super::perceptual`]: small heads, one on
//! each of its four layers, say at every place whether it looks real (Sauer et al., Projected GANs,
//! 2021). The fixed features tell it from the first step on what a face consists of, which a
//! discriminator that starts from nothing has to learn first; and as only the heads are trained, its
//! own update costs next to nothing.

use tch::{Device, Kind, Tensor};

use super::layers::Conv;
use super::params::{Builder, Params};
use super::perceptual::CHANNELS;
use super::spectral_norm::SpectralConv;
use crate::rng::Rng;

/// Channels within a head.
const WIDTH: i64 = 64;

/// Slope of the negative side.
fn leaky(x: &Tensor) -> Tensor {
    x.maximum(&(x * 0.2))
}

#[derive(Debug)]
struct Head {
    mix: SpectralConv,
    look: SpectralConv,
    last: Conv,
}

impl Head {
    fn new(b: &mut Builder, channels: i64) -> Self {
        Self {
            mix: SpectralConv::new(&mut b.sub("mix"), channels, WIDTH, 1, 1.0),
            look: SpectralConv::new(&mut b.sub("look"), WIDTH, WIDTH, 3, 1.0),
            last: Conv::new(&mut b.sub("last"), WIDTH, 1, 1, 1, 1.0),
        }
    }

    fn forward(&self, x: &Tensor) -> Tensor {
        let x = leaky(&self.mix.forward(x));
        self.last.forward(&leaky(&self.look.forward(&x))).to_kind(Kind::Float)
    }
}

/// The heads.
#[derive(Debug)]
pub struct Projected {
    params: Params,
    heads: Vec<Head>,
}

impl Projected {
    /// Builds them with fresh weights.
    pub fn new(rng: &mut Rng, device: Device) -> Self {
        let mut params = Params::default();
        let mut b = Builder::new(&mut params, rng, device);
        let heads =
            CHANNELS.iter().enumerate().map(|(i, &c)| Head::new(&mut b.sub(i), c)).collect();
        Self { params, heads }
    }

    /// Features of faces -> scores [n, 1, s, s] of each layer, high for real.
    pub fn forward(&self, features: &[Tensor]) -> Vec<Tensor> {
        self.heads.iter().zip(features).map(|(head, f)| head.forward(f)).collect()
    }

    /// One round of power iteration: once before each update.
    pub fn power_iteration(&self) {
        for head in &self.heads {
            head.mix.weight.power_iteration();
            head.look.weight.power_iteration();
        }
    }

    /// Their weights and state.
    pub fn params(&self) -> &Params {
        &self.params
    }
}
