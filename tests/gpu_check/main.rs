//! Holds the GPU path against the CPU on a real card, and measures it. `scripts/gpu-check.sh` packs it
//! for machines that have an NVIDIA GPU; there `scripts/gpu/run.sh` calls it, part by part, each in a
//! process of its own, so that one that fails leaves the others alone:
//!
//! ```text
//! gpu_check driver                      whether there is a GPU at all
//! gpu_check runtime                     what ONNX Runtime and its CUDA provider say
//! gpu_check kernels                     the kernels against the CPU's canvas, on random frames
//! gpu_check generator NAME FILE         the generator of FILE against single precision on the CPU
//! gpu_check card                        bandwidth of copies, rate of matrix products
//! gpu_check stages                      microseconds for crop and blend
//! gpu_check batches NAME FILE           microseconds of the generator, batch by batch
//! gpu_check frames NAME FILE            frames/s of all but decoding and detection
//! gpu_check table FILE...               the Markdown table of what all of them have written
//! ```
//!
//! `NAME` is `fp32` or `fp16`; `FILE` may be `built-in`. Results go to standard output, one JSON object
//! a line ([`results`]), sentences to standard error. Ends with 0 if all is right, 1 if something is
//! not, 3 if there is no GPU.

mod card;
mod check;
mod frames;
mod results;
mod stages;
mod table;
mod whole;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use facesr::inference::ModelSource;
use facesr::internals;
use facesr::internals::cuda::{BoundGenerator, Cuda, Driver, GpuError, Place};

use results::Outcome;

/// What `main` answers where there is no GPU.
const NO_GPU: u8 = 3;

pub(crate) type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["driver"] => {
            Cuda::open(0).map(|cuda| Outcome::Device.say(cuda.name())).map_err(Into::into)
        }
        ["runtime"] => runtime(),
        ["kernels"] => on_gpu(check::kernels),
        ["generator", name, file] => on_gpu(|cuda| check::generator(&cuda, name, &source(file))),
        ["card"] => on_gpu(|cuda| card::run(&cuda)),
        ["stages"] => on_gpu(stages::run),
        ["batches", name, file] => on_gpu(|cuda| stages::batches(&cuda, name, &source(file))),
        ["frames", name, file] => on_gpu(|cuda| whole::run(&cuda, name, &source(file))),
        ["table", ref files @ ..] => table::print(files),
        _ => Err("it is told what to do by scripts/gpu/run.sh; its source says how".into()),
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
    work(Arc::new(Cuda::open(0)?))
}

/// Loads ONNX Runtime, and its CUDA provider as far as that goes without a stream to work on.
fn runtime() -> Result<()> {
    let runtime = facesr::inference::Runtime::get()?;
    eprintln!("{}, {}", runtime.library().display(), runtime.version());
    let place = Place::Cuda { device: 0, stream: 0 };
    // SAFETY: where there is a driver, stream 0 is every context's own.
    match unsafe { BoundGenerator::open(&source("built-in"), place) } {
        Ok(_) => eprintln!("its CUDA provider works"),
        Err(error) => eprintln!("its CUDA provider: {error}"),
    }
    Ok(())
}

/// A generator: a file, or one of the two that are part of the engine.
fn source(file: &str) -> ModelSource {
    let built_in = |rung: usize| internals::built_in_fp32().swap_remove(rung);
    match file {
        "built-in" => built_in(0),
        "built-in-32" => built_in(1),
        file => ModelSource::File(PathBuf::from(file)),
    }
}

/// Whether this is the tests' driver, on which times mean nothing and must be short.
pub(crate) fn is_rehearsal(cuda: &Cuda) -> bool {
    cuda.name().contains(facesr::internals::cuda::TEST_DEVICE)
}
