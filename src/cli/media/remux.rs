//! Everything but the video that is enhanced: passed on packet by packet, and decoded only where
//! the container cannot hold it as it is.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use gst::prelude::*;

use super::container::{self, Container, Kind};
use super::elements::{add_chain, have, make, parser_for};
use super::status::{PipelineStatus, lock};
use super::timing::{self, Early};

/// How one stream is to reach the muxer.
struct Route {
    kind: Kind,
    /// Elements between the demuxer's queue and the muxer, most often none.
    chain: Vec<gst::Element>,
    /// Text that the demuxer has escaped for Pango and that the muxer wants plain.
    unescape: bool,
    /// What it is turned into, if it is not kept as it is.
    conversion: Option<Conversion>,
}

/// What sound is turned into that a container cannot hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Conversion {
    /// The codec's name.
    name: &'static str,
    /// Samples that its first packet holds of the time before.
    priming: u64,
}

/// A stream that reaches the muxer.
pub(super) struct MuxedStream {
    /// What it is.
    pub(super) kind: Kind,
    /// When it is shown.
    pub(super) span: timing::SpanRecorder,
    /// How much of it lies before the start, nanoseconds.
    pub(super) delay: Arc<AtomicI64>,
    /// The muxer's input.
    pub(super) sink: gst::Pad,
    /// What the user should know.
    pub(super) note: Option<String>,
}

/// Why a stream cannot be kept, as a sentence for the user.
type Refusal = String;

/// Leads the stream of `pad`, which comes out of the multiqueue, into `mux`.
///
/// # Errors
/// The [`Refusal`] if the container cannot hold it.
pub(super) fn keep(
    pipeline: &gst::Pipeline,
    mux: &gst::Element,
    format: Container,
    caps: &gst::Caps,
    queued: impl FnOnce() -> Option<gst::Pad>,
) -> Result<MuxedStream, Refusal> {
    let kind = Kind::of(caps);
    let route = route(mux, caps)
        .or_else(|| convert(caps, format).filter(|_| kind == Some(Kind::Audio)))
        .ok_or_else(|| refusal(caps, format))?;
    let broken = |what: &str| format!("a {} stream could not be kept: {what}", route.kind.name());
    let pad = queued().ok_or_else(|| broken("no queue"))?;
    let sink = container::request(mux, route.kind).ok_or_else(|| broken("the muxer is full"))?;
    if route.unescape {
        unescape(&pad);
    }
    let chain: Vec<_> = route.chain.iter().collect();
    let mut input = None;
    let last = match (chain.first(), chain.last()) {
        (Some(first), Some(last)) => {
            let wired = add_chain(pipeline, &chain).map_err(|e| broken(&e.to_string()));
            wired?;
            let ends = last.static_pad("src").zip(first.static_pad("sink"));
            let (out, first) = ends.ok_or_else(|| broken("no pad"))?;
            input = Some(first);
            out
        }
        _ => pad.clone(),
    };
    let is_opus = caps.structure(0).is_some_and(|s| s.name() == "audio/x-opus");
    if route.kind == Kind::Audio {
        timing::fill_times(&pad, is_opus);
    }
    let delay = Arc::new(AtomicI64::new(0));
    let early = match format {
        Container::Mp4 | Container::Mov => Some(Early::Shifted),
        // Opus brings its own delay.
        _ if format.is_matroska() => {
            let wanted = route.kind == Kind::Audio && route.conversion.is_none() && !is_opus;
            wanted.then(|| Early::Delayed(delay.clone()))
        }
        _ => Some(Early::Dropped),
    };
    let span = match (early, route.conversion) {
        (None, _) => timing::SpanRecorder::default(),
        (Some(early), None) => {
            let texts = caps.structure(0).is_some_and(|s| s.name() == "text/x-raw");
            timing::keep_early_packets(&pad, 0, early, texts)
        }
        (Some(early), Some(conversion)) => {
            timing::keep_early_packets(&last, conversion.priming, early, false)
        }
    };
    last.link(&sink).map_err(|e| broken(&e.to_string()))?;
    // Last of all, since packets flow at once.
    if let Some(input) = input {
        pad.link(&input).map_err(|e| broken(&e.to_string()))?;
    }
    let note = route.conversion.map(|conversion| {
        let codec = caps.structure(0).map_or("unknown", |s| s.name().as_str());
        format!(
            "one audio stream ({codec}) becomes {}: {} cannot hold it as it is",
            conversion.name,
            format.name()
        )
    });
    Ok(MuxedStream { kind: route.kind, span, delay, sink, note })
}

