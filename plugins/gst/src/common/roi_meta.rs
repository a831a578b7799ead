//! Faces as metadata of a buffer: `GstVideoRegionOfInterestMeta` of type "face".
//!
//! A region's own `id` is its place among the regions of this buffer, never the face's: detectors
//! number regions anew in every frame, and DL Streamer finds a region's analytics entry by it.
//! These parameter structures go with each region:
//!
//! - `detection`, as DL Streamer has it: `confidence`, and the part of the box that lies in the
//!   picture as `x_min`, `y_min`, `x_max`, `y_max`, doubles from 0 to 1 of the picture's width and
//!   height;
//! - `object_id`, as DL Streamer has it: `id`, the same number for the same face in each frame;
//! - `facesr-face`, our own: the whole box as `x`, `y`, `w`, `h`, doubles in the same units. A face
//!   that reaches beyond the edge keeps its size here. What else carries boxes has whole pixels, and
//!   of a box of 16 one pixel is 6 %.

use std::collections::HashSet;
use std::ops::ControlFlow;

use facesr::{Face, Rect};
use gst::buffer::BufferMetaForeachAction as Action;
use gst_video::VideoRegionOfInterestMeta as Region;

use super::place_tracker::PlaceTracker;

/// Type of the regions that are written. Read is any spelling: ONVIF writes `Face`.
const ROI_TYPE: &str = "face";

/// Name of our own structure.
const EXACT_BOX: &str = "facesr-face";

/// A box whose double and integer edges are further apart, in pixels, has been changed by an
/// element that did not know the doubles, a cropper perhaps: then the integers count.
const EDGE_TOLERANCE: f64 = 2.0;

/// Two elements that number faces both begin at 1. One that finds numbered faces on its buffers
/// begins at the next multiple of this.
const SERIES: u64 = 1 << 24;

/// Width and height of a picture, pixels.
pub(crate) type Size = (u32, u32);

fn is_face(region: &Region) -> bool {
    region.roi_type().eq_ignore_ascii_case(ROI_TYPE)
}

/// Takes the faces whose box `keep` refuses off `buffer`, a picture of `size`.
pub(crate) fn retain(buffer: &mut gst::BufferRef, size: Size, keep: impl Fn(&Rect) -> bool) {
    let refused = |region: &Region| is_face(region) && !keep(&face_rect(region, size));
    if !buffer.iter_meta::<Region>().any(|region| refused(&region)) {
        return;
    }
    buffer.foreach_meta_mut(|mut meta| {
        let action = match meta.downcast_ref::<Region>() {
            Some(region) if refused(region) => Action::Remove,
            _ => Action::Keep,
        };
        ControlFlow::Continue(action)
    });
}

/// Types of the regions on `buffer`, if there are any and none is a face.
pub(crate) fn other_types(buffer: &gst::BufferRef) -> Option<String> {
    if buffer.iter_meta::<Region>().any(|region| is_face(&region)) {
        return None;
    }
    let mut types: Vec<_> =
        buffer.iter_meta::<Region>().map(|r| format!("\"{}\"", r.roi_type())).collect();
    types.sort_unstable();
    types.dedup();
    types.truncate(4);
    (!types.is_empty()).then(|| types.join(", "))
}

/// Adds faces to buffers that may carry some already.
#[derive(Debug, Default)]
pub(crate) struct FaceWriter {
    /// Added to every number, so that it is nobody else's. It only grows: a face keeps its number.
    offset: u64,
}

impl FaceWriter {
    /// Adds `faces` to `buffer`, a picture of `size`, as far as they lie in the picture, and leaves
    /// in `faces` those that were added, with the numbers that they have on the buffer. A face that
    /// somebody else has described already is not added once more.
    pub(crate) fn write(&mut self, buffer: &mut gst::BufferRef, faces: &mut Vec<Face>, size: Size) {
        let (mut others, mut ids) = (Vec::new(), HashSet::new());
        for region in buffer.iter_meta::<Region>() {
            ids.insert(region.id());
            if is_face(&region) {
                others.push(face_rect(&region, size));
                if let Some(id) = identity(&region) {
                    self.offset = self.offset.max((id / SERIES + 1) * SERIES);
                }
            }
        }
        let mut next = 0;
        faces.retain_mut(|face| {
            face.id += self.offset;
            if others.iter().any(|other| is_same(other, &face.rect)) {
                return false;
            }
            while !ids.insert(next) {
                next += 1;
            }
            add(buffer, face, next, size)
        });
    }
}

