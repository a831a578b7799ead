//! Pairs of real encoders: the same shards from the same seed, nobody on both sides, crops that fit
//! their originals.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod common;

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use facesr_train::dataset::pairs::PairSet;
use facesr_train::dataset::pictures::halve;
use facesr_train::pairs::recipe::Recipe;
use facesr_train::pairs::{Options, run};
use facesr_train::scale::Scale;

/// An archive of drawn faces of 128x128, two of each person.
fn write_faces(folder: &Path, n: usize) -> PathBuf {
    let path = folder.join("hr-faces-128.tar");
    let drawn = common::set(n, 128, 0.0, 3);
    let mut tar = tar::Builder::new(std::fs::File::create(&path).unwrap());
    let mut manifest = String::from("file,source,original,identity,yaw\n");
    let mut add = |name: &str, bytes: &[u8]| {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_cksum();
        tar.append_data(&mut header, name, bytes).unwrap();
    };
    for i in 0..n {
        let picture = image::RgbImage::from_raw(128, 128, drawn.rgb(i).to_vec()).unwrap();
        let mut png = std::io::Cursor::new(Vec::new());
        picture.write_to(&mut png, image::ImageFormat::Png).unwrap();
        add(&format!("drawn/{i:05}.png"), png.get_ref());
        manifest +=
            &format!("drawn/{i:05}.png,drawn,,p{},{}\n", i / 2, if i % 4 == 0 { 0.6 } else { 0.1 });
    }
    add("manifest.csv", manifest.as_bytes());
    tar.finish().unwrap();
    path
}

fn options(folder: &Path, out: &str) -> Options {
    Options {
        hr: vec![write_faces(folder, 120)],
        backgrounds: Vec::new(),
        out: folder.join(out),
        seed: 4,
        train: 2,
        held: 1,
        recipe: Recipe {
            size: (160, 120),
            frames: 6,
            faces: 8,
            native: (12.0, 50.0),
            shard: 24,
            ages: vec![0, 2, 5],
            ..Recipe::default()
        },
    }
}

#[test]
fn shards_are_a_function_of_seed_and_number_and_runs_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let go = AtomicBool::new(false);
    let whole = options(dir.path(), "whole");
    assert_eq!(run(&whole, &go, |_| ()).unwrap(), 3);
    let parts = Options { train: 1, ..options(dir.path(), "parts") };
    assert_eq!(run(&parts, &go, |_| ()).unwrap(), 2);
    assert_eq!(run(&Options { train: 2, ..parts.clone() }, &go, |_| ()).unwrap(), 1);
    for name in ["held-0000.pairs", "train-0000.pairs", "train-0001.pairs", "manifest.json"] {
        let read = |o: &Options| std::fs::read(o.out.join(name)).unwrap();
        assert!(read(&whole) == read(&parts), "{name}");
    }
    assert!(
        std::fs::read(whole.out.join("train-0000.pairs")).unwrap()
            != std::fs::read(whole.out.join("train-0001.pairs")).unwrap()
    );
    assert_eq!(run(&whole, &go, |_| ()).unwrap(), 0, "nothing is made twice");
    let error = run(&Options { seed: 5, ..whole.clone() }, &go, |_| ()).unwrap_err().to_string();
    assert!(error.contains("another --out"), "{error}");
    std::fs::remove_file(whole.out.join("manifest.json")).unwrap();
    let error = run(&whole, &go, |_| ()).unwrap_err().to_string();
    assert!(error.contains("no manifest"), "{error}");
    let stopped = Options { out: dir.path().join("stopped"), ..whole };
    assert_eq!(run(&stopped, &AtomicBool::new(true), |_| ()).unwrap(), 0);
}

#[test]
fn held_people_are_on_one_side_and_crops_fit_their_originals() {
    let dir = tempfile::tempdir().unwrap();
    let options = options(dir.path(), "pairs");
    run(&options, &AtomicBool::new(false), |_| ()).unwrap();
    let open =
        |held| PairSet::open(std::slice::from_ref(&options.out), held, Scale::LARGE).unwrap();
    let (train, held) = (open(false), open(true));
    let people = |set: &PairSet| -> std::collections::BTreeSet<u32> {
        (0..set.len()).map(|i| set.read(i).unwrap().row.original / 2).collect()
    };
    assert!(people(&train).is_disjoint(&people(&held)));
    let (mut near, mut far) = (0.0, 0.0);
    let distance = |a: &[u8], b: &[u8]| {
        a.iter().zip(b).map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2)).sum::<f64>()
            / a.len() as f64
    };
    for i in 0..train.len() {
        let pair = train.read(i).unwrap();
        let shrunk = halve(&halve(&pair.hr, 64), 32);
        near += distance(&pair.lr, &shrunk);
        let other = train.read((i + 7) % train.len()).unwrap();
        far += distance(&other.lr, &shrunk);
    }
    assert!(near < 0.4 * far, "own {near}, another's {far}");
}
