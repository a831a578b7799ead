//! The fuzz target `roi`: faces out of buffer metadata, whoever wrote it. Built into that target by its path too.

use std::collections::HashSet;

use facesr::internals::cpu::Compositor;
use facesr::{CropSquare, Frame, FrameInfo, PixelFormat, Shape};
use facesr_testkit::fuzz::Bytes;
use gst_video::VideoRegionOfInterestMeta;

/// Regions as `data` says, read as faces of a picture of the size that it says; what is a face is
/// cropped out of a frame.
pub(crate) fn roi(data: &[u8]) {
    gst::init().unwrap_or_else(|e| panic!("GStreamer does not start: {e}"));
    let mut bytes = Bytes(data);
    let (width, height) = (bytes.size() as u32, bytes.size() as u32);
    let scale = bytes.f32();
    let mut buffer = gst::Buffer::new();
    {
        let buffer = buffer.make_mut();
        while !bytes.is_empty() {
            let kind = ["face", "person", ""][usize::from(bytes.u8()) % 3];
            let [x, y, w, h] = std::array::from_fn(|_| bytes.size() as u32);
            let mut region = VideoRegionOfInterestMeta::add(buffer, kind, (x, y, w, h));
            region.set_id(bytes.i32());
            let number = bytes.u8() % 4;
            for _ in 0..number {
                region.add_param(parameter(&mut bytes));
            }
        }
    }
    let mut faces = Vec::new();
    let mut reader = gstfacesr::FaceReader::default();
    reader.read(&buffer, (width, height), scale, &mut faces);
    let ids: HashSet<u64> = faces.iter().map(|face| face.id).collect();
    assert_eq!(ids.len(), faces.len(), "two faces of one number");
    assert!(faces.iter().all(|face| face.rect.is_valid()));
    let pixels = [77; 40 * 30];
    let info = FrameInfo::new(PixelFormat::Gray8, 40, 30);
    let Ok(frame) = Frame::new(info, &[&pixels], &[40]) else { unreachable!() };
    let squares: Vec<CropSquare> =
        faces.iter().filter_map(|face| CropSquare::around(&face.rect, 40, 30)).collect();
    assert!(squares.iter().all(|square| square.lies_in(40, 30)), "{squares:?}");
    for shape in [Shape::SMALL, Shape::LARGE] {
        let mut lr = vec![0.0; squares.len() * shape.lr_len()];
        Compositor::default().crop(&frame, shape, &squares, &mut lr);
        assert!(lr.iter().all(|v| (-1.0..=1.0).contains(v)));
    }
}

/// A structure as detectors attach them, or nearly.
fn parameter(bytes: &mut Bytes<'_>) -> gst::Structure {
    let name = ["detection", "object_id", "landmarks"][usize::from(bytes.u8()) % 3];
    let mut structure = gst::Structure::new_empty(name);
    for _ in 0..bytes.u8() % 8 {
        let field =
            ["x_min", "y_min", "x_max", "y_max", "confidence", "id"][usize::from(bytes.u8()) % 6];
        match bytes.u8() % 5 {
            0 | 1 => structure.set(field, bytes.f64()),
            2 => structure.set(field, f64::from(bytes.u8()) / 255.0),
            3 => structure.set(field, bytes.i32()),
            _ => structure.set(field, "much"),
        }
    }
    structure
}
