//! Properties, each declared once: a table of what GObject is told and where the value lives.

use std::path::PathBuf;

use gst::glib;
use gst::prelude::*;

use super::live::LiveMode;

/// One property: its declaration, and its place in the settings `S`.
pub(crate) struct Property<S> {
    pub(crate) spec: glib::ParamSpec,
    pub(crate) get: fn(&S) -> glib::Value,
    pub(crate) set: fn(&mut S, &glib::Value),
}

/// A row of a [`PropertyTable`]: the declaration, the field of the settings, and if need be what
/// reads its value.
macro_rules! property {
    ($spec:expr, $field:ident) => {
        property!($spec, $field, read_value)
    };
    ($spec:expr, $field:ident, $read:ident) => {
        $crate::common::properties::Property {
            spec: $spec.build(),
            get: |settings| gst::prelude::ToValue::to_value(&settings.$field),
            set: |settings, value| {
                $crate::common::properties::$read(value, &mut settings.$field);
            },
        }
    };
}
pub(crate) use property;

/// The properties of an element that can be set.
pub(crate) struct PropertyTable<S>(Vec<Property<S>>);

impl<S> PropertyTable<S> {
    /// A table of these rows.
    pub(crate) fn new(rows: Vec<Property<S>>) -> Self {
        Self(rows)
    }

    /// What GObject is told.
    pub(crate) fn specs(&self) -> impl Iterator<Item = glib::ParamSpec> {
        self.0.iter().map(|row| row.spec.clone())
    }

    /// Value of the property `name`; `None` if it is not one of these.
    pub(crate) fn value(&self, settings: &S, name: &str) -> Option<glib::Value> {
        self.row(name).map(|row| (row.get)(settings))
    }

    /// Sets the property `name`, whose type and range GObject has checked; false if it is not one
    /// of these.
    pub(crate) fn set(&self, settings: &mut S, name: &str, value: &glib::Value) -> bool {
        let row = self.row(name);
        if let Some(row) = row {
            (row.set)(settings, value);
        }
        row.is_some()
    }

    fn row(&self, name: &str) -> Option<&Property<S>> {
        self.0.iter().find(|row| row.spec.name() == name)
    }
}

/// Stores a property's value.
pub(crate) fn read_value<'a, T: glib::value::FromValue<'a>>(value: &'a glib::Value, to: &mut T) {
    if let Ok(value) = value.get() {
        *to = value;
    }
}

/// Stores a property's text; an empty one is none.
pub(crate) fn read_text(value: &glib::Value, to: &mut Option<String>) {
    read_value(value, to);
    to.take_if(|text| text.is_empty());
}

/// Stores a property's path; an empty one is none.
pub(crate) fn read_path(value: &glib::Value, to: &mut Option<PathBuf>) {
    read_value(value, to);
    to.take_if(|path| path.as_os_str().is_empty());
}

/// The declaration of a string property.
pub(crate) fn text(
    name: &'static str,
    nick: &'static str,
    blurb: &'static str,
) -> glib::ParamSpecStringBuilder<'static> {
    glib::ParamSpecString::builder(name).nick(nick).blurb(blurb)
}

/// The declaration of an unsigned property.
pub(crate) fn number(
    name: &'static str,
    nick: &'static str,
    blurb: &'static str,
    default: u32,
) -> glib::ParamSpecUIntBuilder<'static> {
    glib::ParamSpecUInt::builder(name).nick(nick).blurb(blurb).default_value(default)
}

/// The declaration of a property from 0 to 1 that can be set at any time.
pub(crate) fn share(
    name: &'static str,
    nick: &'static str,
    blurb: &'static str,
    default: f64,
) -> glib::ParamSpecDoubleBuilder<'static> {
    glib::ParamSpecDouble::builder(name)
        .nick(nick)
        .blurb(blurb)
        .minimum(0.0)
        .maximum(1.0)
        .default_value(default)
        .mutable_playing()
}

/// The property `threads`.
pub(crate) fn threads(blurb: &'static str, default: u32) -> glib::ParamSpecUIntBuilder<'static> {
    number("threads", "Threads", blurb, default).minimum(1).maximum(64).mutable_ready()
}

/// The property `live`.
pub(crate) fn live(
    blurb: &'static str,
    default: LiveMode,
) -> glib::ParamSpecEnumBuilder<'static, LiveMode> {
    glib::ParamSpecEnum::builder_with_default("live", default)
        .nick("Live")
        .blurb(blurb)
        .mutable_playing()
}

/// The property `exclude`.
pub(crate) fn exclude(blurb: &'static str) -> glib::ParamSpecStringBuilder<'static> {
    text("exclude", "Excluded regions", blurb).mutable_playing()
}

/// The property `source-scale`.
pub(crate) fn source_scale(
    blurb: &'static str,
    default: f64,
) -> glib::ParamSpecDoubleBuilder<'static> {
    glib::ParamSpecDouble::builder("source-scale")
        .nick("Source scale")
        .blurb(blurb)
        .minimum(0.01)
        .maximum(100.0)
        .default_value(default)
        .mutable_playing()
}

/// The property `temporal-smoothing`.
pub(crate) fn temporal_smoothing(
    blurb: &'static str,
    default: f64,
) -> glib::ParamSpecDoubleBuilder<'static> {
    share("temporal-smoothing", "Temporal smoothing", blurb, default)
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

/// The read-only property `stats`.
pub(crate) fn stats() -> glib::ParamSpec {
    glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
        .nick("Statistics")
        .blurb("What has been done since the start: counts, and CPU time in nanoseconds")
        .read_only()
        .build()
}
