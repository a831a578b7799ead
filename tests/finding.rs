//! The finder on real clips: how many of the faces that were checked by hand it finds, at the
//! clips' own rate and at lower ones, and that it finds none where there is none.
//!
//! `cargo nextest run -p facesr-tests --test finding --no-capture` prints the tables of
//! docs/performance.md; `FACESR_MODELS` and `ORT_DYLIB_PATH` may name other models.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use facesr::detect::{self, DetectorOptions};
use facesr::{Finder, FinderOptions, Rect, Timestamp};
use facesr_testkit::checked_faces::{Checked, checked_faces};
use facesr_testkit::clips::Clip;

/// Limits of the size classes: longer side of the box, pixels.
const SIZES: [f32; 6] = [6.0, 10.0, 16.0, 24.0, 40.0, 80.0];
/// Least overlap of a box with the face that it shows.
const MIN_IOU: f32 = 0.4;

fn checked(clip: &str) -> BTreeMap<usize, Checked> {
    checked_faces().remove(clip).unwrap_or_default()
}

/// A clip of the folder that is shared by all who work on this.
fn shared(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = root.ancestors().map(|folder| folder.join("shared/data/clips"));
    folders.map(|folder| folder.join(format!("{name}.mp4"))).find(|path| path.is_file()).unwrap()
}

/// What was found, by size, and what was found wrongly.
#[derive(Debug, Default)]
struct Tally {
    found: [usize; SIZES.len() - 1],
    all: [usize; SIZES.len() - 1],
    wrong: Vec<(usize, Rect, f32)>,
    missed: Vec<(usize, Rect)>,
    /// Boxes in all frames.
    boxes: usize,
    frames: usize,
    ids: std::collections::BTreeSet<u64>,
    detect_ms: f64,
}

impl Tally {
    fn judge(&mut self, number: usize, truth: &Checked, found: &[facesr::Face]) {
        let class = |r: &Rect| SIZES.windows(2).position(|s| (s[0]..s[1]).contains(&r.w.max(r.h)));
        for face in &truth.faces {
            let Some(class) = class(face) else { continue };
            self.all[class] += 1;
            if found.iter().any(|f| f.rect.iou(face) >= MIN_IOU) {
                self.found[class] += 1;
            } else {
                self.missed.push((number, *face));
            }
        }
        for face in found {
            let c = face.rect.center();
            let known = truth.faces.iter().chain(&truth.ignored);
            let is_known = known.clone().any(|r| r.contains(c) || r.iou(&face.rect) > 0.2);
            let is_checked = truth.region.is_none_or(|r| r.contains(c));
            if is_checked && !is_known {
                self.wrong.push((number, face.rect, face.score));
            }
        }
    }

    fn print(&self, title: &str) {
        let cells: Vec<_> =
            self.found.iter().zip(&self.all).map(|(found, all)| format!("{found}/{all}")).collect();
        println!(
            "| {title} | {} | {} wrong | {:.2} boxes a frame | {} ids | {:.1} ms a frame |",
            cells.join(" | "),
            self.wrong.len(),
            self.boxes as f64 / self.frames as f64,
            self.ids.len(),
            self.detect_ms / self.frames as f64
        );
        for (frame, r, score) in &self.wrong {
            println!(
                "    wrong in {frame}: {:.0},{:.0} {:.0}x{:.0} {score:.2}",
                r.x, r.y, r.w, r.h
            );
        }
        for (frame, r) in &self.missed {
            println!("    missed in {frame}: {:.0},{:.0} {:.0}x{:.0}", r.x, r.y, r.w, r.h);
        }
    }
}