/// Whether two boxes of different detectors are of one face: each holds the other's middle.
fn is_same(a: &Rect, b: &Rect) -> bool {
    let holds = |r: &Rect, of: &Rect| {
        let p = of.center();
        (r.x..r.x + r.w).contains(&p.x) && (r.y..r.y + r.h).contains(&p.y)
    };
    holds(a, b) && holds(b, a)
}

/// Adds `face` as a region numbered `id`; false if nothing of it lies in the picture.
fn add(buffer: &mut gst::BufferRef, face: &Face, id: i32, (width, height): Size) -> bool {
    let (w, h) = (f64::from(width), f64::from(height));
    let edges = edges(&face.rect);
    let [left, top, right, bottom] = clip(edges, w, h);
    if !face.rect.is_valid() || right <= left || bottom <= top {
        return false;
    }
    let (x, y) = (left.floor() as u32, top.floor() as u32);
    let whole = (right.ceil() as u32 - x, bottom.ceil() as u32 - y);
    let mut region = Region::add(buffer, ROI_TYPE, (x, y, whole.0, whole.1));
    region.set_id(id);
    region.add_param(
        gst::Structure::builder("detection")
            .field("confidence", f64::from(face.score))
            .field("x_min", left / w)
            .field("y_min", top / h)
            .field("x_max", right / w)
            .field("y_max", bottom / h)
            .build(),
    );
    // DL Streamer's identifiers are signed: a tracker needs years to get beyond that.
    let number = (face.id & i32::MAX as u64) as i32;
    region.add_param(gst::Structure::builder("object_id").field("id", number).build());
    region.add_param(
        gst::Structure::builder(EXACT_BOX)
            .field("x", edges[0] / w)
            .field("y", edges[1] / h)
            .field("w", f64::from(face.rect.w) / w)
            .field("h", f64::from(face.rect.h) / h)
            .build(),
    );
    true
}

/// Left, top, right and bottom.
fn edges(r: &Rect) -> [f64; 4] {
    let [x, y, w, h] = [r.x, r.y, r.w, r.h].map(f64::from);
    [x, y, x + w, y + h]
}

/// The part in a picture of this size.
fn clip([left, top, right, bottom]: [f64; 4], w: f64, h: f64) -> [f64; 4] {
    [left.max(0.0), top.max(0.0), right.min(w), bottom.min(h)]
}

/// Reads faces off buffers, whoever wrote them.
#[derive(Debug, Default)]
pub struct FaceReader {
    nameless: PlaceTracker,
}

impl FaceReader {
    /// Replaces `faces` with those on `buffer`, a picture of `width` x `height`, every box made
    /// `scale` times as large.
    ///
    /// A face is known by its `object_id` parameter; one without, or with one that another face of
    /// the buffer has too, by its place: it has the number of the box of the frames before that it
    /// overlaps.
    pub fn read(
        &mut self,
        buffer: &gst::BufferRef,
        size: (u32, u32),
        scale: f32,
        faces: &mut Vec<Face>,
    ) {
        faces.clear();
        let mut named = HashSet::new();
        let (mut nameless, mut rects) = (Vec::new(), Vec::new());
        for region in buffer.iter_meta::<Region>().filter(|region| is_face(region)) {
            let rect = face_rect(&region, size).scaled(scale);
            if !rect.is_valid() {
                continue;
            }
            let id = identity(&region).filter(|id| named.insert(*id));
            if id.is_none() {
                nameless.push(faces.len());
                rects.push(rect);
            }
            faces.push(Face { id: id.unwrap_or(0), rect, score: score(&region) });
        }
        for (at, id) in nameless.into_iter().zip(self.nameless.identify(&rects, buffer.pts())) {
            faces[at].id = id;
        }
    }
}

