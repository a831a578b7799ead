//! Tests of the tracker alone, with detections and pixels that are made up.

use super::*;
use crate::frame::{FrameInfo, PixelFormat};
use crate::search::{SearchRegion, Window};

/// Seconds from frame to frame, unless a test says otherwise.
const STEP: f64 = 0.04;

fn at(x: f32, y: f32, size: f32) -> Detection {
    Detection { rect: Rect::new(x - size / 2.0, y - size / 2.0, size, size), score: 0.6 }
}

/// A tracker and the time.
struct Run {
    tracker: Tracker,
    now: f64,
}

impl Run {
    fn new(smoothing: f32) -> Self {
        Self { tracker: Tracker::new(smoothing), now: 0.0 }
    }

    /// The next frame, of which `result` is known.
    fn step_with(&mut self, result: Option<&SearchResult<'_>>) -> Vec<Face> {
        self.now += STEP;
        self.tracker.advance(self.now, None);
        if let Some(result) = result {
            self.tracker.update(result, self.now, None);
        }
        let mut faces = Vec::new();
        self.tracker.collect((1000, 1000), &mut faces);
        faces
    }

    fn step(&mut self, found: Option<&[Detection]>) -> Vec<Face> {
        self.step_with(found.map(SearchResult::full_frame).as_ref())
    }

    /// A search of one tile at full resolution, where the full frame is seen reduced to a half.
    fn step_tile(&mut self, found: &[Detection]) -> Vec<Face> {
        self.step_region(found, Window { x: 200, y: 200, width: 300, height: 300 }, 1.0)
    }

    fn step_reduced(&mut self, found: &[Detection]) -> Vec<Face> {
        self.step_region(found, Window::full((1000, 1000)), 0.5)
    }

    fn step_region(&mut self, found: &[Detection], window: Window, scale: f32) -> Vec<Face> {
        let is_tile = window.width < 1000;
        let region = SearchRegion {
            window,
            frame: (1000, 1000),
            scale,
            aspect: 1.0,
            is_tile,
            is_enlarged: false,
        };
        self.step_with(Some(&SearchResult { found, region: Some(region), full_scale: 0.5 }))
    }
}

#[test]
fn low_scores_keep_a_known_face_and_make_no_new_one() {
    let low = Detection { score: 0.3, ..at(100.0, 100.0, 20.0) };
    let mut run = Run::new(0.5);
    run.tracker = Tracker::new(0.5).with_min_score(0.5);
    for _ in 0..5 {
        assert_eq!(run.step(Some(&[low])), []);
    }
    // Known, then seen with a low score for longer than it would be missed.
    let known = run.step(Some(&[Detection { score: CONFIRM_SCORE, ..low }]));
    for _ in 0..40 {
        let faces = run.step(Some(&[low]));
        assert_eq!((faces[0].id, faces[0].score), (known[0].id, 0.3));
    }
    // A high one has the first choice, even where a low one is nearer.
    let high = at(106.0, 100.0, 20.0);
    let faces = run.step(Some(&[low, high]));
    assert_eq!((faces.len(), faces[0].score), (1, 0.6));
    assert_eq!(run.tracker.confirmed(), 1);
}

#[test]
fn tile_confirms_what_the_full_frame_has_shown_and_the_other_way_round() {
    for tile_first in [false, true] {
        let mut run = Run::new(0.5);
        run.step_reduced(&[]);
        let face = [at(300.0, 300.0, 20.0)];
        let one = |run: &mut Run, tile: bool| {
            if tile { run.step_tile(&face) } else { run.step_reduced(&face) }
        };
        assert_eq!(one(&mut run, tile_first), []);
        assert_eq!(one(&mut run, !tile_first).len(), 1);
        assert_eq!(run.tracker.confirmed(), 1);
    }
}

#[test]
fn tile_alone_is_believed_at_once_where_the_score_is_clear() {
    let face = at(300.0, 300.0, 12.0);
    for (score, shown) in [(CONFIRM_SCORE - 0.01, 0), (CONFIRM_SCORE, 1)] {
        let mut run = Run::new(0.5);
        run.step_reduced(&[]);
        assert_eq!(run.step_tile(&[Detection { score, ..face }]).len(), shown, "{score}");
    }
}

#[test]
fn tile_misses_only_small_faces_that_lie_in_it() {
    // Inside; across its edge; elsewhere; too large to be told from its parts.
    let faces = [
        at(300.0, 300.0, 20.0),
        at(200.0, 300.0, 20.0),
        at(700.0, 700.0, 20.0),
        at(350.0, 400.0, 60.0),
    ];
    let mut run = Run::new(0.5);
    assert_eq!(run.step_reduced(&faces).len(), 4);
    for track in &mut run.tracker.tracks {
        track.miss_cost = 0;
    }
    run.step_tile(&[]);
    let missed: Vec<u64> =
        run.tracker.tracks.iter().filter(|t| t.miss_cost > 0).map(|t| t.id).collect();
    assert_eq!(missed, [1]);
}

