//! Measures on real clips what tracking, reuse and smoothing do.
//!
//! ```sh
//! cargo run --release -p facesr-tests --example measure -- tracking|reuse|flicker CLIP [DETECTOR [MODEL]]
//! ```
//!
//! `ORT_DYLIB_PATH` and `FACESR_MODELS` say where ONNX Runtime and the detectors' models are,
//! `GENERATOR` names another generator, `MIN_SCORE` another least score, `FRAMES` how many frames
//! to look at.
#![allow(clippy::unwrap_used, reason = "a measurement that cannot go on ends")]

use std::collections::HashMap;
use std::path::Path;

use facesr::detect::{self, DetectorOptions};
use facesr::enhance::ladder::Ladder;
use facesr::inference::{self, ModelSource};
use facesr::internals::SearchResult;
use facesr::internals::Tracker;
use facesr::{CropSquare, Rect, Timestamp};
use facesr::{Enhancer, EnhancerOptions, Face, Finder, FinderOptions};
use facesr_testkit::clips::{Clip, aligned, psnr, squared_error, view, view_mut};

fn env<T: std::str::FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok().and_then(|v| v.parse().ok())
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [what, clip, rest @ ..] = args.as_slice() else {
        panic!("usage: measure tracking|reuse|flicker CLIP [DETECTOR [MODEL]]");
    };
    let detector = DetectorOptions::default()
        .kind(rest.first().map_or("auto", String::as_str).parse().unwrap())
        .model(rest.get(1).map(Into::into))
        .min_score(env("MIN_SCORE"));
    let clip = Clip::open(Path::new(clip), env("FRAMES").unwrap_or(usize::MAX));
    println!("{} frames of {}x{}", clip.frames.len(), clip.info.width, clip.info.height);
    match what.as_str() {
        "tracking" => tracking(&clip, &detector),
        "reuse" => reuse(&clip, &detector),
        "flicker" => flicker(&clip, &detector),
        other => panic!("unknown measurement {other}"),
    }
}

/// The generators that `GENERATOR` names, separated by colons; without it, the built-in ones.
fn generators() -> Ladder {
    let named = env::<String>("GENERATOR").unwrap_or_default();
    let named: Vec<_> = std::env::split_paths(&named).map(ModelSource::File).collect();
    let built_in = inference::default_generators();
    Ladder::open(if named.is_empty() { &built_in } else { &named }, 2).unwrap()
}

/// Faces of every frame as the finder says.
fn faces(clip: &Clip, detector: &DetectorOptions) -> Vec<Vec<Face>> {
    let options = FinderOptions::default();
    let mut finder = Finder::new(detect::open(detector).unwrap(), options);
    let mut find = |i: usize| {
        let at = Timestamp::from_millis(40 * i as u64);
        finder.find(&clip.frame(i), Some(at)).faces.to_vec()
    };
    (0..clip.frames.len()).map(&mut find).collect()
}

/// Share of the boxes that overlap a detection of the same frame by more than a half, on frames
/// on which the tracker was given no detections.
fn tracking(clip: &Clip, detector: &DetectorOptions) {
    let mut detector = detect::open(detector).unwrap();
    let size = (clip.info.width, clip.info.height);
    let detections: Vec<_> = (0..clip.frames.len())
        .map(|i| {
            let mut found = Vec::new();
            detector.detect(&clip.frame(i), &mut found).unwrap();
            found
        })
        .collect();
    println!("| every | led by | boxes | IoU > 0.5 | mean IoU | jitter |");
    println!("|---|---|---|---|---|---|");
    for every in [2, 4, 8] {
        for pixels in [false, true] {
            let (mut tracker, mut tracked) = (Tracker::new(0.5), Vec::new());
            let (mut boxes, mut good, mut sum) = (0, 0, 0.0);
            let mut last: HashMap<u64, [Rect; 2]> = HashMap::new();
            let (mut jitter, mut steps) = (0.0, 0);
            for (i, found) in detections.iter().enumerate() {
                let seen = (i % every == 0).then_some(SearchResult::full_frame(found));
                let frame = clip.frame(i);
                let (now, frame) = (i as f64 / 25.0, pixels.then_some(&frame));
                tracker.advance(now, frame);
                if let Some(seen) = &seen {
                    tracker.update(seen, now, frame);
                }
                tracker.collect(size, &mut tracked);
                let mut now = HashMap::new();
                for face in &tracked {
                    // Change of speed from frame to frame, in sizes of the face.
                    if let Some([a, b]) = last.get(&face.id) {
                        let (a, b, c) = (a.center(), b.center(), face.rect.center());
                        let (x, y) = (c.x - 2.0 * b.x + a.x, c.y - 2.0 * b.y + a.y);
                        jitter += f64::from(x.hypot(y) / face.rect.h);
                        steps += 1;
                    }
                    let before = last.get(&face.id).map_or(face.rect, |l| l[1]);
                    now.insert(face.id, [before, face.rect]);
                    if seen.is_some() {
                        continue;
                    }
                    // The detector does not see every face in every frame: only boxes with a
                    // detection anywhere near are judged.
                    let near = |d: &&detect::Detection| {
                        let (a, b) = (d.rect.center(), face.rect.center());
                        (a.x - b.x).hypot(a.y - b.y) < face.rect.h
                    };
                    let overlaps = found.iter().filter(near).map(|d| d.rect.iou(&face.rect));
                    if let Some(iou) = overlaps.max_by(f32::total_cmp) {
                        boxes += 1;
                        good += usize::from(iou > 0.5);
                        sum += f64::from(iou);
                    }
                }
                last = now;
            }
            println!(
                "| {every} | {} | {boxes} | {:.1} % | {:.3} | {:.4} |",
                if pixels { "pixels" } else { "speed" },
                100.0 * good as f64 / boxes as f64,
                sum / boxes as f64,
                jitter / f64::from(steps)
            );
        }
    }
}

