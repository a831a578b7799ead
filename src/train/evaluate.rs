//! Judges exported generators: fidelity on pairs, realism and faithfulness on real low faces.
//! Outputs are rounded to 8 bit before anything is measured, as a player would show them.

use std::path::Path;

use serde::Serialize;
use tch::{Device, Kind, Tensor};

use crate::data::batch::{fixed_batch, to_8bit};
use crate::data::faces::Faces;
use crate::error::Result;
use crate::export::verify::Runner;
use crate::rng::{Rng, Stream};
use crate::show::grid;
use crate::train::features::{Features, kernel_distance};
use crate::train::source::noise;
use crate::train::state::State;

/// Figures of one generator.
#[derive(Debug, Clone, Serialize)]
pub struct Scores {
    /// Its name.
    pub name: String,
    /// dB on faces shrunk by the mean of 4x4, mean over faces.
    pub psnr: f64,
    /// Structural similarity on the same.
    pub ssim: f64,
    /// Kernel distance x 1000 of outputs on real low faces to real high ones, by the feature net
    /// that was given.
    pub kernel_distance: Option<f64>,
    /// Frechet distance by the same features.
    pub frechet_distance: Option<f64>,
    /// Kernel distance by the fixed random net that training validates with.
    pub random_distance: f64,
    /// dB between real low faces and outputs shrunk back.
    pub kept: f64,
    /// Gradient energy of outputs on real low faces, against real high ones.
    pub sharp: f64,
}

/// What is judged.
#[derive(Debug)]
pub enum Generator {
    /// Bicubic enlargement (a = -0.5), the baseline.
    Bicubic,
    /// An ONNX file.
    Onnx(Box<Runner>),
}

impl Generator {
    /// [n, 3, 16, 16] -> [n, 3, 64, 64], rounded to 8 bit.
    pub fn enhance(&mut self, low: &Tensor) -> Result<Tensor> {
        let parts: Vec<Tensor> = low
            .split(32, 0)
            .iter()
            .map(|x| match self {
                Self::Bicubic => Ok(bicubic(x)),
                Self::Onnx(runner) => runner.run(x),
            })
            .collect::<Result<_>>()?;
        Ok(to_8bit(&Tensor::cat(&parts, 0)))
    }
}

/// Bicubic enlargement of [n, 3, 16, 16] with a = -0.5, as Pillow computes it.
fn bicubic(low: &Tensor) -> Tensor {
    low.internal_upsample_bicubic2d_aa([64, 64], false, None, None).clamp(-1.0, 1.0)
}

/// Mean of 4x4 blocks, rounded to 8 bit.
pub fn shrink(high: &Tensor) -> Tensor {
    to_8bit(&crate::net::high_to_low::shrink4(high))
}

fn levels(x: &Tensor) -> Tensor {
    ((x + 1.0) * 127.5).round().to_kind(Kind::Double)
}

/// PSNR in dB of each picture of [n, 3, h, w] in [-1, 1] on 8-bit values.
pub fn psnr(a: &Tensor, b: &Tensor) -> Tensor {
    let mse =
        (levels(a) - levels(b)).square().mean_dim([1i64, 2, 3].as_slice(), false, Kind::Double);
    ((mse.clamp_min(1e-3) / (255.0 * 255.0)).log10() * -10.0).set_requires_grad(false)
}

/// Structural similarity of each picture (Wang et al. 2004): 7x7 uniform window, sample covariance,
/// mean over colours and over all windows that fit.
pub fn ssim(a: &Tensor, b: &Tensor) -> Tensor {
    let (a, b) = (levels(a), levels(b));
    let mean = |x: &Tensor| x.avg_pool2d([7, 7], [1, 1], [0, 0], false, true, None);
    let sample = 49.0 / 48.0;
    let (ma, mb) = (mean(&a), mean(&b));
    let va = (mean(&a.square()) - ma.square()) * sample;
    let vb = (mean(&b.square()) - mb.square()) * sample;
    let vab = (mean(&(&a * &b)) - &ma * &mb) * sample;
    let (c1, c2) = ((0.01f64 * 255.0).powi(2), (0.03f64 * 255.0).powi(2));
    let top = (&ma * &mb * 2.0 + c1) * (vab * 2.0 + c2);
    let bottom = (ma.square() + mb.square() + c1) * (va + vb + c2);
    (top / bottom).mean_dim([1i64, 2, 3].as_slice(), false, Kind::Double)
}

