//! Properties of `facesrdetect`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use facesr::FinderOptions;
use facesr::detect::{DetectorKind, DetectorOptions};
use facesr::search::{Rects, RoiFilter};
use gst::glib;
use gst::prelude::*;

use super::Detector;
use crate::settings::{LiveUse, live, path, take, temporal_smoothing, threads};

/// What the properties say.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) detector: Detector,
    pub(crate) model: Option<PathBuf>,
    pub(crate) threads: u32,
    pub(crate) live: Live,
}

/// What may change while playing.
#[derive(Debug, Clone)]
pub(crate) struct Live {
    pub(crate) live: LiveUse,
    /// Milliseconds.
    pub(crate) detect_interval: u32,
    pub(crate) detect_budget: u32,
    pub(crate) detect_width: u32,
    pub(crate) min_score: f64,
    pub(crate) track_min_score: f64,
    pub(crate) temporal_smoothing: f64,
    pub(crate) post_messages: bool,
    pub(crate) zone: Arc<RoiFilter>,
}

impl Default for Settings {
    fn default() -> Self {
        let finder = FinderOptions::default();
        let detector = DetectorOptions::default();
        Self {
            detector: Detector::default(),
            model: None,
            threads: detector.threads as u32,
            live: Live {
                live: LiveUse::default(),
                detect_interval: finder.detect_interval.as_millis() as u32,
                detect_budget: finder.detect_budget,
                detect_width: detector.width,
                min_score: 0.0,
                track_min_score: 0.0,
                temporal_smoothing: f64::from(finder.smoothing),
                post_messages: true,
                zone: Arc::default(),
            },
        }
    }
}

impl Settings {
    /// How to open the detector; `None` if there is none to open.
    pub(crate) fn detector_options(&self) -> Option<DetectorOptions> {
        let kind = match self.detector {
            Detector::Auto => DetectorKind::Auto,
            Detector::SeetaFace => DetectorKind::SeetaFace,
            Detector::YuNet => DetectorKind::YuNet,
            Detector::CenterFace => DetectorKind::CenterFace,
            Detector::None => return None,
        };
        let mut options = DetectorOptions {
            kind,
            model: self.model.clone(),
            threads: self.threads as usize,
            ..DetectorOptions::default()
        };
        self.live.alter(&mut options);
        Some(options)
    }

    /// Sets the property `name`; false if it is not one of these.
    pub(crate) fn set(&mut self, name: &str, value: &glib::Value) -> bool {
        // GObject has checked type and range.
        match name {
            "detector" => take(value, &mut self.detector),
            "detector-model" => self.model = path(value),
            "threads" => take(value, &mut self.threads),
            "live" => take(value, &mut self.live.live),
            "detect-interval" => take(value, &mut self.live.detect_interval),
            "detect-budget" => take(value, &mut self.live.detect_budget),
            "detect-width" => take(value, &mut self.live.detect_width),
            "min-score" => take(value, &mut self.live.min_score),
            "track-min-score" => take(value, &mut self.live.track_min_score),
            "temporal-smoothing" => take(value, &mut self.live.temporal_smoothing),
            "post-messages" => take(value, &mut self.live.post_messages),
            "roi" | "exclude" => return self.live.set_zone(name, value),
            _ => return false,
        }
        true
    }

    /// Value of the property `name`.
    pub(crate) fn get(&self, name: &str) -> Option<glib::Value> {
        Some(match name {
            "detector" => self.detector.to_value(),
            "detector-model" => self.model.to_value(),
            "threads" => self.threads.to_value(),
            "live" => self.live.live.to_value(),
            "detect-interval" => self.live.detect_interval.to_value(),
            "detect-budget" => self.live.detect_budget.to_value(),
            "detect-width" => self.live.detect_width.to_value(),
            "min-score" => self.live.min_score.to_value(),
            "track-min-score" => self.live.track_min_score.to_value(),
            "temporal-smoothing" => self.live.temporal_smoothing.to_value(),
            "post-messages" => self.live.post_messages.to_value(),
            "roi" => written(&self.live.zone.include).to_value(),
            "exclude" => written(&self.live.zone.exclude).to_value(),
            _ => return None,
        })
    }
}

/// A score in the engine's terms, where 0 leaves it to the detector.
fn score(value: f64) -> Option<f32> {
    (value > 0.0).then_some(value as f32)
}

impl Live {
    /// Has `options` of the detector say what may change while playing; whether that is something new.
    pub(crate) fn alter(&self, options: &mut DetectorOptions) -> bool {
        let altered = DetectorOptions {
            width: self.detect_width,
            min_score: score(self.min_score),
            track_min_score: score(self.track_min_score),
            ..options.clone()
        };
        let new = altered != *options;
        *options = altered;
        new
    }

