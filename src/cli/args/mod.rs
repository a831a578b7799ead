//! Groups of options that several commands share, and their parsers.

mod container_name;
mod scale;

use std::convert::Infallible;
use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum, value_parser};
use facesr::detect::{DetectorKind, DetectorOptions};
use facesr::error::NoRectangle;
use facesr::frame::MAX_DIMENSION;
use facesr::internals::cores;
use facesr::search::Rects;
use facesr::{EnhancerOptions, Rect};

pub(crate) use container_name::ContainerName;
pub(crate) use scale::{MOST_ENLARGED, Scale};

use crate::media::{Container, EncoderOptions, encoder_names};
use crate::term::Failure;

/// Budget of searches without limit, milliseconds of CPU time per second.
const THOROUGH: u32 = 1_000_000;

fn renamed_detect_every(_: &str) -> Result<Infallible, String> {
    Err("it is called --detect-interval now and takes milliseconds of video (8 frames at 25 a \
         second are 320)"
        .into())
}

fn renamed_tile_every(_: &str) -> Result<Infallible, String> {
    Err("it is called --detect-budget now and takes milliseconds of CPU time per second of video \
         (0 searches full frames only)"
        .into())
}

/// Options that say which faces are found. What is not given is left to the elements' own
/// defaults.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Faces")]
pub(crate) struct FindArgs {
    /// Face detector: auto, seetaface, yunet, centerface, or none [default: auto]
    #[arg(long, value_name = "NAME", hide_possible_values = true,
          value_parser = ["auto", "seetaface", "yunet", "centerface", "none"])]
    pub(crate) detector: Option<String>,
    /// Model file of the detector [default: the one in the model folder]
    #[arg(long, value_name = "FILE")]
    pub(crate) detector_model: Option<PathBuf>,
    /// Shrink wider frames to this width for detection: faster, but small faces get lost
    #[arg(long, value_name = "PIXELS", value_parser = value_parser!(u32).range(0..=32768))]
    pub(crate) detect_width: Option<u32>,
    /// Ignore faces that the detector is less sure of, 0 to 1 [default: the detector's own]
    #[arg(long, value_name = "SCORE", value_parser = unit)]
    pub(crate) min_score: Option<f32>,
    /// Threads that the networks use
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=64))]
    pub(crate) threads: Option<u32>,
}

/// Options that say which faces are found and how they are sharpened.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Faces")]
pub(crate) struct FaceArgs {
    /// Which faces.
    #[command(flatten)]
    pub(crate) find: FindArgs,
    /// Generator, an ONNX file; may be given twice, for smaller and for larger faces [default: the
    /// built-in ones]
    #[arg(long, value_name = "FILE")]
    pub(crate) generator: Vec<PathBuf>,
    /// How much of the result is shown, 0 (nothing) to 1
    #[arg(long, value_name = "0..1", value_parser = unit)]
    pub(crate) strength: Option<f32>,
    /// How far faces may leave the picture: 0 shows what is generated as it is, 0.5 with the detail
    /// that the camera saw, 1 the picture itself [default: 0.5]
    #[arg(long, value_name = "0..1", value_parser = unit)]
    pub(crate) fidelity: Option<f32>,
    /// Leave faces alone whose square is smaller, in pixels of the input
    #[arg(long, value_name = "PIXELS", value_parser = pixels)]
    pub(crate) min_face_size: Option<f32>,
    /// Leave faces alone whose square is larger, in pixels of the input
    #[arg(long, value_name = "PIXELS", value_parser = pixels)]
    pub(crate) max_face_size: Option<f32>,
    /// Sharpen at most N faces a frame, the largest first; 0 for all
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(0..=10000))]
    pub(crate) max_faces: Option<u32>,
    /// What sharpens the faces: auto, cpu or cuda [default: auto, a GPU that works or the CPU]
    #[arg(long, value_name = "NAME", hide_possible_values = true,
          value_parser = ["auto", "cpu", "cuda"])]
    pub(crate) device: Option<String>,
    /// Which NVIDIA GPU, by its number [default: 0]
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(0..=2147483647))]
    pub(crate) cuda_device_id: Option<u32>,
}

