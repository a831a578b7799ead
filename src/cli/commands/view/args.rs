//! The command line of `facesr view`.

use std::ffi::OsString;

use clap::{Args, value_parser};

use crate::args::{StreamArgs, scale_parser, unit};

/// `facesr view`.
#[derive(Debug, Args)]
pub(crate) struct ViewArgs {
    /// What to look at: a file, a URI that GStreamer knows, a camera (/dev/videoN), or "test"
    #[arg(value_name = "SOURCE")]
    pub(crate) source: OsString,
    /// Where the picture is parted at first, 0 (all after) to 1 (all before)
    #[arg(long, value_name = "0..1", default_value_t = 0.5, value_parser = unit)]
    pub(crate) split: f32,
    /// GStreamer's element that shows the picture [default: a window on this desktop]
    #[arg(long, value_name = "ELEMENT")]
    pub(crate) sink: Option<String>,
    /// End after N frames
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(1..))]
    pub(crate) frames: Option<u64>,
    /// Print nothing but errors
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// Enlarge the picture first: small faces gain the most
    #[arg(long, value_name = "2|4", hide_possible_values = true,
          value_parser = scale_parser())]
    pub(crate) scale: Option<u32>,
    /// Which faces, and how, over time.
    #[command(flatten)]
    pub(crate) stream: StreamArgs,
}
