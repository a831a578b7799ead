use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use super::*;
use crate::frame::{FrameInfo, PixelFormat};
use crate::geometry::Rect;
use crate::search::RoiFilter;

/// What a [`TruthDetector`] finds.
type Truth = Arc<Mutex<Result<Vec<Detection>, String>>>;

/// A detector that finds what is true.
struct TruthDetector(Truth);

impl Detector for TruthDetector {
    fn name(&self) -> &'static str {
        "truth"
    }

    fn detect(&mut self, _: &Frame<'_>, found: &mut Vec<Detection>) -> Result<(), Error> {
        let truth = self.0.lock().unwrap().clone();
        found.extend(truth.map_err(|reason| Error::inference("truth", reason))?);
        Ok(())
    }
}

fn finder_of_truth(options: FinderOptions) -> (Finder, Truth) {
    let truth = Truth::new(Mutex::new(Ok(Vec::new())));
    (Finder::new(Box::new(TruthDetector(truth.clone())), options), truth)
}

const SIZE: (u32, u32) = (320, 60);
const SIDE: f32 = 24.0;

/// A face of 24 pixels at `x` on a textured wall.
fn picture(x: f32) -> Vec<u8> {
    (0..SIZE.0 * SIZE.1)
        .map(|i| {
            let (px, py) = ((i % SIZE.0) as f32 + 0.5, (i / SIZE.0) as f32 + 0.5);
            let wall = 80.0 + 12.0 * (px * 0.9).sin() + 10.0 * (py * 0.7 + px * 0.3).cos();
            let (u, v) = ((px - x) / SIDE, (py - 30.0) / SIDE);
            if u.abs() > 0.8 || v.abs() > 0.8 {
                return wall as u8;
            }
            let blob = |a: f32, b: f32, r: f32| (-((u - a).powi(2) + (v - b).powi(2)) / r).exp();
            let face = 90.0 * blob(0.0, 0.05, 0.14)
                - 50.0 * blob(-0.16, -0.1, 0.01)
                - 50.0 * blob(0.15, -0.1, 0.01);
            // It covers the wall.
            let cover = (3.0 - 7.0 * u.hypot(v)).clamp(0.0, 1.0);
            (wall + cover * (85.0 - wall + face)).clamp(0.0, 255.0) as u8
        })
        .collect()
}

fn gray(data: &[u8]) -> Frame<'_> {
    let info = FrameInfo::new(PixelFormat::Gray8, SIZE.0, SIZE.1);
    Frame::new(info, &[data], &[SIZE.0 as usize]).unwrap()
}

fn face(x: f32) -> Detection {
    Detection { rect: Rect::new(x - SIDE / 2.0, 30.0 - SIDE / 2.0, SIDE, SIDE), score: 0.9 }
}

/// What became of a face that was filmed.
#[derive(Debug, Default)]
struct Outcome {
    frames: usize,
    /// Boxes within a quarter of the face.
    right: usize,
    wrong: usize,
    ids: Vec<u64>,
    worst: f32,
}

/// A face that is at `x` (seconds), or not there, filmed at these times and stamped as `stamp` says,
/// in pictures or on plain grey.
fn film(
    times: &[f64],
    x: impl Fn(f64) -> Option<f32>,
    stamp: impl Fn(usize, f64) -> Option<Timestamp>,
    pixels: bool,
    options: FinderOptions,
) -> Outcome {
    let (mut finder, truth) = finder_of_truth(options);
    let mut outcome = Outcome::default();
    for (i, &time) in times.iter().enumerate() {
        let place = x(time);
        *truth.lock().unwrap() = Ok(place.map(face).into_iter().collect());
        let data = match place {
            Some(x) if pixels => picture(x),
            _ if pixels => picture(-100.0),
            _ => vec![90; (SIZE.0 * SIZE.1) as usize],
        };
        let found = finder.find(&gray(&data), stamp(i, time));
        assert!(found.error.is_none());
        outcome.frames += usize::from(place.is_some());
        for face in found.faces {
            let off = place.map_or(f32::INFINITY, |x| (face.rect.center().x - x).abs());
            if off < SIDE / 4.0 {
                outcome.right += 1;
                outcome.worst = outcome.worst.max(off);
                if outcome.ids.last() != Some(&face.id) {
                    outcome.ids.push(face.id);
                }
            } else {
                outcome.wrong += 1;
            }
        }
    }
    outcome
}

