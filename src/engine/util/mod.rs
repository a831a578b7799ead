//! Threads and clocks: helpers that know nothing of faces.

pub mod cpu_time;
pub(crate) mod parallel;
mod setters;

pub(crate) use setters::setters;
