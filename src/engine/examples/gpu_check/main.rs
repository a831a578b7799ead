//! Holds the GPU path against the CPU on a real card, and measures it. `scripts/gpu-check.sh` builds
//! it and runs it, or packs it for a machine that has an NVIDIA GPU:
//!
//! ```text
//! gpu_check check   [--fp16 FILE]   kernels and generator against the CPU
//! gpu_check measure [--fp16 FILE]   frames/s of the whole way but decoding and detection
//! ```
//!
//! Ends with 0 if all is right, 1 if something is not, 3 if there is no GPU to look at.

mod check;
mod frames;
mod measure;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use facesr::cuda::{Cuda, GpuError};

/// What `main` answers where there is no GPU.
const NO_GPU: u8 = 3;

pub(crate) type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["check"] => on_gpu(|cuda| check::run(cuda, None)),
        ["check", "--fp16", file] => on_gpu(|cuda| check::run(cuda, Some(PathBuf::from(file)))),
        ["measure"] => on_gpu(|cuda| measure::run(cuda, None)),
        ["measure", "--fp16", file] => on_gpu(|cuda| measure::run(cuda, Some(PathBuf::from(file)))),
        _ => Err("usage: gpu_check check|measure [--fp16 FILE]".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("gpu_check: {error}");
            let none = matches!(error.downcast_ref(), Some(GpuError::NoDriver));
            if none { ExitCode::from(NO_GPU) } else { ExitCode::FAILURE }
        }
    }
}

fn on_gpu(work: impl FnOnce(Arc<Cuda>) -> Result<()>) -> Result<()> {
    let cuda = Arc::new(Cuda::open(0)?);
    println!("{}", facesr::cuda::Driver::name(&*cuda));
    work(cuda)
}
