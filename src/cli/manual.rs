//! Completions for shells, and manual pages: both out of the command line's own description.

use std::path::PathBuf;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::args::Cli;
use crate::failure::Failure;
use crate::output::reason;

/// `facesr completions`.
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum, value_name = "SHELL")]
    pub(crate) shell: Shell,
}

/// `facesr manual`.
#[derive(Debug, Args)]
pub(crate) struct ManualArgs {
    /// Folder to write facesr.1, facesr-enhance.1 and so on into
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,
}

/// Prints the completions.
pub(crate) fn completions(args: &CompletionsArgs) -> Result<(), Failure> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "facesr", &mut text);
    std::io::Write::write_all(&mut std::io::stdout(), &text)
        .map_err(|e| Failure::running(format_args!("cannot print: {}", reason(&e))))
}

/// Writes the manual pages.
pub(crate) fn manual(args: &ManualArgs) -> Result<(), Failure> {
    std::fs::create_dir_all(&args.folder)
        .and_then(|()| clap_mangen::generate_to(Cli::command(), &args.folder))
        .map_err(|e| {
            let shown = args.folder.display();
            Failure::running(format_args!("cannot write {shown}: {}", reason(&e)))
        })
}