/// Runs the finder over `clip`, taking one frame of `every`, such that all checked frames are seen if
/// that can be.
fn run(
    clip: &Clip,
    fps: f64,
    every: usize,
    truth: &BTreeMap<usize, Checked>,
    options: FinderOptions,
) -> Tally {
    let detector = detect::open(&DetectorOptions::default()).unwrap();
    let mut finder = Finder::new(detector, options);
    let mut tally = Tally::default();
    let offset = truth.keys().next().map_or(0, |first| first % every);
    for i in (offset..clip.frames.len()).step_by(every) {
        let at = Timestamp::from_nanos((i as f64 / fps * 1e9) as u64);
        let found = finder.find(&clip.frame(i), Some(at));
        assert!(found.error.is_none(), "{:?}", found.error);
        tally.frames += 1;
        tally.boxes += found.faces.len();
        tally.ids.extend(found.faces.iter().map(|face| face.id));
        if let Some(truth) = truth.get(&i) {
            tally.judge(i, truth, found.faces);
        }
    }
    tally.detect_ms = finder.stats().detect.as_secs_f64() * 1e3;
    tally
}

/// Frames until the last that was checked, and the rate.
fn open(name: &str, fps: f64) -> (Clip, f64, BTreeMap<usize, Checked>) {
    let truth = checked(name);
    let last = truth.keys().next_back().copied().unwrap_or(100);
    (Clip::open(&shared(name), last + 1), fps, truth)
}

#[test]
fn shared_checked_faces_are_found_at_any_rate() {
    // Some faces less than measured: in 8 bits the detector finds others than in single precision.
    for (name, fps, rates) in [
        (
            "street-oxford-cctv",
            25.0,
            [(1usize, [0.0, 0.44, 0.6, 0.5, 0.0]), (15, [0.0, 0.25, 0.6, 0.5, 0.0])],
        ),
        (
            "corridor-walking",
            12.0,
            [(1, [0.0, 0.0, 0.8, 0.7, 0.0]), (6, [0.0, 0.0, 0.8, 0.7, 0.0])],
        ),
    ] {
        let (clip, fps, truth) = open(name, fps);
        for (every, least) in rates {
            let tally = run(&clip, fps, every, &truth, FinderOptions::default());
            tally.print(&format!("{name}, {:.1}/s", fps / every as f64));
            assert!(tally.wrong.is_empty(), "{name} {every}: {:?}", tally.wrong);
            for (class, least) in least.iter().enumerate() {
                let all = tally.all[class];
                let share = tally.found[class] as f64 / all.max(1) as f64;
                assert!(
                    all == 0 || share >= *least,
                    "{name} {every}: {:?} of {:?}",
                    tally.found,
                    tally.all
                );
            }
        }
    }
}

#[test]
fn shared_no_face_is_found_where_there_is_none() {
    for (name, fps) in [("carpark-no-faces", 25.0), ("office-one-person", 25.0)] {
        let clip = Clip::open(&shared(name), 200);
        for every in [1, 25] {
            let tally = run(&clip, fps, every, &BTreeMap::new(), FinderOptions::default());
            tally.print(&format!("{name}, {:.1}/s", fps / every as f64));
            assert_eq!(tally.boxes, 0, "{name} {every}");
        }
    }
}

/// For measurements: the clip `CLIP` at `FPS` frames a second, one frame of `EVERY`, with `INTERVAL` and
/// `BUDGET`; faces in the frames `AT`, of how many there are is known (`FACES`).
#[test]
#[ignore = "a measurement"]
fn measure_a_clip() {
    let env = |name: &str| std::env::var(name).ok();
    let number = |name: &str, usual: f64| env(name).map_or(usual, |v| v.parse().unwrap());
    let limit = number("LIMIT", 1e6) as usize;
    let budget = f64::from(FinderOptions::default().detect_budget);
    let options = FinderOptions::default()
        .detect_interval(std::time::Duration::from_millis(number("INTERVAL", 320.0) as u64))
        .detect_budget(number("BUDGET", budget) as u32);
    for path in env("CLIP").unwrap().split(',') {
        let path = Path::new(path);
        let name = path.file_stem().unwrap().to_str().unwrap();
        let clip = Clip::open(path, limit);
        let every = number("EVERY", 1.0) as usize;
        let truth = checked(name);
        let tally = run(&clip, number("FPS", 25.0), every, &truth, options.clone());
        tally.print(name);
        if let Some(faces) = env("FACES") {
            let share = tally.boxes as f64 / tally.frames as f64 / faces.parse::<f64>().unwrap();
            println!("    {:.1} % of {faces} in all frames", 100.0 * share);
        }
    }
}
