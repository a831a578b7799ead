//! From pictures to training sets in the crop convention: find the faces (with the engine's own
//! detector, or from the annotation files of CelebA and WIDER FACE), cropped as the engine crops at
//! run time, drop blurred ones and near-duplicates, split by person or source picture, write tars.

pub mod annotations;
pub mod crop;
pub mod duplicates;
pub mod pictures;
pub mod write;

use std::path::PathBuf;

use facesr::detect::{self, DetectorOptions};
use facesr::frame::{Frame, FrameInfo, PixelFormat};
use facesr::geometry::{CropSquare, Rect};

use self::annotations::Annotations;
use self::crop::{Crop, Kind};
use crate::error::{Error, Result};
use crate::scale::Scale;

/// Pictures with more pixels are not decoded.
const MAX_PIXELS: u64 = 1 << 27;

/// What to make.
#[derive(Debug, Clone)]
pub struct Options {
    /// A folder or a tar of pictures.
    pub pictures: PathBuf,
    /// Folder for the tars.
    pub out: PathBuf,
    /// Name of the source: the folder within the tars.
    pub source: String,
    /// How to find the faces.
    pub detector: DetectorOptions,
    /// Boxes that are known already.
    pub annotations: Option<Annotations>,
    /// Least variance of the Laplacian of a 64x64 face (0..255 scale).
    pub sharpness: f64,
    /// Share held apart for tests.
    pub test_share: f64,
    /// Sides of the faces.
    pub scale: Scale,
    /// Replace the faces of a source of this name.
    pub force: bool,
}

/// How many faces went where.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Pictures looked at.
    pub pictures: usize,
    /// Pictures that did not decode.
    pub broken: usize,
    /// HR faces written.
    pub hr: usize,
    /// LR faces written.
    pub lr: usize,
    /// Blurred faces left out.
    pub blurred: usize,
    /// Near-duplicates left out.
    pub duplicates: usize,
}

/// Makes the sets and says what came of it. `tell` hears of progress.
///
/// # Errors
/// When nothing can be read, no face is found, or a file cannot be written.
pub fn run(options: &Options, mut tell: impl FnMut(&str)) -> Result<Summary> {
    let mut summary = Summary::default();
    let mut crops: Vec<Crop> = Vec::new();
    let mut detector = match &options.annotations {
        Some(_) => None,
        None => Some(detect::open(&options.detector).map_err(|e| Error::Data(e.to_string()))?),
    };
    pictures::each(&options.pictures, |name, bytes| {
        summary.pictures += 1;
        if summary.pictures.is_multiple_of(500) {
            tell(&format!("{} pictures, {} faces", summary.pictures, crops.len()));
        }
        // Looked at before a pixel is decoded: a picture of some bytes can claim any size.
        let fits = |(w, h): (u32, u32)| u64::from(w) * u64::from(h) <= MAX_PIXELS;
        let picture = match crate::dataset::pictures::claimed_size(&bytes) {
            Ok(size) if fits(size) => image::load_from_memory(&bytes).ok(),
            _ => None,
        };
        let Some(picture) = picture else {
            summary.broken += 1;
            return Ok(());
        };
        let rgb = picture.into_rgb8();
        let (width, height) = rgb.dimensions();
        let info = FrameInfo::new(PixelFormat::Rgb, width, height);
        let planes = [rgb.as_raw().as_slice()];
        let Ok(frame) = Frame::new(info, &planes, &[width as usize * 3]) else {
            summary.broken += 1;
            return Ok(());
        };
        let boxes: Vec<(Rect, f32)> = match (&mut detector, &options.annotations) {
            (Some(detector), _) => {
                let mut found = Vec::new();
                detector.detect(&frame, &mut found).map_err(|e| Error::Data(e.to_string()))?;
                found.iter().map(|d| (d.rect, d.score)).collect()
            }
            (None, Some(known)) => known.boxes(name).iter().map(|r| (*r, 1.0)).collect(),
            (None, None) => Vec::new(),
        };
        let identity = options.annotations.as_ref().and_then(|a| a.identity(name));
        for (rect, score) in boxes {
            let Some(square) = CropSquare::around(&rect, width, height) else { continue };
            let Some(kind) = Kind::of(rect, square, options.scale) else { continue };
            let pixels = crop::crop(&frame, rgb.as_raw(), square, kind, options.scale);
            let side = kind.side(options.scale);
            let sharpness = crop::sharpness(&pixels, side);
            if kind == Kind::Hr && sharpness < options.sharpness {
                summary.blurred += 1;
                continue;
            }
            let identity = identity.map(|i| format!("{}:{i}", options.source));
            let original = name.to_owned();
            crops.push(Crop { kind, side, pixels, original, identity, rect, score, sharpness });
        }
        Ok(())
    })?;
    let before = crops.len();
    let crops = duplicates::without(crops);
    summary.duplicates = before - crops.len();
    if crops.is_empty() {
        return Err(Error::Data(format!(
            "{}: no face in {} pictures that is large enough or small enough for {}",
            options.pictures.display(),
            summary.pictures,
            options.scale
        )));
    }
    summary.hr = crops.iter().filter(|c| c.kind == Kind::Hr).count();
    summary.lr = crops.len() - summary.hr;
    let place = (options.out.as_path(), options.scale);
    write::all(&crops, &options.source, place, options.test_share, options.force)?;
    Ok(summary)
}
