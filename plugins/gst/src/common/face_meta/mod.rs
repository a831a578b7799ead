//! Faces as metadata of a buffer, for all who read them.
//!
//! Each face is written twice: as a `GstVideoRegionOfInterestMeta` of type "face", and, where
//! GStreamer has them (1.24), as an object detection of type `face` with its track in the buffer's
//! analytics metadata (see [`analytics`](crate::analytics)). Read are both; what both describe is
//! one face.
//!
//! A region's own `id` is a place in this buffer, never the face's: detectors number regions from 0 in
//! every frame. It is that of the detection among the entries of the buffer's analytics metadata,
//! by which DL Streamer finds one from the other, and where there are none, that of the region.
//! These parameter structures go with each region:
//!
//! - `detection`, as DL Streamer has it: `confidence`, and the part of the box that lies in the
//!   picture as `x_min`, `y_min`, `x_max`, `y_max`, doubles from 0 to 1 of the picture's width and
//!   height;
//! - `object_id`, as DL Streamer has it: `id`, the same number for the same face in each frame;
//! - `facesr-face`, our own: the whole box as `x`, `y`, `w`, `h`, doubles in the same units. A face
//!   that reaches beyond the edge keeps its size here. What else carries boxes has whole pixels, and
//!   of a box of 16 one pixel is 6 %.

mod identity_check;
mod place_tracker;
mod reader;
mod region;
mod writer;

use facesr::Rect;

pub use reader::FaceReader;
pub(crate) use reader::why_no_face;
pub(crate) use writer::{FaceWriter, retain};

use crate::analytics::DetectedFace;

/// Width and height of a picture, pixels.
pub(crate) type Size = (u32, u32);

/// Whether two boxes of different detectors are of one face: each holds the other's middle.
fn is_same(a: &Rect, b: &Rect) -> bool {
    let holds = |r: &Rect, of: &Rect| {
        let p = of.center();
        (r.x..r.x + r.w).contains(&p.x) && (r.y..r.y + r.h).contains(&p.y)
    };
    holds(a, b) && holds(b, a)
}

/// Where a detection lies.
fn detected_rect(face: &DetectedFace) -> Rect {
    let [x, y, w, h] = face.rect.map(|v| v as f32);
    Rect::new(x, y, w, h)
}

/// Whether the detections in the analytics metadata of `buffer` can be believed. Before GStreamer
/// 1.28 they stay where they were when an element crops the picture by metadata alone.
fn are_detections_believed(buffer: &gst::BufferRef) -> bool {
    let crop = buffer.meta::<gst_video::VideoCropMeta>().map(|crop| crop.rect());
    crate::analytics::follow_crops() || crop.is_none_or(|(x, y, _, _)| (x, y) == (0, 0))
}

#[cfg(test)]
mod tests {
    use facesr::Face;
    use gst_video::VideoRegionOfInterestMeta as Region;

