//! The command line.

use std::convert::Infallible;
use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum, value_parser};
use facesr::frame::MAX_DIMENSION;
use facesr::search::Rects;
use facesr::{EnhancerOptions, Rect};

use crate::batch::BatchArgs;
use crate::enhance::Shown;
use crate::harvest::HarvestArgs;
use crate::manual::{CompletionsArgs, ManualArgs};
use crate::view::ViewArgs;

/// Printed under the help of every command.
pub(crate) const GUESS: &str =
    "A generated face is a plausible guess and never evidence of anyone's identity.";

/// Sharpens small faces in video and pictures.
#[derive(Debug, Parser)]
#[command(name = "facesr", version = env!("FACESR_VERSION"), after_help = GUESS, max_term_width = 100)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What `facesr` can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Sharpen the faces of a video file; audio and subtitles are kept as they are.
    #[command(after_help = GUESS)]
    Enhance(EnhanceArgs),
    /// Sharpen the faces of a whole archive; what is done already is not done again.
    ///
    /// Standard output gets one line of JSON for each file. A broken file does not stop the
    /// others; if any failed, the exit code is 3. Stopped or killed, the same command goes on
    /// where it was: an output counts as done as long as its input, the options, the models and
    /// this program are the same.
    #[command(after_help = GUESS)]
    Batch(BatchArgs),
    /// Sharpen the faces of one picture (PNG or JPEG).
    #[command(after_help = GUESS)]
    Image(ImageArgs),
    /// Collect real low-quality faces out of footage, to train on that camera.
    ///
    /// The faces are found, tracked and cut to 16x16 pixels exactly as when they are sharpened.
    #[command(after_help = GUESS)]
    Harvest(HarvestArgs),
    /// Show a video, a camera or a stream in a window, before and after parted by a line.
    #[command(after_help = GUESS)]
    View(ViewArgs),
    /// Tell what is installed, what was found where, and what is missing.
    #[command(after_help = GUESS)]
    Doctor(DoctorArgs),
    /// Print completions for a shell.
    #[command(after_help = GUESS)]
    Completions(CompletionsArgs),
    /// Write the manual pages: for those who make packages.
    #[command(hide = true, after_help = GUESS)]
    Manual(ManualArgs),
}

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
    /// Generator, an ONNX file from 16x16 to 64x64 [default: the built-in one]
    #[arg(long, value_name = "FILE")]
    pub(crate) generator: Option<PathBuf>,
    /// How much of the result is shown, 0 (nothing) to 1
    #[arg(long, value_name = "0..1", value_parser = unit)]
    pub(crate) strength: Option<f32>,
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
    /// searches for small faces, 0 for none of those [default: 250]
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
    /// Enlarge the picture first: small faces gain the most
    #[arg(long, value_name = "2|4", hide_possible_values = true, value_parser = scale_parser())]
    pub(crate) scale: Option<u32>,
    /// Show before (left) and after (right) side by side
    #[arg(long)]
    pub(crate) compare: bool,
    /// Quality of the video: x264's CRF, 0 (lossless) to 50, lower is better and larger
    #[arg(long, visible_alias = "quality", value_name = "CRF", default_value_t = 18,
          value_parser = value_parser!(u32).range(0..=50))]
    pub(crate) crf: u32,
    /// x264's effort: slower makes smaller files
    #[arg(long, value_enum, value_name = "NAME", default_value_t = Preset::Fast)]
    pub(crate) preset: Preset,
    /// Which faces, and how, over time.
    #[command(flatten)]
    pub(crate) stream: StreamArgs,
}

/// `facesr enhance`.
#[derive(Debug, Args)]
pub(crate) struct EnhanceArgs {
    /// Video to read: a file, or a URI that GStreamer knows
    #[arg(value_name = "IN")]
    pub(crate) input: String,
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
    /// For `facesr batch`, which watches over its children.
    #[arg(long, value_enum, hide = true)]
    pub(crate) progress: Option<Shown>,
    /// Decode and sharpen only, write no video: to measure speed
    #[arg(long, conflicts_with_all = ["output", "compare", "force"])]
    pub(crate) no_encode: bool,
    /// Print nothing but errors
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

/// `facesr image`.
#[derive(Debug, Args)]
pub(crate) struct ImageArgs {
    /// Picture to read, PNG or JPEG
    #[arg(value_name = "IN")]
    pub(crate) input: PathBuf,
    /// Picture to write, .png, .jpg or .jpeg
    #[arg(short, long, value_name = "OUT")]
    pub(crate) output: PathBuf,
    /// Replace OUT if it exists
    #[arg(short, long)]
    pub(crate) force: bool,
    /// Enlarge the picture first: small faces gain the most
    #[arg(long, value_name = "2|4", hide_possible_values = true, value_parser = scale_parser())]
    pub(crate) scale: Option<u32>,
    /// Show before (left) and after (right) side by side
    #[arg(long)]
    pub(crate) compare: bool,
    /// Quality of a JPEG, 1 to 100
    #[arg(long, value_name = "N", default_value_t = 95,
          value_parser = value_parser!(u8).range(1..=100))]
    pub(crate) quality: u8,
    /// Write the faces that were found to REPORT as JSON ("-" for standard output)
    #[arg(long, value_name = "REPORT")]
    pub(crate) json: Option<PathBuf>,
    /// Print nothing but errors
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// Which faces, and how.
    #[command(flatten)]
    pub(crate) faces: FaceArgs,
}