#[test]
fn search_that_sees_a_face_too_small_does_not_miss_it() {
    let mut run = Run::new(0.5);
    run.step_reduced(&[]);
    let face = [at(300.0, 300.0, 12.0)];
    run.step_tile(&face);
    assert!(!run.tracker.is_tentative(), "the full frame cannot help it");
    assert_eq!(
        run.tracker.small_faces().map(|(_, tentative)| tentative).collect::<Vec<_>>(),
        [true]
    );
    assert_eq!(run.step_tile(&face).len(), 1);
    for _ in 0..5 {
        run.step_reduced(&[]);
        assert_eq!(run.tracker.tracks[0].miss_cost, 0);
    }
    run.step_tile(&[]);
    assert_eq!(run.tracker.tracks[0].miss_cost, MISS_COST);
}

/// Cost of one miss without pixels.
const MISS_COST: u32 = crate::track::track::MISS_UNFOLLOWED;

#[test]
fn tile_takes_no_part_of_a_large_face_for_another() {
    let mut run = Run::new(0.5);
    run.step_reduced(&[at(350.0, 350.0, 120.0)]);
    for _ in 0..3 {
        // An eye, and a head that the full frame would show.
        let found = [at(330.0, 330.0, 14.0), at(250.0, 250.0, 50.0)];
        assert_eq!(run.step_tile(&found).len(), 1);
    }
    assert_eq!(run.tracker.tracks.len(), 1);
}

#[test]
fn walking_face_keeps_its_id_and_is_predicted() {
    let mut run = Run::new(0.5);
    let mut worst = 0f32;
    for i in 0..60 {
        let x = 100.0 + 2.5 * i as f32;
        let found = [at(x, 200.0, 20.0)];
        let faces = run.step((i % 3 == 0).then_some(&found[..]));
        assert_eq!(faces.len(), 1, "frame {i}");
        assert_eq!(faces[0].id, 1);
        if i > 20 {
            worst = worst.max((faces[0].rect.center().x - x).abs());
        }
    }
    assert!(worst < 2.0, "lags by {worst} pixels");
}

#[test]
fn still_face_is_steadier_than_its_detections() {
    let mut run = Run::new(0.5);
    let (mut moved, mut jitter, mut last) = (0f32, 0f32, (0f32, 0f32));
    for i in 0..100 {
        // A fixed pattern of +-0.8 pixels, as a detector jitters on a 20-pixel face.
        let x = 300.0 + 0.8 * ((i * 7 % 5) as f32 / 2.0 - 1.0);
        let face = run.step(Some(&[at(x, 300.0, 20.0)]))[0];
        if i > 10 {
            moved += (face.rect.center().x - last.0).abs();
            jitter += (x - last.1).abs();
        }
        last = (face.rect.center().x, x);
    }
    assert!(moved < 0.6 * jitter, "moves {moved}, detections {jitter}");
}

#[test]
fn single_false_detections_are_never_shown() {
    let mut run = Run::new(0.5);
    run.step(Some(&[]));
    for i in 0..20 {
        let flash = [at(50.0 + 300.0 * (i % 3) as f32, 500.0, 30.0)];
        let found: &[Detection] = if i % 4 == 0 { &flash } else { &[] };
        assert!(run.step(Some(found)).is_empty(), "frame {i}");
    }
}

#[test]
fn high_score_is_shown_at_once() {
    let mut run = Run::new(0.5);
    run.step(Some(&[]));
    let sure = Detection { score: CONFIRM_SCORE, ..at(200.0, 200.0, 30.0) };
    assert_eq!(run.step(Some(&[sure, at(500.0, 500.0, 30.0)])).len(), 1);
    assert_eq!(run.tracker.confirmed(), 1);
}

#[test]
fn lost_face_is_dropped_after_a_second_and_its_id_not_reused() {
    let mut run = Run::new(0.5);
    run.step(Some(&[at(100.0, 100.0, 20.0)]));
    let mut frames = 0;
    while !run.tracker.tracks.is_empty() {
        run.step(Some(&[]));
        frames += 1;
    }
    assert!((20..=27).contains(&frames), "{frames}");
    run.tracker.reset();
    let faces = run.step(Some(&[at(100.0, 100.0, 20.0)]));
    assert_eq!(faces[0].id, 2);
    assert_eq!(run.tracker.confirmed(), 2);
}

