//! Follows faces from frame to frame: ids, motion between detections, steady boxes.
//!
//! A track is led from frame to frame by the pixels of its face ([`optical_flow`]), which
//! tell motion to a small part of a pixel and without delay, and where they tell nothing by its
//! speed. Detections correct it: strongly if all they can be compared with is a prediction, a
//! little if the pixels have been followed, for then most of the difference is the detector's own
//! jitter. A detection belongs to the track whose center is nearest, measured in face sizes; small
//! faces that move overlap too little for the usual intersection-over-union.

mod assignment;
mod history;
mod optical_flow;
#[expect(clippy::module_inception, reason = "a track is what the folder and this file are about")]
mod track;
mod tracker;

pub use tracker::Tracker;