    use super::region::{EXACT_BOX, ROI_TYPE};
    use super::writer::SERIES;
    use super::*;
    use crate::analytics;

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
        Face::new(id, Rect::new(x, y, w, h), 0.75)
    }

    fn write(buffer: &mut gst::BufferRef, faces: &[Face]) -> Vec<Face> {
        let mut faces = faces.to_vec();
        FaceWriter::default().write(buffer, &mut faces, SIZE, None);
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
        // The region's own number is a place: among the entries of the analytics metadata, if any.
        let entries = analytics::faces(buffer);
        let second = entries.get(1).map_or(1, |face| face.entry as i32);
        assert_eq!(regions(buffer), [((10, 20, 31, 42), 0), ((100, 90, 16, 20), second)]);
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
        second.write(buffer, &mut faces, SIZE, None);
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
        second.write(empty.get_mut().unwrap(), &mut faces, SIZE, None);
        assert_eq!(faces[0].id, SERIES + 2);
    }

    #[test]
    fn other_types_are_named_only_without_a_face() {
        let mut buffer = buffer();
        let buffer = buffer.get_mut().unwrap();
        assert_eq!(why_no_face(buffer), None);
        Region::add(buffer, "human face", (1, 2, 3, 4));
        Region::add(buffer, "car", (1, 2, 3, 4));
        assert!(why_no_face(buffer).unwrap().contains("\"car\", \"human face\" come"));
        Region::add(buffer, "Face", (1, 2, 3, 4));
        assert_eq!(why_no_face(buffer), None);
    }

    #[test]
    fn face_is_written_as_region_and_detection_and_read_once() {
        if analytics::missing() {
            return;
        }
        let mut buffer = buffer();
        let buffer = buffer.get_mut().unwrap();
        // An entry of somebody else: places among the entries are not those among the faces.
        let seen = [None; 2];
        let other = analytics::FaceToAdd { rect: [200, 60, 30, 40], score: 0.5, track: 0, seen };
        analytics::add(buffer, &[other]);
        let faces = [face(3, 10.25, 20.5, 30.125, 40.75), face(7, -8.0, 150.0, 16.0, 20.0)];
        let (mut writer, mut written) = (FaceWriter::default(), faces.to_vec());
        writer.write(buffer, &mut written, SIZE, Some(gst::ClockTime::SECOND));
        // A tracker elsewhere counts from 0.
        let numbers = [SERIES + 3, SERIES + 7];
        assert_eq!([written[0].id, written[1].id], numbers);
        let detections = analytics::faces(buffer);
        assert_eq!(detections.len(), 3);
        assert_eq!(detections[1].rect, [10, 20, 31, 42]);
        assert_eq!(detections[2].rect, [0, 150, 8, 20]);
        assert_eq!([detections[1].track, detections[2].track], numbers.map(Some));
        let ids: Vec<_> = regions(buffer).iter().map(|region| region.1 as u32).collect();
        assert_eq!(ids, [detections[1].entry, detections[2].entry]);
        let found = read(buffer, 1.0);
        assert_eq!(found.len(), 3);
        assert_eq!([found[0].id, found[1].id], numbers);
        // The exact box counts, with what lies beyond the edge.
        assert!((found[1].rect.x + 8.0).abs() < 1e-3 && (found[0].rect.w - 30.125).abs() < 1e-3);
        assert_eq!((found[2].id, found[2].rect), (0, Rect::new(200.0, 60.0, 30.0, 40.0)));
        // Nobody describes them once more.
        let mut again = faces.to_vec();
        FaceWriter::default().write(buffer, &mut again, SIZE, None);
        assert!(again.is_empty() && analytics::faces(buffer).len() == 3);
        retain(buffer, SIZE, |rect| rect.x < 100.0);
        assert_eq!(read(buffer, 1.0).len(), 2);
        retain(buffer, SIZE, |_| false);
        assert!(read(buffer, 1.0).is_empty());
    }

    #[test]
    fn region_that_was_moved_takes_its_detection_with_it() {
        if analytics::missing() {
            return;
        }
        let mut buffer = buffer();
        let buffer = buffer.get_mut().unwrap();
        write(buffer, &[face(3, 200.0, 100.0, 30.0, 40.0)]);
        // As by an element that crops and knows regions only.
        let mut cropped = gst::Buffer::new();
        let cropped = cropped.get_mut().unwrap();
        let seen = [None; 2];
        let rect = [200, 100, 30, 40];
        analytics::add(cropped, &[analytics::FaceToAdd { rect, score: 0.5, track: 3, seen }]);
        let mut region = Region::add(cropped, ROI_TYPE, (100, 50, 30, 40));
        region.set_id(0);
        let detection = buffer.meta::<Region>().unwrap().param("detection").unwrap().to_owned();
        region.add_param(detection);
        let found = read(cropped, 1.0);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].id, found[0].rect.x), (3, 100.0));
    }
}
