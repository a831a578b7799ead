//! Carries what the engine logs (crate `log`) to GStreamer's debug log, category `facesr`.

use std::sync::LazyLock;

use gst::prelude::*;

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new("facesr", gst::DebugColorFlags::empty(), Some("facesr engine"))
});

struct ToGStreamer;

impl ToGStreamer {
    fn level(level: log::Level) -> gst::DebugLevel {
        match level {
            log::Level::Error => gst::DebugLevel::Error,
            log::Level::Warn => gst::DebugLevel::Warning,
            log::Level::Info => gst::DebugLevel::Info,
            log::Level::Debug => gst::DebugLevel::Debug,
            log::Level::Trace => gst::DebugLevel::Trace,
        }
    }
}

impl log::Log for ToGStreamer {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        CAT.above_threshold(Self::level(metadata.level()))
    }

    fn log(&self, record: &log::Record<'_>) {
        // Other libraries log through the same crate; their words would only be noise here.
        if !record.target().starts_with("facesr") || !self.enabled(record.metadata()) {
            return;
        }
        CAT.log(
            None::<&gst::Object>,
            Self::level(record.level()),
            gst::glib::GString::from(record.file().unwrap_or("facesr")).as_gstr(),
            gst::glib::GString::from(record.module_path().unwrap_or("facesr")).as_gstr(),
            record.line().unwrap_or(0),
            *record.args(),
        );
    }

    fn flush(&self) {}
}

/// Makes it the process's logger, unless a program that links this crate has one already.
pub(crate) fn install() {
    static LOGGER: ToGStreamer = ToGStreamer;
    if log::set_logger(&LOGGER).is_ok() {
        log::set_max_level(log::LevelFilter::Trace);
    }
}
