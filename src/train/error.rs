//! The one error type of the trainer. Every message is a plain sentence for the person at the
//! keyboard: what is wrong, with which file, and where possible what to do.

use std::path::{Path, PathBuf};

/// What can go wrong in the trainer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file in question.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Training pictures are missing, broken or of the wrong size.
    #[error("{0}")]
    Data(String),
    /// A checkpoint does not fit the networks or is damaged.
    #[error("checkpoint {}: {reason}", path.display())]
    Checkpoint {
        /// The checkpoint file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A setting that makes no sense.
    #[error("{0}")]
    Setting(String),
    /// libtorch refused an operation.
    #[error("libtorch: {0}")]
    Torch(#[from] tch::TchError),
    /// ONNX Runtime could not be loaded or refused a model.
    #[error("ONNX Runtime: {0}")]
    Onnx(String),
    /// Training went wrong: not a number, or a result outside its bounds.
    #[error("{0}")]
    Training(String),
}

/// Results of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Adds the path to an I/O error: `fs::read(p).map_err(at(p))`.
pub fn at(path: &Path) -> impl FnOnce(std::io::Error) -> Error + '_ {
    move |source| Error::Io { path: path.to_owned(), source }
}