/// Which faces of a stream of frames are sharpened, and how over time.
#[derive(Debug, Clone, Args)]
pub(crate) struct StreamArgs {
    /// Which faces, and how.
    #[command(flatten)]
    pub(crate) faces: FaceArgs,
    /// Search the full frame at least every so many milliseconds of video, 0 for every frame, and
    /// track faces in between [default: 320]
    #[arg(long, value_name = "MS", value_parser = value_parser!(u32).range(0..=60_000),
          help_heading = "Faces")]
    pub(crate) detect_interval: Option<u32>,
    /// CPU time for searches, in milliseconds per second of video; what is left of it goes to
    /// searches for small faces, 0 for none of those [default: 500]
    #[arg(long, value_name = "MS", value_parser = value_parser!(u32).range(0..=1_000_000),
          help_heading = "Faces")]
    pub(crate) detect_budget: Option<u32>,
    /// Search every frame at every scale: finds as many small faces as can be, in many times the
    /// time
    #[arg(long, help_heading = "Faces")]
    pub(crate) thorough: bool,
    /// Called --detect-interval now.
    #[arg(long, hide = true, value_parser = renamed_detect_every)]
    pub(crate) detect_every: Option<Infallible>,
    /// Called --detect-budget now.
    #[arg(long, hide = true, value_parser = renamed_tile_every)]
    pub(crate) tile_every: Option<Infallible>,
    /// Keep a face that is known as long as the detector is so sure of it, if that is less than
    /// --min-score: faces that turn stay, and some hands before faces with them
    #[arg(long, value_name = "SCORE", value_parser = unit, help_heading = "Faces")]
    pub(crate) track_min_score: Option<f32>,
    /// Look for faces only there, in pixels of the input; may be given several times
    #[arg(long, value_name = "X,Y,W,H", value_parser = rects, help_heading = "Faces")]
    pub(crate) roi: Vec<Rects>,
    /// Ignore faces whose middle lies there, in pixels of the input; may be given several times
    #[arg(long, value_name = "X,Y,W,H", value_parser = rects, help_heading = "Faces")]
    pub(crate) exclude: Vec<Rects>,
    /// Steady faces over time, 0 (not at all) to 1
    #[arg(long, value_name = "0..1", value_parser = unit, help_heading = "Faces")]
    pub(crate) temporal_smoothing: Option<f32>,
    /// Keep what was generated for a face while it has changed by no more than this; 0 generates
    /// every face in every frame
    #[arg(long, value_name = "0..1", value_parser = unit, help_heading = "Faces")]
    pub(crate) reuse: Option<f32>,
    /// Core-milliseconds a frame that generating may take; 0 for no limit
    #[arg(long, value_name = "MS", value_parser = value_parser!(u32).range(0..=10000),
          help_heading = "Faces")]
    pub(crate) budget_ms: Option<u32>,
}

/// How the video of a file is sharpened and written: what `enhance` and `batch` have in common.
#[derive(Debug, Clone, Args)]
pub(crate) struct VideoArgs {
    /// Enlarge the picture first, as small faces gain the most: 1 (not at all), 2 or 4 times, or as
    /// the size of the picture and of its faces suggests, and then not beyond 1920 pixels
    #[arg(long, value_name = "auto|1|2|4", hide_possible_values = true, default_value = "auto",
          value_parser = Scale::parser())]
    pub(crate) scale: Scale,
    /// Show before (left) and after (right) side by side
    #[arg(long)]
    pub(crate) compare: bool,
    /// Write "faces: AI" into a corner of the picture; that faces are generated also stands in the
    /// output's comment
    #[arg(long)]
    pub(crate) mark: bool,
    /// Quality of the video: x264's CRF, 0 (lossless) to 50, lower is better and larger
    #[arg(long, visible_alias = "quality", value_name = "CRF", default_value_t = 18,
          value_parser = value_parser!(u32).range(0..=50))]
    pub(crate) crf: u32,
    /// x264's effort: slower makes smaller files
    #[arg(long, value_enum, value_name = "NAME", default_value_t = Preset::Fast)]
    pub(crate) preset: Preset,
    /// Encoder of the video: auto, x264, x265, openh264, vp8, vp9, av1, or one of a GPU such as
    /// nvh264, nvh265, vah264, vah265, qsvh264, v4l2h264 [default: auto]
    #[arg(long, value_name = "NAME", hide_possible_values = true, value_parser = encoder_parser())]
    pub(crate) encoder: Option<String>,
    /// Bits a sample: auto keeps 10 where the input has them and the encoder takes them, 8 always
    /// writes 8
    #[arg(long, value_enum, value_name = "auto|8", hide_possible_values = true,
          default_value_t = BitDepth::Auto)]
    pub(crate) bit_depth: BitDepth,
    /// Frames a second of an input that does not tell when its frames are shown [default: 25]
    #[arg(long, value_name = "N|N/D", value_parser = frame_rate)]
    pub(crate) fps: Option<(i32, i32)>,
    /// Which faces, and how, over time.
    #[command(flatten)]
    pub(crate) stream: StreamArgs,
}

/// Bits a sample of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum BitDepth {
    /// 10 where the input has more than 8 and the encoder takes them.
    Auto,
    /// 8.
    #[value(name = "8")]
    Eight,
}

