//! Runs an exported file in ONNX Runtime and compares it with libtorch.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use ort::environment::Environment;
use ort::session::Session;
use ort::value::TensorRef;
use tch::{Device, Kind, Tensor};

use crate::error::{Error, Result};

fn failed(e: impl std::fmt::Display) -> Error {
    Error::Onnx(e.to_string())
}

/// Finds the ONNX Runtime library: the path given, else the environment variable `FACESR_ORT`, else
/// `ORT_DYLIB_PATH`.
pub fn find_library(given: Option<&Path>) -> Result<PathBuf> {
    let from_env =
        || ["FACESR_ORT", "ORT_DYLIB_PATH"].iter().find_map(std::env::var_os).map(PathBuf::from);
    let path = given.map(Path::to_owned).or_else(from_env).ok_or_else(|| {
        Error::Onnx(
            "libonnxruntime.so is not known: set FACESR_ORT to it (scripts/setup.sh fetches one)"
                .into(),
        )
    })?;
    if !path.is_file() {
        return Err(Error::Onnx(format!("{} is not there", path.display())));
    }
    Ok(path)
}

/// The one environment of the process.
fn environment(library: &Path) -> Result<&'static Environment> {
    static ENVIRONMENT: OnceLock<std::result::Result<Environment, String>> = OnceLock::new();
    ENVIRONMENT
        .get_or_init(|| {
            let builder = ort::init_from(library).map_err(|e| e.to_string())?;
            builder.build().map_err(|e| e.to_string())
        })
        .as_ref()
        .map_err(|e| Error::Onnx(format!("{}: {e}", library.display())))
}

/// An ONNX file ready to run on the CPU.
#[derive(Debug)]
pub struct Runner {
    session: Session,
    input: String,
}

impl Runner {
    /// Loads the library (once a process) and the file.
    pub fn new(library: &Path, model: &Path) -> Result<Self> {
        let session = Session::builder(environment(library)?)
            .and_then(|mut b| b.commit_from_file(model))
            .map_err(|e| Error::Onnx(format!("{}: {e}", model.display())))?;
        let input = session
            .inputs()
            .first()
            .map(|i| i.name().to_owned())
            .ok_or_else(|| Error::Onnx(format!("{}: no input", model.display())))?;
        Ok(Self { session, input })
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
