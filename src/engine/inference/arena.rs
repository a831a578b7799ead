//! Working memory of models: one arena for all sessions of the process, with a limit.
//!
//! A model file can ask for any amount: a few bytes of shape stand for a tensor of terabytes. What
//! ONNX Runtime allocates through this arena beyond the limit becomes an error of that session.
//! One arena for all also means that a further stream needs no further working memory as long as
//! the sessions do not run at the same moment.

use std::time::{Duration, Instant};

use ort::AsPointer;
use ort::environment::Environment;
use ort::memory::{AllocationDevice, AllocatorType, MemoryInfo, MemoryType};
use ort::session::RunOptions;
use ort::sys::{OrtArenaCfg, OrtStatusPtr};
use parking_lot::Mutex;

use crate::error::OnnxRuntimeError;
use crate::util::parallel::cores;

/// No process computes in less, bytes: CenterFace on a whole 3840x2160 frame takes about half.
const LEAST: usize = 2 << 30;

/// So many sessions run at the same moment as there are cores, each of them on a frame.
const PER_CORE: usize = 512 << 20;

/// Chunks are allocated as they are asked for, instead of twice as much each time.
const SAME_AS_REQUESTED: i32 = 1;

/// What all sessions of this process together may compute in, bytes.
pub(crate) fn limit() -> usize {
    LEAST.max(cores().saturating_mul(PER_CORE))
}

/// Gives `environment` its arena; sessions use it if they are opened with `with_env_allocators`.
///
/// # Errors
/// What ONNX Runtime says if it refuses.
pub(crate) fn register(environment: &Environment) -> Result<(), OnnxRuntimeError> {
    let memory =
        MemoryInfo::new(AllocationDevice::CPU, 0, AllocatorType::Arena, MemoryType::Default)
            .map_err(OnnxRuntimeError::new)?;
    let mut config: *mut OrtArenaCfg = std::ptr::null_mut();
    // -1: ONNX Runtime's own default.
    // SAFETY: the API table is that of the loaded library, and `config` is writable for the call.
    check(unsafe { (ort::api().CreateArenaCfg)(limit(), SAME_AS_REQUESTED, -1, -1, &mut config) })?;
    // SAFETY: `environment` and `memory` live beyond the call, which copies what it needs of them
    // and of `config`; `config` was made above without an error.
    let registered = check(unsafe {
        (ort::api().CreateAndRegisterAllocator)(environment.ptr().cast_mut(), memory.ptr(), config)
    });
    // SAFETY: made above, and not used any more.
    unsafe { (ort::api().ReleaseArenaCfg)(config) };
    registered
}

/// Inputs of many sizes come and go for months. Each leaves blocks of its own sizes, which hardly serve the
/// others, so what no session uses is given back now and then, too. That costs the next runs some milliseconds.
const INTERVAL: Duration = Duration::from_secs(10);

/// Whether the next run is to give back memory; true once in each interval, whatever large runs give back by themselves.
pub(crate) fn is_due() -> bool {
    static LAST: Mutex<Option<Instant>> = Mutex::new(None);
    let mut last = LAST.lock();
    let is_due = last.get_or_insert_with(Instant::now).elapsed() >= INTERVAL;
    if is_due {
        *last = Some(Instant::now());
    }
    is_due
}

/// Options of a run after which the arena gives back to the system what no session uses.
///
/// # Errors
/// What ONNX Runtime says if it refuses.
pub(crate) fn shrinking() -> ort::Result<RunOptions> {
    let mut options = RunOptions::new()?;
    options.set("memory.enable_memory_arena_shrinkage", "cpu:0")?;
    Ok(options)
}

/// Gives the system back what was freed, which the C library would keep for its threads: up to 14 MB
/// for each session that was opened, and as much as a search of a large frame computes in.
pub(crate) fn release_freed() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it takes no pointer and may be called from any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// The reason in `status`, which is released.
fn check(status: OrtStatusPtr) -> Result<(), OnnxRuntimeError> {
    if status.0.is_null() {
        return Ok(());
    }
    // SAFETY: a status that is not null is an error that now belongs to this function. Its message
    // is a C string that lives until it is released, after it was copied.
    unsafe {
        let message = std::ffi::CStr::from_ptr((ort::api().GetErrorMessage)(status.0));
        let error = OnnxRuntimeError::from_message(&message.to_string_lossy());
        (ort::api().ReleaseStatus)(status.0);
        Err(error)
    }
}
