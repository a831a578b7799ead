//! Matroska beside GStreamer: what a file says it holds, and the parts of an output that its muxer
//! leaves no say in.

mod finish;
mod inventory;

pub(super) use finish::{Attached, Extra, Track, finish, reserve};
pub(super) use inventory::{EBML, Movie, SEGMENT, chapters, element, second_file};
