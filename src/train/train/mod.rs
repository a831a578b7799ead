//! Training: what a run holds, its phases, one file for each step, the loop around them.

pub mod features;
pub mod run;
pub mod samples;
pub mod schedule;
pub mod source;
pub mod stage1;
pub mod stage2;
pub mod state;
pub mod validate;
