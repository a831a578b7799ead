//! Finds the faces of every frame: detection every few frames, tracking in between.
//!
//! Detection is either part of each [`Finder::find`], so that the same frames always give the same
//! faces, or goes on beside it on a thread of its own. What that thread says about a frame comes
//! some frames later: the tracker goes back to how it was at that frame, takes the detections in,
//! and is led forward again.

pub mod scene_cut;
mod schedule;
mod worker;

use std::time::Duration;

use self::schedule::TileSchedule;

use self::scene_cut::SceneCutDetector;
use self::worker::DetectionWorker;
use crate::detect::{self, Detector};
use crate::error::Error;
use crate::face::Detection;
use crate::face::Face;
use crate::frame::{Frame, OwnedFrame};
use crate::search::{RoiFilter, SearchRegion, Window};
use crate::track::Tracker;
use crate::util::cpu_time::CpuTimer;

/// How to find faces.
#[derive(Debug, Clone, PartialEq)]
pub struct FinderOptions {
    /// The detector runs on every n-th frame, 1 or more; twice as often while it has seen a face
    /// only once.
    pub detect_every: u32,
    /// On every n-th frame, if it is not searched as a whole, a part of it is searched at full
    /// resolution, where the detector would else see large frames reduced only; 0 for never.
    pub tile_every: u32,
    /// How much boxes are steadied over time, 0 (not at all) to 1.
    pub smoothing: f32,
    /// Whether the detector works on a thread of its own, on the newest frame there is, and the
    /// tracker alone carries the faces until it answers. No frame then waits for the detector.
    pub background: bool,
    /// Where faces are looked for, and shown.
    pub roi: RoiFilter,
}

impl Default for FinderOptions {
    fn default() -> Self {
        Self {
            detect_every: 8,
            tile_every: 8,
            smoothing: 0.5,
            background: false,
            roi: RoiFilter::default(),
        }
    }
}

/// Tracks are carried on past so many failures of the detector in a row, less one.
const MAX_FAILURES: u32 = 3;

/// What a finder has done so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FinderStats {
    /// Frames seen.
    pub frames: u64,
    /// Frames on which the detector ran.
    pub detections_run: u64,
    /// Those of them of which a part was searched, at full resolution.
    pub tiles_searched: u64,
    /// Frames that were to be searched in the background, but a newer one took their place.
    pub detections_skipped: u64,
    /// Faces the detector found, over all its frames.
    pub faces_detected: u64,
    /// Tracks that were confirmed.
    pub tracks: u64,
    /// CPU time of the detector in the thread that runs it and its helper.
    pub detect: Duration,
    /// CPU time of tracking.
    pub track: Duration,
}

/// Where the detector runs.
enum Search {
    Here(Box<dyn Detector>),
    Beside(DetectionWorker),
    /// The thread died and took the detector along.
    Lost,
}

/// Detector and tracker of one stream.
pub struct Finder {
    name: &'static str,
    search: Search,
    /// The tracker before each frame that the background still has to answer for, oldest first.
    before: Vec<(u64, Tracker)>,
    /// Of a face; faint detections have less.
    min_score: f32,
    tracker: Tracker,
    scene: SceneCutDetector,
    options: FinderOptions,
    since_detection: u32,
    /// Frames since one of the tiles was searched.
    since_tile: u32,
    tiles: TileSchedule,
    /// By how much the detector reduces what is searched as a whole, once that is known.
    downscale: Option<f32>,
    /// Searches that have failed since the last one that has not.
    failures: u32,
    found: Vec<Detection>,
    faces: Vec<Face>,
    stats: FinderStats,
}

impl Finder {
    /// A finder for one stream.
    pub fn new(detector: Box<dyn Detector>, options: FinderOptions) -> Self {
        let min_score = detector.min_score();
        let tracker = Tracker::new(options.smoothing).with_faint(min_score);
        let mut finder = Self {
            name: detector.name(),
            search: Search::Here(detector),
            before: Vec::new(),
            min_score,
            tracker,
            scene: SceneCutDetector::default(),
            options,
            since_detection: u32::MAX,
            since_tile: 0,
            tiles: TileSchedule::default(),
            downscale: None,
            failures: 0,
            found: Vec::new(),
            faces: Vec::new(),
            stats: FinderStats::default(),
        };
        finder.place();
        finder
    }

