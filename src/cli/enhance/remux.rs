//! Everything but the video that is enhanced: passed on packet by packet, never decoded.

use std::sync::Mutex;

use gst::prelude::*;

use super::container::{self, Container, Kind};
use super::elements::{add_chain, have, make, parser_for};
use super::timing;

/// How one stream is to reach the muxer.
struct Route {
    kind: Kind,
    /// Elements between the demuxer's queue and the muxer, most often none.
    chain: Vec<gst::Element>,
    /// Text that the demuxer has escaped for Pango and that the muxer wants plain.
    unescape: bool,
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
) -> Result<(Kind, timing::Watched), Refusal> {
    let route = route(mux, caps).ok_or_else(|| refusal(caps, format))?;
    let broken = |what: &str| format!("a {} stream could not be kept: {what}", route.kind.name());
    let pad = queued().ok_or_else(|| broken("no queue"))?;
    let sink = container::request(mux, route.kind).ok_or_else(|| broken("the muxer is full"))?;
    if route.unescape {
        unescape(&pad);
    }
    let span = match format {
        Container::Mp4 => timing::keep_early_packets(&pad),
        Container::Matroska => timing::Watched::default(),
    };
    let linked = (|| {
        let chain: Vec<_> = route.chain.iter().collect();
        match (chain.first(), chain.last()) {
            (Some(first), Some(last)) => {
                add_chain(pipeline, &chain)?;
                let out = last.static_pad("src").zip(first.static_pad("sink"));
                let (out, input) = out.ok_or(gst::PadLinkError::Refused).map_err(link_error)?;
                out.link(&sink).map_err(link_error)?;
                pad.link(&input).map_err(link_error)?;
            }
            _ => {
                pad.link(&sink).map_err(link_error)?;
            }
        }
        Ok::<_, gst::glib::BoolError>(())
    })();
    linked.map_err(|e| broken(&e.to_string()))?;
    Ok((route.kind, span))
}

fn link_error(e: gst::PadLinkError) -> gst::glib::BoolError {
    gst::glib::bool_error!("{}", e)
}

fn route(mux: &gst::Element, caps: &gst::Caps) -> Option<Route> {
    let kind = Kind::of(caps)?;
    if container::takes(mux, kind, caps) {
        return Some(Route { kind, chain: Vec::new(), unescape: false });
    }
    // Matroska's and MP4's demuxers hand out text as Pango markup; muxers want it plain.
    let text = caps.structure(0).filter(|s| s.name() == "text/x-raw");
    let plain = gst::Caps::builder("text/x-raw").field("format", "utf8").build();
    if text.is_some() && container::takes(mux, kind, &plain) && have("capssetter") {
        let setter = make("capssetter").ok()?;
        setter.set_property("caps", &plain);
        setter.set_property("join", false);
        setter.set_property("replace", true);
        return Some(Route { kind, chain: vec![setter], unescape: true });
    }
    // A parser only regroups the packets' framing (ADTS to raw AAC), it touches no payload.
    let parser = parser_for(caps).and_then(|name| make(name).ok())?;
    let out = parser.pad_template("src")?;
    container::takes(mux, kind, out.caps()).then(|| Route {
        kind,
        chain: vec![parser],
        unescape: false,
    })
}

fn refusal(caps: &gst::Caps, format: Container) -> Refusal {
    let kind = Kind::of(caps).map_or("data", Kind::name);
    let codec = caps.structure(0).map_or("unknown", |s| s.name().as_str());
    let elsewhere = format == Container::Mp4
        && Container::Matroska.muxer().is_ok_and(|mkv| route(&mkv, caps).is_some());
    let (name, advice) = match format {
        Container::Mp4 if elsewhere => ("MP4", "; name the output .mkv to keep it"),
        Container::Mp4 => ("MP4", ""),
        Container::Matroska => ("Matroska", ""),
    };
    format!("left out one {kind} stream ({codec}): {name} cannot hold it{advice}")
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
