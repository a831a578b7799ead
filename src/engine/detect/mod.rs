//! Face detectors, all behind one trait.
//!
//! Each detector answers boxes of one style, whatever it was trained on: the tight WIDER FACE box
//! from the forehead to the chin, from which [`Square::around`](crate::Square::around) makes the
//! crop. The factor from a detector's own box to that one is a constant beside the detector,
//! measured on faces with known eyes.

mod centerface;
mod input;
mod nms;
mod seetaface;
mod yunet;

use std::path::PathBuf;
use std::str::FromStr;

use crate::error::{Error, ModelError};
use crate::frame::Frame;
use crate::geometry::Rect;

/// One face that was found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Detection {
    /// WIDER-style box, luma pixels of the frame.
    pub rect: Rect,
    /// Confidence, 0 to 1; comparable within one detector only.
    pub score: f32,
}

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
}

/// Which detector to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
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
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        Self::NAMES.iter().find(|(_, name)| *name == s).map(|(kind, _)| *kind).ok_or_else(|| {
            let names: Vec<_> = Self::NAMES.iter().map(|(_, name)| *name).collect();
            format!("unknown detector '{s}'; known are {}", names.join(", "))
        })
    }
}

/// How to detect.
#[derive(Debug, Clone, PartialEq)]
pub struct DetectorOptions {
    /// Which detector.
    pub kind: DetectorKind,
    /// Its model file; `None` looks in the model folders (see [`crate::models`]).
    pub model: Option<PathBuf>,
    /// Width in pixels to which a wider frame is reduced before detection, 0 for the detector's
    /// own choice. Smaller is faster and misses smaller faces.
    pub width: u32,
    /// Detections of a lower score are dropped, 0 to 1; `None` for the detector's own choice.
    pub min_score: Option<f32>,
    /// Threads of the detector's ONNX session, 1 or more.
    pub threads: usize,
}

impl Default for DetectorOptions {
    fn default() -> Self {
        Self { kind: DetectorKind::Auto, model: None, width: 0, min_score: None, threads: 1 }
    }
}

/// Loads a detector.
///
/// # Errors
/// [`ModelError`] names the file and what to do if the model is missing, damaged or of another
/// shape, or if ONNX Runtime is missing.
pub fn open(options: &DetectorOptions) -> Result<Box<dyn Detector>, ModelError> {
    let _ = options;
    unimplemented!()
}
