//! The way back: the weights of an exported generator as the start of another training.

use std::path::Path;

use prost::Message;
use tch::{Kind, Tensor};

use super::proto::{ModelProto, data_type};
use crate::error::{Error, Result, at};
use crate::models::layers::assign;
use crate::models::params::Params;

/// Fills `params` from the weights of the same names in an fp32 ONNX file that this trainer wrote.
///
/// # Errors
/// When the file cannot be read, is no ONNX, or holds a network of another size or precision.
pub fn read(path: &Path, params: &Params) -> Result<()> {
    let bad = |reason: String| Error::Checkpoint { path: path.to_owned(), reason };
    let bytes = std::fs::read(path).map_err(at(path))?;
    let model = ModelProto::decode(bytes.as_slice()).map_err(|e| bad(format!("no ONNX ({e})")))?;
    let stored = model.graph.map(|g| g.initializer).unwrap_or_default();
    for param in params.iter() {
        let (name, shape) = (&param.name, param.tensor.size());
        let found = stored
            .iter()
            .find(|t| t.name == *name)
            .ok_or_else(|| bad(format!("{name} is missing: not a generator of this kind")))?;
        let numbers = param.tensor.numel();
        if found.dims != shape
            || found.data_type != data_type::FLOAT
            || found.raw_data.len() != 4 * numbers
        {
            return Err(bad(format!(
                "{name} has shape {:?}, this network needs {shape:?} in fp32",
                found.dims
            )));
        }
        let values = Tensor::f_from_data_size(&found.raw_data, &shape, Kind::Float)?;
        assign(&param.tensor, &values.to_device(param.tensor.device()));
    }
    Ok(())
}
