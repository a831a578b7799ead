//! What networks that are never trained here have in common: weights out of a file, convolutions with
//! their normalization folded in, padding as TensorFlow does it.
//!
//! All of it is fp32: a CPU's depthwise convolutions gain nothing from bf16.

use std::fs;
use std::path::{Path, PathBuf};

use safetensors::{Dtype, SafeTensors};
use tch::{Device, Kind, Tensor};

use crate::error::{Error, Result, at};

/// A file of weights in memory.
#[derive(Debug)]
pub struct Weights {
    path: PathBuf,
    bytes: Vec<u8>,
    device: Device,
}

impl Weights {
    /// Reads a safetensors file whose tensors go to `device`.
    ///
    /// # Errors
    /// When the file cannot be read or is no safetensors.
    pub fn open(path: &Path, device: Device) -> Result<Self> {
        let file = Self { path: path.to_owned(), bytes: fs::read(path).map_err(at(path))?, device };
        SafeTensors::read_metadata(&file.bytes)
            .map_err(|e| file.bad(format!("not a safetensors file ({e})")))?;
        Ok(file)
    }

    fn bad(&self, reason: String) -> Error {
        Error::Checkpoint { path: self.path.clone(), reason }
    }

    /// One tensor, which must have this shape and be fp32.
    pub fn tensor(&self, name: &str, shape: &[i64]) -> Result<Tensor> {
        let tensors = SafeTensors::deserialize(&self.bytes).map_err(|e| self.bad(e.to_string()))?;
        let view = tensors.tensor(name).map_err(|_| self.bad(format!("{name} is missing")))?;
        let found: Vec<i64> = view.shape().iter().map(|&d| d as i64).collect();
        if found != shape || view.dtype() != Dtype::F32 {
            return Err(self.bad(format!("{name} has shape {found:?}, expected {shape:?}")));
        }
        Ok(Tensor::f_from_data_size(view.data(), shape, Kind::Float)?.to_device(self.device))
    }

    /// `NAME.weight` [out, in / groups, k, k] and `NAME.bias` [out]: a convolution of one group, or
    /// of one channel a group where the weight has one channel in.
    pub fn convolution(&self, name: &str, shape: [i64; 4], stride: i64) -> Result<Convolution> {
        let weight = self.tensor(&format!("{name}.weight"), &shape)?;
        let bias = self.tensor(&format!("{name}.bias"), &shape[..1])?;
        Ok(Convolution::new(weight, bias, stride))
    }
}

/// A convolution with bias.
#[derive(Debug)]
pub struct Convolution {
    weight: Tensor,
    bias: Tensor,
    stride: i64,
    groups: i64,
}

impl Convolution {
    /// Of a weight [out, in / groups, k, k]; depthwise where that has one channel in.
    pub fn new(weight: Tensor, bias: Tensor, stride: i64) -> Self {
        let groups = if weight.size()[1] == 1 { weight.size()[0] } else { 1 };
        Self { weight, bias, stride, groups }
    }

    /// Pads as TensorFlow does: with stride 2, the odd pixel goes below and to the right.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let (k, s) = (self.weight.size()[3], self.stride);
        let bias = Some(&self.bias);
        if s == 1 {
            return x.conv2d(&self.weight, bias, [1, 1], [(k - 1) / 2; 2], [1, 1], self.groups);
        }
        let side = x.size()[3];
        let total = ((side + s - 1) / s - 1) * s + k - side;
        let (before, after) = (total / 2, total - total / 2);
        let padded = x.constant_pad_nd([before, after, before, after]);
        padded.conv2d(&self.weight, bias, [s, s], [0, 0], [1, 1], self.groups)
    }

    /// The same with ReLU6 behind it (not clamp, whose gradient is five passes over memory).
    pub fn forward_relu6(&self, x: &Tensor) -> Tensor {
        self.forward(x).relu6()
    }
}
