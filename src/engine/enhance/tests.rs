use self::generator::{Generator, GeneratorOptions};
use super::*;
use crate::frame::{FrameInfo, PixelFormat};
use crate::geometry::Rect;

fn face(id: u64, x: f32, y: f32, size: f32) -> Face {
    Face { id, rect: Rect::new(x, y, size, size), score: 0.9 }
}

fn enhancer(options: EnhancerOptions) -> Enhancer {
    Enhancer::new(Generator::open(&GeneratorOptions::default()).unwrap(), options)
}

fn gray(seed: u32) -> Vec<u8> {
    (0..200u32 * 120).map(|i| ((i * i / 7 + i * seed) % 199) as u8 + 20).collect()
}

fn run(enhancer: &mut Enhancer, data: &mut [u8], faces: &[Face]) -> usize {
    let info = FrameInfo::new(PixelFormat::Gray8, 200, 120);
    enhancer.enhance(&mut FrameMut::new(info, [data], &[200]).unwrap(), faces).unwrap()
}

#[test]
fn only_faces_of_the_right_size_and_only_their_squares_change() {
    let mut enhancer = enhancer(EnhancerOptions::default());
    let before = gray(3);
    let mut data = before.clone();
    let faces = [face(1, 20.0, 30.0, 24.0), face(2, 100.0, 20.0, 5.0), face(3, 500.0, 10.0, 95.0)];
    assert_eq!(run(&mut enhancer, &mut data, &faces), 1);
    let square = CropSquare::around(&faces[0].rect, 200, 120).unwrap();
    let mut changed = 0;
    for (i, (a, b)) in before.iter().zip(&data).enumerate() {
        let (x, y) = ((i % 200) as f32 + 0.5, (i / 200) as f32 + 0.5);
        let inside = x > square.x
            && x < square.x + square.side
            && y > square.y
            && y < square.y + square.side;
        assert!(inside || a == b, "pixel {x} {y} changed");
        changed += usize::from(a != b);
    }
    assert!(changed > 200);
}

#[test]
fn no_two_faces_of_a_frame_share_a_place() {
    let mut enhancer = enhancer(EnhancerOptions::default());
    for round in 0..4u64 {
        // Numbers that come twice, and others that come and go.
        let faces: Vec<_> =
            (0..5).map(|i| face(1 + (i + round) % 4, 10.0 + 36.0 * i as f32, 40.0, 16.0)).collect();
        run(&mut enhancer, &mut gray(1), &faces);
        let mut places: Vec<_> =
            enhancer.planner.plans().iter().map(|plan| plan.layer.slot).collect();
        places.sort_unstable();
        places.dedup();
        assert_eq!(places.len(), 5);
    }
}

#[test]
fn strength_zero_and_no_faces_change_nothing() {
    let mut off = enhancer(EnhancerOptions { strength: 0.0, ..Default::default() });
    let before = gray(5);
    let mut data = before.clone();
    assert!(!off.wants(200, 120, &[face(1, 20.0, 30.0, 24.0)]));
    assert_eq!(run(&mut off, &mut data, &[face(1, 20.0, 30.0, 24.0)]), 0);
    let mut on = enhancer(EnhancerOptions::default());
    assert_eq!(run(&mut on, &mut data, &[]), 0);
    assert_eq!(before, data);
}

#[test]
fn the_largest_faces_are_kept() {
    let mut enhancer = enhancer(EnhancerOptions { max_faces: 2, ..Default::default() });
    let faces: Vec<_> =
        (0..5).map(|i| face(i + 1, 10.0 + 35.0 * i as f32, 40.0, 12.0 + i as f32)).collect();
    assert_eq!(run(&mut enhancer, &mut gray(1), &faces), 2);
    let ids: Vec<_> = enhancer.chosen.iter().map(|(f, _)| f.id).collect();
    assert_eq!(ids, [4, 5]);
}

