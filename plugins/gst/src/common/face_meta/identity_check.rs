//! Whether the numbers that come with faces are the faces'.
//!
//! Some elements write the place in a list, or a count that never comes again, where a tracker's
//! number belongs. With such numbers nothing that was learnt of a face would serve in the next
//! frame, or it would serve for another face.

use facesr::Rect;

/// Boxes of one face in two frames overlap (IoU) by at least so much.
const MIN_IOU: f32 = 0.2;

/// Boxes of two faces do not overlap by so much: what is here now is what was here before.
const SAME_PLACE: f32 = 0.5;

/// Frames in a row that speak against the numbers before they are no longer believed.
const MOST_CONTRADICTIONS: u32 = 3;

/// Faces that are compared at most.
const MAX_FACES: usize = 256;

/// Compares the numbers of each frame with those of the frame before.
#[derive(Debug, Default)]
pub(super) struct IdentityCheck {
    last: Vec<(u64, Rect)>,
    contradictions: u32,
}

impl IdentityCheck {
    /// Whether the numbers of this frame's faces, each there once, can be believed. They are until
    /// several frames in a row speak against them, and again as soon as one speaks for them.
    pub(super) fn believe(&mut self, mut faces: Vec<(u64, Rect)>) -> bool {
        if !faces.is_empty() {
            faces.truncate(MAX_FACES);
            let last = std::mem::replace(&mut self.last, faces);
            let (mut agree, mut contradict) = (0, 0);
            for (id, rect) in &self.last {
                let before = last.iter().find(|(other, _)| other == id);
                let holder = last.iter().find(|(_, other)| other.iou(rect) >= SAME_PLACE);
                match (before, holder) {
                    (Some((_, before)), _) if before.iou(rect) >= MIN_IOU => agree += 1,
                    // The face that was here has another number now.
                    (_, Some((other, _))) if other != id => contradict += 1,
                    _ => {}
                }
            }
            if contradict > agree {
                self.contradictions = (self.contradictions + 1).min(MOST_CONTRADICTIONS);
            } else if agree > 0 {
                self.contradictions = 0;
            }
        }
        self.contradictions < MOST_CONTRADICTIONS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn face(x: f32) -> Rect {
        Rect::new(x, 20.0, 24.0, 30.0)
    }

    #[test]
    fn check_believes_numbers_that_stay() {
        let mut check = IdentityCheck::default();
        for n in 0..10 {
            let x = 8.0 * n as f32;
            assert!(check.believe(vec![(1, face(x)), (9, face(300.0 - x))]));
        }
        // A new face in an old one's place, once; and faces that jump.
        assert!(check.believe(vec![(2, face(76.0)), (9, face(220.0))]));
        for n in 0..9 {
            assert!(check.believe(vec![(5, face(if n % 2 == 0 { 0.0 } else { 200.0 }))]));
        }
    }

    #[test]
    fn check_disbelieves_numbers_that_change_in_each_frame() {
        let mut check = IdentityCheck::default();
        let believed: Vec<_> = (0..6).map(|n| check.believe(vec![(n, face(10.0))])).collect();
        assert_eq!(believed, [true, true, true, false, false, false]);
        assert!(check.believe(vec![(5, face(10.0))]), "it has a number again");
    }

    #[test]
    fn check_disbelieves_places_in_a_list() {
        let mut check = IdentityCheck::default();
        let mut frame = |n: u64| check.believe(vec![(n % 2, face(10.0)), (1 - n % 2, face(200.0))]);
        let believed: Vec<_> = (0..6).map(&mut frame).collect();
        assert_eq!(believed, [true, true, true, false, false, false]);
    }
}
