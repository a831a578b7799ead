//! The command line of `facesr view`.

use clap::{Args, value_parser};
use facesr::zone::Rects;

use crate::args::{FaceArgs, Preset, VideoArgs, rects, scale_parser, unit};

/// `facesr view`.
#[derive(Debug, Args)]
pub(crate) struct ViewArgs {
    /// What to look at: a file, a URI that GStreamer knows, a camera (/dev/videoN), or "test"
    #[arg(value_name = "SOURCE")]
    pub(crate) source: String,
    /// Where the picture is parted at first, 0 (all after) to 1 (all before)
    #[arg(long, value_name = "0..1", default_value_t = 0.5, value_parser = unit)]
    pub(crate) split: f32,
    /// GStreamer's element that shows the picture
    #[arg(long, value_name = "ELEMENT", default_value = "autovideosink")]
    pub(crate) sink: String,
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
    /// Which faces, and how.
    #[command(flatten)]
    pub(crate) faces: FaceArgs,
    /// Look for faces on every N-th frame and track them in between
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=1000),
          help_heading = "Faces")]
    pub(crate) detect_every: Option<u32>,
    /// Look for faces only there, in pixels of the input; may be given several times
    #[arg(long, value_name = "X,Y,W,H", value_parser = rects, help_heading = "Faces")]
    pub(crate) roi: Vec<Rects>,
    /// Ignore faces whose middle lies there, in pixels of the input; may be given several times
    #[arg(long, value_name = "X,Y,W,H", value_parser = rects, help_heading = "Faces")]
    pub(crate) exclude: Vec<Rects>,
    /// Steady faces over time, 0 (not at all) to 1
    #[arg(long, value_name = "0..1", value_parser = unit, help_heading = "Faces")]
    pub(crate) temporal_smoothing: Option<f32>,
    /// How far a face may change and still be shown as generated before, 0 (never) to 1
    #[arg(long, value_name = "0..1", value_parser = unit, help_heading = "Faces")]
    pub(crate) reuse: Option<f32>,
    /// Generate small changes only as long as a frame has taken less, in milliseconds; 0 for all
    #[arg(long, value_name = "MS", value_parser = value_parser!(u32).range(0..=10000),
          help_heading = "Faces")]
    pub(crate) budget_ms: Option<u32>,
}

impl ViewArgs {
    /// The properties of `facesr` that were asked for, as name and value.
    pub(super) fn properties(&self) -> Vec<(&'static str, String)> {
        VideoArgs {
            scale: self.scale,
            compare: false,
            crf: 0,
            preset: Preset::Fast,
            faces: self.faces.clone(),
            detect_every: self.detect_every,
            roi: self.roi.clone(),
            exclude: self.exclude.clone(),
            temporal_smoothing: self.temporal_smoothing,
            reuse: self.reuse,
            budget_ms: self.budget_ms,
        }
        .properties()
    }
}