    /// Sets one half of the zone; false, and no change, if the text holds no rectangles.
    fn set_zone(&mut self, name: &str, value: &glib::Value) -> bool {
        let text = value.get::<Option<String>>().ok().flatten().unwrap_or_default();
        let Ok(rects) = text.parse::<Rects>() else { return false };
        let zone = Arc::make_mut(&mut self.zone);
        let half = if name == "roi" { &mut zone.include } else { &mut zone.exclude };
        *half = rects;
        true
    }

    /// How to find; `late` frames are not searched, only tracked.
    pub(crate) fn finder_options(&self, background: bool, late: bool) -> FinderOptions {
        FinderOptions {
            detect_interval: if late {
                Duration::MAX
            } else {
                Duration::from_millis(u64::from(self.detect_interval))
            },
            detect_budget: if late { 0 } else { self.detect_budget },
            smoothing: self.temporal_smoothing as f32,
            background,
            roi: RoiFilter::clone(&self.zone),
        }
    }
}

/// Rectangles as the properties show them.
fn written(rects: &Rects) -> Option<String> {
    (!rects.0.is_empty()).then(|| rects.to_string())
}

/// The properties, without `stats`.
pub(crate) fn properties() -> Vec<glib::ParamSpec> {
    let default = Settings::default();
    vec![
        glib::ParamSpecEnum::builder_with_default("detector", default.detector)
            .nick("Detector")
            .blurb("Which face detector to use")
            .mutable_ready()
            .build(),
        glib::ParamSpecString::builder("detector-model")
            .nick("Detector model")
            .blurb("Model file of the detector (unset = built in, or found in the model folders)")
            .mutable_ready()
            .build(),
        glib::ParamSpecUInt::builder("detect-interval")
            .nick("Detection interval")
            .blurb(
                "Longest time between two searches of the full frame, in milliseconds of video, half \
                 of it while a face has been seen only once (0 = every frame); faces are tracked in \
                 between. Frames further apart than 110 ms are all searched",
            )
            .maximum(60_000)
            .default_value(default.live.detect_interval)
            .mutable_playing()
            .build(),
        glib::ParamSpecUInt::builder("detect-budget")
            .nick("Detection budget")
            .blurb(
                "CPU time for searches, in milliseconds per second of video: what searches of the \
                 full frame leave of it is spent on searches that see faces larger, of the enlarged \
                 frame or of parts of it (0 = none of those)",
            )
            .maximum(1_000_000)
            .default_value(default.live.detect_budget)
            .mutable_playing()
            .build(),
        glib::ParamSpecUInt::builder("detect-width")
            .nick("Detection width")
            .blurb(
                "Width at which full frames are searched, enlarged at most twice: smaller is faster \
                 and misses smaller faces (0 = the detector's own choice)",
            )
            .maximum(facesr::frame::MAX_DIMENSION)
            .default_value(default.live.detect_width)
            .mutable_playing()
            .build(),
        glib::ParamSpecDouble::builder("min-score")
            .nick("Minimum score")
            .blurb("Ignore faces the detector is less sure of (0 = the detector's own choice)")
            .minimum(0.0)
            .maximum(1.0)
            .default_value(default.live.min_score)
            .mutable_playing()
            .build(),
        glib::ParamSpecDouble::builder("track-min-score")
            .nick("Minimum score of tracks")
            .blurb(
                "Keep a face that is known as long as the detector is so sure of it, if that is less \
                 than min-score: faces that turn stay, and some hands before faces with them (0 = \
                 min-score)",
            )
            .minimum(0.0)
            .maximum(1.0)
            .default_value(default.live.track_min_score)
            .mutable_playing()
            .build(),
        glib::ParamSpecString::builder("roi")
            .nick("Regions of interest")
            .blurb(
                "Search only there: x,y,width,height in pixels, several with a semicolon between \
                 them (unset = everywhere)",
            )
            .mutable_playing()
            .build(),
        glib::ParamSpecString::builder("exclude")
            .nick("Excluded regions")
            .blurb("Ignore faces whose middle lies there; written as roi is")
            .mutable_playing()
            .build(),
        live(
            "Whether to search in the background, so that no frame waits for the detector",
            default.live.live,
        ),
        threads("Threads the detector may use", default.threads),
        temporal_smoothing(
            "How much the boxes of faces are steadied over time (0 = not at all)",
            default.live.temporal_smoothing,
        ),
        glib::ParamSpecBoolean::builder("post-messages")
            .nick("Post messages")
            .blurb("Post an element message facesr-faces when faces come or go")
            .default_value(default.live.post_messages)
            .mutable_playing()
            .build(),
    ]
}
