//! What can be wrong, as sentences for people.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use gst_rtsp_server::gio;
use gst_rtsp_server::gio::prelude::*;

/// What is wrong with the list of cameras. No message repeats what the file holds but names of keys and cameras:
/// there are passwords in it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {}: {}", path.display(), .source.kind())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// No list of cameras is that long.
    #[error("{} is no list of cameras: it is too large", path.display())]
    TooLarge {
        /// Which.
        path: PathBuf,
    },
    /// Something in the file is wrong.
    #[error("line {line}: {reason}")]
    Line {
        /// Counted from one.
        line: usize,
        /// What is wrong, and what was meant.
        reason: String,
    },
    /// Something in another table than a camera's is wrong.
    #[error("[{table}]: {reason}")]
    Table {
        /// Which.
        table: &'static str,
        /// What.
        reason: String,
    },
    /// There is no camera in it.
    #[error("there is no camera in it; facesr serve --example prints a file to begin with")]
    NoCamera,
    /// Too many cameras for one process.
    #[error("there are more than {most} cameras in it; start several servers")]
    TooMany {
        /// How many there may be.
        most: usize,
    },
}

impl ConfigError {
    /// Something is wrong at byte `at` of `text`.
    pub(crate) fn at(text: &str, at: usize, reason: String) -> Self {
        let before = text.as_bytes().iter().take(at);
        Self::Line { line: 1 + before.filter(|byte| **byte == b'\n').count(), reason }
    }
}

/// Whether GLib knows TLS here. Asked for a certificate without it, GLib gives one that nothing can be done with.
///
/// # Errors
/// It does not.
pub(crate) fn ensure_tls() -> Result<(), ServeError> {
    match gio::TlsBackend::default().supports_tls() {
        true => Ok(()),
        false => Err(ServeError::NoTls),
    }
}

/// Why nothing can be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// An address cannot be listened on.
    #[error(
        "cannot listen on {address} for {what}; it is taken by another program, is no address \
         of this machine, or its port needs root"
    )]
    Listen {
        /// Where.
        address: SocketAddr,
        /// RTSP or HTTP.
        what: &'static str,
    },
    /// An element of GStreamer is missing.
    #[error("GStreamer's element '{element}' is missing; install the package {package}")]
    MissingElement {
        /// Which.
        element: String,
        /// Debian's package that holds it.
        package: &'static str,
    },
    /// GLib knows no TLS here.
    #[error("there is no TLS here; install the package glib-networking")]
    NoTls,
    /// A certificate, or its key, is of no use.
    #[error("certificate {}: {reason}", path.display())]
    Certificate {
        /// The certificate's file.
        path: PathBuf,
        /// What GLib says.
        reason: String,
    },
    /// Only a restart can change it.
    #[error("[server] or [events] differ; restart to change them")]
    Fixed,
    /// There is no encoder.
    #[error("no H.264 encoder is installed; install the package gstreamer1.0-plugins-ugly (x264)")]
    NoEncoder,
    /// GStreamer does not do what it should.
    #[error("GStreamer: {0}")]
    GStreamer(#[from] gst::glib::BoolError),
    /// A thread cannot be started.
    #[error("no thread can be started: {0}")]
    Thread(#[from] std::io::Error),
}

impl ServeError {
    /// The certificate at `path` is of no use, as GLib says.
    pub(crate) fn certificate(path: &Path, error: &gst::glib::Error) -> Self {
        let reason = error.message().trim_end_matches('.').to_string();
        Self::Certificate { path: path.to_path_buf(), reason }
    }
}
