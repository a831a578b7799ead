//! The command `facesr`: sharpens small faces in video files and pictures.

mod args;
mod batch;
mod doctor;
mod enhance;
mod failure;
mod harvest;
mod image;
mod interrupt;
mod manual;
mod output;
mod page;
mod view;

use std::process::ExitCode;

use args::{Cli, Command};
use clap::{CommandFactory, FromArgMatches};

fn main() -> ExitCode {
    let matches = Cli::command().get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|e| e.exit());
    let result = match cli.command {
        Command::Enhance(args) => enhance::run(&args),
        Command::Batch(args) => batch::run(&args, matches.subcommand().map_or(&matches, |s| s.1)),
        Command::Image(args) => image::run(&args),
        Command::Harvest(args) => harvest::run(&args),
        Command::View(args) => view::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Completions(args) => manual::completions(&args),
        Command::Manual(args) => manual::manual(&args),
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