/// Frechet distance of two sets of features [n, d], [m, d] (Heusel et al. 2017).
pub fn frechet_distance(a: &Tensor, b: &Tensor) -> f64 {
    let stats = |x: &Tensor| {
        let x = x.to_kind(Kind::Double);
        let mean = x.mean_dim([0i64].as_slice(), true, Kind::Double);
        let centred = &x - &mean;
        let covariance = centred.tr().matmul(&centred) / (x.size()[0] as f64 - 1.0);
        (mean, covariance)
    };
    let ((ma, ca), (mb, cb)) = (stats(a), stats(b));
    // The trace of (ca cb)^1/2 by the eigenvalues of ca^1/2 cb ca^1/2, which is symmetric.
    let (values, vectors) = ca.linalg_eigh("L");
    let root = vectors.matmul(&values.clamp_min(0.0).sqrt().diag(0)).matmul(&vectors.tr());
    let (inner, _) = root.matmul(&cb).matmul(&root).linalg_eigh("L");
    let trace = |m: &Tensor| m.trace().double_value(&[]);
    let mixed = inner.clamp_min(0.0).sqrt().sum(Kind::Double).double_value(&[]);
    (ma - mb).square().sum(Kind::Double).double_value(&[]) + trace(&ca) + trace(&cb) - 2.0 * mixed
}

/// An ONNX feature net: RGB [n, 3, side, side] in 0..1 -> [n, d]. Faces are enlarged bilinearly.
#[derive(Debug)]
pub struct FeatureNet {
    runner: Runner,
    side: i64,
}

impl FeatureNet {
    /// Loads the net; `side` is the size of its input.
    pub fn new(model: &Path, side: i64) -> Result<Self> {
        Ok(Self { runner: Runner::new(model)?, side })
    }

    /// Features of faces [n, 3, 64, 64] in [-1, 1].
    pub fn of(&mut self, faces: &Tensor) -> Result<Tensor> {
        let parts: Vec<Tensor> = faces
            .split(8, 0)
            .iter()
            .map(|x| {
                let size = [self.side, self.side];
                let large =
                    levels(x).to_kind(Kind::Float).upsample_bilinear2d(size, false, None, None);
                self.runner.run(&(large.round() / 255.0)).map(|f| f.flatten(1, -1))
            })
            .collect::<Result<_>>()?;
        Ok(Tensor::cat(&parts, 0))
    }
}

fn gradient_energy(x: &Tensor) -> f64 {
    let grey = x.mean_dim([1i64].as_slice(), true, Kind::Float);
    let dx = grey.narrow(3, 1, 63) - grey.narrow(3, 0, 63);
    let dy = grey.narrow(2, 1, 63) - grey.narrow(2, 0, 63);
    (dx.square().mean(Kind::Float) + dy.square().mean(Kind::Float)).double_value(&[])
}

/// Faces to judge by, and what is known of them once.
#[derive(Debug)]
pub struct Judge {
    high: Tensor,
    shrunk: Tensor,
    low: Tensor,
    random: (Features, Tensor),
    net: Option<(FeatureNet, Tensor)>,
}

impl Judge {
    /// Prepares high and real low faces.
    pub fn new(high: &Faces, low: &Faces, mut net: Option<FeatureNet>) -> Result<Self> {
        let all = |f: &Faces| fixed_batch(f, &(0..f.len()).collect::<Vec<_>>(), Device::Cpu);
        let (high, low) = (all(high), all(low));
        let features = Features::new(Device::Cpu);
        let known = features.of(&high);
        let net = match net.take() {
            Some(mut net) => {
                let known = net.of(&high)?;
                Some((net, known))
            }
            None => None,
        };
        Ok(Self { shrunk: shrink(&high), high, low, random: (features, known), net })
    }

