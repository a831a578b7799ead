//! Figures on faces held back from training.

use serde::Serialize;
use tch::{Kind, Tensor, no_grad};

use super::features::{Features, kernel_distance};
use super::source::{Source, noise};
use super::stage2::degrade;
use super::state::State;
use crate::data::batch::{Variation, camera_pairs, fixed_batch, to_8bit};
use crate::loss::grid;
use crate::net::high_to_low::shrink4;
use crate::rng::{Rng, Stream};
use crate::show::bicubic64;

/// Held-back figures of a checkpoint.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Validation {
    /// PSNR (dB) of the output on the synthetic camera's pictures.
    pub psnr_camera: f64,
    /// The same of bicubic enlargement.
    pub psnr_camera_bicubic: f64,
    /// PSNR of the output on learnt degradation.
    pub psnr_learnt: f64,
    /// PSNR between real low pictures and outputs shrunk back.
    pub kept: f64,
    /// Gradient energy of outputs on real low faces, against real high faces.
    pub sharp: f64,
    /// Checkerboards in outputs on real low faces, against real high faces; about 1 is none.
    pub grid: f64,
    /// Kernel distance of outputs on real low faces to real high faces (see [`super::features`]).
    pub distance: f64,
    /// The same of bicubic enlargement.
    pub distance_bicubic: f64,
    /// Kernel distance of outputs on the synthetic camera's pictures.
    pub distance_camera: f64,
}

impl Validation {
    /// What the best checkpoint is chosen by, lower is better: closeness to real faces, as long as
    /// the pixels stay about as close to the truth as those of bicubic.
    pub fn score(&self) -> f64 {
        let lost = (self.psnr_camera_bicubic - 0.3 - self.psnr_camera).max(0.0);
        self.distance + self.distance_camera + 0.2 * lost * self.distance_bicubic
    }
}

/// Peak signal-to-noise ratio of pictures in [-1, 1], mean over pictures.
pub fn psnr(a: &Tensor, b: &Tensor) -> f64 {
    let mse = (to_8bit(a) - b).square().mean_dim([1i64, 2, 3].as_slice(), false, Kind::Float);
    ((mse.clamp_min(1e-9) / 4.0).log10() * -10.0).mean(Kind::Float).double_value(&[])
}

fn gradient_energy(x: &Tensor) -> f64 {
    let grey = x.mean_dim([1i64].as_slice(), true, Kind::Float);
    let dx = grey.narrow(3, 1, 63) - grey.narrow(3, 0, 63);
    let dy = grey.narrow(2, 1, 63) - grey.narrow(2, 0, 63);
    (dx.square().mean(Kind::Float) + dy.square().mean(Kind::Float)).double_value(&[])
}

/// Measures the moving averages of a run.
pub fn measure(state: &State, source: &Source) -> Validation {
    let device = source.device();
    let kind = state.config.kind();
    let held = |from: &[usize], n: usize| from.iter().copied().take(n).collect::<Vec<_>>();
    let indices = held(&source.high_split.held, 256);
    let high = fixed_batch(&source.high, &indices, device);
    let low = fixed_batch(&source.low, &held(&source.low_split.held, 256), device);
    let mut rng = Rng::new(11, Stream::Validation, 0);
    let camera = &state.config.camera;
    let (shot, _) = camera_pairs(&source.high, &indices, Variation::NONE, camera, &mut rng, device);
    no_grad(|| {
        let enhance = |x: &Tensor| state.nets.l2h_ema.forward(x, kind, false).clamp(-1.0, 1.0);
        let z = noise(indices.len(), &mut rng, device);
        let spoilt = degrade(state, &high, &z);
        let real = enhance(&low);
        let sharpened = enhance(&shot);
        let net = Features::new(device);
        let truth = net.of(&high);
        let distance = |x: &Tensor| kernel_distance(&net.of(&to_8bit(x)), &truth, true);
        Validation {
            distance: distance(&real),
            distance_bicubic: distance(&bicubic64(&low)),
            distance_camera: distance(&sharpened),
            psnr_camera: psnr(&sharpened, &high),
            psnr_camera_bicubic: psnr(&bicubic64(&shot), &high),
            psnr_learnt: psnr(&enhance(&spoilt), &high),
            kept: psnr(&shrink4(&real), &low),
            grid: (grid(&real) / grid(&high)).double_value(&[]),
            sharp: gradient_energy(&real) / gradient_energy(&high),
        }
    })
}
