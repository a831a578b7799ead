//! Pictures with known boxes become sets that the trainer reads.

use facesr_train::dataset::faces::Faces;
use facesr_train::dataset::pictures::Size;
use facesr_train::prepare::annotations::Annotations;
use facesr_train::prepare::{Options, run};
use facesr_train::rng::{Rng, Stream};
use facesr_train::scale::Scale;

/// A picture of coarse random patches.
fn picture(seed: u64, side: u32) -> image::RgbImage {
    let mut rng = Rng::new(seed, Stream::Batch, 0);
    let patches: Vec<[u8; 3]> =
        (0..400).map(|_| std::array::from_fn(|_| rng.below(256) as u8)).collect();
    image::RgbImage::from_fn(side, side, |x, y| {
        image::Rgb(patches[((y / 9 % 20) * 20 + x / 9 % 20) as usize])
    })
}

#[test]
fn known_boxes_become_sets() {
    let dir = tempfile::tempdir().unwrap();
    let pictures = dir.path().join("pictures");
    std::fs::create_dir_all(pictures.join("a")).unwrap();
    let mut list = String::new();
    for i in 0..30 {
        let name = format!("a/{i}.png");
        picture(i, 160).save(pictures.join(&name)).unwrap();
        // A HR face, a LR one, and one of a size in between that goes nowhere.
        list += &format!(
            "{name}\n3\n20 20 80 90 0 0 0 0 0 0\n110 110 14 17 0 0 0 0 0 0\n60 60 35 40 0 0 0 0 0 0\n"
        );
    }
    // The same picture again: its faces are near-duplicates.
    std::fs::copy(pictures.join("a/0.png"), pictures.join("a/copy.png")).unwrap();
    list += "a/copy.png\n1\n20 20 80 90 0 0 0 0 0 0\n";
    std::fs::write(pictures.join("a/broken.jpg"), b"no picture").unwrap();
    let boxes = dir.path().join("boxes.txt");
    std::fs::write(&boxes, list).unwrap();
    let options = Options {
        pictures,
        out: dir.path().join("sets"),
        source: "own".into(),
        detector: Default::default(),
        annotations: Some(Annotations::wider(&boxes).unwrap()),
        sharpness: 1.0,
        test_share: 0.3,
        scale: Scale::SMALL,
        force: false,
    };
    let done = run(&options, |_| ()).unwrap();
    assert_eq!((done.pictures, done.broken, done.duplicates), (32, 1, 1));
    assert_eq!((done.hr, done.lr), (30, 30));
    let load =
        |name: &str, side| Faces::load(&options.out.join(name), Size::Exactly(side), None).unwrap();
    let (train, test) = (load("hr-faces.tar", 64), load("hr-faces-test.tar", 64));
    assert_eq!(train.len() + test.len(), 30);
    assert_eq!(load("lr-faces.tar", 16).len() + load("lr-faces-test.tar", 16).len(), 30);
    assert_eq!(train.source(0), "own");

    // Again, the same source: nothing is lost without being asked for.
    let error = run(&options, |_| ()).unwrap_err().to_string();
    assert!(error.contains("own") && error.contains("--force"), "{error}");
    let other = Options { source: "other".into(), ..options.clone() };
    run(&other, |_| ()).unwrap();
    let both = load("hr-faces.tar", 64);
    let of = |source: &str| (0..both.len()).filter(|&i| both.source(i) == source).count();
    assert_eq!((of("own"), of("other")), (train.len(), both.len() - train.len()));
    assert!(of("other") > 0);
    let large = Options { scale: Scale::LARGE, source: "large".into(), ..options.clone() };
    let error = run(&large, |_| ()).map(|done| done.hr);
    // Squares of 99 pixels are too small for 128, and so are faces of 14 for 32: those of 35 fit.
    assert_eq!(error.unwrap(), 0);
    assert!(load("lr-faces-32.tar", 32).len() > 10);
    run(&Options { force: true, ..options.clone() }, |_| ()).unwrap();
    assert_eq!(load("hr-faces.tar", 64).len(), both.len(), "replaced, not doubled");
}

#[test]
fn nothing_found_is_a_plain_sentence() {
    let dir = tempfile::tempdir().unwrap();
    picture(1, 32).save(dir.path().join("a.png")).unwrap();
    let boxes = dir.path().join("boxes.txt");
    std::fs::write(&boxes, "").unwrap();
    let options = Options {
        pictures: dir.path().into(),
        out: dir.path().join("sets"),
        source: "own".into(),
        detector: Default::default(),
        annotations: Some(Annotations::wider(&boxes).unwrap()),
        sharpness: 1.0,
        test_share: 0.3,
        scale: Scale::SMALL,
        force: false,
    };
    let error = run(&options, |_| ()).unwrap_err().to_string();
    assert!(error.contains("no face in 1 pictures"), "{error}");
}
