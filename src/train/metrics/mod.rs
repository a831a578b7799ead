//! Figures of merit of pictures and of sets of pictures. Nothing here is trained.

pub mod distance;
pub mod quality;
pub mod random_features;
