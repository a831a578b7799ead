//! Statistics of a fixed random convolutional net, for the distance between sets of faces by which
//! checkpoints are chosen. No outside net takes part, so the judge's nets keep their independence.
//! The light is taken out first: the real LR faces are lit unlike the HR ones, which no checkpoint
//! should undo.

use tch::{Device, Kind, Tensor, no_grad};

use crate::loss::normalize_color;
use crate::models::layers::Conv;
use crate::models::params::{Builder, Params};
use crate::rng::{Rng, Stream};

/// The side at which faces are looked at.
const SIDE: i64 = 64;

/// The random net.
#[derive(Debug)]
pub struct Features {
    layers: Vec<Conv>,
}

impl Features {
    /// Always the same net.
    pub fn new(device: Device) -> Self {
        let mut params = Params::default();
        let mut rng = Rng::new(2018, Stream::Init, 99);
        let mut b = Builder::new(&mut params, &mut rng, device);
        let sizes = [(3, 48, 5, 1), (48, 64, 3, 2), (64, 96, 3, 2), (96, 128, 3, 2)];
        let layers = sizes
            .iter()
            .enumerate()
            .map(|(i, &(input, output, k, stride))| {
                Conv::new(&mut b.sub(i), input, output, k, stride, 1.0)
            })
            .collect();
        Self { layers }
    }

    /// Faces [n, 3, 64, 64] (larger ones are shrunk to that) -> mean and deviation of each channel of each layer, [n, 672].
    pub fn of(&self, faces: &Tensor) -> Tensor {
        no_grad(|| {
            let mut parts = Vec::new();
            for chunk in faces.split(64, 0) {
                let fold = (chunk.size()[3] / SIDE).max(1);
                let small = if fold > 1 {
                    chunk.avg_pool2d([fold; 2], [fold; 2], [0, 0], false, true, None)
                } else {
                    chunk
                };
                let mut x = normalize_color(&small);
                let mut stats = Vec::new();
                for layer in &self.layers {
                    x = layer.forward(&x).relu();
                    let dims = [2i64, 3];
                    let mean = x.mean_dim(dims.as_slice(), true, Kind::Float);
                    let var = (&x - &mean).square().mean_dim(dims.as_slice(), true, Kind::Float);
                    stats.push(mean.flatten(1, -1));
                    stats.push((var + 1e-6).sqrt().flatten(1, -1));
                }
                parts.push(Tensor::cat(&stats, 1));
            }
            Tensor::cat(&parts, 0)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::distance::kernel_distance;

    #[test]
    fn equal_sets_are_near_and_blurred_ones_far() {
        tch::manual_seed(4);
        let draw = || Tensor::randn([48, 3, 64, 64], (Kind::Float, Device::Cpu)) * 0.4;
        let features = Features::new(Device::Cpu);
        let (a, b) = (features.of(&draw()), features.of(&draw()));
        let soft = draw().avg_pool2d([3, 3], [1, 1], [1, 1], false, true, None);
        let near = kernel_distance(&a, &b, true).abs();
        let far = kernel_distance(&features.of(&soft), &b, true);
        assert!(far > 20.0 * near, "near {near}, far {far}");
    }
}
