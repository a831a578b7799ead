//! The command `facesr`: sharpens small faces in video files and pictures.
//!
//! Imports run downwards only: `commands` (each knows its own arguments and no other command),
//! then `report`, `args`, `media`, `files`, `term`.

mod args;
mod commands;
mod files;
mod media;
mod report;
mod term;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use commands::batch::{self, BatchArgs};
use commands::doctor::{self, DoctorArgs};
use commands::enhance::{self, EnhanceArgs};
use commands::harvest::{self, HarvestArgs};
use commands::image::{self, ImageArgs};
use commands::manual::{self, CompletionsArgs, ManualArgs};
use commands::serve::{self, ServeArgs};
use commands::view::{self, ViewArgs};
use term::DISCLAIMER;

/// Sharpens small faces in video and pictures.
#[derive(Debug, Parser)]
#[command(name = "facesr", version, after_help = DISCLAIMER, max_term_width = 100)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What `facesr` can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Sharpen the faces of a video file; audio and subtitles are kept as they are.
    #[command(after_help = DISCLAIMER)]
    Enhance(EnhanceArgs),
    /// Sharpen the faces of a whole archive; what is done already is not done again.
    ///
    /// Standard output gets one line of JSON for each file. A broken file does not stop the
    /// others; if any failed, the exit code is 3. Stopped or killed, the same command goes on
    /// where it was: an output counts as done as long as its input, the options, the models and
    /// this program are the same.
    #[command(after_help = DISCLAIMER)]
    Batch(BatchArgs),
    /// Sharpen the faces of one picture (PNG or JPEG).
    #[command(after_help = DISCLAIMER)]
    Image(ImageArgs),
    /// Collect real low-quality faces out of footage, to train on that camera.
    ///
    /// The faces are found, tracked and cropped to 16x16 pixels exactly as when they are sharpened.
    #[command(after_help = DISCLAIMER)]
    Harvest(HarvestArgs),
    /// Show a video, a camera or a stream in a window, before and after parted by a line.
    #[command(after_help = DISCLAIMER)]
    View(ViewArgs),
    /// Serve cameras, each with sharper faces, by RTSP; for months.
    ///
    /// A camera that goes away is tried again for ever, and its path stays up: viewers keep their
    /// session and see the last picture with a sign that it is old. SIGHUP reads the file again.
    #[command(after_help = DISCLAIMER)]
    Serve(ServeArgs),
    /// Tell what is installed, what was found where, and what is missing.
    #[command(after_help = DISCLAIMER)]
    Doctor(DoctorArgs),
    /// Print completions for a shell.
    #[command(after_help = DISCLAIMER)]
    Completions(CompletionsArgs),
    /// Write the manual pages: for those who make packages.
    #[command(hide = true, after_help = DISCLAIMER)]
    Manual(ManualArgs),
}

fn main() -> ExitCode {
    let matches = Cli::command().get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|e| e.exit());
    let result = match cli.command {
        Command::Enhance(args) => enhance::run(&args),
        Command::Batch(args) => batch::run(&args, matches.subcommand().map_or(&matches, |s| s.1)),
        Command::Image(args) => image::run(&args),
        Command::Harvest(args) => harvest::run(&args),
        Command::View(args) => view::run(&args),
        Command::Serve(args) => serve::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Completions(args) => manual::completions(&args, Cli::command()),
        Command::Manual(args) => manual::manual(&args, Cli::command()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !failure.message.is_empty() {
                term::say(&format!("facesr: {}", failure.message));
            }
            failure.status.into()
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    /// As they are for the scale that is asked for.
    fn properties(video: &crate::args::VideoArgs) -> Vec<(&'static str, String)> {
        let crate::args::Scale::Times(scale) = video.scale else { return video.properties(1) };
        video.properties(scale)
    }

    #[test]
    fn size_limits_are_meant_for_the_input() {
        let sizes = |line: &[&str]| {
            let words = ["facesr", "enhance", "in.mp4", "-o", "out.mp4"];
            let cli = Cli::try_parse_from(words.iter().chain(line)).unwrap();
            let Command::Enhance(args) = cli.command else { panic!("enhance was asked for") };
            let properties = properties(&args.video);
            let value = |name: &str| {
                properties.iter().find(|p| p.0 == name).map_or(String::new(), |p| p.1.clone())
            };
            (value("min-face-size"), value("max-face-size"))
        };
        let is = |a: &str, b: &str| (a.to_string(), b.to_string());
        assert_eq!(sizes(&["--max-face-size=70"]), is("", "70"));
        assert_eq!(sizes(&["--scale=4"]), is("32", "400"));
        assert_eq!(sizes(&["--scale=2", "--min-face-size=10.5"]), is("21", "200"));
    }

    #[test]
    fn regions_are_meant_for_the_input() {
        let words = ["facesr", "enhance", "in.mp4", "-o", "out.mp4", "--scale=2"];
        let line = ["--roi=1,2,3,4", "--roi=5,6,7,8", "--exclude=9,9,1,1"];
        let cli = Cli::try_parse_from(words.iter().chain(&line)).unwrap();
        let Command::Enhance(args) = cli.command else { panic!("enhance was asked for") };
        let properties = properties(&args.video);
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
            properties(&args.video),
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
