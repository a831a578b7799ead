//! How a command ends: a sentence for people and an exit code for scripts.

use std::fmt;

/// What the exit code says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum ExitStatus {
    /// Something failed while running.
    Failed = 1,
    /// The command line asks for something that cannot be.
    Usage = 2,
    /// Some of several files failed, others did not.
    Partly = 3,
    /// The output is written, but something of the input is not in it.
    Loss = 4,
    /// Some files are being worked on by another process.
    Busy = 5,
    /// Ended by a signal, as shells have it: 128 + SIGINT.
    Interrupted = 130,
}

impl From<ExitStatus> for std::process::ExitCode {
    fn from(status: ExitStatus) -> Self {
        (status as u8).into()
    }
}

/// Why a command did not do what it was asked.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    /// What the exit code is.
    pub(crate) status: ExitStatus,
    /// What failed and what to do, in plain words; empty if all has been said.
    pub(crate) message: String,
}

impl Failure {
    /// A failure with a status of its own.
    pub(crate) fn new(status: ExitStatus, message: impl fmt::Display) -> Self {
        Self { status, message: message.to_string() }
    }

    /// A failure while running.
    pub(crate) fn running(message: impl fmt::Display) -> Self {
        Self::new(ExitStatus::Failed, message)
    }

    /// A command line that cannot be carried out.
    pub(crate) fn usage(message: impl fmt::Display) -> Self {
        Self::new(ExitStatus::Usage, message)
    }

    /// The user stopped it.
    pub(crate) fn interrupted() -> Self {
        Self::stopped("stopped; no output was written")
    }

    /// The user stopped it; `message` says how things stand.
    pub(crate) fn stopped(message: impl fmt::Display) -> Self {
        Self::new(ExitStatus::Interrupted, message)
    }

    /// Some files failed, others did not.
    pub(crate) fn partly(message: impl fmt::Display) -> Self {
        Self::new(ExitStatus::Partly, message)
    }

    /// Whether the user stopped it.
    pub(crate) fn is_interrupt(&self) -> bool {
        self.status == ExitStatus::Interrupted
    }

    /// A failure whose report has been printed already.
    pub(crate) fn silent() -> Self {
        Self::running("")
    }
}
