//! Pixel arithmetic on planes and rows: resampling, color conversion, feathering.

pub(crate) mod area_average;
pub(crate) mod blur;
pub(crate) mod color;
pub(crate) mod feather;
pub(crate) mod resample;
mod sample;
pub(crate) mod simd;
