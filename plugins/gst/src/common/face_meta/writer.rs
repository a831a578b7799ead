//! Writes faces to buffers, and takes them off.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;

use facesr::{Face, Rect};
use gst::buffer::BufferMetaForeachAction as Action;
use gst_video::VideoRegionOfInterestMeta as Region;

use super::region::{self, face_rect, identity, is_face};
use super::{Size, are_detections_believed, detected_rect, is_same};
use crate::analytics::{self, FaceToAdd};

/// Two elements that number faces both begin at 1. One that finds numbered faces on its buffers
/// begins at the next multiple of this.
pub(super) const SERIES: u64 = 1 << 24;

/// Numbers of others beyond this are no count, and are never met.
const MOST_COUNTED: u64 = 1 << 40;

/// For so long it is known when a face that is gone was seen first.
const REMEMBERED: gst::ClockTime = gst::ClockTime::from_seconds(10);

/// Takes the faces whose box `keep` refuses off `buffer`, a picture of `size`. A detection in its
/// analytics metadata can't be taken out; it is marked, and [`FaceReader`](super::FaceReader)
/// passes over it.
pub(crate) fn retain(buffer: &mut gst::BufferRef, size: Size, keep: impl Fn(&Rect) -> bool) {
    let refused = |region: &Region| is_face(region) && !keep(&face_rect(region, size));
    if buffer.iter_meta::<Region>().any(|region| refused(&region)) {
        buffer.foreach_meta_mut(|mut meta| {
            let action = match meta.downcast_ref::<Region>() {
                Some(region) if refused(region) => Action::Remove,
                _ => Action::Keep,
            };
            ControlFlow::Continue(action)
        });
    }
    let detections: Vec<u32> = analytics::faces(buffer)
        .iter()
        .filter(|face| !face.is_excluded && !keep(&detected_rect(face)))
        .map(|face| face.entry)
        .collect();
    analytics::exclude(buffer, &detections);
}

/// Adds faces to buffers that may carry some already.
#[derive(Debug, Default)]
pub(crate) struct FaceWriter {
    /// Added to every number, so that it is nobody else's. It only grows: a face keeps its number.
    offset: u64,
    /// Running times of the first and the latest frame that showed a face.
    seen: HashMap<u64, (gst::ClockTime, gst::ClockTime)>,
}

impl FaceWriter {
    /// Adds `faces` to `buffer`, a picture of `size` whose running time is `now`, as far as they
    /// lie in the picture, and leaves in `faces` those that were added, with the numbers that they
    /// have on the buffer. A face that somebody else has described already is not added once more.
    pub(crate) fn write(
        &mut self,
        buffer: &mut gst::BufferRef,
        faces: &mut Vec<Face>,
        size: Size,
        now: Option<gst::ClockTime>,
    ) {
        let (mut others, mut ids) = (Vec::new(), HashSet::new());
        for region in buffer.iter_meta::<Region>() {
            ids.insert(region.id());
            if is_face(&region) {
                others.push(face_rect(&region, size));
                self.count_after(identity(&region));
            }
        }
        let believed = are_detections_believed(buffer);
        for face in analytics::faces(buffer) {
            self.count_after(face.track);
            if believed && !face.is_excluded {
                others.push(detected_rect(&face));
            }
        }
        let mut boxes = Vec::new();
        faces.retain_mut(|face| {
            face.id += self.offset;
            if others.iter().any(|other| is_same(other, &face.rect)) {
                return false;
            }
            let whole = region::whole_pixels(&face.rect, size);
            boxes.extend(whole);
            whole.is_some()
        });
        let entries = self.add_detections(buffer, faces, &boxes, now);
        let mut next = 0;
        for (i, (face, whole)) in faces.iter().zip(boxes).enumerate() {
            let entry = entries.get(i).copied().flatten().and_then(|entry| entry.try_into().ok());
            let id = entry.unwrap_or_else(|| {
                while !ids.insert(next) {
                    next += 1;
                }
                next
            });
            region::add(buffer, face, whole, id, size);
        }
    }

    /// Keeps clear of somebody else's number.
    fn count_after(&mut self, id: Option<u64>) {
        if let Some(id) = id.filter(|id| *id < MOST_COUNTED) {
            self.offset = self.offset.max((id / SERIES + 1) * SERIES);
        }
    }

    /// Adds the faces to the analytics metadata, where GStreamer has them. Returns their places
    /// among the entries.
    fn add_detections(
        &mut self,
        buffer: &mut gst::BufferRef,
        faces: &[Face],
        boxes: &[[u32; 4]],
        now: Option<gst::ClockTime>,
    ) -> Vec<Option<u32>> {
        if let Some(now) = now {
            self.seen.retain(|_, (_, last)| now.absdiff(*last) <= REMEMBERED);
        }
        let list: Vec<FaceToAdd> = faces
            .iter()
            .zip(boxes)
            .map(|(face, whole)| {
                let first = now.map(|now| {
                    let seen = self.seen.entry(face.id).or_insert((now, now));
                    seen.1 = now;
                    seen.0
                });
                // No frame is wider than an i32 can tell.
                let rect = whole.map(|v| v as i32);
                FaceToAdd { rect, score: face.score, track: face.id, seen: [first, now] }
            })
            .collect();
        analytics::add(buffer, &list)
    }
}
