//! MP4 and QuickTime beside GStreamer: what a file says it holds, read without its demuxer, and
//! the parts of an output that its muxer leaves no say in.

mod boxes;
mod finish;
mod inventory;
mod place;
mod texts;

pub(super) use finish::{Extra, Track, finish};
#[cfg(test)]
pub(super) use inventory::Edit;
pub(super) use inventory::{Colors, Movie, TrackInfo};
pub(super) use place::{place, place_box};
