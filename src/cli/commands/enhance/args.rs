//! The command line of `facesr enhance`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, value_parser};

use crate::args::{ContainerName, VideoArgs, moment};
use crate::term::ProgressMode;

/// `facesr enhance`.
#[derive(Debug, Clone, Args)]
pub(crate) struct EnhanceArgs {
    /// Video to read: a file, a URI that GStreamer knows, or - for standard input
    #[arg(value_name = "IN")]
    pub(crate) input: OsString,
    /// Video to write: .mp4, .mov, .mkv, .webm or .ts; a folder, in which it is called as IN is; - for
    /// standard output, as the frames come
    #[arg(short, long, value_name = "OUT", required_unless_present = "no_encode")]
    pub(crate) output: Option<PathBuf>,
    /// Container of the output: mp4, mov, mkv, webm, ts, or auto for that of IN where it can be written,
    /// else mkv, which holds nearly all sound as it is [default: by the name of OUT; auto in a folder;
    /// ts for standard output]
    #[arg(
        long,
        value_enum,
        value_name = "NAME",
        hide_possible_values = true,
        conflicts_with = "no_encode"
    )]
    pub(crate) container: Option<ContainerName>,
    /// Replace OUT if it exists
    #[arg(short, long)]
    pub(crate) force: bool,
    /// Begin there: seconds, or a time such as 1:02:03.5
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(crate) start: Option<u64>,
    /// End there
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(crate) end: Option<u64>,
    /// End after so long: a recording of a live stream, for example
    #[arg(long, value_name = "TIME", value_parser = moment, conflicts_with = "end")]
    pub(crate) duration: Option<u64>,
    /// Show what it would be like: ten seconds (or --duration), before and after side by side; one
    /// frame of it if OUT is a .png or .jpg
    #[arg(long, conflicts_with = "no_encode")]
    pub(crate) preview: bool,
    /// Give an input up, or end a live one, that gives nothing for so many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 30,
          value_parser = value_parser!(u32).range(1..=86400))]
    pub(crate) timeout: u32,
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