fn stamped(_: usize, time: f64) -> Option<Timestamp> {
    Some(Timestamp::from_nanos((time * 1e9) as u64))
}

fn sampled(rate: f64, seconds: f64) -> Vec<f64> {
    (0..(rate * seconds) as usize).map(|i| i as f64 / rate).collect()
}

/// A face that walks through the picture at 40 pixels a second.
fn walk(time: f64) -> Option<f32> {
    Some(30.0 + 40.0 * time as f32)
}

const RATES: [f64; 8] = [1.0, 2.0, 4.0, 8.0, 12.5, 25.0, 50.0, 120.0];

#[test]
fn one_motion_gives_the_same_track_at_any_rate() {
    for rate in RATES {
        for (pixels, interval) in [(true, 320), (true, 0), (false, 320), (false, 0)] {
            let options = FinderOptions {
                detect_interval: Duration::from_millis(interval),
                ..Default::default()
            };
            let o = film(&sampled(rate, 6.0), walk, stamped, pixels, options);
            // Only a second search tells how a face moves that has no pixels to follow.
            let start =
                if pixels || rate < 9.0 { 0.0 } else { rate * f64::from(interval as u32) / 1e3 };
            assert!(o.wrong as f64 <= start, "{rate}/s, pixels {pixels}, {interval} ms: {o:?}");
            assert_eq!(o.ids, [1], "{rate}/s, pixels {pixels}, {interval} ms");
            let found = o.right as f64 / o.frames as f64;
            assert!(found > 0.9, "{rate}/s, pixels {pixels}, {interval} ms: {found}");
            if pixels {
                assert!(found == 1.0 && o.worst < 3.0, "{rate}/s, {interval} ms: {o:?}");
            }
        }
    }
}

#[test]
fn low_rates_show_no_box_where_a_face_was() {
    // It walks, and is gone for a while.
    let x = |time: f64| walk(time).filter(|_| !(2.0..3.5).contains(&time));
    for rate in RATES {
        let o = film(&sampled(rate, 6.0), x, stamped, true, FinderOptions::default());
        // It may be shown for 80 ms after it has vanished.
        let late = (0.08 * rate).ceil() as usize;
        assert!(o.wrong <= late, "{rate}/s: {o:?}");
        assert!(o.right as f64 > 0.8 * o.frames as f64, "{rate}/s: {o:?}");
        let slow = film(&sampled(rate, 6.0), x, stamped, false, FinderOptions::default());
        if rate < 9.0 {
            assert_eq!(slow.wrong, 0, "{rate}/s: {slow:?}");
        }
    }
}

#[test]
fn timestamps_may_jitter_repeat_lie_back_or_be_missing() {
    let jitter = |i: usize| [0.0, 0.013, -0.011, 0.004, -0.016][i % 5];
    for rate in [4.0, 12.5, 25.0, 50.0] {
        let times = sampled(rate, 5.0);
        let as_stamps: [&dyn Fn(usize, f64) -> Option<Timestamp>; 4] = [
            &|i, time| stamped(i, (time + jitter(i)).max(0.0)),
            &|i, _| stamped(i, (i / 2 * 2) as f64 / rate),
            &|i, time| stamped(i, time).filter(|_| i % 3 != 1),
            &|i, time| stamped(i, if i % 10 == 5 { time - 0.06 } else { time }),
        ];
        for (n, stamp) in as_stamps.iter().enumerate() {
            let o = film(&times, walk, stamp, true, FinderOptions::default());
            // The first repeated timestamp may be that of a stream of any rate.
            assert!(o.wrong <= usize::from(n == 1), "{rate}/s, {n}: {o:?}");
            assert_eq!(o.ids, [1], "{rate}/s, {n}: {o:?}");
            assert!(o.right as f64 > 0.95 * o.frames as f64, "{rate}/s, {n}: {o:?}");
        }
    }
    // Without any the announced rate counts.
    let o = film(&sampled(25.0, 5.0), walk, |_, _| None, true, FinderOptions::default());
    assert_eq!((o.wrong, &o.ids[..]), (0, &[1][..]), "{o:?}");
}