#[test]
fn face_missed_by_single_searches_keeps_its_id() {
    let mut run = Run::new(0.5);
    for i in 0..30 {
        let face = [at(100.0, 100.0, 20.0)];
        run.step(Some(if i % 3 == 2 { &[] } else { &face }));
    }
    assert_eq!(run.step(Some(&[at(100.0, 100.0, 20.0)]))[0].id, 1);
}

#[test]
fn faces_that_pass_each_other_are_not_swapped_for_one_of_another_size() {
    let mut run = Run::new(0.3);
    let mut last = Vec::new();
    for i in 0..40 {
        let x = i as f32 * 5.0;
        last = run.step(Some(&[at(100.0 + x, 200.0, 20.0), at(300.0 - x, 204.0, 48.0)]));
    }
    assert_eq!(last.len(), 2);
    assert_eq!((last[0].id, last[1].id), (1, 2));
    assert!(last[0].rect.w < 25.0 && last[1].rect.w > 40.0);
}

#[test]
fn face_that_leaves_the_picture_is_gone() {
    let mut run = Run::new(0.5);
    for i in 0..8 {
        run.step(Some(&[at(950.0 + 8.0 * i as f32, 100.0, 30.0)]));
    }
    let left: Vec<_> = (0..4).map(|_| run.step(None).len()).collect();
    assert_eq!(left.last(), Some(&0));
}

#[test]
fn two_tracks_of_one_face_become_one() {
    let mut run = Run::new(0.5);
    run.step(Some(&[at(100.0, 100.0, 20.0), at(140.0, 100.0, 20.0)]));
    for _ in 0..3 {
        run.step(Some(&[at(120.0, 100.0, 20.0)]));
    }
    for _ in 0..30 {
        assert!(run.step(Some(&[at(120.0, 100.0, 20.0)])).len() <= 2);
    }
    assert_eq!(run.tracker.tracks.len(), 1);
}

/// A face on a textured wall, centered at (x, y).
fn picture(x: f32, y: f32, size: f32, shown: bool) -> Vec<u8> {
    (0..SIZE.0 * SIZE.1)
        .map(|i| {
            let (px, py) = ((i % SIZE.0) as f32 + 0.5, (i / SIZE.0) as f32 + 0.5);
            let wall = 70.0 + 12.0 * (px * 0.9).sin() + 10.0 * (py * 0.7 + px * 0.3).cos();
            let (u, v) = ((px - x) / size, (py - y) / size);
            if !shown || u.abs() > 0.8 || v.abs() > 0.8 {
                return wall as u8;
            }
            let blob = |a: f32, b: f32, r: f32| (-((u - a).powi(2) + (v - b).powi(2)) / r).exp();
            let face = 90.0 * blob(0.0, 0.05, 0.14)
                - 50.0 * blob(-0.16, -0.1, 0.01)
                - 50.0 * blob(0.15, -0.1, 0.01)
                - 35.0 * blob(0.02, 0.22, 0.012);
            // It covers the wall.
            let cover = (3.0 - 7.0 * u.hypot(v)).clamp(0.0, 1.0);
            (wall + cover * (85.0 - wall + face)).clamp(0.0, 255.0) as u8
        })
        .collect()
}

const SIZE: (u32, u32) = (320, 80);

fn frame(data: &[u8]) -> Frame<'_> {
    let info = FrameInfo::new(PixelFormat::Gray8, SIZE.0, SIZE.1);
    Frame::new(info, &[data], &[SIZE.0 as usize]).unwrap()
}

/// The face swings 30 pixels to both sides in 60 frames, and each search is answered so many frames
/// later; then the next one begins.
#[test]
fn late_answers_keep_a_swinging_face_within_two_pixels_and_one_id() {
    for delay in [0usize, 1, 3, 6, 12] {
        let mut tracker = Tracker::new(0.5);
        let x = |i: usize| 160.0 + 30.0 * (i as f32 * std::f32::consts::TAU / 60.0).sin();
        let pictures: Vec<_> = (0..200).map(|i| picture(x(i), 40.0, 24.0, true)).collect();
        let (mut worst, mut hidden, mut ids) = (0f32, 0, Vec::new());
        let mut searched = 0;
        for i in 0..pictures.len() {
            let now = i as f64 * STEP;
            if delay == 0 {
                tracker.advance(now, Some(&frame(&pictures[i])));
            }
            if i >= searched + delay {
                let found = [Detection { score: 0.9, ..at(x(searched), 40.0, 24.0) }];
                let of = frame(&pictures[searched]);
                let result = SearchResult::full_frame(&found);
                tracker.update(&result, searched as f64 * STEP, Some(&of));
                searched = if delay == 0 { i + 8 } else { i };
            }
            if delay > 0 {
                tracker.advance(now, Some(&frame(&pictures[i])));
            }
            let mut faces = Vec::new();
            tracker.collect(SIZE, &mut faces);
            if i >= delay + 2 {
                hidden += usize::from(faces.is_empty());
                for face in &faces {
                    worst = worst.max((face.rect.center().x - x(i)).abs());
                    ids.push(face.id);
                }
            }
        }
        ids.dedup();
        assert!(worst < 2.0 && hidden == 0, "delay {delay}: off by {worst}, hidden {hidden}");
        assert_eq!(ids, [1], "delay {delay}");
    }
}

