//! Faces as metadata of a buffer: `GstVideoRegionOfInterestMeta` of type "face".
//!
//! Two parameter structures go with each region, in the words of DL Streamer, so that its elements
//! and ours understand each other:
//!
//! - `detection`: `confidence`, and the box as `x_min`, `y_min`, `x_max`, `y_max`, doubles from 0 to
//!   1 of the picture's width and height, which keep what the whole pixels of the region lose;
//! - `object_id`: `id`, the same number for the same face in each frame.

use std::ops::ControlFlow;

use facesr::{Face, Rect};
use gst::buffer::BufferMetaForeachAction as Action;
use gst_video::VideoRegionOfInterestMeta as Region;

/// Type of the regions.
pub(crate) const ROI_TYPE: &str = "face";

/// Numbers for faces that come without one, beyond all that trackers give.
const FIRST_ANONYMOUS: u64 = 1 << 32;

/// A box whose double and integer edges are further apart, in pixels, has been changed by an
/// element that did not know the doubles, a cropper perhaps: then the integers count.
const EDGE_TOLERANCE: f64 = 2.0;

/// Takes every face off `buffer`.
pub(crate) fn remove(buffer: &mut gst::BufferRef) {
    if buffer.iter_meta::<Region>().all(|region| region.roi_type() != ROI_TYPE) {
        return;
    }
    buffer.foreach_meta_mut(|mut meta| {
        let action = match meta.downcast_ref::<Region>() {
            Some(region) if region.roi_type() == ROI_TYPE => Action::Remove,
            _ => Action::Keep,
        };
        ControlFlow::Continue(action)
    });
}

/// Adds `face` to `buffer`, a picture of `width` x `height`, as far as it lies in the picture.
pub(crate) fn write(buffer: &mut gst::BufferRef, face: &Face, width: u32, height: u32) {
    let (w, h) = (f64::from(width), f64::from(height));
    let Rect { x, y, w: fw, h: fh } = face.rect;
    let (left, right) = clip(x, fw, w);
    let (top, bottom) = clip(y, fh, h);
    if !face.rect.is_valid() || right <= left || bottom <= top {
        return;
    }
    let (x, y) = (left.floor() as u32, top.floor() as u32);
    let size = (right.ceil() as u32 - x, bottom.ceil() as u32 - y);
    // DL Streamer's identifiers are signed: a tracker needs years to get beyond that.
    let id = (face.id & i32::MAX as u64) as i32;
    let mut region = Region::add(buffer, ROI_TYPE, (x, y, size.0, size.1));
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
    region.add_param(gst::Structure::builder("object_id").field("id", id).build());
}

fn clip(start: f32, length: f32, limit: f64) -> (f64, f64) {
    let start = f64::from(start);
    (start.max(0.0), (start + f64::from(length)).min(limit))
}

/// Reads faces off buffers.
#[derive(Debug)]
pub struct Reader {
    next_anonymous: u64,
}

impl Default for Reader {
    fn default() -> Self {
        Self { next_anonymous: FIRST_ANONYMOUS }
    }
}

impl Reader {
    /// Replaces `faces` with those on `buffer`, a picture of `width` x `height`, every box made
    /// `scale` times as large.
    pub fn read(
        &mut self,
        buffer: &gst::BufferRef,
        (width, height): (u32, u32),
        scale: f32,
        faces: &mut Vec<Face>,
    ) {
        faces.clear();
        for region in buffer.iter_meta::<Region>() {
            if region.roi_type() != ROI_TYPE {
                continue;
            }
            let rect = rect(&region, f64::from(width), f64::from(height)).scaled(scale);
            if !rect.is_valid() {
                continue;
            }
            // Detectors without a tracker leave the number out, or give the same one to all. Faces
            // that shared a number would also share what is remembered of them.
            let id = match id(&region) {
                Some(id) if !faces.iter().any(|face: &Face| face.id == id) => id,
                _ => {
                    self.next_anonymous += 1;
                    self.next_anonymous
                }
            };
            faces.push(Face { id, rect, score: score(&region) });
        }
    }
}

