//! The command line of `facesr batch`.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, value_parser};

use crate::args::{ContainerName, VideoArgs};

/// `facesr batch`.
#[derive(Debug, Args)]
pub(crate) struct BatchArgs {
    /// Folder with videos (its folders too), or a list of videos, one a line ("-" for standard
    /// input)
    #[arg(value_name = "IN_DIR|LIST")]
    pub(crate) input: PathBuf,
    /// Folder for the enhanced videos; it takes the shape of IN_DIR
    #[arg(short, long, value_name = "OUT_DIR")]
    pub(crate) output: PathBuf,
    /// Files to work on at the same time [default: half the processors]
    #[arg(short, long, value_name = "N", value_parser = value_parser!(u32).range(1..=1024))]
    pub(crate) jobs: Option<u32>,
    /// Do the I-th of N parts of the files, I from 0 to N-1: one part on each of N machines
    #[arg(long, value_name = "I/N")]
    pub(crate) shard: Option<Shard>,
    /// Container of the outputs; auto keeps that of the input where it can be written, else Matroska, which
    /// holds nearly all sound as it is [default: that of the input if it is MP4 or Matroska, else MP4]
    #[arg(
        long,
        visible_alias = "container",
        value_enum,
        value_name = "mp4|mov|mkv|webm|ts|auto",
        hide_possible_values = true
    )]
    pub(crate) format: Option<ContainerName>,
    /// Write a page to look at beside each output, and OUT_DIR/index.html with all of them
    #[arg(long)]
    pub(crate) report: bool,
    /// Write the best look at each face to a folder beside each output
    #[arg(long)]
    pub(crate) gallery: bool,
    /// Read every input and output whole to see whether they have changed; size and time are
    /// trusted otherwise
    #[arg(long)]
    pub(crate) rehash: bool,
    /// Replace outputs that are there although no run of this command made them
    #[arg(short, long)]
    pub(crate) force: bool,
    /// End with exit code 0 although something of an input is not in its output
    #[arg(long, visible_alias = "partial")]
    pub(crate) allow_loss: bool,
    /// Give a file up that makes no progress for so many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 300,
          value_parser = value_parser!(u32).range(1..=86400))]
    pub(crate) timeout: u32,
    /// Tell what would be done, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Print no progress and no summary; the line of JSON for each file stays
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// How the videos are sharpened and written.
    #[command(flatten)]
    pub(crate) video: VideoArgs,
}

/// One of several equal parts of the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shard {
    /// Its number, from 0.
    pub(crate) index: u64,
    /// How many there are.
    pub(crate) count: u64,
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (index, count) = text.split_once('/')?;
            Some(Self { index: index.parse().ok()?, count: count.parse().ok()? })
        };
        parse()
            .filter(|shard| shard.index < shard.count)
            .ok_or_else(|| "wanted I/N with I from 0 to N-1, such as 0/4".into())
    }
}

#[cfg(test)]
#[test]
fn shards_are_counted_from_0() {
    assert_eq!("3/4".parse(), Ok(Shard { index: 3, count: 4 }));
    for bad in ["4/4", "0/0", "1", "-1/2", "a/b", "1/2/3"] {
        assert!(bad.parse::<Shard>().is_err(), "{bad}");
    }
}
