//! Reports to look at: what was seen in a video, as one page and as a folder of faces.

mod best_shots;
mod gallery;
mod html;
mod index;
mod picture;

use std::path::Path;

use image::RgbImage;
use serde_json::{Value, json};

pub(crate) use best_shots::BestShots;
pub(crate) use gallery::Gallery;
pub(crate) use index::{Entry, Failed, write as write_index};

use crate::files::AtomicFile;
use crate::media::Outcome;
use crate::term::Failure;
use best_shots::{BestShot, Track};

/// Faces that a page shows at most: the best.
const MOST: usize = 200;

/// Where the things to look at go.
pub(crate) struct ReportTargets {
    /// The page.
    pub(crate) page: Option<AtomicFile>,
    /// The folder of faces.
    pub(crate) gallery: Option<Gallery>,
}

/// A face as it is shown.
struct ShownFace<'a> {
    id: u64,
    track: &'a Track,
    look: &'a BestShot,
    pictures: picture::Face,
    /// The frame around it as it came, and as it left.
    before: RgbImage,
    after: RgbImage,
}

impl ReportTargets {
    /// Checks that page and gallery can be written.
    pub(crate) fn create(
        page: Option<&Path>,
        gallery: Option<&Path>,
        force: bool,
    ) -> Result<Self, Failure> {
        Ok(Self {
            page: page.map(|page| AtomicFile::create(page, force)).transpose()?,
            gallery: gallery.map(|folder| Gallery::create(folder, force)).transpose()?,
        })
    }

    /// Whether anything is wanted.
    pub(crate) fn wanted(&self) -> bool {
        self.page.is_some() || self.gallery.is_some()
    }

    /// Writes what is wanted. `report` is what `--json` would tell.
    pub(crate) fn write(
        self,
        mut shots: BestShots,
        outcome: &Outcome,
        report: &Value,
        scale: u32,
    ) -> Result<(), Failure> {
        shots.keep_best();
        let highlights = shots.best_highlights();
        let looks: Vec<_> = shots
            .tracks
            .iter()
            .filter_map(|(id, track)| Some((*id, track, track.best.as_ref()?)))
            .collect();
        let best: Vec<_> = looks.iter().map(|(_, _, shot)| *shot).collect();
        let pictures = picture::faces(&outcome.element, &best, scale)?;
        let shown: Vec<_> = looks
            .into_iter()
            .zip(pictures)
            .map(|((id, track, look), pictures)| {
                let before = picture::picture(&look.before)?;
                let after = picture::picture(&look.after)?;
                Ok(ShownFace { id, track, look, pictures, before, after })
            })
            .collect::<Result<_, Failure>>()?;
        let input = report["input"].as_str().unwrap_or_default();
        if let Some(page) = self.page {
            let html = html::page(input, &shots, highlights, &shown, report, scale)?;
            page.write(html.as_bytes())?;
        }
        match self.gallery {
            Some(gallery) => gallery.write(input, &shown, scale),
            None => Ok(()),
        }
    }
}

impl ShownFace<'_> {
    /// When and where, in pixels of the input.
    fn to_json(&self, scale: u32) -> Value {
        let round = |v: f64, steps: f64| (v * steps).round() / steps;
        let pixels = |v: f32| round(f64::from(v) / f64::from(scale), 10.0);
        let r = self.look.rect;
        json!({
            "track": self.id,
            "time_s": round(self.look.time, 1e3),
            "box": { "x": pixels(r.x), "y": pixels(r.y), "w": pixels(r.w), "h": pixels(r.h) },
            "score": round(f64::from(self.look.score), 1e3),
            "first_s": round(self.track.first, 1e3),
            "last_s": round(self.track.last, 1e3),
            "frames": self.track.frames,
        })
    }
}