    /// Judges one generator.
    pub fn score(&mut self, name: &str, generator: &mut Generator) -> Result<Scores> {
        let paired = generator.enhance(&self.shrunk)?;
        let real = generator.enhance(&self.low)?;
        let mean = |x: &Tensor| x.mean(Kind::Double).double_value(&[]);
        let (mut kernel, mut frechet) = (None, None);
        if let Some((net, known)) = &mut self.net {
            let found = net.of(&real)?;
            kernel = Some(1000.0 * kernel_distance(&found, known, false));
            frechet = Some(frechet_distance(&found, known));
        }
        Ok(Scores {
            name: name.to_owned(),
            psnr: mean(&psnr(&paired, &self.high)),
            ssim: mean(&ssim(&paired, &self.high)),
            kernel_distance: kernel,
            frechet_distance: frechet,
            random_distance: kernel_distance(&self.random.0.of(&real), &self.random.1, true),
            kept: mean(&psnr(&shrink(&real), &self.low)),
            sharp: gradient_energy(&real) / gradient_energy(&self.high),
        })
    }

    /// Kernel distances (x 1000 with the given feature net, else by the random net) to the real low
    /// faces: of high faces shrunk by plain means, and of those spoilt by a High-to-Low generator
    /// as it answers and with its light put right. All are enlarged by bicubic for the net.
    pub fn high_to_low(&mut self, state: &State) -> Result<[f64; 3]> {
        let n = self.high.size()[0];
        let z = noise(n as usize, &mut Rng::new(1, Stream::Noise, 0), Device::Cpu);
        let spoilt = tch::no_grad(|| {
            let parts: Vec<Tensor> = (self.high.split(64, 0).iter())
                .zip(z.split(64, 0))
                .map(|(x, z)| state.nets.h2l_ema.forward(x, &z, Kind::Float))
                .collect();
            Tensor::cat(&parts, 0)
        });
        let lit = to_8bit(&crate::loss::match_light(&spoilt, &self.shrunk));
        let whiten = self.net.is_none();
        let mut features = |low: &Tensor| -> Result<Tensor> {
            let large = to_8bit(&bicubic(low));
            match &mut self.net {
                Some((net, _)) => net.of(&large),
                None => Ok(self.random.0.of(&large)),
            }
        };
        let real = features(&self.low)?;
        let mut distance = |low: &Tensor| -> Result<f64> {
            Ok(1000.0 * kernel_distance(&features(low)?, &real, whiten))
        };
        Ok([distance(&self.shrunk)?, distance(&to_8bit(&spoilt))?, distance(&lit)?])
    }

    /// Writes real low faces and what each generator makes of them: one row of low faces, then one
    /// row a generator; `blocks` such groups.
    pub fn sheet(&self, generators: &mut [Generator], blocks: usize, path: &Path) -> Result<()> {
        const COLUMNS: usize = 14;
        let n = self.low.size()[0] as usize;
        let step = (n / (COLUMNS * blocks).max(1)).max(1);
        let chosen: Vec<i64> =
            (0..n).step_by(step).take(COLUMNS * blocks).map(|i| i as i64).collect();
        let mut rows = Vec::new();
        for part in chosen.chunks(COLUMNS) {
            let low = self.low.index_select(0, &Tensor::from_slice(part));
            rows.push(crate::show::nearest64(&low));
            for generator in &mut *generators {
                rows.push(generator.enhance(&low)?);
            }
        }
        grid(&rows, path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faces() -> Tensor {
        tch::manual_seed(8);
        to_8bit(&(Tensor::randn([6, 3, 64, 64], (Kind::Float, Device::Cpu)) * 0.3))
    }

    #[test]
    fn equal_pictures_score_full() {
        let x = faces();
        assert!((ssim(&x, &x) - 1.0).abs().max().double_value(&[]) < 1e-9);
        assert!(psnr(&x, &x).min().double_value(&[]) > 70.0);
        let y = to_8bit(&(&x + 2.0 * 10.0 / 255.0).clamp(-1.0, 1.0));
        let expected = 20.0 * (255.0f64 / 10.0).log10();
        assert!((psnr(&x, &y).mean(Kind::Double).double_value(&[]) - expected).abs() < 0.1);
    }

    #[test]
    fn frechet_distance_is_that_of_two_normal_laws() {
        tch::manual_seed(3);
        let x = Tensor::randn([4000, 5], (Kind::Double, Device::Cpu));
        let y = Tensor::randn([4000, 5], (Kind::Double, Device::Cpu)) * 2.0 + 1.0;
        // |mean|^2 + sum (sigma_a - sigma_b)^2 = 5 + 5.
        assert!((frechet_distance(&x, &y) - 10.0).abs() < 0.5);
        assert!(frechet_distance(&x, &x).abs() < 1e-6);
    }
}
