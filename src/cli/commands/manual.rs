//! Completions for shells, and manual pages: both out of the command line's own description.

use std::path::PathBuf;

use clap::{Args, Command};
use clap_complete::Shell;

use crate::files::io_reason;
use crate::term::Failure;

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
pub(crate) fn completions(args: &CompletionsArgs, mut command: Command) -> Result<(), Failure> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut command, "facesr", &mut text);
    crate::term::print(&String::from_utf8_lossy(&text))
}

/// Writes the manual pages.
pub(crate) fn manual(args: &ManualArgs, command: Command) -> Result<(), Failure> {
    std::fs::create_dir_all(&args.folder)
        .and_then(|()| clap_mangen::generate_to(command, &args.folder))
        .map_err(|e| {
            let shown = args.folder.display();
            Failure::running(format_args!("cannot write {shown}: {}", io_reason(&e)))
        })
}
