//! The detectors with real model files and real ONNX Runtime.
//!
//! Tests named `shared_*` want the folder `shared` beside the checkout; runners leave them out
//! where it is absent. CenterFace's file is the one that `make setup` fetches.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

use std::path::{Path, PathBuf};

use facesr::detect::{self, Detection, Detector, DetectorKind, DetectorOptions, Precision};
use facesr::internals;
use facesr::{CropSquare, Error, Frame, FrameInfo, ModelError, PixelFormat};
use image::RgbImage;

const ONNX_KINDS: [DetectorKind; 2] = [DetectorKind::YuNet, DetectorKind::CenterFace];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A file of the folder `shared`, for tests that are left out where there is none.
fn shared(path: &str) -> PathBuf {
    let path = root().join("../shared").join(path);
    assert!(path.is_file(), "{} is absent: leave tests named shared_ out", path.display());
    path
}

fn centerface() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(root().join("target"), PathBuf::from);
    let named = std::env::var_os("FACESR_MODELS").map(PathBuf::from);
    let mut places =
        named.into_iter().chain([target, root().join("target")].map(|t| t.join("gst/models")));
    let found = places.find_map(|p| Some(p.join("centerface.onnx")).filter(|p| p.is_file()));
    found.expect("centerface.onnx is absent: run `make setup`")
}

fn options(kind: DetectorKind, model: &Path) -> DetectorOptions {
    DetectorOptions::default().kind(kind).model(Some(model.into()))
}

fn refusal(kind: DetectorKind, model: &Path) -> ModelError {
    let Err(error) = detect::open(&options(kind, model)) else {
        panic!("{kind:?} took {}", model.display());
    };
    let text = error.to_string();
    assert!(text.contains(model.file_name().unwrap().to_str().unwrap()), "{text}");
    error
}

fn find(detector: &mut dyn Detector, picture: &RgbImage) -> Vec<Detection> {
    let (width, height) = picture.dimensions();
    let info = FrameInfo::new(PixelFormat::Rgb, width, height);
    let frame = Frame::new(info, &[picture.as_raw()], &[3 * width as usize]).unwrap();
    let mut found = Vec::new();
    detector.detect(&frame, &mut found).unwrap();
    found
}

/// The face of the repository, `side` pixels of crop square, in the middle of a grey picture.
fn one_face(side: u32, width: u32, height: u32) -> RgbImage {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/face.png");
    let face = image::open(path).unwrap().to_rgb8();
    let face = image::imageops::resize(&face, side, side, image::imageops::FilterType::CatmullRom);
    let mut picture = RgbImage::from_pixel(width, height, image::Rgb([110, 110, 110]));
    let (left, top) = ((width - side) / 2, (height - side) / 2);
    image::imageops::replace(&mut picture, &face, left.into(), top.into());
    picture
}

#[test]
fn files_that_are_no_models_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let noise: Vec<u8> =
        (0..90_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    for (name, bytes) in [
        ("empty.onnx", &[][..]),
        ("noise.onnx", &noise),
        ("text.onnx", b"<html>not found</html>"),
        ("byte.onnx", b"\x08"),
    ] {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        for (kind, _) in DetectorKind::NAMES {
            let error = refusal(kind, &path);
            assert!(
                matches!(error, ModelError::Invalid { .. } | ModelError::Contract { .. }),
                "{kind:?} {name}: {error:?}"
            );
        }
    }
}

#[test]
fn missing_files_and_folders_are_refused_with_a_remedy() {
    let dir = tempfile::tempdir().unwrap();
    for (kind, _) in DetectorKind::NAMES {
        let error = refusal(kind, &dir.path().join("gone.onnx"));
        assert!(matches!(&error, ModelError::Missing { remedy, .. } if !remedy.is_empty()));
        assert!(matches!(refusal(kind, dir.path()), ModelError::Read { .. }));
    }
}

#[test]
fn models_of_another_shape_are_refused() {
    let generator = root().join("models/standin-bicubic-x4.onnx");
    for (kind, _) in DetectorKind::NAMES {
        let error = refusal(kind, &generator);
        assert!(matches!(error, ModelError::Contract { .. }), "{error:?}");
    }
    let seetaface = root().join("models/seeta_fd_frontal_v1.0.bin");
    for kind in ONNX_KINDS {
        assert!(matches!(refusal(kind, &seetaface), ModelError::Invalid { .. }));
    }
}

