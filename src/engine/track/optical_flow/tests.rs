use super::*;
use crate::frame::{FrameInfo, PixelFormat};

/// A soft blob pattern at (x, y) of a size, on a slope.
fn picture(x: f32, y: f32, size: f32, light: f32) -> Vec<u8> {
    (0..160 * 120)
        .map(|i| {
            let (px, py) = ((i % 160) as f32 + 0.5, (i / 160) as f32 + 0.5);
            let (u, v) = ((px - x) / size, (py - y) / size);
            let blob = |a: f32, b: f32, r: f32| (-((u - a).powi(2) + (v - b).powi(2)) / r).exp();
            let face = 90.0 * blob(0.0, 0.05, 0.14)
                - 50.0 * blob(-0.16, -0.1, 0.01)
                - 50.0 * blob(0.15, -0.1, 0.01)
                - 35.0 * blob(0.02, 0.22, 0.012);
            (60.0 + light + face + 0.05 * px).clamp(0.0, 255.0) as u8
        })
        .collect()
}

fn frame(data: &[u8]) -> Frame<'_> {
    Frame::new(FrameInfo::new(PixelFormat::Gray8, 160, 120), &[data], &[160]).unwrap()
}

fn around(x: f32, y: f32, size: f32) -> CropSquare {
    CropSquare { x: x - size / 2.0, y: y - size / 2.0, side: size }
}

#[test]
fn motion_is_measured_to_a_part_of_a_pixel() {
    let mut tracker = TemplateTracker::default();
    for size in [12.0, 20.0, 45.0] {
        let template =
            tracker.extract(&frame(&picture(80.0, 60.0, size, 0.0)), &around(80.0, 60.0, size));
        let template = template.unwrap();
        for (dx, dy, light) in [(0.0, 0.0, 0.0), (0.3, -0.2, 20.0), (-0.1, 0.12, -15.0)] {
            let (dx, dy) = (dx * size, dy * size);
            let after = picture(80.0 + dx, 60.0 + dy, size, light);
            let motion = tracker
                .find(&frame(&after), &template, &around(80.0, 60.0, size), 0.0, MIN_NCC)
                .unwrap();
            let off = (motion.translation.x - dx).hypot(motion.translation.y - dy);
            assert!(off < 0.012 * size, "size {size}, moved {dx} {dy}: {motion:?}");
        }
    }
}

#[test]
fn template_tracker_measures_motion_of_a_face_that_reaches_beyond_the_edge() {
    let mut tracker = TemplateTracker::default();
    for start in [17.0, 14.0, 12.0] {
        let square = around(start, 60.0, 30.0);
        let template = tracker.extract(&frame(&picture(start, 60.0, 30.0, 0.0)), &square).unwrap();
        let after = picture(start + 2.0, 60.5, 30.0, 0.0);
        let motion = tracker.find(&frame(&after), &template, &square, 0.0, MIN_NCC).unwrap();
        let off = (motion.translation.x - 2.0).hypot(motion.translation.y - 0.5);
        assert!(off < 0.6, "from {start}: {motion:?}");
    }
}

#[test]
fn growth_is_seen() {
    let mut tracker = TemplateTracker::default();
    let template =
        tracker.extract(&frame(&picture(80.0, 60.0, 30.0, 0.0)), &around(80.0, 60.0, 30.0));
    for growth in [0.98, 1.0, 1.02] {
        let after = picture(80.5, 60.0, 30.0 * growth, 0.0);
        let found = tracker.find(
            &frame(&after),
            template.as_ref().unwrap(),
            &around(80.0, 60.0, 30.0),
            0.0,
            MIN_NCC,
        );
        let found = found.unwrap();
        assert!((found.growth - growth).abs() < 0.008, "{growth}: {found:?}");
    }
}

#[test]
fn what_is_gone_is_not_found() {
    let mut tracker = TemplateTracker::default();
    let square = around(80.0, 60.0, 24.0);
    let template = tracker.extract(&frame(&picture(80.0, 60.0, 24.0, 0.0)), &square).unwrap();
    let noise: Vec<u8> =
        (0..160u32 * 120).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    assert_eq!(tracker.find(&frame(&noise), &template, &square, 1.0, MIN_NCC), None);
    assert_eq!(tracker.find(&frame(&[90; 160 * 120]), &template, &square, 1.0, MIN_NCC), None);
    assert!(tracker.extract(&frame(&[90; 160 * 120]), &square).is_none());
}

#[test]
fn squares_anywhere_are_safe() {
    let mut tracker = TemplateTracker::default();
    let data = picture(80.0, 60.0, 24.0, 0.0);
    let template = tracker.extract(&frame(&data), &around(80.0, 60.0, 24.0)).unwrap();
    for (x, y, size) in [(-50.0, 0.0, 20.0), (0.0, 0.0, 300.0), (159.0, 119.0, 0.5)] {
        tracker.extract(&frame(&data), &around(x, y, size));
        tracker.find(&frame(&data), &template, &around(x, y, size), 2.0, MIN_NCC);
    }
    for bad in [f32::NAN, f32::INFINITY, 0.0, -3.0] {
        assert!(tracker.extract(&frame(&data), &around(20.0, 20.0, bad)).is_none());
    }
}
