//! Names for faces that come without one, by where they are.
//!
//! Detectors without a tracker give no identity, or number the boxes of each frame from 0. Without
//! one nothing that was learnt of a face would serve in the next frame; with a wrong one it would
//! serve for another face.

use facesr::Rect;

/// Numbers given here lie beyond all that trackers give.
const FIRST: u64 = 1 << 32;

/// A face that has not been seen for so long is forgotten.
const LIFE: gst::ClockTime = gst::ClockTime::from_mseconds(500);

/// The same in frames, for streams without time stamps.
const LIFE_FRAMES: u64 = 12;

/// Boxes of one face in two frames overlap (IoU) by at least so much: a face that moves by half of
/// its width a frame.
const MIN_IOU: f32 = 0.2;

/// Pairs of boxes that are compared in a frame at most; a frame of more (no picture of faces has
/// them) gets new numbers.
const MAX_PAIRS: usize = 1 << 20;

/// Remembers where the nameless faces of the latest frames were.
#[derive(Debug, Default)]
pub(crate) struct PlaceTracker {
    faces: Vec<Remembered>,
    /// Numbers given so far.
    given: u64,
    frame: u64,
}

#[derive(Debug)]
struct Remembered {
    id: u64,
    rect: Rect,
    frame: u64,
    time: Option<gst::ClockTime>,
}

impl PlaceTracker {
    /// Numbers for the faces in `rects`, in their order; the same for a box that overlaps one of
    /// the frames before. `time` is the frame's.
    pub(crate) fn identify(&mut self, rects: &[Rect], time: Option<gst::ClockTime>) -> Vec<u64> {
        self.frame += 1;
        let frame = self.frame;
        self.faces.retain(|face| match face.time.zip(time) {
            Some((then, now)) => now.absdiff(then) <= LIFE,
            None => frame - face.frame <= LIFE_FRAMES,
        });
        let mut pairs = Vec::new();
        if rects.len().saturating_mul(self.faces.len()) <= MAX_PAIRS {
            for (i, rect) in rects.iter().enumerate() {
                let overlaps = self.faces.iter().enumerate().map(|(j, f)| (f.rect.iou(rect), i, j));
                pairs.extend(overlaps.filter(|(iou, ..)| *iou >= MIN_IOU));
            }
        }
        // The best overlap first; which of equals is taken must not depend on anything else.
        pairs.sort_by(|a, b| b.0.total_cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
        let mut ids = vec![None; rects.len()];
        let mut taken = vec![false; self.faces.len()];
        for (_, i, j) in pairs {
            if ids[i].is_none() && !std::mem::replace(&mut taken[j], true) {
                ids[i] = Some(self.faces[j].id);
                let face = &mut self.faces[j];
                (face.rect, face.frame, face.time) = (rects[i], frame, time);
            }
        }
        let named = ids.into_iter().zip(rects).map(|(id, rect)| {
            id.unwrap_or_else(|| {
                self.given += 1;
                let id = FIRST + self.given;
                self.faces.push(Remembered { id, rect: *rect, frame, time });
                id
            })
        });
        named.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn face(x: f32) -> Rect {
        Rect::new(x, 20.0, 24.0, 30.0)
    }

    fn at(n: u64) -> Option<gst::ClockTime> {
        Some(40 * n * gst::ClockTime::MSECOND)
    }

    #[test]
    fn tracker_names_moving_faces_alike_whatever_their_order() {
        let mut tracker = PlaceTracker::default();
        let first = tracker.identify(&[face(10.0), face(100.0)], at(0));
        assert_ne!(first[0], first[1]);
        for n in 1..10 {
            let x = 6.0 * n as f32;
            // A detector lists them in any order.
            let mut rects = [face(10.0 + x), face(100.0 - x / 2.0)];
            let mut wanted = first.clone();
            if n % 2 == 1 {
                rects.reverse();
                wanted.reverse();
            }
            assert_eq!(tracker.identify(&rects, at(n)), wanted, "frame {n}");
        }
    }

    #[test]
    fn tracker_bridges_missed_frames_and_forgets_by_time() {
        let mut tracker = PlaceTracker::default();
        let first = tracker.identify(&[face(10.0)], at(0));
        assert!(tracker.identify(&[], at(1)).is_empty());
        assert_eq!(tracker.identify(&[face(12.0)], at(3)), first);
        assert_ne!(tracker.identify(&[face(12.0)], at(3 + 13)), first);
        let mut unstamped = PlaceTracker::default();
        let first = unstamped.identify(&[face(10.0)], None);
        (0..5).for_each(|_| assert!(unstamped.identify(&[], None).is_empty()));
        assert_eq!(unstamped.identify(&[face(12.0)], None), first);
        (0..12).for_each(|_| assert!(unstamped.identify(&[], None).is_empty()));
        assert_ne!(unstamped.identify(&[face(12.0)], None), first);
    }

    #[test]
    fn tracker_gives_each_face_its_own_number() {
        let mut tracker = PlaceTracker::default();
        for n in 0..3 {
            let ids = tracker.identify(&[face(10.0), face(10.0), face(11.0)], at(n));
            assert!(ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2], "{ids:?}");
        }
    }
}
