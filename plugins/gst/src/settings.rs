//! What the elements' properties have in common.

use std::path::PathBuf;

use gst::glib;
use gst::prelude::*;

/// Values of the property `live`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[enum_type(name = "GstFacesrLive")]
#[non_exhaustive]
pub enum LiveUse {
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

/// Stores a property's value. GObject has checked type and range before.
pub(crate) fn take<'a, T: glib::value::FromValue<'a>>(value: &'a glib::Value, to: &mut T) {
    if let Ok(value) = value.get() {
        *to = value;
    }
}

/// The path in a string property; an empty one is none.
pub(crate) fn path(value: &glib::Value) -> Option<PathBuf> {
    value.get::<Option<PathBuf>>().ok().flatten().filter(|path| !path.as_os_str().is_empty())
}

/// The property `threads`.
pub(crate) fn threads(blurb: &'static str, default: u32) -> glib::ParamSpec {
    glib::ParamSpecUInt::builder("threads")
        .nick("Threads")
        .blurb(blurb)
        .minimum(1)
        .maximum(64)
        .default_value(default)
        .mutable_ready()
        .build()
}

/// The property `live`.
pub(crate) fn live(blurb: &'static str, default: LiveUse) -> glib::ParamSpec {
    glib::ParamSpecEnum::builder_with_default("live", default)
        .nick("Live")
        .blurb(blurb)
        .mutable_playing()
        .build()
}

/// The read-only property `is-live`.
pub(crate) fn is_live() -> glib::ParamSpec {
    glib::ParamSpecBoolean::builder("is-live")
        .nick("Is live")
        .blurb("Whether the stream is taken for live now (see the property live)")
        .default_value(false)
        .read_only()
        .build()
}

/// The property `temporal-smoothing`.
pub(crate) fn temporal_smoothing(blurb: &'static str, default: f64) -> glib::ParamSpec {
    glib::ParamSpecDouble::builder("temporal-smoothing")
        .nick("Temporal smoothing")
        .blurb(blurb)
        .minimum(0.0)
        .maximum(1.0)
        .default_value(default)
        .mutable_playing()
        .build()
}

/// The read-only property `stats`.
pub(crate) fn stats(blurb: &'static str) -> glib::ParamSpec {
    glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
        .nick("Statistics")
        .blurb(blurb)
        .read_only()
        .build()
}
