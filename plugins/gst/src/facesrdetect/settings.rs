//! Properties of `facesrdetect`.

use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use facesr::FinderOptions;
use facesr::detect::{DetectorKind, DetectorOptions};
use facesr::search::RoiFilter;
use gst::glib;
use gst::prelude::*;

use super::Detector;
use crate::common::live::LiveMode;
use crate::common::properties::{
    self, Property, PropertyTable, exclude, live, number, property, read_value, share,
    source_scale, temporal_smoothing, threads,
};
use crate::common::roi_text::RoiTexts;

/// What 0.1.0 took for the time between two frames, where it counted frames.
const MS_A_FRAME: u32 = 40;

/// What the properties say.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) detector: Detector,
    model: Option<PathBuf>,
    threads: u32,
    pub(crate) live: LiveMode,
    /// Milliseconds.
    detect_interval: u32,
    detect_budget: u32,
    detect_width: u32,
    min_score: f64,
    track_min_score: f64,
    temporal_smoothing: f64,
    source_scale: f64,
    pub(crate) post_messages: bool,
    /// As it was written: the element does not start with a text that it cannot read.
    roi: Option<String>,
    exclude: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        let finder = FinderOptions::default();
        let detector = DetectorOptions::default();
        Self {
            detector: Detector::default(),
            model: None,
            threads: detector.threads as u32,
            live: LiveMode::default(),
            detect_interval: finder.detect_interval.as_millis() as u32,
            detect_budget: finder.detect_budget,
            detect_width: detector.width,
            min_score: 0.0,
            track_min_score: 0.0,
            temporal_smoothing: f64::from(finder.smoothing),
            source_scale: f64::from(finder.source_scale),
            post_messages: true,
            roi: None,
            exclude: None,
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
        let options = DetectorOptions::default()
            .kind(kind)
            .model(self.model.clone())
            .threads(self.threads as usize);
        Some(self.apply_to(&options))
    }

    /// `options` with what may change while playing; model and threads stay as they were opened.
    pub(crate) fn apply_to(&self, options: &DetectorOptions) -> DetectorOptions {
        // 0 leaves a score to the detector.
        let score = |value: f64| (value > 0.0).then_some(value as f32);
        options
            .clone()
            .width(self.detect_width)
            .min_score(score(self.min_score))
            .track_min_score(score(self.track_min_score))
    }

    /// How to find; `late` frames are not searched, only tracked.
    pub(crate) fn finder_options(
        &self,
        background: bool,
        late: bool,
        regions: &RoiFilter,
    ) -> FinderOptions {
        let (interval, budget) = match late {
            true => (Duration::MAX, 0),
            false => (Duration::from_millis(self.detect_interval.into()), self.detect_budget),
        };
        FinderOptions::default()
            .detect_interval(interval)
            .detect_budget(budget)
            .smoothing(self.temporal_smoothing as f32)
            .background(background)
            .roi(regions.clone())
            .source_scale(self.source_scale as f32)
    }

    /// Where to look for faces, and where not.
    ///
    /// # Errors
    /// A text that holds anything but rectangles.
    pub(crate) fn regions(&self) -> Result<RoiTexts, gst::ErrorMessage> {
        RoiTexts::parse(self.roi.as_deref(), self.exclude.as_deref())
    }
}

/// The properties that can be set.
pub(crate) static TABLE: LazyLock<PropertyTable<Settings>> = LazyLock::new(table);

