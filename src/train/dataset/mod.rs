//! Training pictures: read out of tars, kept decoded in memory, drawn and degraded for a batch.

pub mod batch;
pub mod camera;
pub mod faces;
pub mod jpeg;
pub mod pairs;
pub mod pictures;
pub mod resample;
