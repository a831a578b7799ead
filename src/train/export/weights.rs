//! The way back: the weights of an exported generator as the start of another training.

use std::path::Path;

use prost::Message;
use tch::{Kind, Tensor};

use super::model::{NETWORK, folded_head};
use crate::error::{Error, Result, at};
use crate::models::layers::assign;
use crate::models::low_to_high::LowToHighConfig;
use crate::models::params::Params;
use crate::scale::Scale;
use facesr_onnx::messages::{ModelProto, data_type};

/// The scale and the settings of the network in an ONNX file that this trainer wrote. Files that do
/// not say are of the compact generator that shipped first.
///
/// # Errors
/// When the file cannot be read or says what cannot be.
pub fn describe(path: &Path) -> Result<(Scale, LowToHighConfig)> {
    let bad = |reason: String| Error::Checkpoint { path: path.to_owned(), reason };
    let bytes = std::fs::read(path).map_err(at(path))?;
    let model = ModelProto::decode(bytes.as_slice()).map_err(|e| bad(format!("no ONNX ({e})")))?;
    let said = |key: &str| model.metadata_props.iter().find(|p| p.key == key).map(|p| &p.value);
    let scale = match said("facesr.lr_size") {
        Some(size) => size
            .parse()
            .ok()
            .and_then(Scale::for_lr)
            .ok_or_else(|| bad(format!("it is for faces of {size} pixels")))?,
        None => Scale::SMALL,
    };
    let network = match said(NETWORK) {
        Some(text) => serde_json::from_str(text)
            .map_err(|e| bad(format!("its network cannot be read ({e})")))?,
        None => LowToHighConfig::compact(),
    };
    Ok((scale, network))
}

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
        // A folded head is stored as a convolution of the faces themselves.
        let fold = match (name.as_str(), &found.dims[..], &shape[..]) {
            ("head.weight", [o, 3, h, w], [outputs, inputs, 3, 3])
                if o == outputs && h == w && *h > 3 && 3 * (h / 3).pow(2) == *inputs =>
            {
                h / 3
            }
            _ => 1,
        };
        if (fold == 1 && found.dims != shape)
            || found.data_type != data_type::FLOAT
            || found.raw_data.len() != 4 * numbers
        {
            return Err(bad(format!(
                "{name} has shape {:?}, this network needs {shape:?} in fp32",
                found.dims
            )));
        }
        let values = Tensor::f_from_data_size(&found.raw_data, &found.dims, Kind::Float)?;
        let values = if fold > 1 { folded_head(&values, fold) } else { values };
        assign(&param.tensor, &values.to_device(param.tensor.device()));
    }
    Ok(())
}
