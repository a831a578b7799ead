//! Errors of the engine. Their texts name the file and the remedy, and tell the cause, which is also
//! their `source`.

use std::any::Any;
use std::fmt;
use std::path::PathBuf;

use thiserror::Error;

pub use crate::frame::FrameError;
pub use facesr_onnx::OnnxError;

/// The cause of an error, whatever its type: a detector may be anybody's.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

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
    #[error("{model} does not fit: {source}; wanted {wanted}")]
    Contract {
        /// File or embedded model.
        model: String,
        /// What is different.
        source: Cause,
        /// The contract in words.
        wanted: &'static str,
    },
    /// The device that was asked for cannot run the model.
    #[error("{model} cannot run on {device}: {source}{remedy}")]
    Device {
        /// File or embedded model.
        model: String,
        /// Device name.
        device: &'static str,
        /// Why.
        source: Cause,
        /// What the user can do, as the end of the sentence; empty if nothing is known.
        remedy: &'static str,
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

    /// The file or embedded model `model` cannot run on `device` because of `cause`.
    pub(crate) fn on_device(
        model: &dyn fmt::Display,
        device: &'static str,
        cause: impl Into<Cause>,
    ) -> Self {
        Self::Device { model: model.to_string(), device, source: cause.into(), remedy: "" }
    }
}

/// Why a file is no usable model.
#[derive(Debug, Error)]
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
    #[error(transparent)]
    Refused(#[from] OnnxRuntimeError),
    /// The detector of this file does not open it.
    #[error("{0}")]
    Detector(#[source] std::io::Error),
    /// The thread that its detector works in does not start.
    #[error("its thread does not start: {0}")]
    Thread(#[source] std::io::Error),
}

/// What ONNX Runtime said when it failed: the first line, without the source lines and the stack
/// trace that follow.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct OnnxRuntimeError(String);

impl OnnxRuntimeError {
    pub(crate) fn new(error: ort::Error) -> Self {
        Self::from_message(&error.to_string())
    }

    pub(crate) fn from_message(message: &str) -> Self {
        Self(message.lines().next().unwrap_or_default().trim().to_string())
    }
}

/// How a model fails on a frame.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InferenceError {
    /// ONNX Runtime fails.
    #[error(transparent)]
    Runtime(#[from] OnnxRuntimeError),
    /// The output has another shape than the one that was declared.
    #[error("it answered shape {shape:?} for {faces} faces")]
    Shape {
        /// The output's shape.
        shape: Vec<i64>,
        /// Faces in the input.
        faces: usize,
    },
    /// The output holds an infinity or not a number.
    #[error("it answered numbers that are not finite")]
    NotFinite,
    /// An output that was declared does not come.
    #[error("it has no output {0}")]
    NoOutput(String),
    /// No session was opened.
    #[error("no session is open")]
    NoSession,
    /// The thread that it works in has ended.
    #[error("its thread has ended")]
    ThreadEnded,
    /// It panicked, with this message.
    #[error("it panicked: {0}")]
    Panicked(String),
}

impl InferenceError {
    /// What [`std::panic::catch_unwind`] has caught.
    pub(crate) fn panicked(panic: &(dyn Any + Send)) -> Self {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        Self::Panicked(text.unwrap_or("no reason given").to_string())
    }
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

/// A text that is no rectangle.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "'{text}' is no rectangle; write x,y,width,height in pixels, or from 0 to 1 of the picture's width \
     and height, several with a semicolon between them"
)]
pub struct NoRectangle {
    /// The text.
    pub text: String,
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
    #[error("{model} failed: {source}")]
    Inference {
        /// File, embedded model or detector.
        model: String,
        /// Why: an [`InferenceError`] or [`GpuError`], or what a detector of your own returns.
        source: Cause,
    },
    /// A GPU that failed, or cannot do what is asked of it.
    #[error(transparent)]
    Gpu(#[from] GpuError),
}

impl Error {
    /// `model` failed on a frame because of `cause`, an error or a text.
    pub fn inference(model: impl Into<String>, cause: impl Into<Cause>) -> Self {
        Self::Inference { model: model.into(), source: cause.into() }
    }
}

/// Environment variable that names the ONNX Runtime library.
pub const LIBRARY_VARIABLE: &str = "ORT_DYLIB_PATH";

/// Oldest ONNX Runtime that works.
pub const OLDEST_VERSION: &str = "1.24";

/// Why ONNX Runtime cannot be used.
#[derive(Debug, Error)]
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
        "ONNX Runtime at {} cannot be used: {source}; {OLDEST_VERSION} or newer is needed \
         (`make setup` fetches one, {LIBRARY_VARIABLE} names another)",
        path.display()
    )]
    Unusable {
        /// The library.
        path: PathBuf,
        /// Why.
        source: Cause,
    },
}

/// Why a GPU cannot be used, or can no longer be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum GpuError {
    /// There is none, as far as this process can see.
    #[error("no NVIDIA driver is installed (libcuda.so.1 does not load)")]
    NoDriver,
    /// There is a driver, but no device or feature as asked for.
    #[error("{0}")]
    Unusable(String),
    /// There is such a device, but it cannot be opened.
    #[error("CUDA device {id}: {step} failed ({source})")]
    Open {
        /// Number of the device, from 0.
        id: u32,
        /// What failed.
        step: &'static str,
        /// The driver's reason.
        source: CudaError,
    },
    /// It worked so far.
    #[error("{device} failed: {step}: {source}")]
    Failed {
        /// Name of the device.
        device: String,
        /// What failed.
        step: String,
        /// The reason of the driver or of ONNX Runtime.
        source: Cause,
    },
}

/// What CUDA's driver said: the name of the error and, if it has one, its sentence.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct CudaError(pub(crate) String);

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    #[test]
    fn errors_have_their_cause_as_source_and_tell_it() {
        let io = std::io::Error::other("the camera is gone");
        let own = Error::inference("detector mine", io);
        assert_eq!(own.to_string(), "detector mine failed: the camera is gone");
        assert!(own.source().is_some_and(|cause| cause.is::<std::io::Error>()));

        let panicked = InferenceError::panicked(&"made up".to_string());
        let own = Error::inference("detector mine", panicked.clone());
        let source = own.source().and_then(|cause| cause.downcast_ref::<InferenceError>());
        assert_eq!(source, Some(&panicked));
        assert_eq!(own.to_string(), "detector mine failed: it panicked: made up");

        let model = ModelError::invalid(&"x.onnx", OnnxError::NotOnnx.into());
        let cause = model.source().and_then(|cause| cause.downcast_ref::<InvalidModel>());
        assert!(matches!(cause, Some(InvalidModel::Onnx(OnnxError::NotOnnx))), "{model:?}");
        let device = ModelError::on_device(&"x.onnx", "cuda", GpuError::NoDriver);
        assert!(device.source().is_some_and(|cause| cause.is::<GpuError>()));
    }

    #[test]
    fn onnx_runtime_errors_are_their_first_line() {
        let error = OnnxRuntimeError::from_message("  no such node \nat line 7\nof file x");
        assert_eq!(error.to_string(), "no such node");
    }
}
