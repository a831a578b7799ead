//! Whether the headers of compressed sound can be read.
//!
//! Vorbis, Opus and Speex set their decoder up by headers that travel once, ahead of all packets. If they
//! are damaged, no packet of the stream can ever be decoded, and a player may refuse the whole file for it.

use gst::prelude::*;

/// Sound whose headers a decoder takes one by one.
const CODECS: [&str; 3] = ["audio/x-vorbis", "audio/x-opus", "audio/x-speex"];

/// Whether a decoder takes the headers that `caps` carry. True also for sound without such headers, and
/// where no decoder is installed that could tell.
pub(super) fn are_whole(caps: &gst::Caps) -> bool {
    let Some(headers) = headers(caps) else { return true };
    let kinds = gst::ElementFactoryType::DECODER | gst::ElementFactoryType::MEDIA_AUDIO;
    let all = gst::ElementFactory::factories_with_type(kinds, gst::Rank::MARGINAL);
    let decoder = all
        .into_iter()
        .find(|factory| factory.can_sink_any_caps(caps))
        .and_then(|factory| factory.create().build().ok());
    let Some(decoder) = decoder else { return true };
    let taken = takes(&decoder, caps, headers);
    let _ = decoder.set_state(gst::State::Null);
    taken
}

/// The headers of `caps`, if it is one of [`CODECS`].
fn headers(caps: &gst::Caps) -> Option<Vec<gst::Buffer>> {
    let structure = caps.structure(0)?;
    let array = structure.get::<gst::ArrayRef>("streamheader").ok()?;
    let headers = array.iter().filter_map(|value| value.get::<gst::Buffer>().ok());
    let is_read = CODECS.contains(&structure.name().as_str());
    Some(headers.collect::<Vec<_>>()).filter(|headers| is_read && !headers.is_empty())
}

/// Whether `decoder` takes `headers` without an error.
fn takes(decoder: &gst::Element, caps: &gst::Caps, headers: Vec<gst::Buffer>) -> bool {
    let source = gst::Pad::builder(gst::PadDirection::Src).build();
    let linked = decoder.static_pad("sink").is_some_and(|sink| source.link(&sink).is_ok());
    let ready =
        linked && decoder.set_state(gst::State::Paused).is_ok() && source.set_active(true).is_ok();
    if !ready {
        return true;
    }
    source.push_event(gst::event::StreamStart::new("headers"));
    let taken = source.push_event(gst::event::Caps::new(caps))
        && source
            .push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new()))
        && headers.into_iter().all(|header| !is_refusal(source.push(header)));
    let _ = source.set_active(false);
    taken
}

/// Nobody listens to the decoder, so that data which nobody takes is no refusal.
fn is_refusal(flow: Result<gst::FlowSuccess, gst::FlowError>) -> bool {
    matches!(flow, Err(gst::FlowError::Error | gst::FlowError::NotNegotiated))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Caps of what comes out of an encoder.
    fn encoded(encoder: &str) -> gst::Caps {
        gst::init().unwrap();
        let line = format!(
            "audiotestsrc num-buffers=20 ! audioconvert ! audioresample ! {encoder} ! fakesink name=sink"
        );
        let pipeline = gst::parse::launch(&line).unwrap().downcast::<gst::Pipeline>().unwrap();
        pipeline.set_state(gst::State::Playing).unwrap();
        let bus = pipeline.bus().unwrap();
        let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
        let last = bus.timed_pop_filtered(gst::ClockTime::from_seconds(20), &kinds).unwrap();
        assert_eq!(last.type_(), gst::MessageType::Eos);
        let caps = pipeline.by_name("sink").unwrap().static_pad("sink").unwrap().current_caps();
        pipeline.set_state(gst::State::Null).unwrap();
        caps.unwrap()
    }

    /// The same with a piece of the last header overwritten.
    fn damaged(caps: &gst::Caps) -> gst::Caps {
        let mut headers = headers(caps).unwrap();
        let last = headers.pop().unwrap();
        let mut bytes = last.map_readable().unwrap().to_vec();
        let middle = bytes.len() / 2;
        bytes[60..middle].fill(0xff);
        headers.push(gst::Buffer::from_slice(bytes));
        let mut caps = caps.copy();
        caps.make_mut().set("streamheader", gst::Array::new(headers));
        caps
    }

    #[test]
    fn whole_headers_are_taken() {
        for encoder in ["vorbisenc", "opusenc", "speexenc"] {
            let caps = encoded(encoder);
            assert!(headers(&caps).is_some(), "{encoder}: {caps}");
            assert!(are_whole(&caps), "{encoder}");
        }
    }

    #[test]
    fn damaged_setup_of_vorbis_is_refused() {
        assert!(!are_whole(&damaged(&encoded("vorbisenc"))));
    }

    #[test]
    fn sound_without_headers_passes() {
        gst::init().unwrap();
        let caps = gst::Caps::builder("audio/mpeg").field("mpegversion", 1).build();
        assert!(are_whole(&caps));
    }
}
