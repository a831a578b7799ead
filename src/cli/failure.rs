//! How a command ends: a sentence for people and an exit code for scripts.

use std::fmt;

/// Something failed while running.
const FAILED: u8 = 1;
/// The command line asks for something that cannot be.
const USAGE: u8 = 2;
/// Some of the files that were asked for failed, others did not.
const PARTLY: u8 = 3;
/// Ended by Ctrl-C, as shells have it: 128 + SIGINT.
const INTERRUPTED: u8 = 130;

/// Why a command did not do what it was asked.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    /// Exit code.
    pub(crate) code: u8,
    /// What failed and what to do, in plain words; empty if all has been said.
    pub(crate) message: String,
}

impl Failure {
    /// A failure while running.
    pub(crate) fn running(message: impl fmt::Display) -> Self {
        Self { code: FAILED, message: message.to_string() }
    }

    /// A command line that cannot be carried out.
    pub(crate) fn usage(message: impl fmt::Display) -> Self {
        Self { code: USAGE, message: message.to_string() }
    }

    /// The user stopped it.
    pub(crate) fn interrupted() -> Self {
        Self::stopped("stopped; no output was written")
    }

    /// The user stopped it; `message` says how things stand.
    pub(crate) fn stopped(message: impl fmt::Display) -> Self {
        Self { code: INTERRUPTED, message: message.to_string() }
    }

    /// Some files failed, others did not.
    pub(crate) fn partly(message: impl fmt::Display) -> Self {
        Self { code: PARTLY, message: message.to_string() }
    }

    /// Whether the user stopped it.
    pub(crate) fn is_interrupt(&self) -> bool {
        self.code == INTERRUPTED
    }

    /// A failure whose report has been printed already.
    pub(crate) fn silent() -> Self {
        Self { code: FAILED, message: String::new() }
    }
}
