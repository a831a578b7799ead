//! Face detectors, all behind one trait.
//!
//! Each detector answers boxes of one style, whatever it was trained on: the tight WIDER FACE box
//! from the forehead to the chin, from which [`CropSquare::around`](crate::CropSquare::around) makes the
//! crop. The factor from a detector's own box to that one is a constant beside the detector,
//! measured on faces with known eyes.

mod centerface;
mod network;
mod nms;
pub(crate) mod preprocess;
mod seetaface;
mod sizing;
mod yunet;

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

pub use self::sizing::Sizing;
use crate::error::{Error, ModelError, UnknownName};
pub use crate::face::Detection;
use crate::frame::Frame;
use crate::inference::loader;
use crate::inference::model_source::{self, ModelSource};
use crate::search::{RoiFilter, SearchLayout, SearchRegion, is_same, is_small};
use crate::util::setters;
use facesr_onnx as onnx;

/// Finds faces in frames.
pub trait Detector: Send {
    /// Its name, as [`DetectorKind`] spells it.
    fn name(&self) -> &'static str;

    /// Appends the faces of `frame` to `found`, best score first. Frames may change size from
    /// call to call.
    ///
    /// # Errors
    /// [`Error::Inference`] if the model fails on this frame; later frames may be tried.
    fn detect(&mut self, frame: &Frame<'_>, found: &mut Vec<Detection>) -> Result<(), Error>;

    /// Least score of a face. Detections of less are low-score ones: no track begins with them, but a face that
    /// is known is taken to be still there ([`DetectorOptions::track_min_score`]).
    fn min_score(&self) -> f32 {
        0.0
    }

    /// How large it sees frames.
    fn sizing(&self) -> Sizing {
        Sizing::AS_IT_IS
    }

    /// As [`Detector::detect`], but sees `frame`, which may be a part of one, at `scale` detector
    /// pixels per pixel as it is shown, if [`Sizing::ms_per_megapixel`] says that it can.
    ///
    /// # Errors
    /// As [`Detector::detect`].
    fn detect_at_scale(
        &mut self,
        frame: &Frame<'_>,
        _scale: f32,
        found: &mut Vec<Detection>,
    ) -> Result<(), Error> {
        self.detect(frame, found)
    }

    /// CPU time that threads of its own have spent on detection so far. Threads of ONNX Runtime
    /// (more than one was asked for) cannot be counted.
    fn helper_time(&self) -> Duration {
        Duration::ZERO
    }
}

/// The faces that `detector` finds in a region of `frame`; none if the region does not lie in it.
/// Faces of which a tile shows only a part are left to its neighbors.
///
/// # Errors
/// What the detector returns.
pub(crate) fn search(
    detector: &mut dyn Detector,
    frame: &Frame<'_>,
    region: &SearchRegion,
) -> Result<Vec<Detection>, Error> {
    let mut found = Vec::new();
    let window = &region.window;
    let Some(part) = window.of(frame) else { return Ok(found) };
    let (width, height) = (window.width as f32 * region.aspect, window.height as f32);
    let own_scale = detector.sizing().full_scale(width, height);
    if region.is_tile || region.is_enlarged || region.scale != own_scale {
        detector.detect_at_scale(&part, region.scale, &mut found)?;
    } else {
        detector.detect(&part, &mut found)?;
    }
    for Detection { rect, .. } in &mut found {
        rect.x += window.x as f32;
        rect.y += window.y as f32;
    }
    found.retain(|d| !region.is_tile || region.contains(&d.rect));
    Ok(found)
}

/// The faces of a picture that is searched at all scales and in all tiles: as many are found as the
/// detector can, in several times the time.
///
/// # Errors
/// What [`Detector::detect`] returns.
pub fn search_at_full_resolution(
    detector: &mut dyn Detector,
    frame: &Frame<'_>,
    found: &mut Vec<Detection>,
) -> Result<(), Error> {
    let info = frame.info();
    let layout = SearchLayout::new(info, &RoiFilter::default(), 1.0, |width, height| {
        detector.sizing().full_scale(width, height)
    });
    found.extend(search(detector, frame, &layout.full)?);
    if detector.sizing().ms_per_megapixel.is_none() {
        return Ok(());
    }
    let full_scale = layout.full.scale;
    if let Some(enlarged) = layout.enlarged.first() {
        found.extend(search(detector, frame, enlarged)?);
    }
    let mut from_tiles = Vec::new();
    for tile in &layout.tiles {
        from_tiles.extend(search(detector, frame, &tile.region)?);
    }
    let small = |d: &Detection| is_small(&d.rect, full_scale);
    let part = |d: &Detection, of: &Detection| {
        !small(of) && of.score >= d.score && is_same(&of.rect, &d.rect)
    };
    from_tiles.retain(|d| small(d) && !found.iter().any(|of| part(d, of)));
    // What several see is believed where it is seen best.
    found.append(&mut from_tiles);
    nms::suppress(found, MAX_IOU_OF_TILES);
    Ok(())
}

/// Boxes of two tiles that overlap by more are one face.
const MAX_IOU_OF_TILES: f32 = 0.3;

/// How a detector's own boxes become WIDER-style boxes.
#[derive(Debug, Clone, Copy, PartialEq)]
struct BoxFit {
    /// WIDER-style longer side over the detector's.
    side: f32,
    /// How far the WIDER-style center lies below the detector's, over the detector's longer side.
    down: f32,
}

impl BoxFit {
    fn apply(&self, found: &mut [Detection]) {
        for Detection { rect, .. } in found {
            rect.y += self.down * rect.w.max(rect.h);
            *rect = rect.scaled(self.side);
        }
    }
}

/// Which detector to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum DetectorKind {
    /// The best whose model is at hand: CenterFace, else YuNet, else SeetaFace.
    #[default]
    Auto,
    /// SeetaFace (crate rustface); its model is embedded, so it always works.
    SeetaFace,
    /// YuNet, an ONNX file.
    YuNet,
    /// CenterFace, an ONNX file.
    CenterFace,
}

