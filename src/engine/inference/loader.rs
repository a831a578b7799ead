//! Opens ONNX Runtime sessions, with the settings that all of the engine's models share.

use std::borrow::Cow;
use std::io::Read;

use ort::ep::ExecutionProviderDispatch;
use ort::session::Session;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::value::{TensorElementType, ValueType};

use crate::error::{InvalidModel, ModelError, OnnxRuntimeError};
use crate::inference::arena;
use crate::inference::model_source::ModelSource;
use crate::inference::runtime::{Runtime, environment};
use facesr_onnx as onnx;

/// Largest model file that is read, in bytes: the paper-size generator has 62 MB.
const MAX_BYTES: u64 = 512 << 20;

/// The content of `source`.
///
/// # Errors
/// [`ModelError::Read`] if the file cannot be read, [`ModelError::Invalid`] if it is empty or
/// larger than any model.
pub fn read(source: &ModelSource) -> Result<Cow<'static, [u8]>, ModelError> {
    let invalid = |reason| ModelError::invalid(source, reason);
    let bytes = match source {
        ModelSource::Embedded { bytes, .. } => Cow::Borrowed(*bytes),
        ModelSource::File(path) => {
            let fail = |source| ModelError::Read { path: path.clone(), source };
            let size = path.metadata().map_err(fail)?.len();
            let too_large = |bytes| Err(invalid(InvalidModel::TooLarge { bytes }));
            if size > MAX_BYTES {
                return too_large(size);
            }
            // The limit also holds for a file that grows or reports no size.
            let mut bytes = Vec::with_capacity(size as usize);
            let file = std::fs::File::open(path).map_err(fail)?;
            file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(fail)?;
            if bytes.len() as u64 > MAX_BYTES {
                return too_large(bytes.len() as u64);
            }
            Cow::Owned(bytes)
        }
    };
    if bytes.is_empty() {
        return Err(invalid(InvalidModel::Empty));
    }
    Ok(bytes)
}

/// Checks that a model from a file may be [opened](open): it reads no other file, holds no loop, and
/// `run` runs it once, unoptimized. Opening a model evaluates its constants outside the
/// [arena](crate::inference::arena), with whatever memory a hostile file asks for; an unoptimized
/// run ends at the arena's limit. Models that are part of this library need no dry run.
///
/// # Errors
/// [`ModelError::Runtime`] without ONNX Runtime; [`ModelError::Invalid`] if it is no model that
/// ONNX Runtime can run; and what `run` returns.
pub(crate) fn dry_run<E: From<ModelError>>(
    source: &ModelSource,
    bytes: &[u8],
    run: impl FnOnce(&mut Session) -> Result<(), E>,
) -> Result<(), E> {
    let ModelSource::File(_) = source else { return Ok(()) };
    onnx::reject_unsafe(bytes).map_err(|e| ModelError::invalid(source, e.into()))?;
    run(&mut build(source, bytes, 1, GraphOptimizationLevel::Disable)?)
}

/// Opens a model for the CPU with `threads` threads. Its `bytes` were [`read`] and have passed a
/// [dry run](dry_run); errors name `source`.
///
/// # Errors
/// [`ModelError::Runtime`] without ONNX Runtime; [`ModelError::Invalid`] if it is no model that
/// ONNX Runtime can run.
pub(crate) fn open(
    source: &ModelSource,
    bytes: &[u8],
    threads: usize,
) -> Result<Session, ModelError> {
    build(source, bytes, threads, GraphOptimizationLevel::All)
}

fn build(
    source: &ModelSource,
    bytes: &[u8],
    threads: usize,
    level: GraphOptimizationLevel,
) -> Result<Session, ModelError> {
    let runtime = Runtime::get()?;
    let session = configure(runtime, threads, level).and_then(|mut b| b.commit_from_memory(bytes));
    arena::release_freed();
    session.map_err(|e| refused(source, e))
}

/// Opens a model as [`open`] does, with one thread, on the device of `provider`, whose name
/// is `device`; without one, on the CPU.
///
/// # Errors
/// [`ModelError::Runtime`] without ONNX Runtime; [`ModelError::Device`] if it cannot use the device;
/// [`ModelError::Invalid`] if it is no model that ONNX Runtime can run there.
pub(crate) fn open_on(
    source: &ModelSource,
    bytes: &[u8],
    provider: Option<ExecutionProviderDispatch>,
    device: &'static str,
) -> Result<Session, ModelError> {
    let runtime = Runtime::get()?;
    let invalid = |e| refused(source, e);
    if let ModelSource::File(_) = source {
        onnx::reject_unsafe(bytes).map_err(|e| ModelError::invalid(source, e.into()))?;
    }
    let mut builder = configure(runtime, 1, GraphOptimizationLevel::All).map_err(invalid)?;
    if let Some(provider) = provider {
        let added = builder.with_execution_providers([provider]);
        builder = added
            .map_err(|e| ModelError::on_device(source, device, OnnxRuntimeError::new(e.into())))?;
    }
    builder.commit_from_memory(bytes).map_err(invalid)
}

fn refused(source: &ModelSource, error: ort::Error) -> ModelError {
    ModelError::invalid(source, OnnxRuntimeError::new(error).into())
}

fn configure(
    runtime: &Runtime,
    threads: usize,
    level: GraphOptimizationLevel,
) -> Result<SessionBuilder, ort::Error> {
    let builder = Session::builder(environment(runtime))?
        .with_optimization_level(level)?
        .with_env_allocators()?
        // A pattern is one block as large as the whole run, beside the blocks of the first run, which
        // the arena keeps: 394 MB instead of 227 for 1280x960 in CenterFace, and no faster.
        .with_memory_pattern(false)?
        .with_intra_threads(threads.max(1))?
        .with_inter_threads(1)?
        // Without it a file with the mark of ONNX Runtime's own format is read as that, past the
        // check, which reads ONNX.
        .with_config_entry("session.load_model_format", "ONNX")?
        // Threads that spin while they wait would take the cores from the decoder and encoder.
        .with_intra_op_spinning(false)?
        // Errors are returned; on the terminal a model that fails on each frame would flood it.
        .with_log_level(ort::logging::LogLevel::Fatal)?;
    Ok(builder)
}

/// Element type and dimensions (-1 for free ones) of a tensor, `None` for anything else.
pub(crate) fn tensor(kind: &ValueType) -> Option<(TensorElementType, Vec<i64>)> {
    match kind {
        ValueType::Tensor { ty, shape, .. } => Some((*ty, shape.to_vec())),
        _ => None,
    }
}
