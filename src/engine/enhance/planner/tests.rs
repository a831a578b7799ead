use super::*;
use crate::geometry::Rect;

const SHAPES: [Shape; 2] = [Shape::SMALL, Shape::LARGE];
const FRAME: Duration = Duration::from_millis(40);

/// Plans of one frame with faces of these numbers and sides.
fn step(planner: &mut Planner, now: u64, faces: &[(u64, f32)]) -> Vec<FacePlan> {
    step_with(planner, now, faces, &EnhancerOptions::default())
}

fn step_with(
    planner: &mut Planner,
    now: u64,
    faces: &[(u64, f32)],
    options: &EnhancerOptions,
) -> Vec<FacePlan> {
    let at = FRAME * now as u32;
    let chosen: Vec<_> = faces
        .iter()
        .map(|&(id, side)| {
            let face = Face { id, rect: Rect::new(0.0, 0.0, side, side), score: 1.0 };
            (face, CropSquare { x: 0.0, y: 0.0, side })
        })
        .collect();
    let mut crops = Crops::default();
    planner.choose_rungs((now, at), &chosen, &SHAPES, options, &mut crops);
    planner.plan(at, &chosen, &mut crops, options).to_vec()
}

#[test]
fn slots_are_used_again_and_never_twice_at_once() {
    let mut slots = Slots::default();
    assert_eq!([slots.take(), slots.take(), slots.take()], [0, 1, 2]);
    slots.keep([0, 2].into_iter());
    assert_eq!([slots.take(), slots.take()], [1, 3]);
}

#[test]
fn face_that_grows_fades_from_one_rung_to_the_other() {
    let mut planner = Planner::default();
    assert_eq!(step(&mut planner, 1, &[(1, 15.0)])[0].layer.rung, 0);
    let mut shares = Vec::new();
    for now in 2..12 {
        let plan = step(&mut planner, now, &[(1, 24.0)])[0];
        match plan.next {
            Some((next, share)) => {
                assert_eq!((plan.layer.rung, next.rung), (0, 1));
                shares.push(share);
            }
            None => {
                assert_eq!(plan.layer.rung, 1);
                shares.push(1.0);
            }
        }
    }
    // From nothing to all in 0.2 s, without a jump.
    assert_eq!((shares[0], shares[9]), (0.0, 1.0));
    assert!(shares.windows(2).all(|w| (0.0..0.21).contains(&(w[1] - w[0]))), "{shares:?}");
    // What it came from is free for others.
    assert_eq!(step(&mut planner, 12, &[(1, 24.0), (2, 12.0)])[1].layer.slot, 0);
}

#[test]
fn face_enlarged_before_stays_on_the_rung_of_the_camera_pixels() {
    let enlarged = EnhancerOptions { source_scale: 4.0, ..Default::default() };
    let plans = step_with(&mut Planner::default(), 1, &[(1, 48.0), (2, 120.0)], &enlarged);
    assert_eq!([plans[0].layer.rung, plans[1].layer.rung], [0, 1]);
}

#[test]
fn face_is_remembered_for_half_a_second() {
    let mut planner = Planner::default();
    assert!(step(&mut planner, 1, &[(1, 15.0)])[0].layer.generate);
    step(&mut planner, 2, &[]);
    step(&mut planner, 3, &[]);
    assert!(!step(&mut planner, 4, &[(1, 15.0)])[0].layer.generate, "three frames later");
    assert!(step(&mut planner, 20, &[(1, 15.0)])[0].layer.generate, "after 0.64 s");
}

#[test]
fn faces_of_one_number_share_nothing() {
    let mut planner = Planner::default();
    for now in 1..5 {
        let plans = step(&mut planner, now, &[(7, 15.0), (7, 16.0), (7, 25.0), (7, 26.0)]);
        assert_ne!(plans[0].layer.slot, plans[1].layer.slot);
        assert_ne!(plans[2].layer.slot, plans[3].layer.slot);
        assert_eq!(plans.iter().any(|plan| plan.layer.generate), now == 1);
    }
}

#[test]
fn budget_counts_what_each_rung_costs() {
    let options = EnhancerOptions { budget: Some(Duration::from_millis(6)), ..Default::default() };
    let mut planner = Planner::default();
    step(&mut planner, 1, &[(1, 15.0), (2, 40.0)]);
    let generate = [Duration::from_millis(1), Duration::from_millis(4)];
    planner.record(&RenderTimes { generate, ..RenderTimes::default() });
    planner.reset();
    // The large ones come first: 4 ms, then two small ones of 1 ms fit beside it.
    let faces = [(1, 15.0), (2, 15.0), (3, 15.0), (4, 40.0), (5, 40.0)];
    let plans = step_with(&mut planner, 2, &faces, &options);
    let generated: Vec<_> = plans.iter().map(|plan| plan.layer.generate).collect();
    assert_eq!(generated, [false, true, true, false, true]);
    assert_eq!(plans[0].strength, 0.0);
}

#[test]
fn face_that_was_not_finite_is_generated_again_without_its_past() {
    let mut planner = Planner::default();
    step(&mut planner, 1, &[(1, 15.0), (2, 15.0)]);
    planner.record(&RenderTimes { not_finite: vec![1], ..RenderTimes::default() });
    let plans = step(&mut planner, 2, &[(1, 15.0), (2, 15.0)]);
    assert!(!plans[0].layer.generate);
    assert!(plans[1].layer.generate && plans[1].layer.keep == 0.0);
}