fn enhanced(
    clip: &Clip,
    faces: &[Vec<Face>],
    options: EnhancerOptions,
) -> (Vec<Vec<u8>>, Enhancer) {
    let mut enhancer = Enhancer::new(generators(), options);
    let frames = clip.frames.iter().zip(faces).map(|(frame, faces)| {
        let mut data = frame.clone();
        enhancer.enhance(&mut view_mut(clip.info, &mut data), faces).unwrap();
        data
    });
    (frames.collect(), enhancer)
}

fn squares<'a>(clip: &'a Clip, faces: &'a [Face]) -> impl Iterator<Item = (u64, CropSquare)> + 'a {
    let options = EnhancerOptions::default();
    faces.iter().filter_map(move |face| {
        let square = CropSquare::around(&face.rect, clip.info.width, clip.info.height)?;
        let sizes = options.min_face_size * 1.25..=options.max_face_size / 2.0;
        sizes.contains(&square.side).then_some((face.id, square))
    })
}

/// How alike reused faces are to ones that are generated in every frame.
fn reuse(clip: &Clip, detector: &DetectorOptions) {
    let faces = faces(clip, detector);
    for smoothing in [0.0, 0.5, 1.0] {
        let base = EnhancerOptions::default().temporal_smoothing(smoothing);
        let (always, _) = enhanced(clip, &faces, base.clone().reuse(0.0));
        println!("temporal-smoothing {smoothing}");
        println!("| reuse | faces | generated | dB over the clip | dB of the worst frame |");
        println!("|---|---|---|---|---|");
        for reuse in [0.02, 0.03, 0.05, 0.08, 0.1, 0.12, 0.14] {
            let options = base.clone().reuse(reuse);
            let (some, enhancer) = enhanced(clip, &faces, options);
            let (mut all, mut worst) = ((0.0, 0), f64::INFINITY);
            for ((a, b), faces) in always.iter().zip(&some).zip(&faces) {
                let sum = squares(clip, faces).fold((0.0, 0), |sum, (_, square)| {
                    let one = squared_error(clip.info, a, b, &square);
                    (sum.0 + one.0, sum.1 + one.1)
                });
                if sum.1 > 0 {
                    worst = worst.min(psnr(sum));
                }
                all = (all.0 + sum.0, all.1 + sum.1);
            }
            let stats = enhancer.stats();
            println!(
                "| {reuse} | {} | {:.1} % | {:.1} | {worst:.1} |",
                stats.faces_enhanced,
                100.0 * stats.faces_generated as f64 / stats.faces_enhanced as f64,
                psnr(all)
            );
        }
    }
}

/// How much faces change from frame to frame, against the same squares of the input enlarged.
fn flicker(clip: &Clip, detector: &DetectorOptions) {
    let faces = faces(clip, detector);
    println!("| temporal-smoothing | reuse | faces | pairs | input | output | ratio |");
    println!("|---|---|---|---|---|---|---|");
    let default = EnhancerOptions::default().reuse;
    for (smoothing, reuse) in [(0.0, 0.0), (0.5, 0.0), (0.5, 0.05), (0.5, default), (1.0, default)]
    {
        let options = EnhancerOptions::default().temporal_smoothing(smoothing).reuse(reuse);
        let (out, _) = enhanced(clip, &faces, options);
        // Still and walking.
        let mut sums = [(0, 0.0, 0.0); 2];
        for i in 1..faces.len() {
            let last: HashMap<u64, CropSquare> = squares(clip, &faces[i - 1]).collect();
            for (id, square) in squares(clip, &faces[i]) {
                let Some(before) = last.get(&id) else { continue };
                let (dx, dy) = (square.x - before.x, square.y - before.y);
                let walking = dx.hypot(dy) > 0.02 * square.side;
                let change = |a: &[u8], b: &[u8]| -> f64 {
                    let a = aligned(&view(clip.info, a), before);
                    let b = aligned(&view(clip.info, b), &square);
                    let sum: f32 = a.iter().zip(&b).map(|(a, b)| (a - b).abs()).sum();
                    f64::from(sum) / a.len() as f64
                };
                let sum = &mut sums[usize::from(walking)];
                sum.0 += 1;
                sum.1 += change(&clip.frames[i - 1], &clip.frames[i]);
                sum.2 += change(&out[i - 1], &out[i]);
            }
        }
        for (name, (pairs, input, output)) in ["still", "walking"].iter().zip(sums) {
            println!(
                "| {smoothing} | {reuse} | {name} | {pairs} | {:.2} | {:.2} | {:.2} |",
                input / f64::from(pairs),
                output / f64::from(pairs),
                output / input
            );
        }
    }
}
