//! Media in, media out. Knows no command and no command line, and prints nothing: it answers with
//! values, notes and failures.

mod asf;
mod avi;
mod bit_depth;
mod closed_list;
mod container;
#[cfg(test)]
mod corpus;
mod damage;
mod dhav;
mod edits;
mod elements;
mod encoder;
mod errors;
mod excerpt;
mod flv;
mod format;
mod frame_times;
mod input;
mod inventory;
mod ledger;
mod matroska;
mod mp4;
mod mpeg_ts;
mod observer;
mod originals;
mod picture_changes;
mod picture_metadata;
mod pipeline;
mod prepared;
#[cfg(test)]
mod read_all;
mod remux;
mod rotation;
mod router;
mod side_by_side;
mod sound_headers;
mod status;
mod survey;
mod timing;
mod transcode;
mod video;

pub(crate) use closed_list::restrict_factories;
pub(crate) use container::Container;
pub(crate) use elements::{add_chain, have, make, start_gstreamer};
pub(crate) use encoder::{EncoderOptions, encoder, encoder_names};
pub(crate) use excerpt::Excerpt;
pub(crate) use format::{is_video_container, jpeg_end};
pub(crate) use input::Input;
pub(crate) use observer::{FrameObserver, ObservedFrame};
pub(crate) use picture_metadata::PictureTexts;
pub(crate) use pipeline::Plan;
pub(crate) use rotation::orientation_of;
pub(crate) use status::lock;
pub(crate) use survey::Survey;
pub(crate) use transcode::{Outcome, Output, transcode, versions};
pub(crate) use video::{Sizes, face_element};
