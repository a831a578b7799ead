//! Why a model file is refused or cannot be rewritten.

use thiserror::Error;

/// Why bytes are not accepted as an ONNX model, or cannot be rewritten.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OnnxError {
    /// The bytes are something else.
    #[error("it is no ONNX file")]
    NotOnnx,
    /// The bytes end within a field.
    #[error("it is cut short, or no ONNX file")]
    CutShort,
    /// There are several graphs, of which readers would take different ones.
    #[error("it holds several graphs")]
    SeveralGraphs,
    /// More inputs or outputs than any model has.
    #[error("it declares an absurd number of inputs or outputs")]
    TooManyValues,
    /// A graph within a node that might run for ever.
    #[error("it holds a loop (operator {operator})")]
    Loop {
        /// The node's operator.
        operator: String,
    },
    /// Weights in another file.
    #[error("its weights '{name}' lie in another file; save the model as one file")]
    ExternalWeights {
        /// Name of the weights.
        name: String,
    },
    /// An operator that has no 8-bit form here.
    #[error("it holds an operator {operator}, which cannot be in 8 bits")]
    NoQuantizedForm {
        /// The operator.
        operator: String,
    },
    /// A tensor that the table of ranges names is not in the model.
    #[error("it has no tensor '{name}'")]
    MissingTensor {
        /// Name of the tensor.
        name: String,
    },
    /// Weights that a node takes are not in the model.
    #[error("its weights '{name}' are not in it")]
    MissingWeights {
        /// Name of the weights.
        name: String,
    },
    /// Weights of another length than they declare, or of another type.
    #[error("its weights '{name}' are damaged")]
    DamagedWeights {
        /// Name of the weights.
        name: String,
    },
    /// A bias of another length than its weights.
    #[error("its weights '{name}' and their bias do not fit")]
    BiasMismatch {
        /// Name of the weights.
        name: String,
    },
    /// A line of a table of ranges that is none.
    #[error("'{line}' is no range of a tensor")]
    InvalidRange {
        /// The line.
        line: String,
    },
    /// A table of ranges that names a tensor twice.
    #[error("{name} is listed twice")]
    RepeatedRange {
        /// Name of the tensor.
        name: String,
    },
}