impl DetectorKind {
    /// Every kind, with the name that properties and options use.
    pub const NAMES: [(Self, &'static str); 4] = [
        (Self::Auto, "auto"),
        (Self::SeetaFace, "seetaface"),
        (Self::YuNet, "yunet"),
        (Self::CenterFace, "centerface"),
    ];

    /// The name that properties and options use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::SeetaFace => "seetaface",
            Self::YuNet => "yunet",
            Self::CenterFace => "centerface",
        }
    }
}

impl FromStr for DetectorKind {
    type Err = UnknownName;

    fn from_str(s: &str) -> Result<Self, UnknownName> {
        let found = Self::NAMES.iter().find(|(_, name)| *name == s);
        found.map(|(kind, _)| *kind).ok_or_else(|| UnknownName {
            what: "detector",
            name: s.into(),
            known: Self::NAMES.iter().map(|(_, name)| *name).collect(),
        })
    }
}

/// The numbers that a detector computes with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Precision {
    /// 8-bit integers where the processor [gains](model_source::has_byte_products) and it is known what
    /// the model loses (CenterFace's file as `make setup` fetches it), else what the file holds.
    #[default]
    Auto,
    /// What the file holds.
    AsFiled,
}

/// How to detect.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct DetectorOptions {
    /// Which detector.
    pub kind: DetectorKind,
    /// Its model file; `None` looks in the model folders (see [`crate::inference::model_source`]).
    pub model: Option<PathBuf>,
    /// Width in pixels at which full frames are searched, enlarged at most twice; 0 for the
    /// detector's own choice. Smaller is faster and misses smaller faces. Other searches, of parts or
    /// of enlarged frames, do not depend on it.
    pub width: u32,
    /// Detections of a lower score are dropped, 0 to 1; `None` for the detector's own choice.
    pub min_score: Option<f32>,
    /// Faces that are known already stay as long as they are found with this score, if it is lower: a face
    /// that turns or is half hidden scores less (Zhang et al., "ByteTrack: multi-object tracking by
    /// associating every detection box", 2022). So does a hand that comes before it, which is why `None`,
    /// the same score for all, is the default.
    pub track_min_score: Option<f32>,
    /// Threads of the detector's ONNX session, 1 or more.
    pub threads: usize,
    /// What it computes with.
    pub precision: Precision,
}

setters!(DetectorOptions {
    kind: DetectorKind,
    model: Option<PathBuf>,
    width: u32,
    min_score: Option<f32>,
    track_min_score: Option<f32>,
    threads: usize,
    precision: Precision,
});

impl Default for DetectorOptions {
    fn default() -> Self {
        Self {
            kind: DetectorKind::Auto,
            model: None,
            width: 0,
            min_score: None,
            track_min_score: None,
            threads: 1,
            precision: Precision::Auto,
        }
    }
}

/// The scores from which on a detector answers detections.
#[derive(Debug, Clone, Copy)]
struct Scores {
    /// Of a face.
    min: f32,
    /// Of a face that is known already.
    low: f32,
}

impl DetectorOptions {
    /// The scores for a detector whose own choice is `min`.
    fn scores(&self, min: f32) -> Scores {
        let min = self.min_score.unwrap_or(min);
        Scores { min, low: self.track_min_score.unwrap_or(min).min(min) }
    }
}

/// File names that CenterFace is found under.
const CENTERFACE_FILES: [&str; 1] = ["centerface.onnx"];

