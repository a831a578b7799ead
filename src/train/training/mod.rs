//! Training: what a run holds, its phases, one file for each step, the loop around them.

pub mod high_to_low_step;
pub mod low_to_high_step;
pub mod pair_validation;
pub mod samples;
pub mod schedule;
pub mod state;
pub mod trainer;
pub mod training_data;
pub mod validate;