impl BitDepth {
    /// As it is called on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Eight => "8",
        }
    }
}

/// x264's presets that make sense for files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Preset {
    /// Quickest, largest.
    Ultrafast,
    /// Very quick.
    Superfast,
    /// Quick.
    Veryfast,
    /// Quicker than fast.
    Faster,
    /// A good balance.
    Fast,
    /// x264's own default.
    Medium,
    /// Small files.
    Slow,
    /// Smaller files.
    Slower,
    /// Smallest files.
    Veryslow,
}

impl Preset {
    /// The name that x264 has for it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ultrafast => "ultrafast",
            Self::Superfast => "superfast",
            Self::Veryfast => "veryfast",
            Self::Faster => "faster",
            Self::Fast => "fast",
            Self::Medium => "medium",
            Self::Slow => "slow",
            Self::Slower => "slower",
            Self::Veryslow => "veryslow",
        }
    }
}

impl FaceArgs {
    /// Smallest and largest side of a face's square, in pixels of a picture that was enlarged
    /// `scale` times. The limits are about the detail that a face has, which enlarging does not
    /// add to.
    pub(crate) fn sizes(&self, scale: u32) -> (f32, f32) {
        let default = EnhancerOptions::default();
        let scaled = |asked: Option<f32>, default: f32| {
            (asked.unwrap_or(default) * scale as f32).min(MAX_DIMENSION as f32)
        };
        (
            scaled(self.min_face_size, default.min_face_size),
            scaled(self.max_face_size, default.max_face_size),
        )
    }
}

impl FindArgs {
    /// Threads for what works on one picture at a time: a thread for each core unless it is told otherwise.
    pub(crate) fn threads(&self) -> usize {
        self.threads.map_or_else(cores, |threads| threads as usize)
    }

    /// The detector that was asked for; `None` if it is none.
    pub(crate) fn options(&self) -> Result<Option<DetectorOptions>, Failure> {
        let kind: DetectorKind = match self.detector.as_deref() {
            Some("none") => return Ok(None),
            Some(name) => name.parse().map_err(Failure::usage)?,
            None => DetectorKind::default(),
        };
        let options = DetectorOptions::default()
            .kind(kind)
            .model(self.detector_model.clone())
            .width(self.detect_width.unwrap_or(0))
            .min_score(self.min_score)
            .threads(self.threads());
        Ok(Some(options))
    }

    /// The properties of `facesrdetect` that were asked for, as name and value.
    pub(crate) fn properties(&self) -> Vec<(&'static str, String)> {
        given([
            ("detector", self.detector.clone()),
            ("detector-model", path(&self.detector_model)),
            ("detect-width", text(self.detect_width)),
            ("min-score", text(self.min_score)),
            ("threads", text(self.threads)),
        ])
    }
}

impl VideoArgs {
    /// What is wished of the encoder whose pictures go into `container`; whether somebody waits for
    /// each of them.
    pub(crate) fn encoder(&self, container: Container, is_stream: bool) -> EncoderOptions<'_> {
        EncoderOptions {
            crf: self.crf,
            preset: self.preset.name(),
            name: self.encoder.as_deref(),
            container,
            is_stream,
        }
    }

    /// The element's properties that were asked for, as name and value, where the picture is
    /// enlarged `scale` times first.
    pub(crate) fn properties(&self, scale: u32) -> Vec<(&'static str, String)> {
        self.stream.properties((scale != 1).then_some(scale))
    }
}

impl StreamArgs {
    /// The element's properties that were asked for, as name and value, where the picture is
    /// enlarged `scale` times first.
    pub(crate) fn properties(&self, scale: Option<u32>) -> Vec<(&'static str, String)> {
        let f = &self.faces;
        let sizes = f.sizes(scale.unwrap_or(1));
        let size = |asked: Option<f32>, size: f32| {
            (asked.is_some() || scale.is_some()).then(|| size.round().to_string())
        };
        let filter = |asked: &[Rects]| {
            let scale = scale.unwrap_or(1) as f32;
            let scaled = |r: &Rect| {
                let scale = if Rects::is_relative(r) { 1.0 } else { scale };
                Rect::new(r.x * scale, r.y * scale, r.w * scale, r.h * scale)
            };
            let all: Vec<_> = asked.iter().flat_map(|rects| &rects.0).map(scaled).collect();
            (!all.is_empty()).then(|| Rects(all).to_string())
        };
        let mut list = f.find.properties();
        list.extend(given([
            ("detect-interval", text(self.detect_interval.or(self.thorough.then_some(0)))),
            ("detect-budget", text(self.detect_budget.or(self.thorough.then_some(THOROUGH)))),
            ("track-min-score", text(self.track_min_score)),
            ("roi", filter(&self.roi)),
            ("exclude", filter(&self.exclude)),
            ("generator", paths(&f.generator)),
            ("strength", text(f.strength)),
            ("fidelity", text(f.fidelity)),
            ("source-scale", text(scale)),
            ("min-face-size", size(f.min_face_size, sizes.0)),
            ("max-face-size", size(f.max_face_size, sizes.1)),
            ("max-faces", text(f.max_faces)),
            ("temporal-smoothing", text(self.temporal_smoothing)),
            ("reuse", text(self.reuse)),
            ("budget-ms", text(self.budget_ms)),
            ("device", f.device.clone()),
            ("cuda-device-id", text(f.cuda_device_id)),
        ]));
        list
    }
}