#[test]
fn dropped_frames_are_no_new_scene_and_a_jump_of_minutes_is() {
    let mut times = sampled(25.0, 2.0);
    times.extend(sampled(25.0, 2.0).iter().map(|t| t + 2.4));
    let o = film(&times, walk, stamped, true, FinderOptions::default());
    assert_eq!((o.wrong, &o.ids[..]), (0, &[1][..]), "{o:?}");
    // A recorder that runs when something moves: somebody else stands there a minute later.
    let stamp = |i: usize, time: f64| stamped(i, if i < 50 { time } else { time + 60.0 });
    let still = |time: f64| Some(if time < 2.0 { 100.0 } else { 240.0 });
    let o = film(&sampled(25.0, 4.0), still, stamp, true, FinderOptions::default());
    assert_eq!((o.wrong, &o.ids[..]), (0, &[1, 2][..]), "{o:?}");
    assert_eq!(o.right, o.frames);
}

#[test]
fn face_that_runs_past_is_found_again_after_a_moment() {
    // 12 and 20 pixels a frame, half of the face and more.
    for speed in [5.0, 8.0, 12.0, 20.0f64] {
        let times = sampled(25.0, 250.0 / speed / 25.0);
        let run = |time: f64| Some(30.0 + (25.0 * speed * time) as f32);
        let o = film(&times, run, stamped, true, FinderOptions::default());
        let missed = o.frames - o.right;
        assert!(missed <= 2 && o.wrong <= 1, "{speed} pixels a frame: {o:?}");
        assert_eq!(o.ids, [1], "{speed}");
    }
}

#[test]
fn face_that_comes_in_between_two_searches_is_found_within_a_fifth_of_a_second() {
    for start in [1, 4, 9] {
        let come = |time: f64| Some(100.0).filter(|_| time > (f64::from(start) - 0.5) / 25.0);
        let o = film(&sampled(25.0, 1.2), come, stamped, true, FinderOptions::default());
        assert!(o.frames - o.right <= 4 && o.wrong == 0, "frame {start}: {o:?}");
    }
}

#[test]
fn failed_searches_cost_no_face_until_they_have_failed_for_a_second() {
    let options = FinderOptions { detect_interval: Duration::ZERO, ..Default::default() };
    let (mut finder, truth) = finder_of_truth(options);
    let data = picture(100.0);
    let mut find = |i: u64| {
        let found = finder.find(&gray(&data), Some(Timestamp::from_millis(40 * i)));
        (found.faces.iter().map(|f| f.id).collect::<Vec<_>>(), found.error.is_some())
    };
    *truth.lock().unwrap() = Ok(vec![face(100.0)]);
    assert_eq!(find(0), (vec![1], false));
    *truth.lock().unwrap() = Err("made up".into());
    for i in 1..=25 {
        assert_eq!(find(i), (vec![1], true), "{i}");
    }
    for i in 26..30 {
        assert_eq!(find(i), (vec![], true), "{i}");
    }
    *truth.lock().unwrap() = Ok(vec![face(100.0)]);
    assert_eq!(find(30), (vec![2], false));
}

