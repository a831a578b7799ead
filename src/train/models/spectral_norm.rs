//! Spectral normalization (Miyato et al. 2018): weights divided by their largest singular value,
//! which a power iteration of one round a step keeps track of (paper: in the discriminators; the
//! vector u is kept as state and saved).

use tch::{Tensor, no_grad};

use super::layers::assign;
use super::params::Builder;

/// A weight [out, ...] with its singular vectors.
#[derive(Debug)]
pub struct SpectralWeight {
    weight: Tensor,
    /// [out]
    u: Tensor,
    /// [in * k * k]
    v: Tensor,
}

fn unit(x: &Tensor) -> Tensor {
    x / (x.norm() + 1e-12)
}

impl SpectralWeight {
    /// Xavier normal with the given gain (paper's code: sqrt 2 on the 1x1 skips).
    pub fn new(b: &mut Builder, shape: &[i64], gain: f64) -> Self {
        let (output, inner): (i64, i64) = (shape[0], shape[1..].iter().product());
        let area: i64 = shape.iter().skip(2).product();
        let deviation = gain * (2.0 / (inner + output * area) as f64).sqrt();
        let weight = b.normal("weight", shape, deviation);
        let this = Self { weight, u: b.direction("u", output), v: b.direction("v", inner) };
        (0..15).for_each(|_| this.power_iteration());
        this
    }

    fn matrix(&self) -> Tensor {
        self.weight.flatten(1, -1)
    }

    /// One round of the power iteration.
    pub fn power_iteration(&self) {
        no_grad(|| {
            let w = self.matrix();
            let v = unit(&w.tr().mv(&self.u));
            assign(&self.u, &unit(&w.mv(&v)));
            assign(&self.v, &v);
        });
    }

    /// The estimated largest singular value, a scalar that gradients flow through.
    pub fn sigma(&self) -> Tensor {
        // Copies, so that a later power iteration cannot change what the gradient needs.
        self.u.copy().dot(&self.matrix().mv(&self.v.copy()))
    }

    /// The weight divided by `sigma`.
    pub fn normalized(&self) -> Tensor {
        &self.weight / self.sigma()
    }

    /// The weight as it is stored.
    pub fn raw(&self) -> &Tensor {
        &self.weight
    }
}

/// A convolution of stride 1 under spectral normalization, with bias.
#[derive(Debug)]
pub struct SpectralConv {
    /// [out, in, k, k]
    pub weight: SpectralWeight,
    bias: Tensor,
    padding: i64,
}

impl SpectralConv {
    /// A `k` x `k` convolution that keeps the size.
    pub fn new(b: &mut Builder, input: i64, output: i64, k: i64, gain: f64) -> Self {
        Self {
            weight: SpectralWeight::new(b, &[output, input, k, k], gain),
            bias: b.constant("bias", &[output], 0.0),
            padding: (k - 1) / 2,
        }
    }

    /// [n, in, h, w] -> [n, out, h, w]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let kind = x.kind();
        let weight = self.weight.normalized().to_kind(kind);
        x.conv2d(&weight, Some(self.bias.to_kind(kind)), [1, 1], [self.padding; 2], [1, 1], 1)
    }
}

/// A linear layer to one number under spectral normalization.
#[derive(Debug)]
pub struct SpectralLinear {
    /// [1, in]
    pub weight: SpectralWeight,
    bias: Tensor,
}

impl SpectralLinear {
    /// `input` numbers to one.
    pub fn new(b: &mut Builder, input: i64) -> Self {
        Self {
            weight: SpectralWeight::new(b, &[1, input], 1.0),
            bias: b.constant("bias", &[1], 0.0),
        }
    }

    /// [n, in] -> [n, 1], in fp32.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        x.to_kind(tch::Kind::Float).linear(&self.weight.normalized(), Some(&self.bias))
    }
}
