//! Runs an exported file in ONNX Runtime and compares it with libtorch.

use std::path::Path;

use facesr::inference::Runtime;
use facesr::internals::environment;
use ort::session::Session;
use ort::value::TensorRef;
use tch::{Device, Kind, Tensor};

use crate::error::{Error, Result};

fn failed(e: impl std::fmt::Display) -> Error {
    Error::Onnx(e.to_string())
}

/// An ONNX file ready to run on the CPU.
#[derive(Debug)]
pub struct Runner {
    session: Session,
    input: String,
    lr_size: Option<usize>,
}

impl Runner {
    /// Loads the library (once a process, see [`facesr::inference`]) and the file.
    ///
    /// # Errors
    /// When ONNX Runtime is not found or refuses the file.
    pub fn new(model: &Path) -> Result<Self> {
        let runtime = Runtime::get().map_err(failed)?;
        let session = Session::builder(environment(runtime))
            .and_then(|mut b| b.commit_from_file(model))
            .map_err(|e| Error::Onnx(format!("{}: {e}", model.display())))?;
        let input = session
            .inputs()
            .first()
            .map(|i| i.name().to_owned())
            .ok_or_else(|| Error::Onnx(format!("{}: no input", model.display())))?;
        let side =
            session.inputs().first().and_then(|i| i.dtype().tensor_shape()).and_then(|shape| {
                match shape[..] {
                    [_, _, h, w] if h == w => usize::try_from(w).ok(),
                    _ => None,
                }
            });
        Ok(Self { session, input, lr_size: side })
    }

    /// The side of the faces that it takes, where the file says.
    pub fn lr_size(&self) -> Option<usize> {
        self.lr_size
    }

    /// Runs one batch; the first output comes back in its own shape.
    pub fn run(&mut self, x: &Tensor) -> Result<Tensor> {
        let x = x.to_device(Device::Cpu).to_kind(Kind::Float).contiguous();
        let mut values = vec![0f32; x.numel()];
        x.copy_data(&mut values, x.numel());
        let shape = x.size();
        let view = TensorRef::from_array_view((shape, values.as_slice())).map_err(failed)?;
        let outputs =
            self.session.run(ort::inputs![self.input.as_str() => view]).map_err(failed)?;
        let (shape, values) = outputs[0].try_extract_tensor::<f32>().map_err(failed)?;
        let shape: Vec<i64> = shape.iter().copied().collect();
        Ok(Tensor::from_slice(values).view(shape.as_slice()))
    }
}

/// The largest difference between ONNX Runtime and libtorch on some faces.
pub fn largest_difference(a: &Tensor, b: &Tensor) -> f64 {
    (a - b).abs().max().double_value(&[])
}
