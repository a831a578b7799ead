//! `facesr enhance`: a video file in, the same with sharper faces out.

mod args;
mod run_report;

use std::ffi::OsStr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use facesr::detect;
use serde_json::{Value, json};

pub(crate) use args::EnhanceArgs;

use crate::args::{BitDepth, ContainerName, MOST_ENLARGED, Scale};
use crate::files::{AtomicFile, RunPaths, check_json, write_json};
use crate::media::{
    Container, Excerpt, FrameObserver, Input, Outcome, Output, Plan, Survey, encoder, face_element,
    lock, start_gstreamer, transcode,
};
use crate::report::{BestShots, ReportTargets};
use crate::term::{ExitStatus, Failure, Progress, ProgressMode, interrupt, say};

/// How long a preview is that is not told how long to be, nanoseconds.
const PREVIEW: u64 = 10_000_000_000;

/// Carries out the command.
pub(crate) fn run(args: &EnhanceArgs) -> Result<(), Failure> {
    let args = &in_folder(args);
    let to_stdout = args.output.as_deref() == Some(Path::new("-"));
    let container = container(args, to_stdout)?;
    let excerpt = excerpt(args, container)?;
    let source = Input::open(&args.input)?;
    interrupt::watch();
    let (page, gallery) = (args.report.as_deref(), args.gallery.as_deref());
    let faces = &args.video.stream.faces;
    RunPaths::default()
        .input("the input", source.path())
        .inputs("the generator", &faces.generator)
        .input("the detector's model", faces.find.detector_model.as_deref())
        .output("OUT", args.output.as_deref())?
        .output("--json", args.json.as_deref())?
        .output("--report", page)?
        .output("--gallery", gallery)?;
    if let Some(json) = &args.json {
        check_json(json, args.force)?;
    }
    let output = match &args.output {
        Some(_) if to_stdout => Some(Output::Stdout),
        Some(output) => Some(Output::File(AtomicFile::create(output, args.force)?)),
        None => None,
    };
    let targets = ReportTargets::create(page, gallery, args.force)?;
    start_gstreamer()?;
    let video = &args.video;
    let scale = resolve_scale(args, &source, excerpt)?;
    let shots = Arc::new(Mutex::new(BestShots::new(faces.sizes(scale))));
    let encoder = container.map(|container| encoder(&video.encoder(container, to_stdout)));
    let encoder = encoder.transpose()?;
    let encoder_name = encoder.as_ref().map(|encoder| encoder.name.clone());
    let plan = Plan {
        element: face_element("facesr", &video.properties(scale))?,
        scale,
        compare: video.compare || args.preview,
        mark: video.mark,
        keep_bit_depth: video.bit_depth == BitDepth::Auto,
        encoder,
        observer: targets.wanted().then(|| shots.clone() as Arc<Mutex<dyn FrameObserver>>),
        fps: video.fps,
        excerpt,
        input: source.name(),
    };
    let patience = Duration::from_secs(args.timeout.into());
    let mut progress = Progress::start(args.progress.unwrap_or(ProgressMode::unless(args.quiet)));
    let outcome = transcode(plan, &source, output.zip(container), patience, &mut progress)?;
    let stats = report(args, &source, encoder_name, &outcome, scale);
    if targets.wanted() {
        // The pipeline may still hold a reference; what it saw is all in here.
        let shots = std::mem::replace(&mut *lock(&shots), BestShots::new((0.0, 0.0)));
        targets.write(shots, &outcome, &stats, scale)?;
    }
    if !args.quiet {
        summary(args, &stats);
    }
    if let Some(path) = &args.json {
        write_json(&stats, path, args.force)?;
    }
    let name = match &args.output {
        Some(output) if !to_stdout => output.display().to_string(),
        _ => "the output".into(),
    };
    let losses = outcome.losses();
    match () {
        () if outcome.was_stopped => {
            Err(Failure::stopped(format_args!("stopped; {name} holds what had come by then")))
        }
        () if !losses.is_empty() && !args.allow_loss && !args.no_encode => Err(Failure::new(
            ExitStatus::Loss,
            format_args!(
                "{name} is written, but not all of the input is in it: {} (--allow-loss accepts \
                 that)",
                losses.join("; ")
            ),
        )),
        () => Ok(()),
    }
}

/// How much the picture is enlarged; where the program decides, it says so.
fn resolve_scale(args: &EnhanceArgs, source: &Input, part: Excerpt) -> Result<u32, Failure> {
    if let Scale::Times(times) = args.video.scale {
        return Ok(times);
    }
    let Some(options) = args.video.stream.faces.find.options()? else {
        return Ok(1);
    };
    // The run itself tells what is wrong with a detector.
    let Ok(mut detector) = detect::open(&options) else { return Ok(1) };
    let survey = Survey::of(source, part, MOST_ENLARGED, &mut *detector);
    let Some(survey) = survey else { return Ok(1) };
    let scale = Scale::suggested(survey.size, &survey.faces);
    if scale > 1 && !args.quiet {
        let (width, height) = survey.size;
        say(&format!(
            "facesr: note: the picture of {width}x{height} is enlarged {scale} times, as its faces are \
             small; --scale 1 leaves it as it is"
        ));
    }
    Ok(scale)
}

