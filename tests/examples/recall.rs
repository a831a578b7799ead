//! Measures a detector on frames whose faces were checked by hand (`src/testkit/fixtures/faces.csv`).
//!
//! ```sh
//! cargo run --release -p facesr-tests --example recall -- CLIPS DETECTOR [MODEL [WIDTH|tiles [as-filed]]]
//! ```
//!
//! `CLIPS` is the folder of the clips that the list names; `ORT_DYLIB_PATH` and `FACESR_MODELS` say
//! where ONNX Runtime and the detectors' models are. Prints the recall by size at the lowest score
//! at which 95 of 100 detections are right; with `tiles` of a search that adds tiles at full resolution;
//! with `as-filed` in the precision of the file, even if the engine has a better one.
#![allow(clippy::unwrap_used, reason = "a measurement that cannot go on ends")]

use std::path::Path;
use std::time::Duration;

use facesr::Rect;
use facesr::detect::{self, Detection, DetectorOptions, Precision};
use facesr::internals::cpu_time::CpuTimer;
use facesr_testkit::checked_faces::checked_faces;
use facesr_testkit::clips::Clip;

/// Least overlap of a detection with the face that it has found.
const MIN_IOU: f32 = 0.4;
/// Limits of the size classes: longer side of the box in pixels of the frame.
const SIZES: [f32; 5] = [8.0, 16.0, 24.0, 34.0, 80.0];
const PRECISION: f64 = 0.95;

fn size_class(r: &Rect) -> Option<usize> {
    let side = r.w.max(r.h);
    SIZES.windows(2).position(|s| (s[0]..s[1]).contains(&side))
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [clips, kind, rest @ ..] = args.as_slice() else {
        panic!("usage: recall CLIPS DETECTOR [MODEL [WIDTH|tiles [as-filed]]]");
    };
    let tiles = rest.get(1).is_some_and(|width| width == "tiles");
    let width = rest.get(1).filter(|w| !tiles && !w.is_empty());
    let precision = match rest.get(2).map(String::as_str) {
        None => Precision::Auto,
        Some("as-filed") => Precision::AsFiled,
        Some(other) => panic!("{other}"),
    };
    let options = DetectorOptions::default()
        .kind(kind.parse().unwrap())
        .model(rest.first().filter(|path| !path.is_empty()).map(Into::into))
        .width(width.map_or(0, |width| width.parse().unwrap()))
        .min_score(Some(0.05))
        .precision(precision);
    let mut detector = detect::open(&options).unwrap();

    let (mut total, mut spent, mut searched) = ([0usize; SIZES.len() - 1], Duration::ZERO, 0u32);
    // Score, and the size of the face that was found, or that it was none.
    let mut hits: Vec<(f32, Option<usize>)> = Vec::new();
    for (name, frames) in checked_faces() {
        let last = frames.keys().max().unwrap();
        let clip = Clip::open(&Path::new(clips).join(format!("{name}.mp4")), last + 1);
        for (number, truth) in &frames {
            let mut found: Vec<Detection> = Vec::new();
            let timer = CpuTimer::start();
            let frame = clip.frame(*number);
            if tiles {
                detect::search_at_full_resolution(&mut *detector, &frame, &mut found).unwrap();
            } else {
                detector.detect(&frame, &mut found).unwrap();
            }
            spent += timer.elapsed();
            searched += 1;
            truth.faces.iter().filter_map(size_class).for_each(|class| total[class] += 1);
            found.sort_by(|a, b| b.score.total_cmp(&a.score));
            let mut open_faces = truth.faces.clone();
            for Detection { rect, score, .. } in found {
                let c = rect.center();
                let inside =
                    |r: &Rect| (r.x..r.x + r.w).contains(&c.x) && (r.y..r.y + r.h).contains(&c.y);
                if truth.region.as_ref().is_some_and(|r| !inside(r)) {
                    continue;
                }
                let best = open_faces
                    .iter()
                    .enumerate()
                    .map(|(i, face)| (face.iou(&rect), i))
                    .max_by(|a, b| a.0.total_cmp(&b.0))
                    .filter(|best| best.0 >= MIN_IOU);
                match best {
                    Some((_, i)) => {
                        let face = open_faces.remove(i);
                        hits.extend(size_class(&face).map(|class| (score, Some(class))));
                    }
                    None if truth.ignored.iter().any(|r| inside(r) || r.iou(&rect) > 0.2) => {}
                    None => hits.push((score, None)),
                }
            }
        }
    }

    hits.sort_by(|a, b| b.0.total_cmp(&a.0));
    let (mut right, mut best) = (0, 0);
    for (i, (_, class)) in hits.iter().enumerate() {
        right += usize::from(class.is_some());
        if right as f64 >= PRECISION * (i + 1) as f64 {
            best = i + 1;
        }
    }
    let taken = &hits[..best];
    let cells: Vec<String> = (0..total.len())
        .map(|class| {
            let found = taken.iter().filter(|hit| hit.1 == Some(class)).count();
            format!("{found}/{}", total[class])
        })
        .collect();
    let score = taken.last().map_or(f32::NAN, |hit| hit.0);
    println!("| detector | {} | score | core-ms a frame |", {
        let names: Vec<_> = SIZES.windows(2).map(|s| format!("{}-{} px", s[0], s[1])).collect();
        names.join(" | ")
    });
    println!(
        "| {kind} | {} | {score:.2} | {:.1} |",
        cells.join(" | "),
        spent.as_secs_f64() * 1e3 / f64::from(searched)
    );
}
