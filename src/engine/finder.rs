//! Finds the faces of every frame: detection every few frames, tracking in between.

use std::time::Duration;

use crate::detect::{Detection, Detector};
use crate::error::Error;
use crate::frame::Frame;
use crate::geometry::Rect;
use crate::scene::SceneWatch;
use crate::stopwatch::Stopwatch;
use crate::track::Tracker;

/// A face in a frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Face {
    /// The same number for the same face in each frame, from 1; unique within a [`Finder`].
    pub id: u64,
    /// WIDER-style box (forehead to chin), luma pixels, with sub-pixel precision.
    pub rect: Rect,
    /// Score of the last detection that confirmed it, 0 to 1.
    pub score: f32,
}

/// How to find faces.
#[derive(Debug, Clone, PartialEq)]
pub struct FinderOptions {
    /// The detector runs on every n-th frame, 1 or more.
    pub detect_every: u32,
    /// How much boxes are steadied over time, 0 (not at all) to 1.
    pub smoothing: f32,
}

impl Default for FinderOptions {
    fn default() -> Self {
        Self { detect_every: 2, smoothing: 0.5 }
    }
}

/// What a finder has done so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FinderStats {
    /// Frames seen.
    pub frames: u64,
    /// Frames on which the detector ran.
    pub detections_run: u64,
    /// Faces the detector found, over all its frames.
    pub faces_detected: u64,
    /// Tracks that were confirmed.
    pub tracks: u64,
    /// CPU time of the detector in the calling thread and its helper.
    pub detect: Duration,
    /// CPU time of tracking.
    pub track: Duration,
}

/// Detector and tracker of one stream.
pub struct Finder {
    detector: Box<dyn Detector>,
    tracker: Tracker,
    scene: SceneWatch,
    options: FinderOptions,
    since_detection: u32,
    found: Vec<Detection>,
    faces: Vec<Face>,
    stats: FinderStats,
}

impl Finder {
    /// A finder for one stream.
    pub fn new(detector: Box<dyn Detector>, options: FinderOptions) -> Self {
        let tracker = Tracker::new(options.smoothing);
        Self {
            detector,
            tracker,
            scene: SceneWatch::default(),
            options,
            since_detection: u32::MAX,
            found: Vec::new(),
            faces: Vec::new(),
            stats: FinderStats::default(),
        }
    }

    /// Changes the options from the next frame on.
    pub fn set_options(&mut self, options: FinderOptions) {
        self.tracker.set_smoothing(options.smoothing);
        self.options = options;
    }

    /// Name of the detector.
    pub fn detector_name(&self) -> &'static str {
        self.detector.name()
    }

    /// Forgets all tracks: after a seek, a flush or a change of size.
    pub fn reset(&mut self) {
        self.tracker.reset();
        self.scene.reset();
        self.since_detection = u32::MAX;
        self.faces.clear();
    }

    /// The faces of the next frame of the stream.
    ///
    /// # Errors
    /// What [`Detector::detect`] answers; the tracks are carried on all the same.
    pub fn find(&mut self, frame: &Frame<'_>) -> Result<&[Face], Error> {
        self.stats.frames += 1;
        if self.scene.is_new(frame) {
            self.tracker.reset();
            self.since_detection = u32::MAX;
        }
        let detect = self.since_detection >= self.options.detect_every.max(1) - 1;
        let mut outcome = Ok(());
        if detect {
            self.since_detection = 0;
            self.found.clear();
            let (watch, helper) = (Stopwatch::start(), self.detector.helper_time());
            outcome = self.detector.detect(frame, &mut self.found);
            let helper = self.detector.helper_time().saturating_sub(helper);
            self.stats.detect += watch.elapsed() + helper;
            self.stats.detections_run += 1;
            self.stats.faces_detected += self.found.len() as u64;
        } else {
            self.since_detection += 1;
        }
        let watch = Stopwatch::start();
        let info = frame.info();
        let seen = (detect && outcome.is_ok()).then_some(self.found.as_slice());
        self.tracker.step(seen, info.width, info.height, &mut self.faces);
        self.stats.tracks = self.tracker.confirmed();
        self.stats.track += watch.elapsed();
        outcome.map(|()| self.faces.as_slice())
    }

    /// Counts and times since the finder was made.
    pub fn stats(&self) -> FinderStats {
        self.stats
    }
}
