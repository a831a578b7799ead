//! Pipelines that are stopped whatever happens.

use std::ops::Deref;

use gst::prelude::*;

/// A pipeline that goes to NULL when it is dropped, also by a test that fails: GStreamer traps on
/// elements that are freed while they play, and that would hide why the test failed.
pub(crate) struct Guarded(gst::Pipeline);

/// The pipeline of a line as gst-launch takes it.
pub(crate) fn launch(line: &str) -> Guarded {
    crate::common::init();
    Guarded(gst::parse::launch(line).unwrap().downcast().unwrap())
}

impl Deref for Guarded {
    type Target = gst::Pipeline;

    fn deref(&self) -> &gst::Pipeline {
        &self.0
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        let _ = self.0.set_state(gst::State::Null);
    }
}
