//! Which elements GStreamer may pick by itself. A file is a file: nothing in it may make the
//! program open another file or an address.

use gst::prelude::*;

/// The demuxers that read files. None of them opens anything but what it is fed. Those of FFmpeg that are not
/// here do not tell that a file has ended.
const FILE_DEMUXERS: [&str; 18] = [
    "qtdemux",
    "matroskademux",
    "avidemux",
    "tsdemux",
    "mpegpsdemux",
    "flvdemux",
    "asfdemux",
    "oggdemux",
    "mxfdemux",
    "multipartdemux",
    "rmdemux",
    "dvdemux",
    "ivfparse",
    "y4mdec",
    "wavparse",
    "id3demux",
    "apedemux",
    "avdemux_gif",
];

/// Those that want a player which selects its streams; the older ones hand out a stream as it is.
const STREAM_SELECTING: [&str; 3] = ["hlsdemux2", "dashdemux2", "mssdemux2"];

/// Parsers that turn subtitles into plain text: containers keep them as they are.
const SUBTITLE_PARSERS: [&str; 3] = ["subparse", "ssaparse", "ogmtextparse"];

/// Lets GStreamer pick only elements of a closed list: for a file, demuxers that read nothing
/// else; for an address, all that read networks, too. To be called before each input.
pub(crate) fn restrict_factories(is_file: bool) {
    let registry = gst::Registry::get();
    for factory in registry.features(gst::ElementFactory::static_type()) {
        let Ok(factory) = factory.downcast::<gst::ElementFactory>() else { continue };
        let class = factory.metadata("klass").unwrap_or_default().to_string();
        let name = factory.name();
        let is = |word: &str| class.split('/').any(|part| part == word);
        let demuxes = is("Demuxer") || is("Demux");
        let reaches_out = is("Adaptive") || is("Network") || is("Source") || is("Bin");
        if SUBTITLE_PARSERS.contains(&name.as_str()) || STREAM_SELECTING.contains(&name.as_str()) {
            factory.set_rank(gst::Rank::NONE);
        } else if demuxes && (reaches_out || !FILE_DEMUXERS.contains(&name.as_str())) {
            let allowed = !is_file && is("Adaptive");
            factory.set_rank(if allowed { gst::Rank::PRIMARY } else { gst::Rank::NONE });
        }
    }
}
