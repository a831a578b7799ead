//! Judges exported generators: fidelity on pairs, realism and faithfulness on real LR faces.
//! Outputs are rounded to 8 bit before anything is measured, as a player would show them.

use std::path::Path;

use serde::Serialize;
use tch::{Device, Kind, Tensor};

use crate::console::grid;
use crate::dataset::batch::{fixed_batch, to_8bit};
use crate::dataset::faces::Faces;
use crate::error::Result;
use crate::export::verify::Runner;
use crate::metrics::distance::{frechet_distance, kernel_distance};
use crate::metrics::quality::{gradient_energy, levels, psnr, ssim};
use crate::metrics::random_features::Features;
use crate::models::high_to_low::{HighToLow, noise};
use crate::rng::{Rng, Stream};

/// Figures of one generator.
#[derive(Debug, Clone, Serialize)]
pub struct Scores {
    /// Its name.
    pub name: String,
    /// dB on faces shrunk by the mean of 4x4, mean over faces.
    pub psnr: f64,
    /// Structural similarity on the same.
    pub ssim: f64,
    /// Kernel distance x 1000 of outputs on real LR faces to real HR ones, by the feature net
    /// that was given.
    pub kernel_distance: Option<f64>,
    /// Frechet distance by the same features.
    pub frechet_distance: Option<f64>,
    /// Kernel distance by the fixed random net that training validates with.
    pub random_distance: f64,
    /// dB between real LR faces and outputs shrunk back.
    pub kept: f64,
    /// Gradient energy of outputs on real LR faces, against real HR ones.
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
    /// [n, 3, s, s] -> [n, 3, 4s, 4s], rounded to 8 bit.
    pub fn enhance(&mut self, lr: &Tensor) -> Result<Tensor> {
        let parts: Vec<Tensor> = lr
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

/// Bicubic enlargement, four times, of [n, 3, h, w] with a = -0.5, as Pillow computes it.
fn bicubic(lr: &Tensor) -> Tensor {
    let size = [4 * lr.size()[2], 4 * lr.size()[3]];
    lr.internal_upsample_bicubic2d_aa(size, false, None, None).clamp(-1.0, 1.0)
}

/// Mean of 4x4 blocks, rounded to 8 bit.
pub fn shrink(hr: &Tensor) -> Tensor {
    to_8bit(&crate::models::high_to_low::shrink4(hr))
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

    /// Features of faces [n, 3, h, h] in [-1, 1].
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

/// Faces to judge by, and what is known of them once.
#[derive(Debug)]
pub struct Judge {
    hr: Tensor,
    shrunk: Tensor,
    lr: Tensor,
    random: (Features, Tensor),
    net: Option<(FeatureNet, Tensor)>,
}

impl Judge {
    /// Prepares HR and real LR faces.
    pub fn new(hr: &Faces, lr: &Faces, mut net: Option<FeatureNet>) -> Result<Self> {
        let all = |f: &Faces| fixed_batch(f, &(0..f.len()).collect::<Vec<_>>(), Device::Cpu);
        let (hr, lr) = (all(hr), all(lr));
        let features = Features::new(Device::Cpu);
        let known = features.of(&hr);
        let net = match net.take() {
            Some(mut net) => {
                let known = net.of(&hr)?;
                Some((net, known))
            }
            None => None,
        };
        Ok(Self { shrunk: shrink(&hr), hr, lr, random: (features, known), net })
    }

    /// Judges one generator.
    pub fn score(&mut self, name: &str, generator: &mut Generator) -> Result<Scores> {
        let paired = generator.enhance(&self.shrunk)?;
        let real = generator.enhance(&self.lr)?;
        let mean = |x: &Tensor| x.mean(Kind::Double).double_value(&[]);
        let (mut kernel, mut frechet) = (None, None);
        if let Some((net, known)) = &mut self.net {
            let found = net.of(&real)?;
            kernel = Some(1000.0 * kernel_distance(&found, known, false));
            frechet = Some(frechet_distance(&found, known));
        }
        Ok(Scores {
            name: name.to_owned(),
            psnr: mean(&psnr(&paired, &self.hr)),
            ssim: mean(&ssim(&paired, &self.hr)),
            kernel_distance: kernel,
            frechet_distance: frechet,
            random_distance: kernel_distance(&self.random.0.of(&real), &self.random.1, true),
            kept: mean(&psnr(&shrink(&real), &self.lr)),
            sharp: gradient_energy(&real) / gradient_energy(&self.hr),
        })
    }

    /// Kernel distances (x 1000 with the given feature net, else by the random net) to the real low
    /// faces: of HR faces shrunk by plain means, and of those degraded by a High-to-Low generator
    /// as it answers and with its light put right. All are enlarged by bicubic for the net.
    pub fn high_to_low(&mut self, net: &HighToLow) -> Result<[f64; 3]> {
        let n = self.hr.size()[0];
        let z = noise(n as usize, &mut Rng::new(1, Stream::Noise, 0), Device::Cpu);
        let degraded = tch::no_grad(|| {
            let parts: Vec<Tensor> = (self.hr.split(64, 0).iter())
                .zip(z.split(64, 0))
                .map(|(x, z)| net.forward(x, &z, Kind::Float))
                .collect();
            Tensor::cat(&parts, 0)
        });
        let lit = to_8bit(&crate::loss::match_color(&degraded, &self.shrunk));
        let whiten = self.net.is_none();
        let mut features = |lr: &Tensor| -> Result<Tensor> {
            let large = to_8bit(&bicubic(lr));
            match &mut self.net {
                Some((net, _)) => net.of(&large),
                None => Ok(self.random.0.of(&large)),
            }
        };
        let real = features(&self.lr)?;
        let mut distance = |lr: &Tensor| -> Result<f64> {
            Ok(1000.0 * kernel_distance(&features(lr)?, &real, whiten))
        };
        Ok([distance(&self.shrunk)?, distance(&to_8bit(&degraded))?, distance(&lit)?])
    }

    /// Writes real LR faces and what each generator makes of them: one row of LR faces, then one
    /// row a generator; `blocks` such groups.
    pub fn sheet(&self, generators: &mut [Generator], blocks: usize, path: &Path) -> Result<()> {
        const COLUMNS: usize = 14;
        let n = self.lr.size()[0] as usize;
        let step = (n / (COLUMNS * blocks).max(1)).max(1);
        let chosen: Vec<i64> =
            (0..n).step_by(step).take(COLUMNS * blocks).map(|i| i as i64).collect();
        let mut rows = Vec::new();
        for part in chosen.chunks(COLUMNS) {
            let lr = self.lr.index_select(0, &Tensor::from_slice(part));
            rows.push(crate::console::nearest(&lr));
            for generator in &mut *generators {
                rows.push(generator.enhance(&lr)?);
            }
        }
        grid(&rows, path)
    }
}
