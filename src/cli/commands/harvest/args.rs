//! The command line of `facesr harvest`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, ValueEnum, value_parser};
use facesr::Shape;

use crate::args::{FindArgs, pixels, unit};

/// `facesr harvest`.
#[derive(Debug, Args)]
pub(crate) struct HarvestArgs {
    /// Footage of the camera: files, or URIs that GStreamer knows
    #[arg(value_name = "CLIP", required = true)]
    pub(crate) inputs: Vec<OsString>,
    /// Folder to write, or a .tar, which `facesr-train` reads
    #[arg(short, long, value_name = "OUT")]
    pub(crate) output: PathBuf,
    /// Replace OUT if it exists and is an earlier harvest
    #[arg(short, long)]
    pub(crate) force: bool,
    /// Take at most N faces of one track, spread over its time
    #[arg(long, value_name = "N", default_value_t = 8,
          value_parser = value_parser!(u32).range(1..=1000))]
    pub(crate) per_track: u32,
    /// Side of the crops: that of the generator to be trained
    #[arg(long, value_name = "PIXELS", default_value = "16")]
    pub(crate) lr_size: LrSize,
    /// Leave out faces that are narrower [default: 8, or 18 for crops of 32 pixels]
    #[arg(long, value_name = "PIXELS", value_parser = pixels)]
    pub(crate) min_width: Option<f32>,
    /// Leave out faces that are wider: shrunk to the crop they would show nothing of the camera
    /// [default: 30, or 60 for crops of 32 pixels]
    #[arg(long, value_name = "PIXELS", value_parser = pixels)]
    pub(crate) max_width: Option<f32>,
    /// Of faces whose pictures correlate by more, take one
    #[arg(long, value_name = "0..1", default_value_t = 0.985, value_parser = unit)]
    pub(crate) same: f32,
    /// Write what was found to REPORT as JSON ("-" for standard output)
    #[arg(long, value_name = "REPORT")]
    pub(crate) json: Option<PathBuf>,
    /// Print nothing but errors
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// Which faces.
    #[command(flatten)]
    pub(crate) find: FindArgs,
    /// Search the full frame at least every so many milliseconds of video, 0 for every frame, and
    /// track faces in between
    #[arg(long, value_name = "MS", default_value_t = 0,
          value_parser = value_parser!(u32).range(0..=60_000), help_heading = "Faces")]
    pub(crate) detect_interval: u32,
}

/// Sides of the crops that generators take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LrSize {
    /// 16x16.
    #[value(name = "16")]
    Small,
    /// 32x32.
    #[value(name = "32")]
    Large,
}

impl HarvestArgs {
    /// What generators of this size take.
    pub(crate) fn shape(&self) -> Shape {
        match self.lr_size {
            LrSize::Small => Shape::SMALL,
            LrSize::Large => Shape::LARGE,
        }
    }

    /// Least and greatest width of the faces, pixels.
    pub(crate) fn widths(&self) -> (f32, f32) {
        let (least, greatest) = match self.lr_size {
            LrSize::Small => (8.0, 30.0),
            LrSize::Large => (18.0, 60.0),
        };
        (self.min_width.unwrap_or(least), self.max_width.unwrap_or(greatest))
    }
}