/// File names that YuNet is found under, the best first.
const YUNET_FILES: [&str; 3] =
    ["yunet_n_dynamic.onnx", "face_detection_yunet_2023mar.onnx", "yunet_s_640_640.onnx"];

const CENTERFACE_REMEDY: &str = "run `make setup`, which fetches centerface.onnx, or name the \
                                 file; detector seetaface needs none";
const YUNET_REMEDY: &str = "fetch face_detection_yunet_2023mar.onnx from OpenCV's model zoo \
                            (models/face_detection_yunet) and name it; detector seetaface needs \
                            no file";
const ANY_REMEDY: &str = "check the path, or leave the model file unset to use what is installed";

/// Loads a detector.
///
/// # Errors
/// [`ModelError`] names the file and what to do if the model is missing, damaged or of another
/// shape, or if ONNX Runtime is missing.
pub fn open(options: &DetectorOptions) -> Result<Box<dyn Detector>, ModelError> {
    match (options.kind, &options.model) {
        (DetectorKind::Auto, Some(path)) => {
            let source = ModelSource::file(path, ANY_REMEDY)?;
            let file = loader::read(&source)?;
            if seetaface::is_seetaface(&file) {
                return Ok(Box::new(seetaface::SeetaFace::from_bytes(&source, file, options)?));
            }
            let declared = declared(&source, &file)?;
            let file = file.into_owned();
            if yunet::is_yunet(&declared) {
                Ok(Box::new(yunet::open(source, file, &declared, options)?))
            } else if centerface::is_centerface(&declared) {
                Ok(Box::new(centerface::open(source, file, &declared, options)?))
            } else {
                let wanted = "a YuNet, CenterFace or SeetaFace model";
                Err(contract(&source, &declared, wanted))
            }
        }
        (DetectorKind::Auto, None) => match installed() {
            Some((kind, path)) => {
                open(&DetectorOptions { kind, model: Some(path), ..options.clone() })
            }
            None => open(&DetectorOptions { kind: DetectorKind::SeetaFace, ..options.clone() }),
        },
        (DetectorKind::SeetaFace, path) => {
            let source = match path {
                Some(path) => ModelSource::file(path, ANY_REMEDY)?,
                None => seetaface::EMBEDDED,
            };
            Ok(Box::new(seetaface::SeetaFace::open(source, options)?))
        }
        (DetectorKind::YuNet, path) => {
            let source = named_or_found(path, "detector yunet", &YUNET_FILES, YUNET_REMEDY)?;
            let file = loader::read(&source)?;
            let declared = declared(&source, &file)?;
            Ok(Box::new(yunet::open(source, file.into_owned(), &declared, options)?))
        }
        (DetectorKind::CenterFace, path) => {
            let what = "detector centerface";
            let source = named_or_found(path, what, &CENTERFACE_FILES, CENTERFACE_REMEDY)?;
            let file = loader::read(&source)?;
            let declared = declared(&source, &file)?;
            let file = file.into_owned();
            Ok(Box::new(centerface::open(source, file, &declared, options)?))
        }
    }
}

/// The best detector whose model lies in a model folder, and that model.
pub fn installed() -> Option<(DetectorKind, PathBuf)> {
    let centerface = model_source::find(&CENTERFACE_FILES).map(|p| (DetectorKind::CenterFace, p));
    centerface.or_else(|| model_source::find(&YUNET_FILES).map(|p| (DetectorKind::YuNet, p)))
}

fn named_or_found(
    path: &Option<PathBuf>,
    what: &'static str,
    names: &[&str],
    remedy: &str,
) -> Result<ModelSource, ModelError> {
    if let Some(path) = path {
        return ModelSource::file(path, remedy);
    }
    let not_found = || ModelError::NotFound {
        what,
        looked_in: model_source::folders(),
        remedy: remedy.to_string(),
    };
    model_source::find(names).map(ModelSource::File).ok_or_else(not_found)
}

fn declared(source: &ModelSource, file: &[u8]) -> Result<onnx::Signature, ModelError> {
    onnx::signature(file).map_err(|e| ModelError::invalid(&source, e.into()))
}

/// The error for a model that declares something else than was wanted.
fn contract(source: &ModelSource, declared: &onnx::Signature, wanted: &'static str) -> ModelError {
    let list = |values: &[onnx::Value]| {
        let mut list: Vec<String> = values
            .iter()
            .take(4)
            .map(|v| match &v.dims {
                Some(dims) => format!("{} {dims:?}", v.name),
                None => v.name.clone(),
            })
            .collect();
        if values.len() > list.len() {
            list.push(format!("{} more", values.len() - list.len()));
        }
        list.join(", ")
    };
    ModelError::Contract {
        model: source.to_string(),
        source: format!(
            "its inputs are {}, its outputs {}",
            list(&declared.inputs),
            list(&declared.outputs)
        )
        .into(),
        wanted,
    }
}
