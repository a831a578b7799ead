//! A distance between sets of faces for choosing checkpoints: kernel distance (Binkowski et al.
//! 2018, unbiased) of the statistics of a fixed random convolutional net. Nothing is trained and no
//! outside net takes part, so the judge's nets keep their independence. The light is taken out
//! first: the real low faces are lit unlike the high ones, which no checkpoint should undo.

use tch::{Device, Kind, Tensor, no_grad};

use crate::loss::without_light;
use crate::net::layers::Conv;
use crate::net::params::{Builder, Params};
use crate::rng::{Rng, Stream};

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

    /// Faces [n, 3, 64, 64] -> mean and deviation of each channel of each layer, [n, 672].
    pub fn of(&self, faces: &Tensor) -> Tensor {
        no_grad(|| {
            let mut parts = Vec::new();
            for chunk in faces.split(64, 0) {
                let mut x = without_light(&chunk);
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

/// Kernel distance of two sets of features [n, d] and [m, d]: unbiased, polynomial kernel of degree
/// 3. The scale of each feature is that of the second set when `whiten` is set.
pub fn kernel_distance(a: &Tensor, b: &Tensor, whiten: bool) -> f64 {
    let (a, b) = if whiten {
        let mean = b.mean_dim([0i64].as_slice(), true, Kind::Float);
        let scale =
            (b - &mean).square().mean_dim([0i64].as_slice(), true, Kind::Float).sqrt() + 1e-6;
        ((a - &mean) / &scale, (b - &mean) / &scale)
    } else {
        (a.shallow_clone(), b.shallow_clone())
    };
    let (a, b) = (a.to_kind(Kind::Double), b.to_kind(Kind::Double));
    let kernel = |x: &Tensor, y: &Tensor| {
        (x.matmul(&y.tr()) / x.size()[1] as f64 + 1.0).pow_tensor_scalar(3)
    };
    let within = |x: &Tensor| {
        let n = x.size()[0] as f64;
        let k = kernel(x, x);
        let total = k.sum(Kind::Double).double_value(&[]);
        let diagonal = k.diagonal(0, 0, 1).sum(Kind::Double).double_value(&[]);
        (total - diagonal) / (n * (n - 1.0))
    };
    within(&a) + within(&b) - 2.0 * kernel(&a, &b).mean(Kind::Double).double_value(&[])
}

#[cfg(test)]
mod tests {
    use super::*;

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