#[test]
fn flash_of_one_frame_keeps_all_ids_and_a_cut_none() {
    let (mut finder, truth) = finder_of_truth(FinderOptions::default());
    *truth.lock().unwrap() = Ok(vec![face(100.0)]);
    let mut find = |i: u64, data: &[u8], there: bool| {
        *truth.lock().unwrap() = Ok(if there { vec![face(100.0)] } else { Vec::new() });
        let found = finder.find(&gray(data), Some(Timestamp::from_millis(40 * i)));
        found.faces.iter().map(|f| f.id).collect::<Vec<_>>()
    };
    let scene = picture(100.0);
    let white = vec![250; scene.len()];
    let other: Vec<u8> = scene.iter().map(|v| 255 - v).collect();
    for i in 0..20 {
        if i == 10 {
            assert_eq!(find(i, &white, false), []);
        } else {
            assert_eq!(find(i, &scene, true), [1], "{i}");
        }
    }
    assert_eq!(find(20, &other, true), [2]);
    assert_eq!(find(21, &other, true), [2]);
}

#[test]
fn faces_outside_the_roi_are_none() {
    let roi = RoiFilter {
        include: "10,20,60,60".parse().unwrap(),
        exclude: "0,0,35,100".parse().unwrap(),
    };
    let options = FinderOptions { roi, ..Default::default() };
    let (mut finder, truth) = finder_of_truth(options);
    for (x, inside) in [(32.0, false), (50.0, true), (80.0, false)] {
        finder.reset();
        // The part that is searched begins at the frame's corner.
        *truth.lock().unwrap() = Ok(vec![face(x)]);
        let found = finder.find(&gray(&picture(x)), None).faces.len();
        assert_eq!(found, usize::from(inside), "{x}");
    }
}

#[test]
fn face_seen_once_is_searched_for_sooner() {
    let (mut finder, truth) = finder_of_truth(FinderOptions::default());
    let data = vec![90; (SIZE.0 * SIZE.1) as usize];
    let mut searched = Vec::new();
    for n in 1..=22 {
        let other = Detection { score: 0.6, ..face(200.0) };
        let there = vec![face(100.0), other];
        *truth.lock().unwrap() = Ok(if n < 5 { there[..1].to_vec() } else { there });
        let before = finder.stats().detections_run;
        finder.find(&gray(&data), None);
        searched.extend((finder.stats().detections_run > before).then_some(n));
    }
    assert_eq!(searched, [1, 9, 13, 21]);
}

/// A detector that reduces wide frames to a half and finds something at full resolution only.
struct Reducing;

impl Detector for Reducing {
    fn name(&self) -> &'static str {
        "reducing"
    }

    fn detect(&mut self, _: &Frame<'_>, _: &mut Vec<Detection>) -> Result<(), Error> {
        Ok(())
    }

    fn sizing(&self) -> Sizing {
        Sizing { long_side: 800, small_frame: 0, width: 0, ms_per_megapixel: Some(50.0) }
    }

    fn detect_at_scale(
        &mut self,
        _: &Frame<'_>,
        scale: f32,
        found: &mut Vec<Detection>,
    ) -> Result<(), Error> {
        if scale == 1.0 {
            found.push(Detection { rect: Rect::new(20.0, 30.0, 9.0, 9.0), score: 0.9 });
        }
        Ok(())
    }
}

fn find_in_large_frames(options: FinderOptions, frames: u64) -> (Finder, usize) {
    let mut finder = Finder::new(Box::new(Reducing), options);
    // Texture everywhere, by which faces are followed between two searches of their tile.
    let wave = |i: usize| {
        let (x, y) = ((i % 1600) as f32, (i / 1600) as f32);
        90.0 + 25.0 * (x * 0.9).sin() + 20.0 * (y * 0.7 + x * 0.3).cos()
    };
    let data: Vec<u8> = (0..1600 * 300).map(|i| wave(i) as u8).collect();
    let info = FrameInfo::new(PixelFormat::Gray8, 1600, 300);
    let mut faces = 0;
    for i in 0..frames {
        let frame = Frame::new(info, &[&data], &[1600]).unwrap();
        faces = finder.find(&frame, Some(Timestamp::from_millis(40 * i))).faces.len();
        wait_for_worker(&finder);
    }
    (finder, faces)
}

