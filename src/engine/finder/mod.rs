//! Finds the faces of every frame: searches at intervals of time, tracking in between.
//!
//! Searches are either part of each [`Finder::find`], so that the same frames always give the same
//! faces, or go on beside it on a thread of its own. What that thread says about a frame comes some
//! frames later: tracks know where they were then, and what was wrong then is put right now.

mod options;
mod scene_cut;
mod schedule;
mod worker;

pub use options::{FinderOptions, FinderStats};

use std::time::Duration;

use self::scene_cut::{SceneCutDetector, Verdict};
use self::schedule::{SearchScheduler, Situation};
use self::worker::{DetectionJob, DetectionWorker};
use crate::detect::{self, Detector, Sizing};
use crate::error::Error;
use crate::face::{Detection, Face};
use crate::frame::{Frame, FrameClock, Tick, Timestamp};
use crate::search::{SearchRegion, SearchResult};
use crate::track::Tracker;
use crate::util::cpu_time::CpuTimer;

/// Tracks are carried on while searches fail for so many seconds.
const MAX_FAILING: f64 = 1.0;
/// Searches of one frame in the background, at most: more would keep the results of the first
/// waiting.
const MOST_IN_BACKGROUND: usize = 2;
/// Share of the latest search in what searches are taken to cost.
const LATEST: f64 = 0.3;

/// The faces of a frame.
#[derive(Debug)]
#[non_exhaustive]
pub struct Found<'a> {
    /// The faces that are in sight, confirmed.
    pub faces: &'a [Face],
    /// Why a search failed, of this frame or in the background of an earlier one. The tracks go on
    /// without it.
    pub error: Option<Error>,
}

/// Where the detector runs.
enum Search {
    Here(Box<dyn Detector>),
    Beside(Box<DetectionWorker>),
    /// The thread died and took the detector along.
    Lost,
}

/// Detector and tracker of one stream.
///
/// ```
/// use facesr::detect::{self, DetectorKind, DetectorOptions};
/// use facesr::{Finder, FinderOptions, Frame, FrameInfo, PixelFormat};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // Its model is part of the library.
/// let options = DetectorOptions::default().kind(DetectorKind::SeetaFace);
/// let mut finder = Finder::new(detect::open(&options)?, FinderOptions::default());
///
/// let info = FrameInfo::new(PixelFormat::Gray8, 64, 48);
/// let pixels = vec![90; 64 * 48];
/// let frame = Frame::new(info, &[&pixels], &[64])?;
/// assert!(finder.find(&frame, None).faces.is_empty());
/// # Ok(())
/// # }
/// ```
pub struct Finder {
    name: &'static str,
    search: Search,
    /// Of a face; low-score detections have less.
    min_score: f32,
    /// How the detector sees frames.
    sizing: Sizing,
    clock: FrameClock,
    tracker: Tracker,
    scene_cut: SceneCutDetector,
    /// Number of the scene: results of an earlier one are in vain.
    scene: u64,
    /// When the suspected cut began that the next frame will decide about.
    suspected_at: Option<f64>,
    scheduler: SearchScheduler,
    /// What searches in the background cost here, over what the plan counts, once one has ended.
    price: Option<f64>,
    options: FinderOptions,
    /// When the first of the latest searches failed, if all have failed since.
    failing_since: Option<f64>,
    faces: Vec<Face>,
    stats: FinderStats,
}

impl Finder {
    /// A finder for one stream.
    pub fn new(detector: Box<dyn Detector>, options: FinderOptions) -> Self {
        let min_score = detector.min_score();
        let mut finder = Self {
            name: detector.name(),
            sizing: detector.sizing(),
            search: Search::Here(detector),
            min_score,
            clock: FrameClock::default(),
            tracker: Tracker::new(options.smoothing).with_min_score(min_score),
            scene_cut: SceneCutDetector::default(),
            scene: 0,
            suspected_at: None,
            scheduler: SearchScheduler::default(),
            price: None,
            options,
            failing_since: None,
            faces: Vec::new(),
            stats: FinderStats::default(),
        };
        finder.place();
        finder
    }

    /// Changes the options from the next frame on. To leave the background waits for the search
    /// that is under way.
    pub fn set_options(&mut self, options: FinderOptions) {
        self.tracker.set_smoothing(options.smoothing);
        self.options = options;
        self.place();
    }

    /// Sets the distance of two frames that the stream announces, for frames without timestamps.
    pub fn set_frame_duration(&mut self, duration: Duration) {
        self.clock.set_nominal(duration);
    }

