//! The command line of `facesr enhance`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

use crate::args::VideoArgs;
use crate::term::ProgressMode;

/// `facesr enhance`.
#[derive(Debug, Args)]
pub(crate) struct EnhanceArgs {
    /// Video to read: a file, a URI that GStreamer knows, or - for standard input
    #[arg(value_name = "IN")]
    pub(crate) input: OsString,
    /// Video to write, .mp4 or .mkv
    #[arg(short, long, value_name = "OUT", required_unless_present = "no_encode")]
    pub(crate) output: Option<PathBuf>,
    /// Replace OUT if it exists
    #[arg(short, long)]
    pub(crate) force: bool,
    /// How the video is sharpened and written.
    #[command(flatten)]
    pub(crate) video: VideoArgs,
    /// Write counts and times to REPORT as JSON ("-" for standard output)
    #[arg(long, value_name = "REPORT")]
    pub(crate) json: Option<PathBuf>,
    /// Write a page to look at: before and after, every face, when it was there, and how fast it went
    #[arg(long, value_name = "PAGE.html")]
    pub(crate) report: Option<PathBuf>,
    /// Write the best look at each face to a folder, as PNG with JSON beside it
    #[arg(long, value_name = "DIR")]
    pub(crate) gallery: Option<PathBuf>,
    /// End with exit code 0 although something of the input is not in the output
    #[arg(long, visible_alias = "partial")]
    pub(crate) allow_loss: bool,
    /// For `facesr batch`, which watches over its children.
    #[arg(long, value_enum, hide = true)]
    pub(crate) progress: Option<ProgressMode>,
    /// Decode and sharpen only, write no video: to measure speed
    #[arg(long, conflicts_with_all = ["output", "compare"])]
    pub(crate) no_encode: bool,
    /// Print nothing but errors
    #[arg(short, long)]
    pub(crate) quiet: bool,
}