/// The same, declared again: a declaration belongs to one class of objects.
pub(crate) fn table() -> PropertyTable<Settings> {
    let default = Settings::default();
    let detector = glib::ParamSpecEnum::builder_with_default("detector", default.detector)
        .nick("Detector")
        .blurb("Which face detector to use")
        .mutable_ready();
    let model = properties::text(
        "detector-model",
        "Detector model",
        "Model file of the detector (unset = built in, or found in the model folders)",
    )
    .mutable_ready();
    let detect_interval = number(
        "detect-interval",
        "Detection interval",
        "Longest time between two searches of the full frame, in milliseconds of video, half of it \
         while a face has been seen only once (0 = every frame); faces are tracked in between. \
         Frames further apart than 110 ms are all searched",
        default.detect_interval,
    )
    .maximum(60_000)
    .mutable_playing();
    let detect_budget = number(
        "detect-budget",
        "Detection budget",
        "CPU time for searches, in milliseconds per second of video: what searches of the full \
         frame leave of it is spent on searches that see faces larger, of the enlarged frame or of \
         parts of it (0 = none of those). The live streams of a process share half of its cores at \
         most",
        default.detect_budget,
    )
    .maximum(1_000_000)
    .mutable_playing();
    let detect_width = number(
        "detect-width",
        "Detection width",
        "Width at which full frames are searched, enlarged at most twice: smaller is faster and \
         misses smaller faces (0 = the detector's own choice)",
        default.detect_width,
    )
    .maximum(facesr::frame::MAX_DIMENSION)
    .mutable_playing();
    let min_score = share(
        "min-score",
        "Minimum score",
        "Ignore faces the detector is less sure of (0 = the detector's own choice)",
        default.min_score,
    );
    let track_min_score = share(
        "track-min-score",
        "Minimum score of tracks",
        "Keep a face that is known as long as the detector is so sure of it, if that is less than \
         min-score: faces that turn stay, and some hands before faces with them (0 = min-score)",
        default.track_min_score,
    );
    let roi = properties::text(
        "roi",
        "Regions of interest",
        "Search only there: x,y,width,height in pixels, or from 0 to 1 of the picture's width and \
         height; several with a semicolon between them (unset = everywhere)",
    )
    .mutable_playing();
    let post_messages = glib::ParamSpecBoolean::builder("post-messages")
        .nick("Post messages")
        .blurb("Post an element message facesr-faces when faces come or go")
        .default_value(default.post_messages)
        .mutable_playing();
    PropertyTable::new(vec![
        property!(detector, detector),
        property!(model, model, read_path),
        property!(detect_interval, detect_interval),
        property!(detect_budget, detect_budget),
        property!(detect_width, detect_width),
        property!(min_score, min_score),
        property!(track_min_score, track_min_score),
        property!(roi, roi, read_text),
        property!(
            exclude("Ignore faces whose middle lies there, whoever found them; written as roi is"),
            exclude,
            read_text
        ),
        property!(
            live(
                "Whether to search in the background, so that no frame waits for the detector",
                default.live
            ),
            live
        ),
        property!(threads("Threads the detector may use", default.threads), threads),
        property!(
            temporal_smoothing(
                "How much the boxes of faces are steadied over time (0 = not at all)",
                default.temporal_smoothing
            ),
            temporal_smoothing
        ),
        property!(
            source_scale(
                "How many times an element before this one has enlarged the picture: it is searched \
                 as large as the camera gave it",
                default.source_scale
            ),
            source_scale
        ),
        property!(post_messages, post_messages),
        detect_every(),
        tile_every(),
    ])
}

/// `detect-every` of 0.1.0 counted frames; pipelines that set it go on working.
fn detect_every() -> Property<Settings> {
    let blurb = "Search every so many frames, at 25 a second: detect-interval in other words";
    Property {
        spec: number("detect-every", "Detect every", blurb, 8)
            .minimum(1)
            .maximum(60_000 / MS_A_FRAME)
            .mutable_playing()
            .deprecated()
            .build(),
        get: |settings| (settings.detect_interval / MS_A_FRAME).max(1).to_value(),
        set: |settings, value| {
            let mut frames = 8;
            read_value(value, &mut frames);
            settings.detect_interval = if frames > 1 { frames * MS_A_FRAME } else { 0 };
        },
    }
}

/// `tile-every` of 0.1.0 counted frames too.
fn tile_every() -> Property<Settings> {
    /// Every eighth frame, its default, is today's default budget.
    const BUDGET_OF_EVERY_FRAME: u32 = 4000;
    let blurb = "Search a part of the picture every so many frames (0 = never): detect-budget in \
                 other words";
    Property {
        spec: number("tile-every", "Tile every", blurb, 8)
            .maximum(1000)
            .mutable_playing()
            .deprecated()
            .build(),
        get: |settings| {
            let every = BUDGET_OF_EVERY_FRAME.checked_div(settings.detect_budget);
            every.map_or(0, |frames| frames.clamp(1, 1000)).to_value()
        },
        set: |settings, value| {
            let mut frames = 8;
            read_value(value, &mut frames);
            settings.detect_budget = BUDGET_OF_EVERY_FRAME.checked_div(frames).unwrap_or(0);
        },
    }
}