/// The box of a face: the most exact of those that the region carries.
fn face_rect(region: &Region, (width, height): Size) -> Rect {
    let (w, h) = (f64::from(width), f64::from(height));
    let (x, y, rw, rh) = region.rect();
    let whole = [x, y, x.saturating_add(rw), y.saturating_add(rh)].map(f64::from);
    let agrees = |edges: &[f64; 4]| {
        let clipped = clip(*edges, w, h);
        clipped.iter().zip(&whole).all(|(a, b)| (a - b).abs() <= EDGE_TOLERANCE)
    };
    let [left, top, right, bottom] = exact_edges(region, w, h, agrees)
        .or_else(|| detection_edges(region, w, h, agrees))
        .unwrap_or(whole);
    Rect::new(left as f32, top as f32, (right - left) as f32, (bottom - top) as f32)
}

/// The box in our own structure.
fn exact_edges(
    region: &Region,
    w: f64,
    h: f64,
    agrees: impl Fn(&[f64; 4]) -> bool,
) -> Option<[f64; 4]> {
    let exact = region.param(EXACT_BOX)?;
    let [x, y, bw, bh] = ["x", "y", "w", "h"].map(|name| exact.get::<f64>(name).ok());
    let (x, y, bw, bh) = (x? * w, y? * h, bw? * w, bh? * h);
    Some([x, y, x + bw, y + bh]).filter(agrees)
}

/// The box in DL Streamer's structure.
fn detection_edges(
    region: &Region,
    w: f64,
    h: f64,
    agrees: impl Fn(&[f64; 4]) -> bool,
) -> Option<[f64; 4]> {
    let detection = region.param("detection")?;
    let edge = |name: &str, size: f64| detection.get::<f64>(name).ok().map(|v| v * size);
    Some([edge("x_min", w)?, edge("y_min", h)?, edge("x_max", w)?, edge("y_max", h)?])
        .filter(agrees)
}

/// The face's number, where a tracker has given one.
fn identity(region: &Region) -> Option<u64> {
    let object = region.param("object_id")?;
    u64::try_from(object.get::<i32>("id").ok()?).ok().filter(|&id| id > 0)
}