    /// Searches with another detector from the next frame on. Known faces stay; a search that is
    /// under way in the background is answered in vain, and nobody waits for it.
    pub fn set_detector(&mut self, detector: Box<dyn Detector>) {
        self.name = detector.name();
        self.sizing = detector.sizing();
        self.min_score = detector.min_score();
        self.tracker.set_min_score(self.min_score);
        self.scheduler.restart();
        self.price = None;
        self.failing_since = None;
        // What the former is just looking at is answered in vain.
        self.scene += 1;
        let former = std::mem::replace(&mut self.search, Search::Here(detector));
        if let Search::Beside(worker) = former {
            // To drop it waits for its search; where no thread can be had, here.
            let _ = std::thread::Builder::new().spawn(move || drop(worker));
        }
        self.place();
    }

    /// Puts the detector where the options want it. Where no thread can be had it stays here.
    fn place(&mut self) {
        let search = std::mem::replace(&mut self.search, Search::Lost);
        self.search = match (search, self.options.background) {
            (Search::Here(detector), true) => DetectionWorker::start(detector)
                .map_or_else(Search::Here, |worker| Search::Beside(Box::new(worker))),
            (Search::Beside(worker), false) => worker.join().map_or(Search::Lost, Search::Here),
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
        self.clock.reset();
        self.scene_cut.reset();
        self.suspected_at = None;
        self.faces.clear();
    }

    fn forget(&mut self) {
        self.tracker.reset();
        self.scheduler.restart();
        // What the detector is just looking at is answered in vain.
        self.scene += 1;
    }

    /// The faces of the next frame of the stream, which has the time `at`. Frames without a time, or
    /// with one that does not go on, count as the usual distance of two frames. After a gap of
    /// some seconds, or a jump back, all faces are new.
    pub fn find(&mut self, frame: &Frame<'_>, at: Option<Timestamp>) -> Found<'_> {
        self.stats.frames += 1;
        let tick = self.clock.tick(at);
        self.follow_scene(frame, &tick);
        let error = match self.search {
            Search::Here(_) => self.find_here(frame, &tick),
            Search::Beside(_) => self.find_beside(frame, &tick),
            Search::Lost => {
                self.advance(frame, &tick);
                None
            }
        };
        let info = frame.info();
        self.tracker.collect((info.width, info.height), &mut self.faces);
        let roi = &self.options.roi;
        self.faces.retain(|face| roi.contains(face.rect.center()));
        self.stats.tracks = self.tracker.confirmed();
        Found { faces: &self.faces, error }
    }

    /// Forgets the tracks after a gap and a cut, and sets them aside while it may be a flash.
    fn follow_scene(&mut self, frame: &Frame<'_>, tick: &Tick) {
        if tick.gap {
            self.forget();
            self.scene_cut.reset();
            self.suspected_at = None;
        }
        let change = self.scene_cut.observe(frame);
        match change.verdict {
            Some(Verdict::Cut) => {
                self.tracker.end_suspense(false);
                self.suspected_at = None;
            }
            Some(Verdict::Flash) => {
                self.tracker.end_suspense(true);
                self.suspected_at = None;
            }
            None => {}
        }
        if change.is_suspected {
            self.tracker.suspend();
            self.scheduler.restart();
            self.suspected_at = Some(tick.now);
            self.scene += 1;
        }
    }

    /// Leads the tracks to this frame.
    fn advance(&mut self, frame: &Frame<'_>, tick: &Tick) {
        let timer = CpuTimer::start();
        self.tracker.advance(tick.now, Some(frame));
        self.stats.track += timer.elapsed();
    }

    /// What is to be searched of this frame.
    fn plan(&mut self, frame: &Frame<'_>, tick: &Tick, most: usize) -> Vec<SearchRegion> {
        let size = (frame.info().width, frame.info().height);
        let FinderOptions { roi, source_scale, .. } = &self.options;
        self.scheduler.cover(frame.info(), &self.sizing, roi, *source_scale);
        let scene_cut = &self.scene_cut;
        self.scheduler.note_motion(|window| scene_cut.motion(window, size));
        let small_faces: Vec<_> = self.tracker.small_faces().collect();
        let lost_faces: Vec<_> = self.tracker.lost_faces().collect();
        let interval = self.options.detect_interval;
        let mut budget = f64::from(self.options.detect_budget);
        let is_background = matches!(self.search, Search::Beside(_));
        if is_background {
            // A camera cannot wait, so there it is the time that counts; files are searched alike on
            // every machine.
            budget = budget.min(worker::fair_budget()) / self.price.unwrap_or(1.0);
        }
        self.scheduler.plan(&Situation {
            now: tick.now,
            step: tick.step,
            interval: if interval == Duration::MAX {
                f64::INFINITY
            } else {
                interval.as_secs_f64()
            },
            budget,
            is_tentative: self.tracker.is_tentative(),
            lost_faces: &lost_faces,
            small_faces: &small_faces,
            most,
            is_background,
        })
    }

    fn find_here(&mut self, frame: &Frame<'_>, tick: &Tick) -> Option<Error> {
        self.advance(frame, tick);
        let regions = self.plan(frame, tick, usize::MAX);
        self.stats.detections_run += u64::from(!regions.is_empty());
        let mut error = None;
        for region in regions {
            let Search::Here(detector) = &mut self.search else { break };
            let (timer, helper) = (CpuTimer::start(), detector.helper_time());
            let outcome = detect::search(&mut **detector, frame, &region);
            let helper = detector.helper_time().saturating_sub(helper);
            self.stats.detect += timer.elapsed() + helper;
            error = self.apply_result(outcome, &region, tick.now, frame, tick.now).or(error);
        }
        error
    }

    fn find_beside(&mut self, frame: &Frame<'_>, tick: &Tick) -> Option<Error> {
        let mut error = None;
        while let Search::Beside(worker) = &mut self.search {
            match worker.try_recv() {
                Ok(Some(job)) => error = self.take_in_job(job, tick.now).or(error),
                Ok(None) => break,
                Err(died) => {
                    error = Some(died);
                    self.search = Search::Lost;
                    // Nobody will see again what is tracked.
                    self.forget();
                }
            }
        }
        self.advance(frame, tick);
        let is_busy = matches!(&self.search, Search::Beside(worker) if worker.is_busy());
        let regions = self.plan(frame, tick, if is_busy { 0 } else { MOST_IN_BACKGROUND });
        self.stats.detections_skipped += u64::from(is_busy && self.scheduler.is_due());
        if let Search::Beside(worker) = &mut self.search
            && !regions.is_empty()
        {
            worker.try_submit(frame, (tick.now, self.scene), regions);
        }
        error
    }

    /// Takes in what the thread has found in an earlier frame.
    fn take_in_job(&mut self, mut job: DetectionJob, now: f64) -> Option<Error> {
        self.stats.detect += job.cost;
        self.stats.detections_run += 1;
        self.note_price(&job);
        let mut error = None;
        // Of a scene that is over nothing is worth knowing.
        if job.scene == self.scene
            && let Some(frame) = job.snapshot.frame()
        {
            for (outcome, region) in job.outcomes.drain(..).zip(&job.regions) {
                error = self.apply_result(outcome, region, job.at, &frame, now).or(error);
            }
        } else {
            error = job.outcomes.drain(..).find_map(Result::err);
        }
        if let Search::Beside(worker) = &mut self.search {
            worker.recycle(job);
        }
        error
    }

    /// Learns from what a job has cost.
    fn note_price(&mut self, job: &DetectionJob) {
        let planned: f64 = job.regions.iter().map(|region| self.scheduler.cost_of(region)).sum();
        if planned > 0.0 {
            let latest = (job.cost.as_secs_f64() * 1e3 / planned).clamp(0.1, 50.0);
            let price = self.price.get_or_insert(latest);
            *price += LATEST * (latest - *price);
        }
    }

    /// Takes in the outcome of a search of `frame`, the frame of the time `at`.
    fn apply_result(
        &mut self,
        outcome: Result<Vec<Detection>, Error>,
        region: &SearchRegion,
        at: f64,
        frame: &Frame<'_>,
        now: f64,
    ) -> Option<Error> {
        self.stats.tiles_searched += u64::from(region.is_tile);
        let mut found = match outcome {
            Ok(found) => found,
            Err(error) => {
                self.note_failure(now);
                return Some(error);
            }
        };
        self.failing_since = None;
        let roi = &self.options.roi;
        found.retain(|detection| roi.contains(detection.rect.center()));
        let faces = found.iter().filter(|detection| detection.score >= self.min_score).count();
        self.stats.faces_detected += faces as u64;
        let full_scale = self.scheduler.full_scale();
        let result = SearchResult { found: &found, region: Some(*region), full_scale };
        let timer = CpuTimer::start();
        self.tracker.update(&result, at, Some(frame));
        self.stats.track += timer.elapsed();
        None
    }

    /// Loses the faces of a detector that keeps failing: nobody sees whether they are still there.
    fn note_failure(&mut self, now: f64) {
        let since = *self.failing_since.get_or_insert(now);
        if now - since >= MAX_FAILING {
            self.tracker.reset();
        }
    }

    /// Counts and times since the finder was made.
    pub fn stats(&self) -> FinderStats {
        self.stats
    }
}

#[cfg(test)]
mod tests;