#[test]
fn face_that_something_hides_is_hidden_too_until_it_is_found_again() {
    let mut tracker = Tracker::new(0.5);
    let mut now = 0.0;
    let mut shown = |found: Option<&[Detection]>, visible: bool| {
        now += STEP;
        let data = picture(160.0, 40.0, 30.0, visible);
        tracker.advance(now, Some(&frame(&data)));
        if let Some(found) = found {
            tracker.update(&SearchResult::full_frame(found), now, Some(&frame(&data)));
        }
        let mut faces = Vec::new();
        tracker.collect(SIZE, &mut faces);
        faces.iter().map(|face| face.id).max()
    };
    let face = [at(160.0, 40.0, 30.0)];
    assert_eq!(shown(Some(&face), true), Some(1));
    assert_eq!(shown(None, true), Some(1));
    // A frame or two may be torn or blurred.
    let hidden: Vec<_> = (0..4).map(|_| shown(None, false)).collect();
    assert_eq!(hidden, [Some(1), Some(1), None, None]);
    assert_eq!(shown(None, true), Some(1));
    assert_eq!([false; 3].map(|visible| shown(None, visible)), [Some(1), Some(1), None]);
    assert_eq!(shown(Some(&face), true), Some(1));
}

/// A face crosses the picture at two frames a second: nearly three of its sizes from frame to frame.
#[test]
fn fast_face_keeps_its_id_at_low_rates() {
    let mut tracker = Tracker::new(0.5);
    let mut faces = Vec::new();
    for i in 0..5 {
        let now = f64::from(i) * 0.5;
        let x = 30.0 + 55.0 * i as f32;
        let data = picture(x, 40.0, 20.0, true);
        tracker.advance(now, Some(&frame(&data)));
        let found = [Detection { score: 0.9, ..at(x, 40.0, 20.0) }];
        tracker.update(&SearchResult::full_frame(&found), now, Some(&frame(&data)));
        tracker.collect(SIZE, &mut faces);
        assert_eq!(faces.len(), 1, "frame {i}");
        assert_eq!(faces[0].id, 1, "frame {i}");
        assert!((faces[0].rect.center().x - x).abs() < 3.0, "frame {i}");
    }
}

#[test]
fn flash_keeps_tracks_and_cut_forgets_them() {
    for was_flash in [true, false] {
        let mut run = Run::new(0.5);
        let face = [Detection { score: 0.9, ..at(100.0, 100.0, 20.0) }];
        assert_eq!(run.step(Some(&face))[0].id, 1);
        run.tracker.suspend();
        assert_eq!(run.step(Some(&[])), []);
        run.tracker.end_suspense(was_flash);
        let faces = run.step(Some(&face));
        assert_eq!(faces[0].id, if was_flash { 1 } else { 2 });
    }
}

#[test]
fn still_thing_that_only_enlarged_searches_show_needs_a_second_sign() {
    let thing = |x: f32, score: f32| Detection { score, ..at(x, 100.0, 8.0) };
    let shown = |found: &[(Detection, f32)]| {
        let mut run = Run::new(0.0);
        run.step_reduced(&[]);
        let mut last = 0;
        for (detection, scale) in found {
            let region = SearchRegion {
                window: Window::full((1000, 1000)),
                frame: (1000, 1000),
                scale: *scale,
                aspect: 1.0,
                is_tile: false,
                is_enlarged: true,
            };
            let found = [*detection];
            let result = SearchResult { found: &found, region: Some(region), full_scale: 1.0 };
            last = run.step_with(Some(&result)).len();
        }
        last
    };
    let still = thing(100.0, 0.5);
    assert_eq!(shown(&[(still, 2.0); 20]), 0);
    assert_eq!(shown(&[(still, 2.0), (still, 1.6)]), 1);
    assert_eq!(shown(&[(still, 2.0), (thing(101.5, 0.5), 2.0), (thing(104.5, 0.5), 2.0)]), 1);
    assert_eq!(shown(&[(still, 2.0), (thing(100.0, 0.66), 2.0)]), 1);
    assert_eq!(shown(&[(thing(100.0, 0.8), 2.0)]), 1);
}
