//! Figures on faces held back from training.

use serde::Serialize;
use tch::{Kind, Tensor, no_grad};

use super::low_to_high_step::degrade;
use super::pair_validation::{self, PairFigures};
use super::state::State;
use super::training_data::TrainingData;
use crate::console::bicubic;
use crate::dataset::batch::{Variation, camera_pairs, fixed_batch, to_8bit};
use crate::error::Result;
use crate::loss::grid;
use crate::metrics::distance::{kernel_distance, kernel_distance_with_error};
use crate::metrics::quality::{gradient_energy, mean_psnr};
use crate::metrics::random_features::Features;
use crate::models::high_to_low::{noise, shrink4};
use crate::models::identity;
use crate::models::perceptual::{self, Perceptual};
use crate::rng::{Rng, Stream};

/// Faces of either set that are looked at.
const FACES: usize = 256;

/// Held-back figures of a checkpoint.
#[derive(Debug, Clone, Serialize)]
pub struct Validation {
    /// PSNR (dB) of the output on the synthetic camera's pictures.
    pub psnr_camera: f64,
    /// The same of bicubic enlargement.
    pub psnr_camera_bicubic: f64,
    /// PSNR of the output on learnt degradation.
    pub psnr_learnt: f64,
    /// PSNR between real LR pictures and outputs shrunk back.
    pub kept: f64,
    /// Gradient energy of outputs on real LR faces, against real HR faces.
    pub sharp: f64,
    /// Checkerboards in outputs on real LR faces, against real HR faces; about 1 is none.
    pub grid: f64,
    /// Kernel distance of outputs on real LR faces to real HR faces (see [`crate::metrics::random_features`]).
    pub distance: f64,
    /// The same of bicubic enlargement.
    pub distance_bicubic: f64,
    /// Kernel distance of outputs on the synthetic camera's pictures.
    pub distance_camera: f64,
    /// Standard error of the score, where it is not made of pairs.
    pub score_error: f64,
    /// The same figures in the features of the fixed network, where the run has it.
    #[serde(flatten)]
    pub fixed: Option<Fixed>,
    /// How well people are kept, where the run has the network that tells them apart.
    #[serde(flatten)]
    pub people: Option<People>,
    /// Figures on held-back pairs of real encoders, where the run has them.
    #[serde(flatten)]
    pub encoded: Option<PairFigures>,
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
    /// Kernel distance of outputs on real LR faces to real HR faces.
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
    /// What the best checkpoint is chosen by, lower is better: the figures on pairs of real encoders
    /// where the run has them, else closeness to real faces, as long as the pixels stay about as close
    /// to the truth as those of bicubic.
    pub fn score(&self) -> f64 {
        if let Some(pairs) = &self.encoded {
            return pairs.score();
        }
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

/// Faces [n, 3, h, h] in the features of the fixed network: means over places for comparing sets,
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

/// Measures the moving averages of a run.
///
/// # Errors
/// When a shard of pairs cannot be read.
pub fn measure(state: &State, data: &TrainingData) -> Result<Validation> {
    let encoded = pair_validation::measure(state, data)?;
    let device = data.device();
    let kind = state.config.kind();
    // Where pairs judge, the rest is for the curves only.
    let faces = if encoded.is_some() { FACES / 4 } else { FACES };
    let indices = data.hr.one_a_person(&data.hr_split.held, faces);
    let hr = fixed_batch(&data.hr, &indices, device);
    let lr = fixed_batch(&data.lr, &data.lr.one_a_person(&data.lr_split.held, faces), device);
    let mut rng = Rng::new(11, Stream::Validation, 0);
    let camera = &state.config.camera;
    let (shot, _) = camera_pairs(&data.hr, &indices, Variation::NONE, camera, &mut rng, device);
    Ok(no_grad(|| {
        let enhance = |x: &Tensor| state.nets.l2h_ema.forward(x, kind, false).clamp(-1.0, 1.0);
        let z = noise(indices.len(), &mut rng, device);
        let degraded = degrade(state, &hr, &z);
        let real = enhance(&lr);
        let sharpened = enhance(&shot);
        let mut fixed_error = 0.0;
        let fixed = data.perceptual().ok().map(|net| {
            let of = |x: &Tensor| fixed_features(net, &to_8bit(x));
            let (truth, originals) = of(&hr);
            let (shot_sharpened, camera_faces) = of(&sharpened);
            let distance = |x: &Tensor| kernel_distance(x, &truth, true);
            let (fixed_distance, error) = kernel_distance_with_error(&of(&real).0, &truth, true);
            fixed_error = error;
            Fixed {
                fixed_distance,
                fixed_distance_bicubic: distance(&of(&bicubic(&lr)).0),
                fixed_distance_camera: distance(&shot_sharpened),
                found: found(&camera_faces, &originals),
                found_bicubic: found(&of(&bicubic(&shot)).1, &originals),
            }
        });
        let people = data.identity().ok().map(|net| {
            let of = |x: &Tensor| {
                let parts = to_8bit(x).split(32, 0);
                Tensor::cat(&parts.iter().map(|x| net.embed(x)).collect::<Vec<_>>(), 0)
            };
            let (truth, output, bicubic) = (of(&hr), of(&sharpened), of(&bicubic(&shot)));
            let apart = |x: &Tensor| identity::distance(x, &truth).double_value(&[]);
            People {
                identity_distance: apart(&output),
                identity_distance_bicubic: apart(&bicubic),
                identity_found: found(&output, &truth),
                identity_found_bicubic: found(&bicubic, &truth),
            }
        });
        let net = Features::new(device);
        let truth = net.of(&hr);
        let distance = |x: &Tensor| kernel_distance(&net.of(&to_8bit(x)), &truth, true);
        let (real_distance, error) =
            kernel_distance_with_error(&net.of(&to_8bit(&real)), &truth, true);
        // The other parts of a score vary less.
        let score_error = fixed.map_or(error, |f| fixed_error / f.fixed_distance_bicubic);
        Validation {
            score_error,
            fixed,
            people,
            encoded,
            distance: real_distance,
            distance_bicubic: distance(&bicubic(&lr)),
            distance_camera: distance(&sharpened),
            psnr_camera: mean_psnr(&sharpened, &hr),
            psnr_camera_bicubic: mean_psnr(&bicubic(&shot), &hr),
            psnr_learnt: mean_psnr(&enhance(&degraded), &hr),
            kept: mean_psnr(&shrink4(&real), &lr),
            grid: (grid(&real) / grid(&hr)).double_value(&[]),
            sharp: gradient_energy(&real) / gradient_energy(&hr),
        }
    }))
}
