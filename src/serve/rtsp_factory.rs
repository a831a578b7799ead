//! What an RTSP path is made of: the pictures of an output, and the camera's sound if there is any when the first
//! viewer comes.

use std::sync::Arc;

use gst::glib;
use gst::prelude::*;
use gst_rtsp_server::prelude::*;
use gst_rtsp_server::{RTSPMedia, RTSPMediaFactory};

use crate::output::Output;
use crate::sound::Sound;

/// Frames that a viewer may have waiting.
const MOST_WAITING: u64 = 5;

const VIDEO: &str =
    "appsrc name=video is-live=true format=time max-bytes=0 ! rtph264pay name=pay0 pt=96";
const AUDIO: &str = "appsrc name=audio is-live=true format=time max-bytes=0";

mod imp {
    use gst_rtsp_server::subclass::prelude::*;
    use parking_lot::Mutex;

    use super::*;

    #[derive(Default)]
    pub struct Factory {
        pub(super) sound: Mutex<Option<Arc<Sound>>>,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for Factory {
        const NAME: &'static str = "FacesrServeFactory";
        type Type = super::Factory;
        type ParentType = RTSPMediaFactory;
    }

    impl ObjectImpl for Factory {}

    impl RTSPMediaFactoryImpl for Factory {
        fn create_element(&self, _url: &gst_rtsp::RTSPUrl) -> Option<gst::Element> {
            let payloader = self.sound.lock().as_ref().and_then(|sound| sound.payloader());
            let audio = payloader.map(|name| format!("{AUDIO} ! {name} name=pay1 pt=97"));
            let line = format!("( {VIDEO} {} )", audio.unwrap_or_default());
            // Without the payloader for the sound there are pictures.
            gst::parse::launch(&line).or_else(|_| gst::parse::launch(&format!("( {VIDEO} )"))).ok()
        }
    }
}

glib::wrapper! {
    /// Makes the media of one path.
    pub struct Factory(ObjectSubclass<imp::Factory>) @extends RTSPMediaFactory;
}

impl Factory {
    /// The factory for `output` and `sound`: one stream for all viewers.
    pub(crate) fn new(output: &Arc<Output>, sound: &Arc<Sound>) -> Self {
        use gst_rtsp_server::subclass::prelude::*;
        let factory: Self = glib::Object::new();
        *factory.imp().sound.lock() = Some(sound.clone());
        factory.set_shared(true);
        let (output, sound) = (output.clone(), sound.clone());
        factory.connect_media_configure(move |_, media| configure(media, &output, &sound));
        factory
    }
}

/// Gives a new media its pictures and its sound.
fn configure(media: &RTSPMedia, output: &Arc<Output>, sound: &Arc<Sound>) {
    let Ok(bin) = media.element().downcast::<gst::Bin>() else { return };
    let source = |name: &str| bin.by_name(name)?.downcast::<gst_app::AppSrc>().ok();
    let Some(video) = source("video") else { return };
    // Without an encoder the viewer is told, since nothing comes.
    let Ok(id) = output.attach(video, MOST_WAITING) else { return };
    let audio = source("audio").map(|audio| sound.attach(audio, MOST_WAITING));
    let (output, sound) = (output.clone(), sound.clone());
    media.connect_unprepared(move |_| {
        output.fanout.remove(id);
        if let Some(id) = audio {
            sound.fanout.remove(id);
        }
    });
}
