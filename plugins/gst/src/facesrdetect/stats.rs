//! What the property `stats` of `facesrdetect` says.

use facesr::Finder;

/// Counts since the start, and CPU times in nanoseconds.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Stats {
    pub(super) frames: u64,
    pub(super) late: u64,
    pub(super) errors: u64,
    detections_run: u64,
    tiles_searched: u64,
    detections_skipped: u64,
    faces_detected: u64,
    tracks: u64,
    detect_ns: u64,
    track_ns: u64,
}

impl Stats {
    /// Takes over the counts of `finder`.
    pub(super) fn update(&mut self, finder: &Finder) {
        let now = finder.stats();
        self.detections_run = now.detections_run;
        self.tiles_searched = now.tiles_searched;
        self.detections_skipped = now.detections_skipped;
        self.faces_detected = now.faces_detected;
        self.tracks = now.tracks;
        self.detect_ns = now.detect.as_nanos() as u64;
        self.track_ns = now.track.as_nanos() as u64;
    }

    pub(super) fn to_structure(self) -> gst::Structure {
        gst::Structure::builder("facesrdetect-stats")
            .field("frames", self.frames)
            .field("frames-not-searched-late", self.late)
            .field("detection-errors", self.errors)
            .field("detections-run", self.detections_run)
            .field("tiles-searched", self.tiles_searched)
            .field("detections-skipped", self.detections_skipped)
            .field("faces-detected", self.faces_detected)
            .field("tracks", self.tracks)
            .field("detect-ns", self.detect_ns)
            .field("track-ns", self.track_ns)
            .build()
    }
}
