//! What both filters share.
//!
//! [`filter`] is the part of each filter that knows the stream: caps, discontinuities, liveness,
//! lateness and latency. The rest are its parts, and what both say of faces and of errors.

pub(crate) mod buffer_times;
pub(crate) mod discontinuity;
pub(crate) mod element_error;
pub(crate) mod face_meta;
pub(crate) mod filter;
pub(crate) mod latency;
pub(crate) mod live;
pub(crate) mod properties;
pub(crate) mod qos;
pub(crate) mod refusal;
pub(crate) mod roi_text;
