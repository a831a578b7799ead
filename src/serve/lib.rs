//! What `facesr serve` runs: cameras come in, and each goes out again with sharper faces, on a path of its own
//! that stays up whatever the camera does.
//!
//! ```text
//! config    what is to be served: a TOML file, checked
//! service   all of it: starts, changes and stops cameras and servers
//! rtsp      one path for each output, shared by its viewers (rtsp_factory: what it is made of)
//! camera    one camera: its ingest again and again, its outputs, its figures
//! governor  who loses enhancement while the machine is much too slow
//! http      page, pictures, health and figures
//! ingest    a pipeline from the camera to pictures; ends with any fault of the camera
//! sound     the camera's sound, handed on as it came
//! faces     which faces there are, and since when
//! looks     small pictures of the latest faces
//! still     single pictures that somebody sends
//! events    tells others of faces: standard output, webhook, MQTT
//! memory    bounds of what the C library keeps
//! record    a path on disk, in segments
//! whep      a path in a browser, by WebRTC, if the element for it is installed
//! output    a pipeline from pictures to H.264; never ends, repeats the last picture with a sign
//! fanout    one encoded stream to everyone who takes it
//! ```
//!
//! Two pipelines a camera, which share nothing but pictures: that is why a fault of the camera cannot reach a
//! viewer, and a viewer not a camera.

mod backoff;
mod camera;
pub mod config;
mod elements;
mod encoder;
mod error;
mod events;
mod faces;
mod fanout;
mod governor;
mod http;
mod ingest;
mod looks;
mod memory;
mod output;
mod picture;
mod record;
mod rtsp;
mod rtsp_factory;
mod service;
mod sound;
mod status;
mod still;
mod whep;

pub use config::Config;
pub use elements::element_package;
pub use error::{ConfigError, ServeError};
pub use faces::FaceEvent;
pub use memory::bound_memory;
pub use service::{Service, check};
pub use status::{Event, EventSink};
