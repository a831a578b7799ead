//! The command `facesr-train`.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    match facesr_train::commands::run(facesr_train::commands::Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("facesr-train: {error}");
            ExitCode::FAILURE
        }
    }
}