#[test]
fn a_damaged_seetaface_model_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let whole = std::fs::read(root().join("models/seeta_fd_frontal_v1.0.bin")).unwrap();
    let mut changed = whole.clone();
    changed[600_000] ^= 1;
    for (name, bytes) in [("cut.bin", &whole[..700_000]), ("changed.bin", &changed)] {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let error = refusal(DetectorKind::SeetaFace, &path);
        assert!(matches!(error, ModelError::Contract { .. }), "{error:?}");
    }
    let path = dir.path().join("whole.bin");
    std::fs::write(&path, &whole).unwrap();
    for kind in [DetectorKind::Auto, DetectorKind::SeetaFace] {
        assert_eq!(detect::open(&options(kind, &path)).unwrap().name(), "seetaface");
    }
}

#[test]
fn shared_yunet_files_and_damaged_copies() {
    for name in ["yunet_n_dynamic.onnx", "yunet_s_640_640.onnx"] {
        let path = shared(&format!("models/{name}"));
        for kind in [DetectorKind::Auto, DetectorKind::YuNet] {
            assert_eq!(detect::open(&options(kind, &path)).unwrap().name(), "yunet");
        }
        let error = refusal(DetectorKind::CenterFace, &path);
        assert!(matches!(error, ModelError::Contract { .. }), "{error:?}");
        damaged_copies_are_refused(&path, DetectorKind::YuNet);
    }
}

#[test]
fn centerface_file_and_damaged_copies() {
    let path = centerface();
    for kind in [DetectorKind::Auto, DetectorKind::CenterFace] {
        assert_eq!(detect::open(&options(kind, &path)).unwrap().name(), "centerface");
    }
    let error = refusal(DetectorKind::YuNet, &path);
    assert!(matches!(error, ModelError::Contract { .. }), "{error:?}");
    damaged_copies_are_refused(&path, DetectorKind::CenterFace);
}

fn damaged_copies_are_refused(path: &Path, kind: DetectorKind) {
    let dir = tempfile::tempdir().unwrap();
    let copy = dir.path().join("copy.onnx");
    let whole = std::fs::read(path).unwrap();
    for part in [1, 10, whole.len() / 2, whole.len() - 100] {
        std::fs::write(&copy, &whole[..part]).unwrap();
        let error = refusal(kind, &copy);
        assert!(matches!(error, ModelError::Invalid { .. }), "cut to {part}: {error:?}");
    }
    // Any byte may be wrong: that is an error or a worse detector, never a crash.
    for i in 0..24 {
        let mut changed = whole.clone();
        changed[i * whole.len() / 24 + i] ^= 0x55;
        std::fs::write(&copy, &changed).unwrap();
        if let Ok(mut detector) = detect::open(&options(kind, &copy)) {
            find(detector.as_mut(), &one_face(40, 160, 120));
        }
    }
}

/// Each detector finds the face, and its box leads to the crop square that the face was cropped by.
fn finds_the_face(detector: &mut dyn Detector, side: u32) {
    for (width, height) in [(640, 480), (333, 201), (640, 480), (1280, 720)] {
        let picture = one_face(side, width, height);
        let found = find(detector, &picture);
        let what = format!("{} in {width}x{height}: {found:?}", detector.name());
        assert_eq!(found.len(), 1, "{what}");
        assert!((0.0..=1.0).contains(&found[0].score), "{what}");
        let square = CropSquare::around(&found[0].rect, width, height).unwrap();
        assert!((square.side / side as f32 - 1.0).abs() < 0.17, "{what}");
        let center = square.rect().center();
        let miss = (center.x - width as f32 / 2.0).hypot(center.y - height as f32 / 2.0);
        assert!(miss < 0.13 * side as f32, "{what}");
    }
    let flat = RgbImage::from_pixel(640, 480, image::Rgb([120, 100, 90]));
    assert_eq!(find(detector, &flat), []);
    for (width, height) in [(1, 1), (2, 500), (500, 2), (17, 31)] {
        find(detector, &RgbImage::from_pixel(width, height, image::Rgb([200, 100, 90])));
    }
}