/// `facesr doctor`.
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
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
    /// The element's properties that were asked for, as name and value.
    pub(crate) fn properties(&self) -> Vec<(&'static str, String)> {
        self.stream.properties(self.scale)
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
        let zone = |asked: &[Rects]| {
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
            ("roi", zone(&self.roi)),
            ("exclude", zone(&self.exclude)),
            ("generator", path(&f.generator)),
            ("strength", text(f.strength)),
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

fn path(path: &Option<PathBuf>) -> Option<String> {
    path.as_ref().map(|path| path.display().to_string())
}

pub(crate) fn rects(text: &str) -> Result<Rects, String> {
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

pub(crate) fn unit(text: &str) -> Result<f32, String> {
    number_in(text, 0.0, 1.0)
}

pub(crate) fn pixels(text: &str) -> Result<f32, String> {
    number_in(text, 1.0, 32768.0)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn size_limits_are_meant_for_the_input() {
        let sizes = |line: &[&str]| {
            let words = ["facesr", "enhance", "in.mp4", "-o", "out.mp4"];
            let cli = Cli::try_parse_from(words.iter().chain(line)).unwrap();
            let Command::Enhance(args) = cli.command else { panic!("enhance was asked for") };
            let properties = args.video.properties();
            let value = |name: &str| {
                properties.iter().find(|p| p.0 == name).map_or(String::new(), |p| p.1.clone())
            };
            (value("min-face-size"), value("max-face-size"))
        };
        let is = |a: &str, b: &str| (a.to_string(), b.to_string());
        assert_eq!(sizes(&["--max-face-size=70"]), is("", "70"));
        assert_eq!(sizes(&["--scale=4"]), is("32", "320"));
        assert_eq!(sizes(&["--scale=2", "--min-face-size=10.5"]), is("21", "160"));
    }

    #[test]
    fn regions_are_meant_for_the_input() {
        let words = ["facesr", "enhance", "in.mp4", "-o", "out.mp4", "--scale=2"];
        let line = ["--roi=1,2,3,4", "--roi=5,6,7,8", "--exclude=9,9,1,1"];
        let cli = Cli::try_parse_from(words.iter().chain(&line)).unwrap();
        let Command::Enhance(args) = cli.command else { panic!("enhance was asked for") };
        let properties = args.video.properties();
        assert!(properties.contains(&("roi", "2,4,6,8;10,12,14,16".into())), "{properties:?}");
        assert!(properties.contains(&("exclude", "18,18,2,2".into())), "{properties:?}");
        let error = Cli::try_parse_from(words.iter().chain(&["--roi=1,2"])).unwrap_err();
        assert!(error.to_string().contains("x,y,width,height"), "{error}");
    }

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn numbers_out_of_range_are_refused() {
        for bad in [
            "--strength=1.5",
            "--strength=nan",
            "--scale=3",
            "--detect-every=8",
            "--tile-every=8",
            "--detect-interval=70000",
            "--min-face-size=0",
            "--crf=99",
            "--detector=magic",
            "--device=tpu",
        ] {
            let line = ["facesr", "enhance", "a.mp4", "-o", "b.mp4", bad];
            assert_eq!(Cli::try_parse_from(line).unwrap_err().exit_code(), 2, "{bad}");
        }
    }

    #[test]
    fn only_what_was_given_becomes_a_property() {
        let line = ["facesr", "enhance", "a", "-o", "b.mp4", "--strength", "0.5", "--max-faces=3"];
        let Command::Enhance(args) = Cli::try_parse_from(line).unwrap().command else { panic!() };
        assert_eq!(
            args.video.properties(),
            [("strength", "0.5".to_string()), ("max-faces", "3".to_string())]
        );
    }

    #[test]
    fn every_help_says_that_faces_are_guesses() {
        let mut cli = Cli::command();
        cli.build();
        assert!(cli.render_help().to_string().contains("never evidence"));
        for sub in cli.get_subcommands_mut().filter(|sub| sub.get_name() != "help") {
            assert!(sub.render_long_help().to_string().contains("never evidence"), "{sub}");
        }
    }
}
