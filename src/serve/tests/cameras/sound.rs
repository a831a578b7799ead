//! A camera's sound, as it came.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use gst::prelude::*;

use crate::camera::{CameraServer, h264};
use crate::{Served, table, until};

/// Somebody who listens: counts packets of sound, unpacked by `depayloader`, and pictures.
struct Listener {
    pipeline: gst::Pipeline,
    sound: Arc<AtomicUsize>,
    caps: Arc<std::sync::Mutex<Option<gst::Caps>>>,
}

impl Listener {
    fn start(address: &str, depayloader: &str) -> Self {
        let line = format!(
            "rtspsrc location={address} protocols=tcp latency=50 name=s \
             s. ! application/x-rtp,media=video ! rtph264depay ! fakesink async=false \
             s. ! application/x-rtp,media=audio ! {depayloader} ! appsink name=sink sync=false async=false"
        );
        let pipeline = gst::parse::launch(&line).unwrap().downcast::<gst::Pipeline>().unwrap();
        let (sound, caps) = (Arc::new(AtomicUsize::new(0)), Arc::default());
        let (count, seen): (_, Arc<std::sync::Mutex<_>>) = (sound.clone(), Arc::clone(&caps));
        let sink = pipeline.by_name("sink").unwrap().downcast::<gst_app::AppSink>().unwrap();
        let new_sample = move |sink: &gst_app::AppSink| {
            let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
            *seen.lock().unwrap() = sample.caps_owned();
            count.fetch_add(1, Ordering::Relaxed);
            Ok(gst::FlowSuccess::Ok)
        };
        sink.set_callbacks(gst_app::AppSinkCallbacks::builder().new_sample(new_sample).build());
        pipeline.set_state(gst::State::Playing).unwrap();
        Self { pipeline, sound, caps }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

#[test]
fn sound_is_handed_on_in_its_own_codec() {
    // AAC, Opus and G.711, as far as there is something here that can make them.
    for (encoder, payloader, depayloader, caps) in [
        ("avenc_aac", "rtpmp4gpay", "rtpmp4gdepay", "audio/mpeg"),
        ("opusenc", "rtpopuspay", "rtpopusdepay", "audio/x-opus"),
        ("alawenc", "rtppcmapay", "rtppcmadepay", "audio/x-alaw"),
        ("mulawenc", "rtppcmupay", "rtppcmudepay", "audio/x-mulaw"),
    ] {
        crate::init();
        assert!(gst::ElementFactory::find(encoder).is_some(), "{encoder} is missing");
        let sound = format!(
            "audiotestsrc is-live=true ! audioconvert ! audioresample ! {encoder} ! {payloader} name=pay1 pt=97"
        );
        let camera = CameraServer::start(0, &format!("{} {sound}", h264("white", 320, 240)));
        let served = Served::start(&table("front", &camera.address(), ""));
        until("the camera", || served.ups("front") == 1);
        // A moment later than the pictures.
        std::thread::sleep(Duration::from_secs(2));
        let listener = Listener::start(&served.address("front"), depayloader);
        until("sound", || listener.sound.load(Ordering::Relaxed) > 20);
        let got = listener.caps.lock().unwrap().clone().unwrap();
        assert_eq!(got.structure(0).unwrap().name().as_str(), caps);
        drop(listener);
        served.stop();
    }
}

#[test]
fn sound_is_left_out_where_the_file_says_so() {
    let sound = "audiotestsrc is-live=true ! alawenc ! rtppcmapay name=pay1 pt=8";
    let camera = CameraServer::start(0, &format!("{} {sound}", h264("white", 320, 240)));
    let served = Served::start(&table("front", &camera.address(), "sound = false"));
    until("the camera", || served.ups("front") == 1);
    std::thread::sleep(Duration::from_secs(1));
    let listener = Listener::start(&served.address("front"), "rtppcmadepay");
    let viewer = crate::viewer::Viewer::start(&served.address("front"), "tcp");
    until("pictures", || viewer.seen().len() > 20);
    assert_eq!(listener.sound.load(Ordering::Relaxed), 0);
    served.stop();
}