    /// Changes the options from the next frame on. To leave the background waits for the detection
    /// that is under way.
    pub fn set_options(&mut self, options: FinderOptions) {
        self.tracker.set_smoothing(options.smoothing);
        self.options = options;
        self.place();
    }

    /// Puts the detector where the options want it. Where no thread can be had it stays here.
    fn place(&mut self) {
        let search = std::mem::replace(&mut self.search, Search::Lost);
        self.search = match (search, self.options.background) {
            (Search::Here(detector), true) => {
                DetectionWorker::start(detector).map_or_else(Search::Here, Search::Beside)
            }
            (Search::Beside(background), false) => {
                self.before.clear();
                background.stop().map_or(Search::Lost, Search::Here)
            }
            (search, _) => search,
        };
    }

    /// Name of the detector.
    pub fn detector_name(&self) -> &'static str {
        self.name
    }

    /// Forgets all tracks: after a seek, a flush or a change of size.
    pub fn reset(&mut self) {
        self.forget();
        self.scene.reset();
        self.faces.clear();
    }

    fn forget(&mut self) {
        self.tracker.reset();
        self.since_detection = u32::MAX;
        // What the detector is just looking at is answered in vain.
        self.before.clear();
        if let Search::Beside(background) = &mut self.search {
            background.clear();
        }
    }

    /// The faces of the next frame of the stream.
    ///
    /// # Errors
    /// What [`Detector::detect`] answers, in the background for an earlier frame; the tracks are
    /// carried on all the same.
    pub fn find(&mut self, frame: &Frame<'_>) -> Result<&[Face], Error> {
        self.stats.frames += 1;
        if self.scene.is_new(frame) {
            self.forget();
        }
        let due = self.due(frame);
        let outcome = match self.search {
            Search::Here(_) => self.find_here(frame, due),
            Search::Beside(_) => self.find_beside(frame, due),
            Search::Lost => {
                self.step(frame, None);
                Ok(())
            }
        };
        self.stats.tracks = self.tracker.confirmed();
        outcome.map(|()| self.faces.as_slice())
    }

    /// What is to be searched of this frame, if anything.
    fn due(&mut self, frame: &Frame<'_>) -> Option<SearchRegion> {
        let every = self.options.detect_every.max(1);
        let every = if self.tracker.is_unsure() { every.div_ceil(2) } else { every };
        if self.since_detection == u32::MAX {
            // Halfway between searches of the whole frame.
            self.since_tile = self.options.tile_every.div_ceil(2).saturating_sub(1);
        }
        let whole = self.since_detection >= every - 1;
        self.since_detection = if whole { 0 } else { self.since_detection + 1 };
        self.since_tile = self.since_tile.saturating_add(1);
        let size = (frame.info().width, frame.info().height);
        let window = self.options.roi.window(size.0, size.1);
        if whole {
            return Some(window.map_or(SearchRegion::FullFrame, SearchRegion::Window));
        }
        // The thread has better things to do than a tile while it is busy.
        let due = self.options.tile_every > 0 && self.since_tile >= self.options.tile_every;
        let downscale = self.downscale.filter(|_| due && self.before.is_empty())?;
        let all = Window { x: 0, y: 0, width: size.0, height: size.1 };
        self.tiles.cover(window.unwrap_or(all), size, downscale);
        let small_faces: Vec<_> = self.tracker.small_faces().collect();
        let tile = self.tiles.next(&small_faces)?;
        self.since_tile = 0;
        Some(SearchRegion::Tile(tile))
    }

    fn find_here(&mut self, frame: &Frame<'_>, due: Option<SearchRegion>) -> Result<(), Error> {
        let mut outcome = Ok(());
        if let (Search::Here(detector), Some(view)) = (&mut self.search, due) {
            self.found.clear();
            let (watch, helper) = (CpuTimer::start(), detector.helper_time());
            outcome = detect::search(&mut **detector, frame, view, &mut self.found);
            if let Some((width, height)) = view.reduced_size(frame) {
                self.downscale = Some(detector.downscale(width, height));
            }
            let roi = &self.options.roi;
            self.found.retain(|detection| roi.contains(detection.rect.center()));
            let helper = detector.helper_time().saturating_sub(helper);
            self.stats.detect += watch.elapsed() + helper;
            self.stats.detections_run += 1;
            self.stats.tiles_searched += u64::from(matches!(view, SearchRegion::Tile(_)));
            self.stats.faces_detected += self.faces_in(&self.found);
            self.count_failures(&outcome);
        }
        self.step(frame, due.filter(|_| outcome.is_ok()));
        outcome
    }

    fn find_beside(&mut self, frame: &Frame<'_>, due: Option<SearchRegion>) -> Result<(), Error> {
        let mut outcome = Ok(());
        while let Search::Beside(background) = &mut self.search {
            match background.try_recv() {
                Ok(Some(looked)) => {
                    self.stats.detect += looked.cost;
                    self.stats.detections_run += 1;
                    self.stats.tiles_searched +=
                        u64::from(matches!(looked.view, SearchRegion::Tile(_)));
                    self.downscale = looked.downscale.or(self.downscale);
                    let searched = (looked.number, &looked.snapshot, looked.view);
                    outcome = outcome.and(self.take_in(looked.outcome, searched));
                    if let Search::Beside(background) = &mut self.search {
                        background.recycle(looked.snapshot);
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    outcome = Err(error);
                    self.search = Search::Lost;
                    // Nobody will see again what is tracked.
                    self.forget();
                }
            }
        }
        if let (Search::Beside(background), Some(view)) = (&mut self.search, due) {
            self.before.push((self.stats.frames, self.tracker.clone()));
            if let Some(replaced) = background.try_submit(self.stats.frames, frame, view) {
                self.before.retain(|(number, _)| *number != replaced);
                self.stats.detections_skipped += 1;
            }
        }
        self.step(frame, None);
        outcome
    }

    /// How many of these detections are faces.
    fn faces_in(&self, found: &[Detection]) -> u64 {
        found.iter().filter(|detection| detection.score >= self.min_score).count() as u64
    }

    /// Goes on by one frame, with what was found in a part of it, or without.
    fn step(&mut self, frame: &Frame<'_>, searched: Option<SearchRegion>) {
        let watch = CpuTimer::start();
        let info = frame.info();
        let seen = searched.map(|view| view.result(&self.found, self.downscale));
        self.tracker.step(seen, Some(frame), (info.width, info.height), &mut self.faces);
        self.faces.retain(|face| self.options.roi.contains(face.rect.center()));
        self.stats.track += watch.elapsed();
    }

    /// Takes in what the detector says of an earlier frame: everything since is gone through once
    /// more, up to the frame before this one. The pixels of those between are not kept; those of
    /// the frame that was searched say what to look for in the one that comes next.
    fn take_in(
        &mut self,
        found: Result<Vec<Detection>, Error>,
        searched: (u64, &OwnedFrame, SearchRegion),
    ) -> Result<(), Error> {
        let before = self.before.iter().position(|(number, _)| *number == searched.0);
        let before = before.map(|i| self.before.remove(i).1);
        self.count_failures(&found);
        let mut found = found?;
        found.retain(|detection| self.options.roi.contains(detection.rect.center()));
        self.stats.faces_detected += self.faces_in(&found);
        // Without it, the frame is of a scene that is over.
        let (Some(mut tracker), Some(frame)) = (before, searched.1.frame()) else {
            return Ok(());
        };
        let watch = CpuTimer::start();
        let size = (frame.info().width, frame.info().height);
        tracker.set_smoothing(self.options.smoothing);
        let seen = searched.2.result(&found, self.downscale);
        tracker.step(Some(seen), Some(&frame), size, &mut self.faces);
        for number in searched.0 + 1..self.stats.frames {
            // The detector may have been left one more frame meanwhile.
            if let Some((_, later)) = self.before.iter_mut().find(|(n, _)| *n == number) {
                later.clone_from(&tracker);
            }
            tracker.step(None, None, size, &mut self.faces);
        }
        self.tracker = tracker;
        self.stats.track += watch.elapsed();
        Ok(())
    }

    /// Loses the faces of a detector that keeps failing: nobody sees whether they are still there.
    fn count_failures<T>(&mut self, outcome: &Result<T, Error>) {
        self.failures = if outcome.is_ok() { 0 } else { self.failures + 1 };
        if self.failures >= MAX_FAILURES {
            self.tracker.reset();
            self.before.clear();
        }
    }

    /// Counts and times since the finder was made.
    pub fn stats(&self) -> FinderStats {
        self.stats
    }
}

#[cfg(test)]
mod tests;
