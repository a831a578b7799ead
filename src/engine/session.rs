//! Opens ONNX Runtime sessions, with the settings that all of the engine's models share.

use std::borrow::Cow;

use ort::ep::ExecutionProviderDispatch;
use ort::session::Session;
use ort::session::builder::SessionBuilder;
use ort::value::{TensorElementType, ValueType};

use crate::error::ModelError;
use crate::models::Source;
use crate::runtime::Runtime;

/// Largest model file that is read, in bytes: the paper-size generator has 62 MB.
const MAX_BYTES: u64 = 512 << 20;

/// Opens `source` for the CPU with `threads` threads. `dims` fixes named free dimensions, so that
/// shape arithmetic folds away.
///
/// # Errors
/// Those of [`read`] and [`open_bytes`].
pub fn open(source: &Source, threads: usize, dims: &[(&str, i64)]) -> Result<Session, ModelError> {
    open_bytes(source, &read(source)?, threads, dims)
}

/// The content of `source`.
///
/// # Errors
/// [`ModelError::Read`] if the file cannot be read, [`ModelError::Invalid`] if it is empty or
/// larger than any model.
pub fn read(source: &Source) -> Result<Cow<'static, [u8]>, ModelError> {
    let invalid = |reason: String| ModelError::Invalid { model: source.to_string(), reason };
    let bytes = match source {
        Source::Embedded { bytes, .. } => Cow::Borrowed(*bytes),
        Source::File(path) => {
            let fail = |source| ModelError::Read { path: path.clone(), source };
            let size = path.metadata().map_err(fail)?.len();
            if size > MAX_BYTES {
                return Err(invalid(format!("{size} bytes are more than any model here has")));
            }
            Cow::Owned(std::fs::read(path).map_err(fail)?)
        }
    };
    if bytes.is_empty() {
        return Err(invalid("the file is empty".into()));
    }
    Ok(bytes)
}

/// Opens a model whose `bytes` were read before; `source` is named in errors. The bytes are never
/// left to ONNX Runtime to read: a damaged model then cannot make it open other files as external
/// data.
///
/// # Errors
/// [`ModelError::Runtime`] without ONNX Runtime; [`ModelError::Invalid`] if it is no model that
/// ONNX Runtime can run.
pub fn open_bytes(
    source: &Source,
    bytes: &[u8],
    threads: usize,
    dims: &[(&str, i64)],
) -> Result<Session, ModelError> {
    let runtime = Runtime::get()?;
    let invalid = |e: ort::Error| ModelError::Invalid {
        model: source.to_string(),
        reason: first_line(&e.to_string()),
    };
    let mut builder = configure(runtime, threads, dims).map_err(invalid)?;
    builder.commit_from_memory(bytes).map_err(invalid)
}

/// Opens a model as [`open_bytes`] does, with one thread, on the device of `provider`, whose name
/// is `device`; without one, on the CPU.
///
/// # Errors
/// [`ModelError::Runtime`] without ONNX Runtime; [`ModelError::Device`] if it cannot use the device;
/// [`ModelError::Invalid`] if it is no model that ONNX Runtime can run there.
pub fn open_on(
    source: &Source,
    bytes: &[u8],
    provider: Option<ExecutionProviderDispatch>,
    device: &'static str,
) -> Result<Session, ModelError> {
    let runtime = Runtime::get()?;
    let on_device = |reason: String| ModelError::Device {
        model: source.to_string(),
        device,
        reason: first_line(&reason),
    };
    let invalid = |e: ort::Error| ModelError::Invalid {
        model: source.to_string(),
        reason: first_line(&e.to_string()),
    };
    let mut builder = configure(runtime, 1, &[]).map_err(invalid)?;
    if let Some(provider) = provider {
        builder =
            builder.with_execution_providers([provider]).map_err(|e| on_device(e.to_string()))?;
    }
    builder.commit_from_memory(bytes).map_err(invalid)
}

fn configure(
    runtime: &Runtime,
    threads: usize,
    dims: &[(&str, i64)],
) -> Result<SessionBuilder, ort::Error> {
    let mut builder = Session::builder(runtime.environment())?
        .with_intra_threads(threads.max(1))?
        .with_inter_threads(1)?
        // Threads that spin while they wait would take the cores from the decoder and encoder.
        .with_intra_op_spinning(false)?
        .with_log_level(ort::logging::LogLevel::Error)?;
    for (name, size) in dims {
        builder = builder.with_dimension_override(name, *size)?;
    }
    Ok(builder)
}

/// Element type and dimensions (-1 for free ones) of a tensor, `None` for anything else.
pub fn tensor(kind: &ValueType) -> Option<(TensorElementType, Vec<i64>)> {
    match kind {
        ValueType::Tensor { ty, shape, .. } => Some((*ty, shape.to_vec())),
        _ => None,
    }
}

/// ONNX Runtime's messages carry source lines and stack traces after the first line.
pub fn first_line(message: &str) -> String {
    message.lines().next().unwrap_or_default().trim().to_string()
}
