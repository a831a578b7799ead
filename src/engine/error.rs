//! Errors of the engine. Their texts name the file and the remedy.

use std::fmt;
use std::path::PathBuf;

use thiserror::Error;

pub use crate::frame::FrameError;
pub use facesr_onnx::OnnxError;

/// A model file that cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ModelError {
    /// No such file.
    #[error("model file {} does not exist; {remedy}", path.display())]
    Missing {
        /// The file that was asked for.
        path: PathBuf,
        /// What the user can do.
        remedy: String,
    },
    /// No file was named and none was found in the model folders.
    #[error("no model file for {what} in {}; {remedy}", folders(looked_in))]
    NotFound {
        /// Which model.
        what: &'static str,
        /// The folders that were searched.
        looked_in: Vec<PathBuf>,
        /// What the user can do.
        remedy: String,
    },
    /// The file cannot be read.
    #[error("model file {} cannot be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The file is no model, or damaged.
    #[error("{model} is not a usable model ({source}); fetch it again or name another file")]
    Invalid {
        /// File or embedded model.
        model: String,
        /// Why.
        source: InvalidModel,
    },
    /// The model loads, but its inputs or outputs are not those of the contract.
    #[error("{model} does not fit: {reason}; wanted {wanted}")]
    Contract {
        /// File or embedded model.
        model: String,
        /// What is different.
        reason: String,
        /// The contract in words.
        wanted: &'static str,
    },
    /// The device that was asked for cannot run the model.
    #[error("{model} cannot run on {device}: {reason}")]
    Device {
        /// File or embedded model.
        model: String,
        /// Device name.
        device: &'static str,
        /// Why.
        reason: String,
    },
    /// ONNX Runtime is missing or unusable.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
}

impl ModelError {
    /// The file or embedded model `model` is not usable because of `source`.
    pub(crate) fn invalid(model: &dyn fmt::Display, source: InvalidModel) -> Self {
        Self::Invalid { model: model.to_string(), source }
    }
}

/// Why a file is no usable model.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidModel {
    /// The file has no content.
    #[error("the file is empty")]
    Empty,
    /// The file is larger than any model.
    #[error("{bytes} bytes are more than any model has")]
    TooLarge {
        /// Length of the file, at least.
        bytes: u64,
    },
    /// It is no ONNX file, or one that is refused.
    #[error(transparent)]
    Onnx(#[from] OnnxError),
    /// ONNX Runtime does not open it.
    #[error("{message}")]
    Refused {
        /// The first line of what ONNX Runtime says.
        message: String,
    },
    /// It is not the one file that its detector knows.
    #[error("{message}")]
    Unknown {
        /// What is different.
        message: String,
    },
}

/// A name that is none of those which are known.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("unknown {what} '{name}'; known are {}", known.join(", "))]
pub struct UnknownName {
    /// What is named.
    pub what: &'static str,
    /// The name.
    pub name: String,
    /// Every name that is known.
    pub known: Vec<&'static str>,
}

fn folders(list: &[PathBuf]) -> String {
    match list {
        [] => "any model folder".into(),
        list => list.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", "),
    }
}

/// Any error of the engine.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// Pixels that are no frame.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A model that cannot be used.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A model that loaded, but failed on a frame.
    #[error("{model} failed: {reason}")]
    Inference {
        /// File or embedded model.
        model: String,
        /// Why.
        reason: String,
    },
    /// A GPU that failed, or cannot do what is asked of it.
    #[error(transparent)]
    Gpu(#[from] GpuError),
}

/// Environment variable that names the ONNX Runtime library.
pub const LIBRARY_VARIABLE: &str = "ORT_DYLIB_PATH";

/// Oldest ONNX Runtime that works.
pub const OLDEST_VERSION: &str = "1.24";

/// Why ONNX Runtime cannot be used.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum RuntimeError {
    /// No library anywhere.
    #[error(
        "ONNX Runtime (libonnxruntime.so, {OLDEST_VERSION} or newer) was not found in {}; \
         run `make setup`, or name the library in {LIBRARY_VARIABLE}",
        looked_in.join(", ")
    )]
    NotFound {
        /// Places that were searched.
        looked_in: Vec<String>,
    },
    /// A library that does not load or is too old.
    #[error(
        "ONNX Runtime at {} cannot be used: {reason}; {OLDEST_VERSION} or newer is needed \
         (`make setup` fetches one, {LIBRARY_VARIABLE} names another)",
        path.display()
    )]
    Unusable {
        /// The library.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

/// Why a GPU cannot be used, or can no longer be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum GpuError {
    /// There is none, as far as this process can see.
    #[error("no NVIDIA driver is installed (libcuda.so.1 does not load)")]
    NoDriver,
    /// There is a driver, but no device or feature as asked for.
    #[error("{0}")]
    Unusable(String),
    /// It worked so far.
    #[error("{device} failed: {reason}")]
    Failed {
        /// Name of the device.
        device: String,
        /// What failed, and the driver's reason.
        reason: String,
    },
}