fn rect(region: &Region, width: f64, height: f64) -> Rect {
    let (x, y, w, h) = region.rect();
    let whole = [x, y, x.saturating_add(w), y.saturating_add(h)].map(f64::from);
    let exact = region.param("detection").and_then(|detection| {
        let edge = |name: &str, size: f64| detection.get::<f64>(name).ok().map(|v| v * size);
        let exact = [
            edge("x_min", width)?,
            edge("y_min", height)?,
            edge("x_max", width)?,
            edge("y_max", height)?,
        ];
        let agrees = exact.iter().zip(&whole).all(|(a, b)| (a - b).abs() <= EDGE_TOLERANCE);
        agrees.then_some(exact)
    });
    let [left, top, right, bottom] = exact.unwrap_or(whole);
    Rect::new(left as f32, top as f32, (right - left) as f32, (bottom - top) as f32)
}

fn id(region: &Region) -> Option<u64> {
    let tracked = region.param("object_id").and_then(|object| object.get::<i32>("id").ok());
    u64::try_from(tracked.unwrap_or_else(|| region.id())).ok().filter(|&id| id > 0)
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

    fn read(buffer: &gst::BufferRef, scale: f32) -> Vec<Face> {
        let mut faces = Vec::new();
        Reader::default().read(buffer, (320, 180), scale, &mut faces);
        faces
    }

    fn buffer() -> gst::Buffer {
        gst::init().unwrap();
        gst::Buffer::new()
    }

    fn face(id: u64, x: f32, y: f32, w: f32, h: f32) -> Face {
        Face { id, rect: Rect::new(x, y, w, h), score: 0.75 }
    }

    #[test]
    fn what_is_written_is_read() {
        let mut buffer = buffer();
        let buffer = buffer.get_mut().unwrap();
        let faces = [face(3, 10.25, 20.5, 30.125, 40.75), face(7, 100.0, 90.0, 16.0, 20.0)];
        for face in &faces {
            write(buffer, face, 320, 180);
        }
        for (a, b) in read(buffer, 1.0).iter().zip(&faces) {
            assert_eq!((a.id, a.score), (b.id, b.score));
            assert!((a.rect.x - b.rect.x).abs() < 1e-3 && (a.rect.h - b.rect.h).abs() < 1e-3);
        }
        let regions: Vec<_> = buffer.iter_meta::<Region>().map(|r| (r.rect(), r.id())).collect();
        assert_eq!(regions, [((10, 20, 31, 42), 3), ((100, 90, 16, 20), 7)]);
        remove(buffer);
        assert_eq!(buffer.iter_meta::<Region>().count(), 0);
    }

    #[test]
    fn faces_are_clipped_to_the_picture_and_nonsense_is_dropped() {
        let mut buffer = buffer();
        let buffer = buffer.get_mut().unwrap();
        write(buffer, &face(1, -8.0, 170.0, 20.0, 30.0), 320, 180);
        write(buffer, &face(2, f32::NAN, 0.0, 20.0, 30.0), 320, 180);
        write(buffer, &face(3, 400.0, 0.0, 20.0, 30.0), 320, 180);
        write(buffer, &face(4, 10.0, 10.0, 0.0, 30.0), 320, 180);
        let regions: Vec<_> = buffer.iter_meta::<Region>().map(|r| r.rect()).collect();
        assert_eq!(regions, [(0, 170, 12, 10)]);
        let detection = buffer.meta::<Region>().unwrap();
        let detection = detection.param("detection").unwrap();
        assert_eq!(detection.get::<f64>("x_min"), Ok(0.0));
        assert_eq!(detection.get::<f64>("y_max"), Ok(1.0));
    }

    #[test]
    fn foreign_regions_are_understood() {
        let mut buffer = buffer();
        let buffer = buffer.get_mut().unwrap();
        // No parameters, no number: as a plain detector leaves them.
        Region::add(buffer, ROI_TYPE, (10, 20, 30, 40));
        Region::add(buffer, ROI_TYPE, (50, 60, 20, 20));
        Region::add(buffer, "person", (0, 0, 99, 99));
        // Cropped after detection: the doubles no longer agree.
        let mut region = Region::add(buffer, ROI_TYPE, (100, 100, 20, 20));
        region.set_id(9);
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
}
