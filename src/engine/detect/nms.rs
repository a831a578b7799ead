//! Greedy non-maximum suppression.

use std::cmp::Ordering;

use crate::face::Detection;

/// Keeps the best of each heap of boxes that overlap by more than `max_iou` (intersection over
/// union), best score first; equal scores keep the order in which they came. Boxes with a number
/// that is not finite or without area are dropped.
pub(super) fn suppress(found: &mut Vec<Detection>, max_iou: f32) {
    found.retain(|d| d.rect.is_valid() && d.score.is_finite());
    // The sort is stable, so the result does not depend on anything but the input.
    found.sort_by(|a, b| b.score.partial_cmp(&a.score).unwrap_or(Ordering::Equal));
    let mut kept = 0;
    for i in 0..found.len() {
        let candidate = found[i];
        if found[..kept].iter().all(|k| k.rect.iou(&candidate.rect) <= max_iou) {
            found[kept] = candidate;
            kept += 1;
        }
    }
    found.truncate(kept);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Rect;
    use proptest::prelude::*;

    fn detection(x: f32, y: f32, side: f32, score: f32) -> Detection {
        Detection { rect: Rect::new(x, y, side, side), score }
    }

    #[test]
    fn the_best_of_a_heap_stays() {
        let mut found = vec![
            detection(0.0, 0.0, 10.0, 0.6),
            detection(1.0, 0.0, 10.0, 0.9),
            detection(100.0, 0.0, 10.0, 0.7),
            detection(6.0, 0.0, 10.0, 0.5),
        ];
        suppress(&mut found, 0.45);
        let scores: Vec<f32> = found.iter().map(|d| d.score).collect();
        assert_eq!(scores, [0.9, 0.7, 0.5]);
    }

    #[test]
    fn numbers_that_are_none_are_dropped() {
        let mut found = vec![
            detection(f32::NAN, 0.0, 10.0, 0.9),
            detection(0.0, f32::INFINITY, 10.0, 0.9),
            detection(0.0, 0.0, f32::INFINITY, 0.9),
            detection(0.0, 0.0, 0.0, 0.9),
            detection(0.0, 0.0, 10.0, f32::NAN),
            detection(0.0, 0.0, 10.0, 0.5),
        ];
        suppress(&mut found, 0.45);
        assert_eq!(found, [detection(0.0, 0.0, 10.0, 0.5)]);
    }

    #[test]
    fn equal_scores_keep_their_order() {
        let mut found: Vec<_> = (0..5).map(|i| detection(i as f32 * 50.0, 0.0, 9.0, 0.5)).collect();
        let before = found.clone();
        suppress(&mut found, 0.45);
        assert_eq!(found, before);
    }

    proptest! {
        #[test]
        fn what_is_left_is_sorted_and_apart(
            boxes in prop::collection::vec((0f32..50.0, 0f32..50.0, 1f32..30.0, 0f32..1.0), 0..60)
        ) {
            let mut found: Vec<_> =
                boxes.iter().map(|&(x, y, side, score)| detection(x, y, side, score)).collect();
            suppress(&mut found, 0.3);
            prop_assert!(found.windows(2).all(|w| w[0].score >= w[1].score));
            for (i, a) in found.iter().enumerate() {
                for b in &found[i + 1..] {
                    prop_assert!(a.rect.iou(&b.rect) <= 0.3);
                }
            }
        }
    }
}