/// Ends a track where its stream becomes another: one track holds one format.
pub(super) fn hold_format(sink: &gst::Pad, status: Arc<PipelineStatus>) {
    let first: Mutex<Option<gst::Caps>> = Mutex::default();
    let ended = AtomicBool::new(false);
    let what = gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM;
    sink.add_probe(what, move |_, info| {
        match &info.data {
            Some(gst::PadProbeData::Event(event)) => {
                if let gst::EventView::Caps(caps) = event.view() {
                    let mut first = lock(&first);
                    match first.as_ref().filter(|first| !is_same_format(first, caps.caps())) {
                        Some(_) => {
                            if !ended.swap(true, Ordering::Relaxed) {
                                let at = status.position.load(Ordering::Relaxed) as f64 / 1e9;
                                status.loss(format!(
                                    "the format of one stream changes at about {at:.1} s; what \
                                     follows of it was left out"
                                ));
                            }
                            return timing::SWALLOWED;
                        }
                        None if first.is_some() => return timing::SWALLOWED,
                        None => *first = Some(caps.caps_owned()),
                    }
                }
            }
            Some(gst::PadProbeData::Buffer(_)) if ended.load(Ordering::Relaxed) => {
                return timing::SWALLOWED;
            }
            _ => {}
        }
        gst::PadProbeReturn::Ok
    });
}

/// Leaves out packets of sound whose time lies before that of one already written: no container can hold
/// them in that order.
pub(super) fn hold_order(sink: &gst::Pad, status: Arc<PipelineStatus>) {
    let last = AtomicI64::new(i64::MIN);
    let told = AtomicBool::new(false);
    sink.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let Some(gst::PadProbeData::Buffer(buffer)) = &info.data else {
            return gst::PadProbeReturn::Ok;
        };
        let Some(time) = timing::running_time(pad, buffer) else { return gst::PadProbeReturn::Ok };
        if last.fetch_max(time, Ordering::Relaxed) <= time {
            return gst::PadProbeReturn::Ok;
        }
        if !told.swap(true, Ordering::Relaxed) {
            let at = status.position.load(Ordering::Relaxed) as f64 / 1e9;
            status.loss(format!(
                "the times of one audio stream go back at about {at:.1} s; what overlaps was left out"
            ));
        }
        timing::SWALLOWED
    });
}

/// Keeps the title of a track from the muxer, which would give it to the whole film.
pub(super) fn drop_titles(pad: &gst::Pad) {
    pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, |_, info| {
        if let Some(gst::PadProbeData::Event(event)) = &mut info.data
            && let gst::EventView::Tag(tag) = event.view()
            && tag.tag().scope() == gst::TagScope::Stream
            && tag.tag().get::<gst::tags::Title>().is_some()
        {
            let mut tags = tag.tag_owned();
            tags.make_mut().remove::<gst::tags::Title>();
            *event = gst::event::Tag::new(tags);
        }
        gst::PadProbeReturn::Ok
    });
}

/// Whether a decoder that was set up for one can go on with the other.
fn is_same_format(a: &gst::CapsRef, b: &gst::CapsRef) -> bool {
    let (Some(a), Some(b)) = (a.structure(0), b.structure(0)) else { return false };
    let field = |s: &gst::StructureRef, name: &str| {
        s.value(name).ok().and_then(|value| value.serialize().ok()).map(|text| text.to_string())
    };
    a.name() == b.name()
        && ["rate", "channels", "codec_data", "format", "layer"]
            .iter()
            .all(|name| field(a, name) == field(b, name))
}

fn route(mux: &gst::Element, caps: &gst::Caps) -> Option<Route> {
    let kind = Kind::of(caps)?;
    // GStreamer's muxer takes Speex under a name that no other program knows.
    if caps.structure(0)?.name() == "audio/x-speex" {
        return None;
    }
    let route = |chain| Route { kind, chain, unescape: false, conversion: None };
    if container::takes(mux, kind, caps) {
        return Some(route(Vec::new()));
    }
    // Matroska's and MP4's demuxers hand out text as Pango markup; muxers want it plain.
    let name = caps.structure(0)?.name();
    let plain = gst::Caps::builder("text/x-raw").field("format", "utf8").build();
    if name == "text/x-raw" && container::takes(mux, kind, &plain) && have("capssetter") {
        let setter = make("capssetter").ok()?;
        setter.set_property("caps", &plain);
        setter.set_property("join", false);
        setter.set_property("replace", true);
        return Some(Route { unescape: true, ..route(vec![setter]) });
    }
    // A parser only regroups the packets' framing (ADTS to raw AAC), it touches no payload.
    let parser = parser_for(caps).and_then(|name| make(name).ok())?;
    // Some parse several codecs; what comes out is what goes in.
    let mut out = gst::Caps::new_empty();
    for structure in parser.pad_template("src")?.caps().iter().filter(|s| s.name() == name) {
        out.get_mut()?.append_structure(structure.to_owned());
    }
    container::takes(mux, kind, &out).then(|| route(vec![parser]))
}

