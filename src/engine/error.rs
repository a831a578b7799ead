//! What can go wrong in the engine, in words that a user can act on.

use std::path::PathBuf;

use thiserror::Error;

pub use crate::cuda::GpuError;
pub use crate::frame::FrameError;
pub use crate::runtime::RuntimeError;

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
    #[error("{model} is not a usable model ({reason}); fetch it again or name another file")]
    Invalid {
        /// File or embedded model.
        model: String,
        /// Why.
        reason: String,
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
