//! How the elements behave as elements: what GStreamer asks of every filter, whatever it filters.
//! Each test takes all elements of the plugin.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "../common/mod.rs"]
mod common;

mod buffers;
mod changes;
mod events;
mod negotiation;
mod seeking;
mod states;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use common::*;
use gst::prelude::*;

/// Every element, so set up that it has work to do on the frames of [`face_frame`].
pub(crate) const ELEMENTS: [&str; 3] =
    ["facesrdetect detector=seetaface", "facesrenhance", "facesr detector=none"];

/// Where the face is in frames that have one.
pub(crate) const FACE: (u32, u32, u32, u32) = (31, 17, 26, 33);

pub(crate) fn element(line: &str) -> gst::Element {
    init();
    gst::parse::launch(line).unwrap()
}

pub(crate) fn is_enhancer(line: &str) -> bool {
    !line.starts_with("facesrdetect")
}

/// A frame of noise with a face, the `n`th of its stream.
pub(crate) fn face_frame(info: &gst_video::VideoInfo, n: u64) -> gst::Buffer {
    let mut buffer = stamped(frame(info, n as u32), n);
    add_face(&mut buffer, 1, FACE);
    buffer
}

/// A pipeline from a line in which the element under test is named `f`; every frame that enters it
/// has a face.
pub(crate) struct Play {
    pub(crate) pipeline: gst::Pipeline,
    pub(crate) f: gst::Element,
    /// Time stamps of what has left the element.
    pub(crate) seen: Arc<Mutex<Vec<Option<gst::ClockTime>>>>,
    count: Arc<AtomicUsize>,
}

impl Play {
    pub(crate) fn new(line: &str) -> Self {
        init();
        let pipeline: gst::Pipeline = gst::parse::launch(line).unwrap().downcast().unwrap();
        let f = pipeline.by_name("f").unwrap();
        f.static_pad("sink").unwrap().add_probe(gst::PadProbeType::BUFFER, |_, info| {
            if let Some(gst::PadProbeData::Buffer(buffer)) = &mut info.data {
                add_face(buffer, 1, FACE);
            }
            gst::PadProbeReturn::Ok
        });
        let seen = Arc::new(Mutex::new(Vec::new()));
        let count = Arc::new(AtomicUsize::new(0));
        let (list, counter) = (seen.clone(), count.clone());
        f.static_pad("src").unwrap().add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            list.lock().unwrap().push(info.buffer().unwrap().pts());
            counter.fetch_add(1, Ordering::Relaxed);
            gst::PadProbeReturn::Ok
        });
        Self { pipeline, f, seen, count }
    }

    pub(crate) fn set(&self, state: gst::State) {
        self.pipeline.set_state(state).unwrap();
    }

    /// Waits until the pipeline has reached the state it was set to.
    pub(crate) fn settle(&self) {
        let (change, ..) = self.pipeline.state(gst::ClockTime::from_seconds(30));
        change.unwrap();
    }

    pub(crate) fn frames(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    pub(crate) fn stat(&self, name: &str) -> u64 {
        self.f.property::<gst::Structure>("stats").get(name).unwrap()
    }

    /// Waits until `n` more frames have come out.
    pub(crate) fn await_frames(&self, n: usize) {
        let (start, wanted) = (Instant::now(), self.frames() + n);
        while self.frames() < wanted {
            self.no_errors();
            assert!(start.elapsed() < Duration::from_secs(30), "{} of {wanted}", self.frames());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Fails if an element has posted an error.
    pub(crate) fn no_errors(&self) {
        let bus = self.pipeline.bus().unwrap();
        if let Some(message) = bus.pop_filtered(&[gst::MessageType::Error]) {
            let gst::MessageView::Error(e) = message.view() else { unreachable!() };
            panic!("{} {:?}", e.error(), e.debug());
        }
    }

    /// Waits for a message of this kind; an error fails.
    pub(crate) fn await_message(&self, kind: gst::MessageType) -> gst::Message {
        let bus = self.pipeline.bus().unwrap();
        let kinds = [kind, gst::MessageType::Error];
        let message = bus.timed_pop_filtered(gst::ClockTime::from_seconds(30), &kinds);
        let message = message.unwrap_or_else(|| panic!("no message {kind:?}"));
        if let gst::MessageView::Error(e) = message.view() {
            panic!("{} {:?}", e.error(), e.debug());
        }
        message
    }
}

impl Drop for Play {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}