/// Those that have a value.
fn given<const N: usize>(list: [(&'static str, Option<String>); N]) -> Vec<(&'static str, String)> {
    list.into_iter().filter_map(|(name, value)| value.map(|value| (name, value))).collect()
}

fn text(value: Option<impl ToString>) -> Option<String> {
    value.map(|value| value.to_string())
}

/// Paths as a search path has them.
fn paths(paths: &[PathBuf]) -> Option<String> {
    let names = paths.iter().map(|path| path.display().to_string());
    (!paths.is_empty()).then(|| names.collect::<Vec<_>>().join(":"))
}

fn path(path: &Option<PathBuf>) -> Option<String> {
    path.as_ref().map(|path| path.display().to_string())
}

pub(crate) fn rects(text: &str) -> Result<Rects, NoRectangle> {
    text.parse()
}

pub(crate) fn scale_parser() -> impl TypedValueParser<Value = u32> {
    PossibleValuesParser::new(["2", "4"]).map(|s| if s == "2" { 2 } else { 4 })
}

fn number_in(text: &str, low: f32, high: f32) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(n) if (low..=high).contains(&n) => Ok(n),
        _ => Err(format!("wanted a number from {low} to {high}")),
    }
}

fn encoder_parser() -> impl TypedValueParser<Value = String> {
    PossibleValuesParser::new(std::iter::once("auto").chain(encoder_names()))
}

/// A moment or a length of time: seconds, or minutes and seconds or hours, minutes and seconds
/// parted by colons. Answers nanoseconds.
pub(crate) fn moment(text: &str) -> Result<u64, String> {
    let mut seconds = 0.0;
    let parts: Vec<_> = text.split(':').collect();
    for (i, part) in parts.iter().enumerate() {
        let number: f64 = part.parse().map_err(|_| String::new()).unwrap_or(f64::NAN);
        let is_last = i + 1 == parts.len();
        let in_range = number >= 0.0 && (parts.len() == 1 || i == 0 || number < 60.0);
        if !in_range || !is_last && number.fract() != 0.0 || parts.len() > 3 {
            return Err("wanted seconds, such as 90 or 1.5, or a time such as 1:02:03.5".into());
        }
        seconds = seconds * 60.0 + number;
    }
    if seconds > 1e9 {
        return Err("that is more than thirty years".into());
    }
    Ok((seconds * 1e9).round() as u64)
}

/// A frame rate: a whole or decimal number, or a fraction.
fn frame_rate(text: &str) -> Result<(i32, i32), String> {
    let parse = || -> Option<(i32, i32)> {
        if let Some((n, d)) = text.split_once('/') {
            return Some((n.parse().ok()?, d.parse().ok()?));
        }
        let rate: f64 = text.parse().ok()?;
        Some(((rate * 1000.0).round() as i32, 1000))
    };
    parse()
        .filter(|(n, d)| *n > 0 && *d > 0 && f64::from(*n) / f64::from(*d) <= 1000.0)
        .map(|(n, d)| if n % d == 0 { (n / d, 1) } else { (n, d) })
        .ok_or_else(|| "wanted frames a second, such as 25 or 30000/1001".into())
}

pub(crate) fn unit(text: &str) -> Result<f32, String> {
    number_in(text, 0.0, 1.0)
}

pub(crate) fn pixels(text: &str) -> Result<f32, String> {
    number_in(text, 1.0, 32768.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_seconds_or_clock_times() {
        let second = 1_000_000_000;
        for (text, wanted) in
            [("0", 0), ("1.5", 1_500_000_000), ("90", 90 * second), ("1:02:03", 3723 * second)]
        {
            assert_eq!(moment(text), Ok(wanted), "{text}");
        }
        for bad in ["", "x", "-1", "nan", "inf", "1:60", "1.5:00", "1:2:3:4", ":"] {
            assert!(moment(bad).is_err(), "{bad}");
        }
    }
}