/// The same arguments, with the file as output where a folder is named.
fn in_folder(args: &EnhanceArgs) -> EnhanceArgs {
    let mut args = args.clone();
    if let Some(folder) = args.output.as_ref().filter(|output| output.is_dir()) {
        let container = *args.container.get_or_insert(ContainerName::Auto);
        // An address may hold a password, which belongs into no name.
        let input = Some(Path::new(&args.input)).filter(|input| input.is_file());
        let name = input.and_then(Path::file_name).unwrap_or(OsStr::new("video"));
        args.output = Some(folder.join(container.output_name(Path::new(name))));
    }
    args
}

/// The container of the output; `None` if nothing is encoded.
fn container(args: &EnhanceArgs, to_stdout: bool) -> Result<Option<Container>, Failure> {
    let Some(output) = args.output.as_deref() else { return Ok(None) };
    let container = match args.container {
        Some(name) => name.container(Path::new(&args.input)),
        None if to_stdout => Container::MpegTs,
        None => Container::of(output)?,
    };
    if to_stdout && !container.can_stream() {
        return Err(Failure::usage(format_args!(
            "{} cannot be written to standard output, since its index comes last; \
             --container ts, mkv or webm can",
            container.name()
        )));
    }
    if to_stdout && args.json.as_deref() == Some(Path::new("-")) {
        return Err(Failure::usage(
            "standard output is named for OUT and for --json; name a file for --json",
        ));
    }
    if matches!(container, Container::Picture(_)) && !args.preview {
        return Err(Failure::usage(format_args!(
            "{} is a picture; --preview writes one frame, and facesr image sharpens pictures",
            output.display()
        )));
    }
    Ok(Some(container))
}

/// What of the input is wanted.
fn excerpt(args: &EnhanceArgs, container: Option<Container>) -> Result<Excerpt, Failure> {
    let start = args.start.unwrap_or(0);
    let length = args.duration.or((args.preview && args.end.is_none()).then_some(PREVIEW));
    let end = args.end.or(length.map(|length| start.saturating_add(length)));
    if end.is_some_and(|end| end <= start) {
        return Err(Failure::usage("--end is not behind --start, or --duration is 0"));
    }
    let is_picture = matches!(container, Some(Container::Picture(_)));
    Ok(Excerpt { start, end, frames: is_picture.then_some(1) })
}

fn report(
    args: &EnhanceArgs,
    source: &Input,
    encoder: Option<String>,
    outcome: &Outcome,
    scale: u32,
) -> Value {
    let video = &args.video;
    let given: serde_json::Map<_, _> = video
        .properties(scale)
        .into_iter()
        .map(|(name, value)| (name.into(), json!(value)))
        .collect();
    run_report::Report {
        input: source.name(),
        output: args.output.as_ref().map(|p| p.display().to_string()),
        encoder,
        outcome,
        options: json!({
            "scale": scale,
            "compare": video.compare || args.preview,
            "mark": video.mark,
            "start_s": args.start.map(|ns| ns as f64 / 1e9),
            "end_s": args.end.map(|ns| ns as f64 / 1e9),
            "duration_s": args.duration.map(|ns| ns as f64 / 1e9),
            "crf": video.crf,
            "preset": video.preset.name(),
            "bit_depth": video.bit_depth.name(),
            "encode": !args.no_encode,
            "given": given,
        }),
    }
    .to_json()
}

fn summary(args: &EnhanceArgs, stats: &Value) {
    let n = |key: &str| stats[key].as_u64().unwrap_or(0);
    let what = format!(
        "{} frames, {} faces sharpened in {} tracks, {} frames/s",
        n("frames"),
        n("faces_enhanced"),
        n("tracks"),
        stats["fps"]
    );
    let name = args.output.as_ref().map(|output| format!("{}: ", output.display()));
    say(&format!("{}{what}", name.unwrap_or_default()));
    if n("faces_enhanced") == 0 && n("tracks") > 0 {
        say(&why_none(args));
    }
}

/// Why faces were found and none was sharpened.
fn why_none(args: &EnhanceArgs) -> String {
    let faces = &args.video.stream.faces;
    if faces.strength == Some(0.0) {
        return "facesr: note: faces were found, but --strength is 0".into();
    }
    let (least, most) = faces.sizes(1);
    format!(
        "facesr: note: faces were found, but none between {least:.0} and {most:.0} pixels, the \
         sizes that are sharpened; --min-face-size and --max-face-size set others"
    )
}
