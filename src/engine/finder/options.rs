//! What a finder is told to do, and what it counts.

use std::time::Duration;

use crate::search::RoiFilter;
use crate::util::setters;

/// How to find faces.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct FinderOptions {
    /// Longest time between two searches of the full frame; half of it while a face has been seen
    /// only once. Frames further apart than 110 ms are all searched. Zero searches every frame,
    /// [`Duration::MAX`] none.
    pub detect_interval: Duration,
    /// CPU time for searches, milliseconds per second of video, as a machine with 8-bit vector
    /// products needs it. What searches of the full frame leave may be spent on searches that show
    /// faces larger; 0 for none. All searches in the [background](Self::background) of a process
    /// share half of its cores at most.
    pub detect_budget: u32,
    /// How much boxes are steadied over time, 0 (not at all) to 1.
    pub smoothing: f32,
    /// Whether the detector works on a thread of its own, on the newest frame there is, and the
    /// tracker alone carries the faces until it answers. No frame then waits for the detector.
    pub background: bool,
    /// Where faces are looked for, and shown.
    pub roi: RoiFilter,
    /// How many times the frames were enlarged before they came here: they are searched as large as
    /// they were, since enlarging shows a detector no more. 1 or less for not at all.
    pub source_scale: f32,
}

setters!(FinderOptions {
    detect_interval: Duration,
    detect_budget: u32,
    smoothing: f32,
    background: bool,
    roi: RoiFilter,
    source_scale: f32,
});

impl Default for FinderOptions {
    fn default() -> Self {
        Self {
            detect_interval: Duration::from_millis(320),
            detect_budget: 500,
            smoothing: 0.5,
            background: false,
            roi: RoiFilter::default(),
            source_scale: 1.0,
        }
    }
}

/// What a finder has done so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct FinderStats {
    /// Frames seen.
    pub frames: u64,
    /// Frames on which the detector ran.
    pub detections_run: u64,
    /// Tiles that were searched.
    pub tiles_searched: u64,
    /// Frames that were to be searched in the background, but the detector was busy.
    pub detections_skipped: u64,
    /// Faces the detector found, over all its searches.
    pub faces_detected: u64,
    /// Tracks that were confirmed.
    pub tracks: u64,
    /// CPU time of the detector in the thread that runs it and its helper.
    pub detect: Duration,
    /// CPU time of tracking.
    pub track: Duration,
}