#[test]
fn seetaface_finds_the_face() {
    let options = DetectorOptions::default().kind(DetectorKind::SeetaFace);
    finds_the_face(detect::open(&options).unwrap().as_mut(), 64);
}

#[test]
fn shared_yunet_finds_the_face() {
    for name in ["yunet_n_dynamic.onnx", "yunet_s_640_640.onnx"] {
        let path = shared(&format!("models/{name}"));
        let options = options(DetectorKind::YuNet, &path);
        finds_the_face(detect::open(&options).unwrap().as_mut(), 48);
    }
}

#[test]
fn centerface_finds_the_face() {
    let path = centerface();
    let options = options(DetectorKind::CenterFace, &path);
    finds_the_face(detect::open(&options).unwrap().as_mut(), 48);
}

/// Faces of several sizes, from the least that CenterFace finds on, in rows on a grey picture.
fn many_faces() -> RgbImage {
    let mut picture = RgbImage::from_pixel(960, 540, image::Rgb([110, 110, 110]));
    for (row, side) in [24, 32, 48, 64, 96].into_iter().enumerate() {
        let face = one_face(side, side, side);
        for column in 0..8 {
            let (x, y) = (12 + 118 * column, 5 + 107 * row as i64);
            image::imageops::replace(&mut picture, &face, x, y);
        }
    }
    picture
}

#[test]
fn centerface_finds_the_same_in_8_bits() {
    let path = centerface();
    let picture = many_faces();
    let faces = |path: &Path, precision| {
        let options = options(DetectorKind::CenterFace, path).precision(precision);
        let mut found = find(detect::open(&options).unwrap().as_mut(), &picture);
        found.sort_by(|a, b| (a.rect.y, a.rect.x).partial_cmp(&(b.rect.y, b.rect.x)).unwrap());
        found
    };
    let (filed, chosen) = (faces(&path, Precision::AsFiled), faces(&path, Precision::Auto));
    assert!(filed.len() >= 32, "{}", filed.len());
    // What is not known to lose nothing runs as it is: another file, even if it means the same.
    let dir = tempfile::tempdir().unwrap();
    let other = dir.path().join("centerface.onnx");
    let mut bytes = std::fs::read(&path).unwrap();
    // An empty note (`doc_string`).
    bytes.extend([0x32, 0]);
    std::fs::write(&other, bytes).unwrap();
    assert_eq!(faces(&other, Precision::Auto), filed);
    if !internals::has_byte_products() {
        return assert_eq!(chosen, filed);
    }
    assert_ne!(chosen, filed, "it ran in single precision");
    for (of, other) in [(&filed, &chosen), (&chosen, &filed)] {
        // What is at the edge of being found may be lost or won.
        for face in of.iter().filter(|face| face.score >= 0.55) {
            let is_same = |d: &&Detection| d.rect.iou(&face.rect) > 0.75;
            let found = other.iter().find(is_same).unwrap_or_else(|| panic!("only once: {face:?}"));
            assert!((found.score - face.score).abs() < 0.15, "{face:?} {found:?}");
        }
    }
}

#[test]
fn the_same_picture_gives_the_same_boxes_on_every_thread_count() {
    let path = centerface();
    let picture = one_face(40, 320, 240);
    let boxes = |threads| {
        let options = options(DetectorKind::CenterFace, &path).threads(threads);
        find(detect::open(&options).unwrap().as_mut(), &picture)
    };
    assert_eq!(boxes(1), boxes(1));
    let (one, two) = (boxes(1), boxes(2));
    assert_eq!(one.len(), two.len());
    assert!(one.iter().zip(&two).all(|(a, b)| a.rect.iou(&b.rect) > 0.98));
}

#[test]
fn min_score_and_width_are_obeyed() {
    let base = DetectorOptions::default().kind(DetectorKind::SeetaFace);
    let picture = one_face(64, 640, 480);
    let count =
        |options: &DetectorOptions| find(detect::open(options).unwrap().as_mut(), &picture).len();
    assert_eq!(count(&base), 1);
    assert_eq!(count(&base.clone().min_score(Some(1.0))), 0);
    // At this width the face is smaller than SeetaFace's window.
    assert_eq!(count(&base.width(200)), 0);
}

#[test]
fn errors_are_sendable() {
    fn check<T: Send + Sync + 'static>() {}
    check::<Error>();
}
