//! CenterFace in 8 bits against what its file holds, on the clips that set-up fetches: one of a
//! camera, and the same after a coder that left little of it.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use facesr::detect::{self, Detection, Detector, DetectorKind, DetectorOptions, Precision};
use facesr::internals;
use facesr_testkit::clips::Clip;
use facesr_testkit::skip;

fn open(precision: Precision) -> Box<dyn Detector> {
    let kind = DetectorKind::CenterFace;
    let options = DetectorOptions::default().kind(kind).precision(precision);
    detect::open(&options.min_score(Some(0.3))).unwrap()
}

/// In 8 bits the faces of `name` are those of single precision, and their scores differ by no more
/// than `most`.
fn faces_are_the_same(name: &str, most: f32) {
    if !internals::has_byte_products() {
        return skip::unsupported("this processor runs no detector in 8 bits: not compared");
    }
    let program = std::env::current_exe().unwrap();
    let path = program.ancestors().map(|folder| folder.join("setup/clips").join(name));
    let path = path.into_iter().find(|path| path.is_file());
    let clip = Clip::open(&path.unwrap_or_else(|| panic!("no {name}: run `make setup`")), 120);
    let (mut filed, mut chosen) = (open(Precision::AsFiled), open(Precision::Auto));
    let (mut faces, mut differ) = (0, false);
    for i in (0..clip.frames.len()).step_by(6) {
        let find = |detector: &mut dyn Detector| {
            let mut found: Vec<Detection> = Vec::new();
            detector.detect(&clip.frame(i), &mut found).unwrap();
            found
        };
        let (filed, chosen) = (find(&mut *filed), find(&mut *chosen));
        differ |= filed != chosen;
        // By default 0.45 is enough for a face.
        for (of, other) in [(&filed, &chosen), (&chosen, &filed)] {
            for face in of.iter().filter(|face| face.score >= 0.45) {
                let found = other.iter().find(|d| d.rect.iou(&face.rect) > 0.8);
                let found = found.unwrap_or_else(|| panic!("frame {i}: only once: {face:?}"));
                assert!((found.score - face.score).abs() < most, "frame {i}: {face:?} {found:?}");
                faces += 1;
            }
        }
    }
    assert!(faces >= 30, "{faces} faces");
    assert!(differ, "both ran in single precision");
}

#[test]
fn a_clean_clip() {
    faces_are_the_same("carphone_pristine.mp4", 0.03);
}

#[test]
fn a_spoiled_clip() {
    faces_are_the_same("carphone_distorted.mp4", 0.1);
}
