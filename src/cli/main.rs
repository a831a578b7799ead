//! The command `facesr`: sharpens small faces in video files and pictures.

mod args;
mod doctor;
mod enhance;
mod failure;
mod image;
mod interrupt;
mod output;

use std::process::ExitCode;

use args::{Cli, Command};
use clap::Parser;

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Enhance(args) => enhance::run(&args),
        Command::Image(args) => image::run(&args),
        Command::Doctor(args) => doctor::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !failure.message.is_empty() {
                eprintln!("facesr: {}", failure.message);
            }
            failure.code.into()
        }
    }
}