fn score(region: &Region) -> f32 {
    region
        .param("detection")
        .and_then(|detection| detection.get::<f64>("confidence").ok())
        .map_or(1.0, |v| v as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = (320, 180);

    fn read(buffer: &gst::BufferRef, scale: f32) -> Vec<Face> {
        let mut faces = Vec::new();
        FaceReader::default().read(buffer, SIZE, scale, &mut faces);
        faces
    }

    fn buffer() -> gst::Buffer {
        gst::init().unwrap();
        gst::Buffer::new()
    }

    fn face(id: u64, x: f32, y: f32, w: f32, h: f32) -> Face {
        Face { id, rect: Rect::new(x, y, w, h), score: 0.75 }
    }

    fn write(buffer: &mut gst::BufferRef, faces: &[Face]) -> Vec<Face> {
        let mut faces = faces.to_vec();
        FaceWriter::default().write(buffer, &mut faces, SIZE);
        faces
    }

    fn regions(buffer: &gst::BufferRef) -> Vec<((u32, u32, u32, u32), i32)> {
        buffer.iter_meta::<Region>().map(|r| (r.rect(), r.id())).collect()
    }

    #[test]
    fn reader_returns_what_was_written() {
        let mut buffer = buffer();
        let buffer = buffer.get_mut().unwrap();
        let faces = [face(3, 10.25, 20.5, 30.125, 40.75), face(7, 100.0, 90.0, 16.0, 20.0)];
        assert_eq!(write(buffer, &faces), faces);
        let found = read(buffer, 1.0);
        assert_eq!(found.len(), 2);
        for (a, b) in found.iter().zip(&faces) {
            assert_eq!((a.id, a.score), (b.id, b.score));
            assert!((a.rect.x - b.rect.x).abs() < 1e-3 && (a.rect.h - b.rect.h).abs() < 1e-3);
        }
        // The region's own number is its place.
        assert_eq!(regions(buffer), [((10, 20, 31, 42), 0), ((100, 90, 16, 20), 1)]);
        retain(buffer, SIZE, |_| false);
        assert_eq!(buffer.iter_meta::<Region>().count(), 0);
    }

    #[test]
    fn box_at_the_edge_keeps_its_size_and_nonsense_is_dropped() {
        let mut buffer = buffer();
        let buffer = buffer.get_mut().unwrap();
        let written = write(
            buffer,
            &[
                face(1, -8.0, 170.0, 20.0, 30.0),
                face(2, f32::NAN, 0.0, 20.0, 30.0),
                face(3, 400.0, 0.0, 20.0, 30.0),
                face(4, 10.0, 10.0, 0.0, 30.0),
            ],
        );
        assert_eq!(written.len(), 1);
        assert_eq!(regions(buffer), [((0, 170, 12, 10), 0)]);
        {
            let region = buffer.meta::<Region>().unwrap();
            let detection = region.param("detection").unwrap();
            assert_eq!(detection.get::<f64>("x_min"), Ok(0.0));
            assert_eq!(detection.get::<f64>("y_max"), Ok(1.0));
        }
        let found = read(buffer, 1.0)[0].rect;
        assert!((found.x + 8.0).abs() < 1e-3 && (found.h - 30.0).abs() < 1e-3, "{found:?}");
    }

    #[test]
    fn box_in_whole_pixels_counts_where_the_exact_one_disagrees() {
        let mut buffer = buffer();
        let buffer = buffer.get_mut().unwrap();
        write(buffer, &[face(1, 10.25, 20.5, 30.5, 40.5)]);
        // As after scaling to half: the region is scaled, the fractions are the same.
        let mut faces = Vec::new();
        let mut half = gst::Buffer::new();
        let half = half.get_mut().unwrap();
        let mut region = Region::add(half, ROI_TYPE, (5, 10, 15, 20));
        for name in ["detection", "object_id", EXACT_BOX] {
            let param = buffer.meta::<Region>().unwrap().param(name).unwrap().to_owned();
            region.add_param(param);
        }
        FaceReader::default().read(half, (160, 90), 1.0, &mut faces);
        assert!((faces[0].rect.x - 5.125).abs() < 1e-3, "{faces:?}");
        // As after a crop: whoever moved the region did not know the fractions.
        let mut region = Region::add(half, ROI_TYPE, (100, 40, 31, 42));
        region.add_param(buffer.meta::<Region>().unwrap().param(EXACT_BOX).unwrap().to_owned());
        FaceReader::default().read(half, SIZE, 1.0, &mut faces);
        assert_eq!(faces[1].rect, Rect::new(100.0, 40.0, 31.0, 42.0));
    }

    #[test]
    fn reader_understands_foreign_regions() {
        let mut buffer = buffer();
        let buffer = buffer.get_mut().unwrap();
        // No parameters, no number, any spelling: as plain detectors leave them.
        Region::add(buffer, "Face", (10, 20, 30, 40));
        Region::add(buffer, "FACE", (50, 60, 20, 20));
        Region::add(buffer, "person", (0, 0, 99, 99));
        // Cropped after detection: the doubles no longer agree.
        let mut region = Region::add(buffer, ROI_TYPE, (100, 100, 20, 20));
        region.add_param(gst::Structure::builder("object_id").field("id", 9).build());
        let moved = gst::Structure::builder("detection")
            .field("x_min", 0.9f64)
            .field("y_min", 0.9f64)
            .field("x_max", 0.99f64)
            .field("y_max", 0.99f64)
            .build();
        region.add_param(moved);
        // Hostile: no area, beyond the largest integer.
        Region::add(buffer, ROI_TYPE, (5, 5, 0, 0));
        let faces = read(buffer, 1.5);
        assert_eq!(faces.len(), 3);
        assert_eq!(faces[0].rect, Rect::new(2.5, 10.0, 45.0, 60.0));
        assert_ne!(faces[0].id, faces[1].id);
        assert_eq!((faces[2].id, faces[2].rect), (9, Rect::new(95.0, 95.0, 30.0, 30.0)));
        Region::add(buffer, ROI_TYPE, (u32::MAX, u32::MAX, u32::MAX, u32::MAX));
        assert_eq!(read(buffer, 1.0).len(), 3);
    }

    #[test]
    fn reader_takes_no_region_number_for_an_identity() {
        gst::init().unwrap();
        let mut reader = FaceReader::default();
        let mut frame = |n: i32| {
            let mut buffer = gst::Buffer::new();
            let buffer = buffer.get_mut().unwrap();
            // Places in the list change from frame to frame, or numbers never come again.
            for (i, x) in [(n % 2, 40 + n as u32), (1 - n % 2, 200)] {
                let mut region = Region::add(buffer, ROI_TYPE, (x, 60, 24, 30));
                region.set_id(if n > 5 { 100 * n + i } else { i });
            }
            let mut faces = Vec::new();
            reader.read(buffer, SIZE, 1.0, &mut faces);
            faces.iter().map(|face| face.id).collect::<Vec<_>>()
        };
        let first = frame(0);
        assert_ne!(first[0], first[1]);
        (1..12).for_each(|n| assert_eq!(frame(n), first, "frame {n}"));
    }

    #[test]
    fn faces_with_one_number_are_told_apart() {
        let mut buffer = buffer();
        let buffer = buffer.get_mut().unwrap();
        for x in [20, 120] {
            let mut region = Region::add(buffer, ROI_TYPE, (x, 60, 24, 30));
            region.add_param(gst::Structure::builder("object_id").field("id", 4).build());
        }
        let faces = read(buffer, 1.0);
        assert_eq!(faces[0].id, 4);
        assert_ne!(faces[1].id, 4);
    }

    #[test]
    fn writer_leaves_what_others_wrote_and_doubles_no_face() {
        let mut buffer = buffer();
        let buffer = buffer.get_mut().unwrap();
        write(buffer, &[face(1, 20.0, 20.0, 30.0, 40.0)]);
        Region::add(buffer, "car", (1, 2, 3, 4)).set_id(1);
        let mut second = FaceWriter::default();
        let mut faces = vec![face(1, 24.0, 22.0, 30.0, 36.0), face(2, 150.0, 20.0, 30.0, 40.0)];
        second.write(buffer, &mut faces, SIZE);
        assert_eq!(faces.len(), 1);
        let ids: Vec<_> = regions(buffer).iter().map(|r| r.1).collect();
        assert_eq!(ids, [0, 1, 2]);
        let found = read(buffer, 1.0);
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].id, found[1].id), (1, SERIES + 2));
        assert_eq!(faces[0].id, SERIES + 2);
        // Its numbers stay where they are when the others' faces have gone.
        let mut empty = gst::Buffer::new();
        let mut faces = vec![face(2, 150.0, 20.0, 30.0, 40.0)];
        second.write(empty.get_mut().unwrap(), &mut faces, SIZE);
        assert_eq!(faces[0].id, SERIES + 2);
    }

    #[test]
    fn other_types_are_named_only_without_a_face() {
        let mut buffer = buffer();
        let buffer = buffer.get_mut().unwrap();
        assert_eq!(other_types(buffer), None);
        Region::add(buffer, "human face", (1, 2, 3, 4));
        Region::add(buffer, "car", (1, 2, 3, 4));
        assert_eq!(other_types(buffer).as_deref(), Some("\"car\", \"human face\""));
        Region::add(buffer, "Face", (1, 2, 3, 4));
        assert_eq!(other_types(buffer), None);
    }
}
