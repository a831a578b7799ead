//! A camera's sound, handed on as it came: never decoded, never encoded.

use std::time::{Duration, Instant};

use gst::prelude::*;
use parking_lot::Mutex;

use crate::elements::{chain, make};
use crate::error::ServeError;
use crate::fanout::Fanout;
use crate::picture::arrival;

/// Sound that has not come for so long is not there.
const GONE_AFTER: Duration = Duration::from_secs(1);
/// Packets that may wait for a viewer.
const MOST_WAITING: u64 = 50;

/// What is known, with all that it takes to hand it on.
struct Codec {
    /// The name that RTP has for it, the element that unpacks it there, one that puts it in order, and the one that
    /// packs it again.
    rtp: &'static str,
    depayloader: &'static str,
    parser: Option<&'static str>,
    payloader: &'static str,
    caps: &'static str,
}

const CODECS: [Codec; 4] = [
    Codec {
        rtp: "MPEG4-GENERIC",
        depayloader: "rtpmp4gdepay",
        parser: Some("aacparse"),
        payloader: "rtpmp4gpay",
        caps: "audio/mpeg,mpegversion=4,stream-format=raw",
    },
    Codec {
        rtp: "OPUS",
        depayloader: "rtpopusdepay",
        parser: Some("opusparse"),
        payloader: "rtpopuspay",
        caps: "audio/x-opus",
    },
    Codec {
        rtp: "PCMA",
        depayloader: "rtppcmadepay",
        parser: None,
        payloader: "rtppcmapay",
        caps: "audio/x-alaw",
    },
    Codec {
        rtp: "PCMU",
        depayloader: "rtppcmudepay",
        parser: None,
        payloader: "rtppcmupay",
        caps: "audio/x-mulaw",
    },
];

/// The sound of one camera.
#[derive(Default)]
pub(crate) struct Sound {
    pub(crate) fanout: Fanout,
    /// What comes, and when it came last.
    latest: Mutex<Option<(gst::Caps, Instant)>>,
}

impl Sound {
    /// What comes now, if anything does.
    pub(crate) fn caps(&self) -> Option<gst::Caps> {
        let latest = self.latest.lock();
        let (caps, at) = latest.as_ref()?;
        (at.elapsed() < GONE_AFTER).then(|| caps.clone())
    }

    /// The element that packs what comes now for RTP.
    pub(crate) fn payloader(&self) -> Option<&'static str> {
        let caps = self.caps()?;
        CODECS.iter().find(|codec| codec.is(&caps)).map(|codec| codec.payloader)
    }

    /// From now on `source` gets it. Answers what to take it out by.
    pub(crate) fn attach(&self, source: gst_app::AppSrc, most_waiting: u64) -> u64 {
        self.fanout.add(source, most_waiting.max(MOST_WAITING))
    }

    /// A packet has come.
    fn push_sample(&self, sample: &gst::Sample, sink: &gst_app::AppSink) {
        let Some((caps, buffer)) = sample.caps_owned().zip(sample.buffer()) else { return };
        let at = arrival(buffer.pts(), sample.segment(), sink.upcast_ref());
        let mut latest = self.latest.lock();
        if latest.as_ref().is_some_and(|(former, _)| !former.can_intersect(&caps)) {
            // Viewers were promised another codec; they go on without sound.
            self.fanout.forget_all();
        }
        *latest = Some((caps, Instant::now()));
        drop(latest);
        self.fanout.deliver(sample, crate::picture::now().saturating_sub(at));
    }
}

impl Codec {
    fn is(&self, caps: &gst::Caps) -> bool {
        self.caps.parse::<gst::Caps>().is_ok_and(|own| own.can_intersect(caps))
    }
}

/// Formats that can be handed on, as a decoder is told them.
pub(crate) fn formats() -> gst::Caps {
    let mut all = gst::Caps::new_empty();
    for caps in ["audio/mpeg,mpegversion=4", "audio/x-opus", "audio/x-alaw", "audio/x-mulaw"] {
        all.make_mut().extend(caps.parse::<gst::Caps>());
    }
    all
}

/// Whether an RTP stream can be handed on.
pub(crate) fn is_known(rtp: &gst::StructureRef) -> bool {
    by_rtp(rtp).is_some()
}

fn by_rtp(rtp: &gst::StructureRef) -> Option<&'static Codec> {
    let name = rtp.get::<&str>("encoding-name").ok()?;
    CODECS.iter().find(|codec| codec.rtp.eq_ignore_ascii_case(name))
}

/// Leads the pad of a source, of RTP or of a format of [`formats`], to `sound`. A file's is `paced`. What cannot be
/// handed on is left: the pictures go on.
pub(crate) fn lead(
    pad: &gst::Pad,
    pipeline: &gst::Pipeline,
    sound: &std::sync::Arc<Sound>,
    is_paced: bool,
) -> Result<(), ServeError> {
    let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
    let Some(kind) = caps.structure(0) else { return Ok(()) };
    let mut list = Vec::new();
    let codec = match kind.name().as_str() {
        "application/x-rtp" => {
            let codec = by_rtp(kind);
            if let Some(codec) = codec {
                list.push(make(codec.depayloader)?);
            }
            codec
        }
        // A parser makes the rest as it should be.
        "audio/mpeg" => CODECS.first(),
        _ => CODECS.iter().find(|codec| codec.is(&caps)),
    };
    let Some(codec) = codec else { return Ok(()) };
    if let Some(parser) = codec.parser {
        list.push(make(parser)?);
    }
    let filter = make("capsfilter")?;
    filter.set_property_from_str("caps", codec.caps);
    list.push(filter);
    if is_paced {
        list.push(make("clocksync")?);
    }
    let sink = gst_app::AppSink::builder().sync(false).async_(false).build();
    let sound = sound.clone();
    let new_sample = move |sink: &gst_app::AppSink| {
        let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
        sound.push_sample(&sample, sink);
        Ok(gst::FlowSuccess::Ok)
    };
    sink.set_callbacks(gst_app::AppSinkCallbacks::builder().new_sample(new_sample).build());
    list.push(sink.upcast());
    chain(pipeline, &list)?;
    for element in list.iter().rev() {
        element.sync_state_with_parent()?;
    }
    let entry = list.first().and_then(|first| first.static_pad("sink"));
    let linked = entry.map(|entry| pad.link(&entry));
    match linked {
        Some(Ok(_)) => Ok(()),
        _ => Err(gst::glib::bool_error!("the sound cannot be read").into()),
    }
}
