//! The command line: one file a command.

mod adapt;
mod evaluate;
mod export;
mod options;
mod pairs;
mod prepare;
mod speed;
mod train;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::{Parser, Subcommand};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use tch::{Cuda, Device};

use crate::error::{Error, Result};

/// Trains, exports and judges the face generators of facesr.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make training sets out of pictures: find, crop, sift and split faces.
    Prepare(prepare::PrepareArgs),
    /// Make pairs of faces that went through real video encoders.
    Pairs(pairs::PairsArgs),
    /// Train both stages, or take a run up again.
    Train(Box<train::TrainArgs>),
    /// Fine-tune trained generators to the faces of one camera, and write the result as ONNX.
    Adapt(Box<adapt::AdaptArgs>),
    /// Write the Low-to-High generator of a checkpoint as ONNX and check it at once.
    Export(export::ExportArgs),
    /// Judge exported generators.
    Evaluate(evaluate::EvaluateArgs),
    /// Time the bare training step (see scripts/speed.py).
    Speed(speed::SpeedArgs),
}

/// Where to compute.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum DeviceArg {
    /// A CUDA device when there is one.
    Auto,
    Cpu,
    Cuda,
}

impl DeviceArg {
    fn device(self) -> Result<Device> {
        match self {
            Self::Cpu => Ok(Device::Cpu),
            Self::Auto => Ok(Device::cuda_if_available()),
            Self::Cuda if Cuda::is_available() => Ok(Device::Cuda(0)),
            Self::Cuda => Err(Error::Setting(
                "no CUDA device, or this libtorch has no CUDA part (scripts/setup.sh DEST --cuda)"
                    .into(),
            )),
        }
    }
}

/// True where bf16 is worth it; a processor without it computes such numbers one by one. Says so.
fn computes_bf16(device: Device) -> bool {
    #[cfg(target_arch = "x86_64")]
    let there = std::arch::is_x86_feature_detected!("avx512bf16");
    #[cfg(not(target_arch = "x86_64"))]
    let there = true;
    if device == Device::Cpu && !there {
        eprintln!("facesr-train: note: computing in fp32: this processor has no bf16");
        return false;
    }
    true
}

/// Sets `stop` on a signal to end; a second one ends the process at once.
fn stop_on_signals(stop: &Arc<AtomicBool>) -> Result<()> {
    for signal in [SIGTERM, SIGINT, SIGHUP] {
        signal_hook::flag::register_conditional_shutdown(signal, 1, Arc::clone(stop))
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(stop)))
            .map_err(|e| Error::Setting(format!("signals cannot be handled: {e}")))?;
    }
    Ok(())
}

/// Runs one command.
///
/// # Errors
/// Whatever the command ran into, as a plain sentence.
pub fn run(cli: Cli) -> Result<()> {
    match cli.command {
        Command::Prepare(args) => prepare::run(&args),
        Command::Pairs(args) => pairs::run(&args),
        Command::Train(args) => train::run(&args),
        Command::Adapt(args) => adapt::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Evaluate(args) => evaluate::run(&args),
        Command::Speed(args) => speed::run(&args),
    }
}
