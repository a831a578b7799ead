//! Convolutions, linear layers, batch normalization and the pre-activation residual block.

use tch::{Tensor, no_grad};

use super::params::Builder;

/// A square convolution with bias.
#[derive(Debug)]
pub struct Conv {
    /// [out, in, k, k]
    pub weight: Tensor,
    /// [out]
    pub bias: Tensor,
    stride: i64,
    padding: i64,
}

impl Conv {
    /// `gain` scales He's initialization: 1 before a ReLU, less for the last layer of a branch.
    pub fn new(b: &mut Builder, input: i64, output: i64, k: i64, stride: i64, gain: f64) -> Self {
        let deviation = gain * (2.0 / (input * k * k) as f64).sqrt();
        Self {
            weight: b.normal("weight", &[output, input, k, k], deviation),
            bias: b.constant("bias", &[output], 0.0),
            stride,
            padding: (k - 1) / 2,
        }
    }

    /// [n, in, h, w] -> [n, out, h / stride, w / stride]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let kind = x.kind();
        x.conv2d(
            &self.weight.to_kind(kind),
            Some(self.bias.to_kind(kind)),
            [self.stride; 2],
            [self.padding; 2],
            [1, 1],
            1,
        )
    }
}

/// A fully connected layer.
#[derive(Debug)]
pub struct Linear {
    weight: Tensor,
    bias: Tensor,
}

impl Linear {
    /// Xavier-like start for `input` -> `output` numbers.
    pub fn new(b: &mut Builder, input: i64, output: i64) -> Self {
        Self {
            weight: b.normal("weight", &[output, input], (1.0 / input as f64).sqrt()),
            bias: b.constant("bias", &[output], 0.0),
        }
    }

    /// [n, in] -> [n, out]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let kind = x.kind();
        x.linear(&self.weight.to_kind(kind), Some(self.bias.to_kind(kind)))
    }
}

/// Batch normalization over [n, c, h, w]; fp32 statistics.
#[derive(Debug)]
pub struct BatchNorm {
    pub(crate) weight: Tensor,
    pub(crate) bias: Tensor,
    pub(crate) mean: Tensor,
    pub(crate) var: Tensor,
}

impl BatchNorm {
    /// Added to the variance.
    pub const EPS: f64 = 1e-5;

    /// For `c` channels.
    pub fn new(b: &mut Builder, c: i64) -> Self {
        Self {
            weight: b.constant("weight", &[c], 1.0),
            bias: b.constant("bias", &[c], 0.0),
            mean: b.state("mean", &[c], 0.0),
            var: b.state("var", &[c], 1.0),
        }
    }

    /// With `train`, normalizes by the batch and updates the running statistics.
    pub fn forward(&self, x: &Tensor, train: bool) -> Tensor {
        let (w, b, m, v) = (&self.weight, &self.bias, &self.mean, &self.var);
        x.batch_norm(Some(w), Some(b), Some(m), Some(v), train, 0.1, Self::EPS, false)
    }
}

/// x + conv(relu(conv(x))): the residual block of the compact generators (no normalization; the
/// last convolution starts small so that a deep stack starts near the identity).
#[derive(Debug)]
pub struct Residual {
    /// First convolution.
    pub first: Conv,
    /// Second convolution.
    pub second: Conv,
}

impl Residual {
    /// `c` channels in and out.
    pub fn new(b: &mut Builder, c: i64) -> Self {
        Self {
            first: Conv::new(&mut b.sub("first"), c, c, 3, 1, 1.0),
            second: Conv::new(&mut b.sub("second"), c, c, 3, 1, 0.1),
        }
    }

    /// [n, c, h, w] -> the same shape.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        x + self.second.forward(&self.first.forward(x).relu())
    }
}

/// Copies values into a weight without recording it for the gradient.
pub fn assign(weight: &Tensor, values: &Tensor) {
    no_grad(|| {
        let mut weight = weight.shallow_clone();
        weight.copy_(values);
    });
}

/// A copy whose memory is laid out channels-last.
pub fn channels_last(x: &Tensor) -> Tensor {
    x.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2])
}
