//! A viewer that connects once, and takes down all that it sees.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gst::prelude::*;
use gst_video::prelude::*;

/// A picture that arrived.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ViewedFrame {
    pub(crate) at: Instant,
    pub(crate) size: (u32, u32),
    /// Mean and highest luma of the picture.
    pub(crate) mean: u32,
    pub(crate) highest: u8,
}

/// A viewer.
pub(crate) struct Viewer {
    pipeline: gst::Pipeline,
    seen: Arc<Mutex<Vec<ViewedFrame>>>,
}

impl Viewer {
    /// Looks at an address, by `protocol`.
    pub(crate) fn start(address: &str, protocol: &str) -> Self {
        Self::start_with(&format!("location={address} protocols={protocol}"))
    }

    /// Looks at an rtsps address, whoever has signed its certificate.
    pub(crate) fn start_trusting(address: &str) -> Self {
        Self::start_with(&format!("location={address} protocols=tcp tls-validation-flags=0"))
    }

    /// Looks at an address, by TCP, and shows each packet as it comes.
    pub(crate) fn start_at_once(address: &str) -> Self {
        Self::start_with(&format!("location={address} protocols=tcp latency=0"))
    }

    fn start_with(source: &str) -> Self {
        crate::init();
        let line = format!(
            "rtspsrc latency=50 {source} ! rtph264depay \
             ! avdec_h264 max-threads=1 ! videoconvert ! video/x-raw,format=I420 ! appsink name=sink sync=false"
        );
        let pipeline = gst::parse::launch(&line).unwrap().downcast::<gst::Pipeline>().unwrap();
        let seen: Arc<Mutex<Vec<ViewedFrame>>> = Arc::default();
        let list = seen.clone();
        let sink = pipeline.by_name("sink").unwrap().downcast::<gst_app::AppSink>().unwrap();
        let new_sample = move |sink: &gst_app::AppSink| {
            let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
            let info = gst_video::VideoInfo::from_caps(sample.caps().unwrap()).unwrap();
            let buffer = sample.buffer().unwrap();
            let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(buffer, &info).unwrap();
            let (luma, stride) = (frame.plane_data(0).unwrap(), frame.plane_stride()[0] as usize);
            let (mut sum, mut highest) = (0u64, 0u8);
            for row in luma.chunks(stride).take(info.height() as usize) {
                for value in &row[..info.width() as usize] {
                    sum += u64::from(*value);
                    highest = highest.max(*value);
                }
            }
            let mean = (sum / u64::from(info.width() * info.height())) as u32;
            let size = (info.width(), info.height());
            list.lock().unwrap().push(ViewedFrame { at: Instant::now(), size, mean, highest });
            Ok(gst::FlowSuccess::Ok)
        };
        sink.set_callbacks(gst_app::AppSinkCallbacks::builder().new_sample(new_sample).build());
        pipeline.set_state(gst::State::Playing).unwrap();
        Self { pipeline, seen }
    }

    /// All that arrived.
    pub(crate) fn seen(&self) -> Vec<ViewedFrame> {
        self.seen.lock().unwrap().clone()
    }

    /// The last that arrived; fails if the session has ended.
    pub(crate) fn last(&self) -> Option<ViewedFrame> {
        self.assert_well();
        self.seen.lock().unwrap().last().copied()
    }

    /// Fails if the session has ended.
    pub(crate) fn assert_well(&self) {
        assert_eq!(self.trouble(), None);
    }

    /// Why the session has ended, if it has.
    pub(crate) fn trouble(&self) -> Option<String> {
        let bus = self.pipeline.bus().unwrap();
        let message = bus
            .peek()
            .is_some()
            .then(|| bus.pop_filtered(&[gst::MessageType::Error, gst::MessageType::Eos]))??;
        Some(format!("{:?}", message.view()))
    }

    /// The longest time without a picture since `from`.
    pub(crate) fn longest_gap(&self, from: Instant) -> Duration {
        let mut times: Vec<_> = self.seen().iter().map(|s| s.at).filter(|at| *at >= from).collect();
        times.push(Instant::now());
        times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("seen at last: {:?}", self.seen.lock().map(|seen| seen.last().copied()));
            // What it waits for, if it waits: an element that is not there or does not play.
            for element in self.pipeline.iterate_recurse().into_iter().flatten() {
                let (_, state, pending) = element.state(gst::ClockTime::ZERO);
                eprintln!("  {}: {state:?}, {pending:?} to come", element.name());
            }
        }
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}
