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
use crate::net::identity;
use crate::net::perceptual::{self, Perceptual};
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
    /// The same figures in the features of the fixed network, where the run has it.
    #[serde(flatten)]
    pub fixed: Option<Fixed>,
    /// How well people are kept, where the run has the network that tells them apart.
    #[serde(flatten)]
    pub people: Option<People>,
}

/// Held-back figures of identity, on the synthetic camera's pictures.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct People {
    /// Distance of the embeddings of outputs and originals.
    pub identity_distance: f64,
    /// The same of bicubic enlargement.
    pub identity_distance_bicubic: f64,
    /// Share of outputs whose own original is the nearest of all.
    pub identity_found: f64,
    /// The same of bicubic enlargement.
    pub identity_found_bicubic: f64,
}

/// Held-back figures in the features of the fixed network.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Fixed {
    /// Kernel distance of outputs on real low faces to real high faces.
    pub fixed_distance: f64,
    /// The same of bicubic enlargement.
    pub fixed_distance_bicubic: f64,
    /// Kernel distance of outputs on the synthetic camera's pictures.
    pub fixed_distance_camera: f64,
    /// Share of outputs on the synthetic camera's pictures whose own original is the nearest of all.
    pub found: f64,
    /// The same of bicubic enlargement.
    pub found_bicubic: f64,
}

impl Validation {
    /// What the best checkpoint is chosen by, lower is better: closeness to real faces, as long as
    /// the pixels stay about as close to the truth as those of bicubic.
    pub fn score(&self) -> f64 {
        let lost = (self.psnr_camera_bicubic - 0.3 - self.psnr_camera).max(0.0);
        match self.fixed {
            Some(f) => {
                let found = self.people.map_or(f.found, |p| p.identity_found);
                (f.fixed_distance + f.fixed_distance_camera) / f.fixed_distance_bicubic - found
                    + 0.2 * lost
            }
            None => self.distance + self.distance_camera + 0.2 * lost * self.distance_bicubic,
        }
    }
}

/// Faces [n, 3, 64, 64] in the features of the fixed network: means over places for comparing sets,
/// and everything in its place for finding a face among others.
fn fixed_features(net: &Perceptual, faces: &Tensor) -> (Tensor, Tensor) {
    let (mut means, mut places) = (Vec::new(), Vec::new());
    for part in faces.split(32, 0) {
        let features = net.features(&part);
        means.push(perceptual::pooled(&features));
        let flat = |f: &Tensor| {
            let f = f.to_kind(Kind::Float).flatten(1, -1);
            &f / f.norm_scalaropt_dim(2.0, [1i64].as_slice(), true)
        };
        places.push(Tensor::cat(&features.iter().skip(1).map(flat).collect::<Vec<_>>(), 1));
    }
    (Tensor::cat(&means, 0), Tensor::cat(&places, 0))
}

/// Share of faces whose nearest original, by the cosine of what sets it apart from the mean, is
/// their own.
fn found(faces: &Tensor, originals: &Tensor) -> f64 {
    let mean = originals.mean_dim([0i64].as_slice(), true, Kind::Float);
    let unit = |x: &Tensor| {
        let x = x - &mean;
        &x / x.norm_scalaropt_dim(2.0, [1i64].as_slice(), true)
    };
    let nearest = unit(faces).matmul(&unit(originals).tr()).argmax(1, false);
    let own = Tensor::arange(nearest.size()[0], (Kind::Int64, nearest.device()));
    nearest.eq_tensor(&own).to_kind(Kind::Float).mean(Kind::Float).double_value(&[])
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
        let fixed = source.perceptual().ok().map(|net| {
            let of = |x: &Tensor| fixed_features(net, &to_8bit(x));
            let (truth, originals) = of(&high);
            let (shot_sharpened, camera_faces) = of(&sharpened);
            let distance = |x: &Tensor| kernel_distance(x, &truth, true);
            Fixed {
                fixed_distance: distance(&of(&real).0),
                fixed_distance_bicubic: distance(&of(&bicubic64(&low)).0),
                fixed_distance_camera: distance(&shot_sharpened),
                found: found(&camera_faces, &originals),
                found_bicubic: found(&of(&bicubic64(&shot)).1, &originals),
            }
        });
        let people = source.identity().ok().map(|net| {
            let of = |x: &Tensor| {
                let parts = to_8bit(x).split(32, 0);
                Tensor::cat(&parts.iter().map(|x| net.embed(x)).collect::<Vec<_>>(), 0)
            };
            let (truth, output, bicubic) = (of(&high), of(&sharpened), of(&bicubic64(&shot)));
            let apart = |x: &Tensor| identity::distance(x, &truth).double_value(&[]);
            People {
                identity_distance: apart(&output),
                identity_distance_bicubic: apart(&bicubic),
                identity_found: found(&output, &truth),
                identity_found_bicubic: found(&bicubic, &truth),
            }
        });
        let net = Features::new(device);
        let truth = net.of(&high);
        let distance = |x: &Tensor| kernel_distance(&net.of(&to_8bit(x)), &truth, true);
        Validation {
            fixed,
            people,
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
