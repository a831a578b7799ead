//! Threads, clocks and a curve: helpers that know nothing of faces.

pub mod cpu_time;
pub(crate) mod parallel;
mod setters;
pub(crate) mod smoothstep;

pub(crate) use setters::setters;