#[test]
fn faces_are_generated_again_only_where_they_have_changed() {
    let mut enhancer = enhancer(EnhancerOptions { temporal_smoothing: 0.0, ..Default::default() });
    let faces = [face(1, 20.0, 30.0, 24.0), face(2, 100.0, 30.0, 24.0)];
    let (mut once, mut again) = (gray(3), gray(3));
    run(&mut enhancer, &mut once, &faces);
    run(&mut enhancer, &mut again, &faces);
    assert_eq!((enhancer.stats().faces_enhanced, enhancer.stats().faces_generated), (4, 2));
    assert_eq!(once, again);
    // The right half changes.
    let mut other = gray(3);
    for (i, v) in other.iter_mut().enumerate() {
        *v = if i % 200 >= 90 { 255 - *v } else { *v };
    }
    run(&mut enhancer, &mut other, &faces);
    assert_eq!(enhancer.stats().faces_generated, 3);
    let left =
        |data: &[u8]| -> Vec<u8> { data.chunks(200).flat_map(|row| row[..80].to_vec()).collect() };
    assert_eq!(left(&other), left(&once));
    // After a second each is.
    for _ in 0..30 {
        run(&mut enhancer, &mut gray(3), &faces);
    }
    assert_eq!(enhancer.stats().faces_generated, 6);
    // And always, if that is what is asked for.
    enhancer.set_options(EnhancerOptions { reuse: 0.0, ..Default::default() });
    run(&mut enhancer, &mut gray(3), &faces);
    assert_eq!(enhancer.stats().faces_generated, 8);
}

#[test]
fn within_a_budget_faces_take_their_turn() {
    let mut enhancer =
        enhancer(EnhancerOptions { budget: Some(Duration::from_nanos(1)), ..Default::default() });
    let faces: Vec<_> = (0..4).map(|i| face(i + 1, 45.0 * i as f32, 40.0, 30.0)).collect();
    let before = gray(3);
    for n in 1..=4 {
        let mut data = before.clone();
        run(&mut enhancer, &mut data, &faces);
        assert_eq!(enhancer.stats().faces_generated, n);
        let touched = faces.iter().filter(|face| {
            let at = face.rect.center();
            let at = at.y as usize * 200 + at.x as usize;
            (0..5).any(|d| data[at + d] != before[at + d])
        });
        assert_eq!(touched.count() as u64, n);
    }
}

#[test]
fn a_still_face_flickers_less_with_smoothing() {
    let flicker = |smoothing: f32, reuse: f32| {
        let mut enhancer = enhancer(EnhancerOptions {
            temporal_smoothing: smoothing,
            reuse,
            ..Default::default()
        });
        let mut last: Option<Vec<u8>> = None;
        let mut sum = 0u64;
        for i in 0..12u32 {
            let mut data = gray(3);
            for (k, v) in data.iter_mut().enumerate() {
                *v = v
                    .saturating_add(((k as u32).wrapping_mul(2_654_435_761 + i * 977) >> 29) as u8);
            }
            run(&mut enhancer, &mut data, &[face(1, 60.0, 40.0, 30.0)]);
            if let Some(last) = &last {
                sum += last.iter().zip(&data).map(|(a, b)| u64::from(a.abs_diff(*b))).sum::<u64>();
            }
            last = Some(data);
        }
        sum
    };
    assert!(flicker(1.0, 0.0) < flicker(0.0, 0.0));
    assert!(flicker(0.0, 0.1) < flicker(0.0, 0.0));
}

#[test]
fn faces_of_nearly_one_size_do_not_take_turns_at_the_limit() {
    let mut enhancer = enhancer(EnhancerOptions { max_faces: 1, ..Default::default() });
    for k in 0..12 {
        let jitter = if k % 2 == 0 { 0.4 } else { 0.0 };
        let faces = [face(1, 10.0, 40.0, 24.0), face(2, 90.0, 40.0, 23.8 + jitter)];
        run(&mut enhancer, &mut gray(1), &faces);
        assert_eq!(enhancer.chosen[0].0.id, 2, "frame {k}");
    }
    // And what was generated is kept while nothing moves, once its square has come to rest.
    let faces = [face(1, 10.0, 40.0, 24.0), face(2, 90.0, 40.0, 23.8)];
    for _ in 0..50 {
        run(&mut enhancer, &mut gray(1), &faces);
    }
    let before = enhancer.stats().faces_generated;
    for _ in 0..50 {
        run(&mut enhancer, &mut gray(1), &faces);
    }
    // Each second it is generated in any case.
    assert_eq!(enhancer.stats().faces_generated, before + 2);
}

#[test]
fn face_that_is_missed_now_and_then_is_not_generated_each_time() {
    let mut enhancer = enhancer(EnhancerOptions::default());
    for k in 0..15 {
        let faces = [face(1, 20.0, 30.0, 24.0)];
        run(&mut enhancer, &mut gray(3), &faces[..usize::from(k % 3 != 2)]);
    }
    assert_eq!(enhancer.stats().faces_generated, 1);
}
