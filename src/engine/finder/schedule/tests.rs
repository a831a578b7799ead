//! Tests of the plan.

use super::*;
use crate::frame::PixelFormat;

const NETWORK: Sizing =
    Sizing { long_side: 960, small_frame: 640, width: 0, ms_per_megapixel: Some(48.0) };

fn situation(now: f64, step: f64) -> Situation<'static> {
    Situation {
        now,
        step,
        interval: 0.32,
        budget: 500.0,
        is_tentative: false,
        lost_faces: &[],
        small_faces: &[],
        most: 100,
        is_background: false,
    }
}

fn scheduler(size: (u32, u32)) -> SearchScheduler {
    let mut scheduler = SearchScheduler::default();
    let info = FrameInfo::new(PixelFormat::I420, size.0, size.1);
    scheduler.cover(&info, &NETWORK, &RoiFilter::default(), 1.0);
    scheduler
}

/// Times at which the full frame is searched in 3 seconds at a rate.
fn full_searches(rate: u32, change: impl Fn(&mut Situation<'_>)) -> Vec<f64> {
    let mut scheduler = scheduler((1280, 720));
    let step = 1.0 / f64::from(rate);
    let mut times = Vec::new();
    for i in 0..3 * rate {
        let mut s = situation(f64::from(i) * step, step);
        change(&mut s);
        let full = scheduler.plan(&s).iter().filter(|region| !region.is_tile).count();
        times.extend((full > 0).then_some(s.now));
    }
    times
}

#[test]
fn full_frame_is_searched_at_the_interval_whatever_the_rate() {
    for rate in [12, 25, 50, 120] {
        let times = full_searches(rate, |_| {});
        let step = 1.0 / f64::from(rate);
        for pair in times.windows(2) {
            let interval = pair[1] - pair[0];
            assert!((interval - 0.32).abs() <= step / 2.0 + 1e-9, "{rate}: {interval}");
        }
    }
}

#[test]
fn every_frame_is_searched_below_nine_frames_a_second() {
    for rate in [1, 2, 4, 8] {
        assert_eq!(full_searches(rate, |_| {}).len(), 3 * rate as usize, "{rate}");
    }
}

#[test]
fn interval_of_zero_searches_every_frame_and_infinity_none() {
    assert_eq!(full_searches(25, |s| s.interval = 0.0).len(), 75);
    let mut scheduler = scheduler((1920, 1080));
    let s = Situation { interval: f64::INFINITY, budget: 0.0, ..situation(0.0, 0.04) };
    assert_eq!(scheduler.plan(&s), []);
}

#[test]
fn the_first_search_in_the_background_is_the_full_frame_alone() {
    for size in [(480, 270), (1920, 1080)] {
        let mut scheduler = scheduler(size);
        let plans: Vec<_> = (0..10)
            .map(|i| Situation {
                is_background: true,
                most: 2,
                ..situation(0.32 * f64::from(i), 0.32)
            })
            .map(|s| scheduler.plan(&s))
            .collect();
        assert!(plans[0].len() == 1 && !plans[0][0].is_tile, "{size:?}: {:?}", plans[0]);
        assert!((plans[0][0].scale - scheduler.full_scale()).abs() < 1e-6, "{size:?}");
        // What shows small faces comes soon after.
        let larger = plans[1..3].iter().flatten().any(|r| r.is_tile || r.is_enlarged);
        assert!(larger, "{size:?}: {plans:?}");
    }
}

#[test]
fn tentative_and_lost_faces_are_searched_for_sooner() {
    let usual = full_searches(25, |_| {}).len();
    let tentative = full_searches(25, |s| s.is_tentative = true).len();
    const LOST: &[Rect] = &[Rect { x: 9.0, y: 9.0, w: 30.0, h: 40.0 }];
    let lost = full_searches(25, |s| s.lost_faces = LOST).len();
    assert!(tentative >= 2 * usual - 1, "{tentative}");
    assert!(lost > tentative, "{lost}");
    let poor = full_searches(25, |s| (s.lost_faces, s.budget) = (LOST, 0.0)).len();
    assert_eq!(poor, usual);
}

#[test]
fn lost_faces_are_searched_for_around_their_places_in_the_background() {
    let faces = [Rect::new(2.0, 300.0, 30.0, 40.0), Rect::new(1260.0, 10.0, 10.0, 12.0)];
    let mut scheduler = scheduler((1280, 720));
    let (mut around, mut full) = (0, 0);
    for i in 0..25 {
        let s = situation(f64::from(i) * 0.04, 0.04);
        let lost_faces = if i > 5 { &faces[..] } else { &[] };
        let s = Situation { is_background: true, most: 2, lost_faces, ..s };
        let plan = scheduler.plan(&s);
        let Some(first) = plan.first().filter(|r| r.input_pixels() == 160.0 * 160.0) else {
            full += usize::from(plan.iter().any(|region| !region.is_tile));
            continue;
        };
        around += 1;
        assert!(i > 5 && plan.len() == 2, "{plan:?}");
        for (region, face) in plan.iter().zip(&faces) {
            assert!(region.contains(face), "{region:?}");
            assert!((28.0..36.0).contains(&region.apparent_side(face)), "{region:?}");
        }
        assert!(!first.is_enlarged || first.scale > scheduler.full_scale());
    }
    assert!((8..=10).contains(&around) && (3..=6).contains(&full), "{around} {full}");
}

#[test]
fn no_setting_searches_less_than_a_poorer_one() {
    let count = |interval: f64, budget: f64| {
        let mut scheduler = scheduler((1920, 1080));
        let plan = |i: u32| {
            scheduler.note_motion(|_| 0.001);
            let step = 0.04;
            let s = situation(f64::from(i) * step, step);
            scheduler.plan(&Situation { interval, budget, ..s })
        };
        let regions: Vec<_> = (0..100).flat_map(plan).collect();
        let tiles = regions.iter().filter(|region| region.is_tile).count();
        (regions.len() - tiles, tiles)
    };
    let (few, tiles) = count(0.32, 250.0);
    let (more, still) = count(0.32, 1000.0);
    assert!(more == few && still > 2 * tiles, "{few} {tiles} {more} {still}");
    assert!(count(0.0, 250.0).0 > few);
    // With every frame searched, tiles are searched too, if they can be paid for.
    assert!(count(0.0, 1000.0).1 > 0);
    assert_eq!(count(0.32, 0.0).1, 0);
}

#[test]
fn budget_is_kept_over_time() {
    for size in [(1920, 1080), (1280, 720), (640, 360), (3840, 2160)] {
        let mut scheduler = scheduler(size);
        let cost = |region: &SearchRegion| region.input_pixels() * 48e-6;
        let (mut spent, rate) = (0.0, 25);
        for i in 0..10 * rate {
            let s = situation(f64::from(i) / 25.0, 0.04);
            spent += scheduler.plan(&s).iter().map(cost).sum::<f64>();
        }
        // The savings of a second are spent at the start.
        assert!(spent < 11.2 * 500.0, "{size:?}: {spent}");
        assert!(spent > 1000.0, "{size:?}: {spent}");
    }
}

#[test]
fn large_faces_have_their_turn_in_small_frames() {
    let mut scheduler = scheduler((640, 360));
    let plan = |i: u32| {
        let s = situation(f64::from(i) * 0.32, 0.32);
        scheduler.plan(&Situation { budget: 1e6, ..s })[0].scale
    };
    let scales: Vec<f32> = (0..32).map(plan).collect();
    assert_eq!(scales.iter().filter(|scale| **scale == 1.0).count(), 4);
}

#[test]
fn tiles_with_small_faces_or_motion_come_more_often_and_none_starves() {
    let count = |faces: &[(Rect, bool)], motion: bool| {
        let mut scheduler = scheduler((1920, 1080));
        let busy = Rect::new(960.0, 540.0, 12.0, 12.0);
        let (mut inside, mut all) = (0, std::collections::HashMap::new());
        for i in 0..1500 {
            if motion {
                let holds = |w: &Window| f32::from(u8::from(w.rect().contains(busy.center())));
                scheduler.note_motion(holds);
            }
            let s = situation(f64::from(i) * 0.04, 0.04);
            let plan = scheduler.plan(&Situation { small_faces: faces, ..s });
            for region in plan.iter().filter(|region| region.is_tile) {
                inside += usize::from(region.contains(&busy));
                let w = &region.window;
                let key = (w.x, w.y, (10.0 * region.scale) as u32);
                *all.entry(key).or_insert(0) += 1;
            }
        }
        (inside, all.len(), all.values().copied().min().unwrap_or(0))
    };
    let face = |tentative| [(Rect::new(960.0, 540.0, 12.0, 12.0), tentative)];
    let (idle, tiles, least) = count(&[], false);
    assert!(least > 0);
    for (inside, seen, least) in
        [count(&face(false), false), count(&face(true), false), count(&[], true)]
    {
        assert!(inside as f64 > 1.4 * idle as f64, "{inside} and {idle}");
        assert!(seen == tiles && least > 0);
    }
}

#[test]
fn all_tiles_are_searched_within_a_second() {
    let mut scheduler = scheduler((1920, 1080));
    let mut seen = std::collections::HashSet::new();
    for i in 0..25 {
        for r in scheduler.plan(&situation(f64::from(i) * 0.04, 0.04)) {
            if r.is_tile {
                seen.insert((r.window.x, r.window.y, r.is_enlarged));
            }
        }
    }
    assert_eq!(seen.len(), scheduler.tiles.len());
}

#[test]
fn small_face_that_awaits_confirmation_is_seen_at_another_scale_within_a_fifth_of_a_second() {
    let mut scheduler = scheduler((1920, 1080));
    let face = Rect::new(960.0, 540.0, 12.0, 12.0);
    let mut scales = Vec::new();
    for i in 0..100 {
        let s = situation(f64::from(i) * 0.04, 0.04);
        let faces = [(face, true)];
        let small_faces = if i < 50 { &[][..] } else { &faces[..] };
        for r in scheduler.plan(&Situation { small_faces, ..s }) {
            if (50..55).contains(&i) && r.is_enlarged && r.contains(&face) {
                scales.push(r.scale);
            }
        }
    }
    assert!(scales.contains(&2.0) && scales.contains(&1.6), "{scales:?}");
}

#[test]
fn tiles_in_which_nothing_moves_leave_most_of_the_budget() {
    let spent = |motion: f32| {
        let mut scheduler = scheduler((1920, 1080));
        let mut spent = 0.0;
        for i in 0..500 {
            scheduler.note_motion(|_| motion);
            for r in scheduler.plan(&situation(f64::from(i) * 0.04, 0.04)) {
                spent += r.input_pixels() * 48e-6;
            }
        }
        spent / 20.0
    };
    assert!(spent(0.0) < 350.0, "{}", spent(0.0));
    assert!(spent(0.001) > 480.0, "{}", spent(0.001));
}

#[test]
fn motion_is_searched_sooner_while_there_are_savings() {
    let searches = |budget: f64| {
        let mut scheduler = scheduler((1280, 720));
        let mut plan = |i: u32, moves: bool| {
            scheduler.note_motion(|_| if moves { 0.01 } else { 0.0 });
            let s = situation(f64::from(i) * 0.04, 0.04);
            let plan = scheduler.plan(&Situation { budget, most: 1, ..s });
            plan.iter().any(|region| !region.is_tile)
        };
        (0..8).map(|i| plan(i, i == 5)).collect::<Vec<_>>()
    };
    let wanted = [true, false, false, false, false, true, false, false];
    assert_eq!(searches(1000.0), wanted);
    assert_eq!(searches(0.0).iter().filter(|full| **full).count(), 1);
}

#[test]
fn detector_without_scales_searches_the_full_frame_only() {
    let mut scheduler = SearchScheduler::default();
    let info = FrameInfo::new(PixelFormat::I420, 640, 360);
    scheduler.cover(&info, &Sizing::AS_IT_IS, &RoiFilter::default(), 1.0);
    let regions = scheduler.plan(&situation(0.0, 0.04));
    assert_eq!(regions.len(), 1);
    assert!(!regions[0].is_tile && regions[0].scale == 1.0);
}