/// Encoders of sound for MP4, with the samples of priming that each writes.
const ENCODERS: [(&str, Conversion); 4] = [
    ("fdkaacenc", Conversion { name: "AAC", priming: 2048 }),
    ("avenc_aac", Conversion { name: "AAC", priming: 1024 }),
    ("voaacenc", Conversion { name: "AAC", priming: 1600 }),
    ("opusenc", Conversion { name: "Opus", priming: 0 }),
];

/// The way of sound that the container cannot hold: decoded and encoded again, for Matroska
/// without loss.
fn convert(caps: &gst::Caps, format: Container) -> Option<Route> {
    let mut chain = Vec::new();
    if caps.structure(0)?.name() != "audio/x-raw" {
        chain.push(decoder(caps)?);
    }
    let (encoder, conversion) = match format {
        Container::Matroska => ("flacenc", Conversion { name: "FLAC", priming: 0 }),
        Container::WebM => ("opusenc", Conversion { name: "Opus", priming: 0 }),
        _ => *ENCODERS.iter().find(|(name, _)| have(name))?,
    };
    for name in ["audioconvert", "audioresample", encoder] {
        chain.push(make(name).ok()?);
    }
    let parser = match conversion.name {
        "AAC" => "aacparse",
        "Opus" => "opusparse",
        _ => "flacparse",
    };
    chain.push(make(parser).ok()?);
    Some(Route { kind: Kind::Audio, chain, unescape: false, conversion: Some(conversion) })
}

/// A decoder of sound for these caps, if there is one. Which of several it is shows when the stream
/// flows: these caps may not say all.
fn decoder(caps: &gst::Caps) -> Option<gst::Element> {
    let kinds = gst::ElementFactoryType::DECODER | gst::ElementFactoryType::MEDIA_AUDIO;
    let all = gst::ElementFactory::factories_with_type(kinds, gst::Rank::MARGINAL);
    all.into_iter().find(|factory| factory.can_sink_any_caps(caps))?;
    let (bin, decode, convert) =
        (gst::Bin::new(), make("decodebin").ok()?, make("audioconvert").ok()?);
    bin.add_many([&decode, &convert]).ok()?;
    for pad in [decode.static_pad("sink")?, convert.static_pad("src")?] {
        bin.add_pad(&gst::GhostPad::with_target(&pad).ok()?).ok()?;
    }
    let into = convert.static_pad("sink")?;
    decode.connect_pad_added(move |_, pad| {
        if !into.is_linked() {
            let _ = pad.link(&into);
        }
    });
    Some(bin.upcast())
}

fn refusal(caps: &gst::Caps, format: Container) -> Refusal {
    let kind = Kind::of(caps).map_or("data", Kind::name);
    let codec = caps.structure(0).map_or("unknown", |s| s.name().as_str());
    let elsewhere = format != Container::Matroska
        && Container::Matroska.muxer(None, false).is_ok_and(|mkv| route(&mkv, caps).is_some());
    let advice = if elsewhere { "; name the output .mkv to keep it" } else { "" };
    format!("left out one {kind} stream ({codec}): {} cannot hold it{advice}", format.name())
}

/// Turns text that the demuxer escaped into what was in the file.
///
/// GStreamer's demuxers escape `&`, `<` and so on until the first packet with a tag they know,
/// and nothing from there on.
fn unescape(pad: &gst::Pad) {
    let tag_seen = Mutex::new(false);
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        let Some(gst::PadProbeData::Buffer(buffer)) = &mut info.data else {
            return gst::PadProbeReturn::Ok;
        };
        let mut tag_seen = tag_seen.lock().unwrap_or_else(|e| e.into_inner());
        let plain = {
            let Ok(map) = buffer.map_readable() else { return gst::PadProbeReturn::Ok };
            let Ok(text) = std::str::from_utf8(&map) else { return gst::PadProbeReturn::Ok };
            *tag_seen |= text.contains('<');
            if *tag_seen || !text.contains('&') {
                return gst::PadProbeReturn::Ok;
            }
            plain_text(text)
        };
        let mut new = gst::Buffer::from_slice(plain.into_bytes());
        let flags = gst::BufferCopyFlags::FLAGS | gst::BufferCopyFlags::TIMESTAMPS;
        if let Some(new) = new.get_mut() {
            // Copying times and flags between two buffers at hand cannot fail.
            let _ = buffer.copy_into(new, flags, ..);
        }
        *buffer = new;
        gst::PadProbeReturn::Ok
    });
}

/// Undoes `g_markup_escape_text`.
fn plain_text(text: &str) -> String {
    [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&apos;", "'"),
        ("&#39;", "'"),
        ("&amp;", "&"),
    ]
    .iter()
    .fold(text.to_string(), |text, (from, to)| text.replace(from, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_undone_once() {
        assert_eq!(plain_text("a &lt;b&gt; &amp;amp; &apos;c&quot;"), "a <b> &amp; 'c\"");
    }
}