/// Waits until the detector has answered, if it is on a thread of its own.
fn wait_for_worker(finder: &Finder) {
    let begun = Instant::now();
    while matches!(&finder.search, Search::Beside(worker) if worker.is_busy() && !worker.has_result())
    {
        assert!(begun.elapsed() < Duration::from_secs(20));
        std::thread::yield_now();
    }
}

#[test]
fn tiles_show_faces_that_the_full_frame_does_not_whatever_the_interval() {
    for background in [false, true] {
        for interval in [0, 320] {
            let options = FinderOptions {
                detect_interval: Duration::from_millis(interval),
                background,
                ..Default::default()
            };
            let (finder, faces) = find_in_large_frames(options, 40);
            assert!(finder.stats().tiles_searched > 0, "{background} {interval}");
            assert!(faces > 0, "{background} {interval}");
        }
    }
    let poor = FinderOptions { detect_budget: 0, ..Default::default() };
    let (finder, faces) = find_in_large_frames(poor, 40);
    assert_eq!((finder.stats().tiles_searched, faces), (0, 0));
}

/// A detector that answers when the test says so.
struct ScriptedDetector(mpsc::Receiver<Vec<Detection>>);

impl Detector for ScriptedDetector {
    fn name(&self) -> &'static str {
        "scripted"
    }

    fn detect(&mut self, _: &Frame<'_>, found: &mut Vec<Detection>) -> Result<(), Error> {
        found.extend(self.0.recv().unwrap_or_default());
        Ok(())
    }
}

fn scripted_in_background() -> (Finder, mpsc::Sender<Vec<Detection>>) {
    let (tell, script) = mpsc::channel();
    let options =
        FinderOptions { background: true, detect_interval: Duration::ZERO, ..Default::default() };
    (Finder::new(Box::new(ScriptedDetector(script)), options), tell)
}

fn count(finder: &mut Finder, data: &[u8]) -> usize {
    finder.find(&gray(data), None).faces.len()
}

#[test]
fn answers_from_before_a_cut_are_in_vain() {
    let (mut finder, tell) = scripted_in_background();
    let (before, after) =
        (picture(100.0), picture(100.0).iter().map(|v| 255 - v).collect::<Vec<_>>());
    assert_eq!(count(&mut finder, &before), 0);
    assert_eq!(count(&mut finder, &after), 0);
    tell.send(vec![face(100.0)]).unwrap();
    wait_for_worker(&finder);
    assert_eq!(count(&mut finder, &after), 0);
    tell.send(vec![face(100.0)]).unwrap();
    wait_for_worker(&finder);
    assert_eq!(count(&mut finder, &after), 1);
    drop(tell);
}

#[test]
fn finder_ends_and_changes_place_while_a_search_is_under_way() {
    for end in [true, false] {
        let (mut finder, tell) = scripted_in_background();
        for _ in 0..5 {
            count(&mut finder, &picture(100.0));
        }
        // The answer comes while the finder waits for the thread.
        let late = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(20));
            tell.send(vec![face(100.0); 250]).ok();
            drop(tell);
        });
        if end {
            drop(finder);
        } else {
            let options = FinderOptions { background: false, ..finder.options.clone() };
            finder.set_options(options);
            assert!(matches!(finder.search, Search::Here(_)));
            count(&mut finder, &picture(100.0));
        }
        late.join().unwrap();
    }
}

#[test]
fn another_detector_takes_over_without_losing_faces() {
    let (mut finder, tell) = scripted_in_background();
    let data = picture(100.0);
    count(&mut finder, &data);
    tell.send(vec![face(100.0)]).unwrap();
    wait_for_worker(&finder);
    let id = finder.find(&gray(&data), None).faces[0].id;
    // Its next search does not end before this one is over.
    let truth = Truth::new(Mutex::new(Ok(vec![face(100.0)])));
    finder.set_detector(Box::new(TruthDetector(truth)));
    for _ in 0..4 {
        assert_eq!(finder.find(&gray(&data), None).faces[0].id, id);
        wait_for_worker(&finder);
    }
    drop(tell);
}
