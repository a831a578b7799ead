//! Checkpoints: one safetensors file with every tensor of the run and the rest as JSON beside them.
//! Written next to its place and renamed, so that a kill never leaves half a file.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use tch::{Device, Kind, Tensor};

use crate::error::{Error, Result, at};
use crate::models::layers::assign;
use crate::models::params::Params;
use crate::optimizer::Adam;

/// Tensors on their way to a file.
#[derive(Debug, Default)]
pub struct Writer {
    tensors: Vec<(String, Vec<usize>, Vec<u8>)>,
}

impl Writer {
    /// Adds one fp32 tensor.
    pub fn tensor(&mut self, name: String, tensor: &Tensor) {
        let tensor = tensor.detach().to_device(Device::Cpu).to_kind(Kind::Float).contiguous();
        let mut values = vec![0f32; tensor.numel()];
        tensor.copy_data(&mut values, tensor.numel());
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.tensors.push((name, tensor.size().iter().map(|&d| d as usize).collect(), bytes));
    }

    /// Adds a network as `net/...`.
    pub fn network(&mut self, net: &str, params: &Params) {
        for p in params.iter() {
            self.tensor(format!("{net}/{}", p.name), &p.tensor);
        }
    }

    /// Adds an optimizer as `net.adam/...`.
    pub fn optimizer(&mut self, net: &str, adam: &Adam) {
        for (i, (m, v)) in adam.first.iter().zip(&adam.second).enumerate() {
            self.tensor(format!("{net}.adam/{i}.first"), m);
            self.tensor(format!("{net}.adam/{i}.second"), v);
        }
        self.tensor(format!("{net}.adam/steps"), &Tensor::from_slice(&[adam.steps as f32]));
    }

    /// Writes the file, with `state` (JSON) in its header.
    pub fn save(self, path: &Path, state: &str) -> Result<()> {
        let bad = |reason: String| Error::Checkpoint { path: path.to_owned(), reason };
        let views = self
            .tensors
            .iter()
            .map(|(name, shape, bytes)| {
                TensorView::new(Dtype::F32, shape.clone(), bytes).map(|view| (name.as_str(), view))
            })
            .collect::<std::result::Result<Vec<_>, _>>()
            .map_err(|e| bad(e.to_string()))?;
        let header = HashMap::from([("facesr.state".to_owned(), state.to_owned())]);
        let bytes = safetensors::serialize(views, Some(header)).map_err(|e| bad(e.to_string()))?;
        let beside = path.with_extension("part");
        fs::write(&beside, bytes).map_err(at(&beside))?;
        fs::rename(&beside, path).map_err(at(path))
    }
}

/// A checkpoint in memory.
#[derive(Debug)]
pub struct Reader {
    path: std::path::PathBuf,
    bytes: Vec<u8>,
    state: Option<String>,
}

impl Reader {
    /// Reads and checks a file.
    pub fn open(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).map_err(at(path))?;
        let bad = |reason: String| Error::Checkpoint { path: path.to_owned(), reason };
        let (_, header) = SafeTensors::read_metadata(&bytes)
            .map_err(|e| bad(format!("not a safetensors file ({e})")))?;
        // Weights that were trained elsewhere have none: they can be taken over, not resumed.
        let state = header.metadata().as_ref().and_then(|m| m.get("facesr.state").cloned());
        Ok(Self { path: path.to_owned(), bytes, state })
    }

    /// The JSON in its header.
    ///
    /// # Errors
    /// When it was not written by this trainer.
    pub fn state(&self) -> Result<&str> {
        self.state.as_deref().ok_or_else(|| self.bad("not written by this trainer".into()))
    }

    fn bad(&self, reason: String) -> Error {
        Error::Checkpoint { path: self.path.clone(), reason }
    }

    fn load_into(&self, file: &SafeTensors, name: &str, target: &Tensor) -> Result<()> {
        let view = file.tensor(name).map_err(|_| self.bad(format!("{name} is missing")))?;
        let shape: Vec<i64> = view.shape().iter().map(|&d| d as i64).collect();
        if shape != target.size() || view.dtype() != Dtype::F32 {
            return Err(self.bad(format!(
                "{name} has shape {shape:?}, this network needs {:?}",
                target.size()
            )));
        }
        let values = Tensor::f_from_data_size(view.data(), &shape, Kind::Float)?;
        assign(target, &values.to_device(target.device()));
        Ok(())
    }

    fn parse(&self) -> Result<SafeTensors<'_>> {
        SafeTensors::deserialize(&self.bytes).map_err(|e| self.bad(e.to_string()))
    }

    /// True when the file holds this network.
    pub fn has(&self, net: &str) -> bool {
        let prefix = format!("{net}/");
        self.parse().is_ok_and(|f| f.names().iter().any(|n| n.starts_with(&prefix)))
    }

    /// The name under which the file holds a network: the discriminators were once called by other
    /// names, also in the High-to-Low checkpoint that ships.
    fn stored_name<'a>(&self, net: &'a str) -> &'a str {
        match net {
            "lr_d" if !self.has(net) => "low_d",
            "hr_d" if !self.has(net) => "high_d",
            _ => net,
        }
    }

    /// Fills a network from `net/...`.
    pub fn network(&self, net: &str, params: &Params) -> Result<()> {
        let file = self.parse()?;
        let net = self.stored_name(net);
        // Weights from elsewhere: `net.NAME`, or of one network only, `NAME`.
        let elsewhere = format!("{net}.");
        let names = file.names();
        let prefix = if self.has(net) || self.state.is_some() {
            format!("{net}/")
        } else if names.iter().any(|n| n.starts_with(&elsewhere)) {
            elsewhere
        } else {
            String::new()
        };
        params
            .iter()
            .try_for_each(|p| self.load_into(&file, &format!("{prefix}{}", p.name), &p.tensor))
    }

    /// Fills an optimizer from `net.adam/...`.
    pub fn optimizer(&self, net: &str, adam: &mut Adam) -> Result<()> {
        let file = self.parse()?;
        let net = self.stored_name(net);
        for (i, (m, v)) in adam.first.iter().zip(&adam.second).enumerate() {
            self.load_into(&file, &format!("{net}.adam/{i}.first"), m)?;
            self.load_into(&file, &format!("{net}.adam/{i}.second"), v)?;
        }
        let steps = Tensor::from_slice(&[0f32]);
        self.load_into(&file, &format!("{net}.adam/steps"), &steps)?;
        adam.steps = steps.double_value(&[0]) as i64;
        Ok(())
    }
}
