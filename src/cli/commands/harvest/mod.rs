//! `facesr harvest`: real low-quality faces out of a camera's footage, cropped as the networks see
//! them, for training on that camera.

mod args;
mod crop_selector;
mod write;

use std::collections::HashSet;
use std::ffi::OsStr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

pub(crate) use args::HarvestArgs;

use crate::files::{RunPaths, check_json, write_json};
use crate::media::{Excerpt, Input, Plan, face_element, lock, start_gstreamer, transcode};
use crate::term::{Failure, Progress, ProgressMode, interrupt, say};
use crop_selector::{Criteria, CropSelector, RejectCounts, SeenCrops};
use write::{Harvest, Place};

/// How long a clip may give nothing.
const TIMEOUT: Duration = Duration::from_secs(30);

/// What came of one clip.
struct Clip {
    harvest: Harvest,
    rejected: RejectCounts,
    frames: u64,
    tracks: usize,
    seconds: f64,
}

/// Carries out the command.
pub(crate) fn run(args: &HarvestArgs) -> Result<(), Failure> {
    let (narrowest, widest) = args.widths();
    if narrowest > widest {
        return Err(Failure::usage(
            "--min-width is larger than --max-width (see --help for what they are by default)",
        ));
    }
    interrupt::watch();
    let mut paths = RunPaths::default();
    for input in &args.inputs {
        paths.input("an input", Some(Path::new(input)));
    }
    paths
        .input("the detector's model", args.find.detector_model.as_deref())
        .output("OUT", Some(&args.output))?
        .output("--json", args.json.as_deref())?;
    if let Some(json) = &args.json {
        check_json(json, args.force)?;
    }
    let place = Place::create(&args.output, args.force)?;
    start_gstreamer()?;
    let mut seen = SeenCrops::new(args.same);
    let mut names = HashSet::new();
    let (mut clips, mut failures) = (Vec::new(), Vec::new());
    for input in &args.inputs {
        match clip(args, input, &mut names, &mut seen) {
            Ok(clip) => {
                if !args.quiet {
                    say(&format!("{}: {}", clip.harvest.original, sentence(&clip)));
                }
                clips.push(clip);
            }
            Err(failure) if failure.is_interrupt() || args.inputs.len() == 1 => {
                return Err(failure);
            }
            Err(failure) => {
                say(&format!("facesr: {}", failure.message));
                failures.push((input.to_string_lossy().into_owned(), failure.message));
            }
        }
    }
    let report = report(args, &clips, &failures);
    let faces: usize = clips.iter().map(|clip| clip.harvest.crops.len()).sum();
    if faces == 0 {
        return Err(Failure::running(format_args!(
            "no face between {narrowest} and {widest} pixels wide was found; nothing was written"
        )));
    }
    let set: Vec<_> = clips.into_iter().map(|clip| clip.harvest).collect();
    place.write(&set)?;
    if !args.quiet {
        say(&format!("{}: {faces} faces of {} clips", args.output.display(), set.len()));
    }
    if let Some(path) = &args.json {
        write_json(&report, path, args.force)?;
    }
    match failures.len() {
        0 => Ok(()),
        n => Err(Failure::partly(format_args!("{n} of {} clips failed", args.inputs.len()))),
    }
}

fn clip(
    args: &HarvestArgs,
    input: &OsStr,
    names: &mut HashSet<String>,
    seen: &mut SeenCrops,
) -> Result<Clip, Failure> {
    let source = Input::open(input)?;
    let mut properties = args.find.properties();
    properties.push(("detect-interval", args.detect_interval.to_string()));
    // The boxes as detected: those of training pictures are not smoothed either.
    properties.push(("temporal-smoothing", "0".into()));
    let selector = Arc::new(Mutex::new(CropSelector::new(Criteria {
        shape: args.shape(),
        widths: args.widths(),
        per_track: args.per_track as usize,
        detect_every: (args.detect_interval / 40).max(1),
    })));
    let plan = Plan {
        element: face_element("facesrdetect", &properties)?,
        scale: 1,
        compare: false,
        mark: false,
        keep_bit_depth: false,
        encoder: None,
        observer: Some(selector.clone()),
        fps: None,
        excerpt: Excerpt::default(),
        input: source.name(),
    };
    let started = Instant::now();
    let mut progress = Progress::start(ProgressMode::unless(args.quiet));
    let outcome = transcode(plan, &source, None, TIMEOUT, &mut progress)?;
    // The pipeline may still hold a reference; what it saw is all in here.
    let criteria = lock(&selector).criteria();
    let selector = std::mem::replace(&mut *lock(&selector), CropSelector::new(criteria));
    let tracks = selector.tracks();
    let (crops, rejected) = selector.finish(seen);
    let harvest =
        Harvest { source: source_name(&source.name(), names), original: source.name(), crops };
    let seconds = started.elapsed().as_secs_f64();
    Ok(Clip { harvest, rejected, frames: outcome.frames, tracks, seconds })
}

/// A name for a clip that is not among `names`: that of its file, as far as it goes into a tar
/// and a table.
fn source_name(input: &str, names: &mut HashSet<String>) -> String {
    let stem = Path::new(input).file_stem().unwrap_or_default().to_string_lossy();
    let plain: String = stem
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || "-_".contains(c) { c } else { '_' })
        .collect();
    let plain = if plain.is_empty() { "clip".to_string() } else { plain };
    let mut name = plain.clone();
    let mut n = 1;
    while !names.insert(name.clone()) {
        n += 1;
        name = format!("{plain}-{n}");
    }
    name
}

fn sentence(clip: &Clip) -> String {
    let RejectCounts { narrow, wide, edge, same, beyond } = clip.rejected;
    format!(
        "{} faces of {} tracks in {} frames; left out: {same} near-duplicates, {beyond} beyond the \
         cap, seen too narrow {narrow} times, too wide {wide}, at the edge {edge}",
        clip.harvest.crops.len(),
        clip.tracks,
        clip.frames,
    )
}

fn report(args: &HarvestArgs, clips: &[Clip], failures: &[(String, String)]) -> Value {
    let clips: Vec<_> = clips
        .iter()
        .map(|clip| {
            json!({
                "input": clip.harvest.original,
                "source": clip.harvest.source,
                "faces": clip.harvest.crops.len(),
                "tracks": clip.tracks,
                "frames": clip.frames,
                "seconds": (clip.seconds * 1e3).round() / 1e3,
                "left_out": {
                    "near_duplicates": clip.rejected.same,
                    "beyond_cap": clip.rejected.beyond,
                    "narrow": clip.rejected.narrow,
                    "wide": clip.rejected.wide,
                    "edge": clip.rejected.edge,
                },
            })
        })
        .collect();
    let failures: Vec<_> =
        failures.iter().map(|(input, why)| json!({ "input": input, "error": why })).collect();
    json!({ "output": args.output, "clips": clips, "failed": failures })
}

#[cfg(test)]
#[test]
fn names_are_plain_and_differ() {
    let mut names = HashSet::new();
    assert_eq!(source_name("/a/gate 3.mp4", &mut names), "gate_3");
    assert_eq!(source_name("/b/gate 3.mkv", &mut names), "gate_3-2");
    assert_eq!(source_name("rtsp://camera/", &mut names), "camera");
    assert_eq!(source_name("/", &mut names), "clip");
}
