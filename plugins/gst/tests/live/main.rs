//! Live use, with live sources: cameras on the loopback network, pipelines that keep to time.
//!
//! `FACESR_LIVE_SECONDS` makes the camera tests longer and their pictures 1920x1080.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "../common/mod.rs"]
mod common;

mod camera;
mod guard;
mod network;
mod pipelines;
mod streams;
mod viewer;
