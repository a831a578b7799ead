//! The detector whose cascade works on raw pointers, on pictures of any size.

use std::cell::RefCell;
use std::sync::LazyLock;

use facesr::detect::{self, Detector, DetectorKind, DetectorOptions};
use facesr::{Error, Frame, FrameInfo, PixelFormat};
use image::GrayImage;
use image::imageops::{self, FilterType};

use super::bytes::Bytes;

static FACE: LazyLock<GrayImage> = LazyLock::new(|| {
    let file = include_bytes!("../../engine/tests/data/face.png");
    let face = image::load_from_memory(file);
    face.unwrap_or_else(|e| panic!("the picture of a face does not decode: {e}")).into_luma8()
});

/// A picture that `data` describes, searched: a ground, faces anywhere on it, also beyond its
/// edges, of any size and contrast, and single pixels at the end.
pub fn seetaface(data: &[u8]) {
    thread_local! {
        static DETECTOR: RefCell<Box<dyn Detector>> = RefCell::new(
            detect::open(
                &DetectorOptions::default()
                    .kind(DetectorKind::SeetaFace)
                    // No frame is enlarged: small pictures are quickly searched.
                    .width(1 << 16)
                    .min_score(Some(0.0)),
            )
            .unwrap_or_else(|e| panic!("{e}")),
        );
    }
    let picture = picture(&mut Bytes(data));
    let (width, height) = picture.dimensions();
    let info = FrameInfo::new(PixelFormat::Gray8, width, height);
    let frame = Frame::new(info, &[picture.as_raw()], &[width as usize]);
    let frame = frame.unwrap_or_else(|e| panic!("{e}"));
    let mut found = Vec::new();
    match DETECTOR.with_borrow_mut(|detector| detector.detect(&frame, &mut found)) {
        Ok(()) => assert!(found.iter().all(|d| d.rect.is_valid() && d.score.is_finite())),
        Err(Error::Inference { source, .. }) => panic!("{source}"),
        Err(other) => panic!("{other}"),
    }
}

fn picture(bytes: &mut Bytes<'_>) -> GrayImage {
    let (width, height) = (1 + u32::from(bytes.u8()), 1 + u32::from(bytes.u8()));
    let (ground, slope) = (bytes.u8(), bytes.u8());
    let mut picture = GrayImage::from_fn(width, height, |x, y| {
        let shade = u32::from(ground) + (x * u32::from(slope & 15) + y * u32::from(slope >> 4)) / 4;
        image::Luma([shade as u8])
    });
    for _ in 0..1 + bytes.u8() % 4 {
        let (w, h) = (8 + u32::from(bytes.u8()), 8 + u32::from(bytes.u8()) % 32);
        let mut face = imageops::resize(&*FACE, w, w * 32 / (16 + h % 32), FilterType::Triangle);
        let how = bytes.u8();
        if how & 1 != 0 {
            imageops::flip_horizontal_in_place(&mut face);
        }
        if how & 2 != 0 {
            imageops::flip_vertical_in_place(&mut face);
        }
        if how & 4 != 0 {
            imageops::invert(&mut face);
        }
        let face = imageops::contrast(&face, f32::from(how >> 3) * 4.0 - 20.0);
        let place = |n: u8, size: u32| i64::from(n) * i64::from(size + w) / 256 - i64::from(w);
        let (x, y) = (place(bytes.u8(), width), place(bytes.u8(), height));
        imageops::replace(&mut picture, &face, x, y);
    }
    while !bytes.is_empty() {
        let (x, y) = (u32::from(bytes.u8()) % width, u32::from(bytes.u8()) % height);
        picture.put_pixel(x, y, image::Luma([bytes.u8()]));
    }
    picture
}
