//! The named weights of one network, and the builder that creates them in a fixed order.

use tch::{Device, Kind, Tensor};

use crate::rng::Rng;

/// One named tensor.
#[derive(Debug)]
pub struct Param {
    /// Dotted path, such as `blocks.3.first.weight`.
    pub name: String,
    /// The fp32 values; layers hold shallow clones of it.
    pub tensor: Tensor,
    /// False for state that no gradient reaches (spectral norm vectors, running statistics).
    pub trainable: bool,
}

/// All tensors of a network in the order of their creation.
#[derive(Debug, Default)]
pub struct Params {
    entries: Vec<Param>,
}

impl Params {
    /// Every tensor.
    pub fn iter(&self) -> std::slice::Iter<'_, Param> {
        self.entries.iter()
    }

    /// Where they lie.
    pub fn device(&self) -> Device {
        self.entries.first().map_or(Device::Cpu, |p| p.tensor.device())
    }

    /// The tensors that are trained.
    pub fn trainable(&self) -> Vec<Tensor> {
        self.entries.iter().filter(|p| p.trainable).map(|p| p.tensor.shallow_clone()).collect()
    }

    /// How many numbers are trained.
    pub fn count(&self) -> usize {
        self.entries.iter().filter(|p| p.trainable).map(|p| p.tensor.numel()).sum()
    }

    /// Moves towards `other` by `share` (state that is not trained is copied): the moving average
    /// of a generator. Both must come from the same builder.
    pub fn lerp(&self, other: &Self, share: f64) {
        tch::no_grad(|| {
            for (mine, theirs) in self.entries.iter().zip(&other.entries) {
                let mut mine_tensor = mine.tensor.shallow_clone();
                if mine.trainable {
                    let _ = mine_tensor.lerp_(&theirs.tensor, share);
                } else {
                    mine_tensor.copy_(&theirs.tensor);
                }
            }
        });
    }
}

/// Creates the tensors of a network under a path of names.
#[derive(Debug)]
pub struct Builder<'a> {
    params: &'a mut Params,
    rng: &'a mut Rng,
    prefix: String,
    device: Device,
}

impl<'a> Builder<'a> {
    /// Starts a network.
    pub fn new(params: &'a mut Params, rng: &'a mut Rng, device: Device) -> Self {
        Self { params, rng, prefix: String::new(), device }
    }

    /// A builder for the part called `name`.
    pub fn sub(&mut self, name: impl std::fmt::Display) -> Builder<'_> {
        let prefix = if self.prefix.is_empty() {
            name.to_string()
        } else {
            format!("{}.{name}", self.prefix)
        };
        Builder { params: self.params, rng: self.rng, prefix, device: self.device }
    }

    fn add(&mut self, name: &str, tensor: Tensor, trainable: bool) -> Tensor {
        let tensor = tensor.to_device(self.device).set_requires_grad(trainable);
        let path = format!("{}.{name}", self.prefix);
        self.params.entries.push(Param { name: path, tensor: tensor.shallow_clone(), trainable });
        tensor
    }

    /// A trained tensor, normally distributed with the given deviation.
    pub fn normal(&mut self, name: &str, shape: &[i64], deviation: f64) -> Tensor {
        let n: i64 = shape.iter().product();
        let values = Tensor::from_slice(&self.rng.normals(n as usize)).view(shape) * deviation;
        self.add(name, values, true)
    }

    /// A trained tensor of one value.
    pub fn constant(&mut self, name: &str, shape: &[i64], value: f64) -> Tensor {
        self.add(name, Tensor::full(shape, value, (Kind::Float, Device::Cpu)), true)
    }

    /// State that is not trained, of one value.
    pub fn state(&mut self, name: &str, shape: &[i64], value: f64) -> Tensor {
        self.add(name, Tensor::full(shape, value, (Kind::Float, Device::Cpu)), false)
    }

    /// State that is not trained: a random direction of length 1.
    pub fn direction(&mut self, name: &str, n: i64) -> Tensor {
        let v = Tensor::from_slice(&self.rng.normals(n as usize));
        let v = &v / (v.norm() + 1e-12);
        self.add(name, v, false)
    }
}
