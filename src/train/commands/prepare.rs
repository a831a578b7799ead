//! `facesr-train prepare`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use facesr::detect::{DetectorKind, DetectorOptions};

use crate::error::{Error, Result};
use crate::prepare::annotations::Annotations;
use crate::prepare::{self, Options};
use crate::scale::Scale;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Layout {
    /// `wider_face_*_bbx_gt.txt`
    Wider,
    /// `list_bbox_celeba.txt`
    Celeba,
}

#[derive(Debug, Args)]
pub(super) struct PrepareArgs {
    /// A folder (with its folders) or a tar of pictures.
    #[arg(long)]
    pictures: PathBuf,
    /// Folder for hr-faces.tar, lr-faces.tar (hr-faces-128.tar, lr-faces-32.tar) and their -test halves.
    #[arg(long)]
    out: PathBuf,
    /// Name of this source of pictures.
    #[arg(long, default_value = "own")]
    source: String,
    /// Detector: auto, seetaface, yunet, centerface.
    #[arg(long, default_value = "auto")]
    detector: String,
    /// Its model file.
    #[arg(long)]
    detector_model: Option<PathBuf>,
    /// Boxes from an annotation file instead of a detector.
    #[arg(long, requires = "layout")]
    annotations: Option<PathBuf>,
    /// Form of the annotation file.
    #[arg(long)]
    layout: Option<Layout>,
    /// `identity_CelebA.txt`, so that no person is on both sides of the split.
    #[arg(long)]
    identities: Option<PathBuf>,
    /// HR faces of a lower variance of the Laplacian are left out as blurred.
    #[arg(long, default_value_t = 100.0)]
    sharpness: f64,
    /// Side of the LR faces: 16 (HR faces of 64) or 32 (128).
    #[arg(long, default_value_t = 16)]
    lr_size: usize,
    /// Replace the faces that a source of this name has in the sets already.
    #[arg(long)]
    force: bool,
    /// Share held apart for tests.
    #[arg(long, default_value_t = 0.04)]
    test_share: f64,
}

pub(super) fn run(args: &PrepareArgs) -> Result<()> {
    let plain = |s: &str| s.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
    if args.source.is_empty() || !plain(&args.source) {
        return Err(Error::Setting("a source is named by letters, digits, - and _".into()));
    }
    if !(0.0..=1.0).contains(&args.test_share) {
        return Err(Error::Setting("the test share lies between 0 and 1".into()));
    }
    let scale = Scale::for_lr(args.lr_size)
        .ok_or_else(|| Error::Setting("--lr-size is 16 or 32".into()))?;
    let annotations = match (&args.annotations, args.layout) {
        (Some(path), Some(Layout::Wider)) => Some(Annotations::wider(path)?),
        (Some(path), Some(Layout::Celeba)) => {
            Some(Annotations::celeba(path, args.identities.as_deref())?)
        }
        _ => None,
    };
    let kind: DetectorKind =
        args.detector.parse::<DetectorKind>().map_err(|e| Error::Setting(e.to_string()))?;
    let options = Options {
        pictures: args.pictures.clone(),
        out: args.out.clone(),
        source: args.source.clone(),
        detector: DetectorOptions::default().kind(kind).model(args.detector_model.clone()),
        annotations,
        sharpness: args.sharpness,
        test_share: args.test_share,
        scale,
        force: args.force,
    };
    let done = prepare::run(&options, |line| eprintln!("{line}"))?;
    println!(
        "{} pictures ({} did not decode): {} HR and {} LR faces; left out: {} blurred, {} twice",
        done.pictures, done.broken, done.hr, done.lr, done.blurred, done.duplicates
    );
    Ok(())
}
