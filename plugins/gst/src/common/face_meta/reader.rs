//! Reads faces off buffers, whoever wrote them.

use std::collections::HashSet;

use facesr::{Face, Rect};
use gst_video::VideoRegionOfInterestMeta as Region;

use super::identity_check::IdentityCheck;
use super::place_tracker::PlaceTracker;
use super::region::{self, face_rect, identity, is_face, score};
use super::{Size, are_detections_believed, detected_rect, is_same};
use crate::analytics::{self, DetectedFace};

/// Tracks with numbers beyond those of regions get this bit, so that no number that is given here
/// is theirs.
const LARGE_TRACK: u64 = 1 << 63;

/// Pairs of a region and a detection that are compared at most. No picture of faces has more.
const MAX_PAIRS: usize = 1 << 20;

/// Why nothing on `buffer`, which describes something, is a face to sharpen; `None` if there is
/// nothing, or there is a face.
pub(crate) fn why_no_face(buffer: &gst::BufferRef) -> Option<String> {
    let regions = buffer.iter_meta::<Region>().map(|region| region.roi_type());
    let detections = analytics::object_types(buffer);
    let mut types: Vec<_> = regions.chain(detections.iter().copied()).collect();
    if types.iter().any(|name| name.eq_ignore_ascii_case("face")) {
        let cropped = !are_detections_believed(buffer) && !detections.is_empty();
        return cropped.then(|| {
            "Detections come with pictures that an element has cropped by metadata. Before \
             GStreamer 1.28 they do not move with the picture, so they are left out: detect behind \
             the crop"
                .into()
        });
    }
    types.sort_unstable();
    types.dedup();
    types.truncate(4);
    let quoted: Vec<_> = types.iter().map(|name| format!("\"{name}\"")).collect();
    let types = quoted.join(", ");
    (!quoted.is_empty()).then(|| {
        format!(
            "Regions or detections of type {types} come with the frames, but none of type \
             \"face\": only those are sharpened"
        )
    })
}

/// Reads faces off buffers, whoever wrote them: regions of type `face`, and detections of that type
/// in the analytics metadata that no region describes too.
#[derive(Debug, Default)]
pub struct FaceReader {
    nameless: PlaceTracker,
    check: IdentityCheck,
}

impl FaceReader {
    /// Replaces `faces` with those on `buffer`, a picture of `width` x `height`, every box made
    /// `scale` times as large.
    ///
    /// A face is known by its `object_id` parameter or its track; one without, or with one that
    /// another face of the buffer has too, by its place: it has the number of the box of the frames
    /// before that it overlaps. So are all where the numbers turn out to mean nothing, because they
    /// change from frame to frame.
    pub fn read(
        &mut self,
        buffer: &gst::BufferRef,
        size: (u32, u32),
        scale: f32,
        faces: &mut Vec<Face>,
    ) {
        faces.clear();
        let mut ids = Vec::new();
        for (rect, score, id) in described(buffer, size) {
            let rect = rect.scaled(scale);
            if rect.is_valid() {
                faces.push(Face::new(0, rect, score));
                ids.push(id);
            }
        }
        drop_repeated(&mut ids);
        let named = ids.iter().zip(faces.iter()).filter_map(|(id, face)| Some(((*id)?, face.rect)));
        if !self.check.believe(named.collect()) {
            ids.fill(None);
        }
        let nameless: Vec<Rect> =
            faces.iter().zip(&ids).filter(|(_, id)| id.is_none()).map(|(f, _)| f.rect).collect();
        let mut given = self.nameless.identify(&nameless, buffer.pts()).into_iter();
        for (face, id) in faces.iter_mut().zip(ids) {
            face.id = id.or_else(|| given.next()).unwrap_or(0);
        }
    }
}

/// Leaves each number to the first face that has it.
fn drop_repeated(ids: &mut [Option<u64>]) {
    let mut taken = HashSet::new();
    for id in ids {
        *id = id.filter(|id| taken.insert(*id));
    }
}

/// The box, score and identity of each face on `buffer`.
fn described(buffer: &gst::BufferRef, size: Size) -> Vec<(Rect, f32, Option<u64>)> {
    let mut detections = analytics::faces(buffer);
    let mut faces = Vec::new();
    let regions = buffer.iter_meta::<Region>().filter(|region| is_face(region));
    let count = buffer.iter_meta::<Region>().count();
    if count.saturating_mul(detections.len()) > MAX_PAIRS {
        detections.clear();
    }
    for region in regions {
        let rect = face_rect(&region, size);
        // What both describe is one face, and the region has the more exact box.
        let mut track = None;
        detections.retain(|face| {
            let same = is_of(face, &region, &rect);
            track = track.or(face.track.filter(|_| same));
            !same
        });
        faces.push((rect, score(&region), identity(&region).or(track.map(track_id))));
    }
    if are_detections_believed(buffer) {
        let rest = detections.iter().filter(|face| !face.is_excluded);
        faces.extend(rest.map(|face| {
            let score = if face.score.is_finite() { face.score } else { 1.0 };
            (detected_rect(face), score, face.track.map(track_id))
        }));
    }
    faces
}

/// Whether a detection is of the face that a region describes.
fn is_of(face: &DetectedFace, region: &Region, rect: &Rect) -> bool {
    let paired = u32::try_from(region.id()) == Ok(face.entry);
    (paired && region::is_numbered_by_detection(region)) || is_same(&detected_rect(face), rect)
}

/// A track's number as a face's.
fn track_id(track: u64) -> u64 {
    if track > i32::MAX as u64 { track | LARGE_TRACK } else { track }
}
