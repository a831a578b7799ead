//! Whether a stream is live.

use gst::glib;
use gst::prelude::*;
use parking_lot::Mutex;

/// Values of the property `live`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[enum_type(name = "GstFacesrLive")]
#[non_exhaustive]
pub enum LiveMode {
    /// As the source answers a LATENCY query.
    #[default]
    #[enum_value(name = "Live if the source says that it is", nick = "auto")]
    Auto,
    /// The stream must not wait.
    #[enum_value(name = "Live: never wait", nick = "on")]
    On,
    /// The stream may wait.
    #[enum_value(name = "Not live: every frame gets all it needs", nick = "off")]
    Off,
}

/// What the source answered when it was asked whether it is live.
#[derive(Debug, Default)]
pub(crate) struct LiveQuery(Mutex<Option<bool>>);

impl LiveQuery {
    /// What the elements before `sink` say, asked once. One that cannot say is not live.
    pub(crate) fn is_source_live(&self, sink: &gst::Pad) -> bool {
        if let Some(known) = *self.0.lock() {
            return known;
        }
        // The lock is not held: whoever answers may send events, which come by here.
        let live = is_live(sink);
        *self.0.lock() = Some(live);
        live
    }

    /// Whether the stream is to be taken for live.
    pub(crate) fn is_live(&self, mode: LiveMode, sink: &gst::Pad) -> bool {
        match mode {
            LiveMode::On => true,
            LiveMode::Off => false,
            LiveMode::Auto => self.is_source_live(sink),
        }
    }

    /// Asks again at the next frame: the pipeline has worked out its latency again.
    pub(crate) fn forget(&self) {
        *self.0.lock() = None;
    }
}

/// Whether the elements before `sink` say that they are live.
pub(crate) fn is_live(sink: &gst::Pad) -> bool {
    let mut query = gst::query::Latency::new();
    sink.peer_query(&mut query) && query.result().0
}
