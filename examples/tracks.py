#!/usr/bin/env python3
"""Draws each face's box and the number of its track, which another element or program reads off the buffers' analytics
metadata (GStreamer 1.24 or newer).

    GST_PLUGIN_PATH=target/gst /usr/bin/python3 examples/tracks.py IN OUT.png

needs Debian's python3-gst-1.0 and gir1.2-gst-plugins-bad-1.0. OUT.png is the last frame; the tracks of each are printed.
"""

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstAnalytics", "1.0")
from gi.repository import Gst, GstAnalytics  # noqa: E402


def tracks(buffer):
    """(track, x, y, w, h, confidence) of each detection that a tracking entry is related to."""
    meta = GstAnalytics.buffer_get_analytics_relation_meta(buffer)
    entries = range(GstAnalytics.relation_get_length(meta)) if meta else ()
    for at in entries:
        is_detection, detection = meta.get_od_mtd(at)
        if not is_detection:
            continue
        _, x, y, w, h, confidence = detection.get_location()
        for other in entries:
            is_track, track = meta.get_tracking_mtd(other)
            if is_track and meta.get_relation(at, other) != GstAnalytics.RelTypes.NONE:
                yield track.get_info()[1], x, y, w, h, confidence


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    Gst.init(None)
    pipeline = Gst.parse_launch(
        "filesrc name=in ! decodebin ! videoconvert ! facesrdetect name=faces ! objectdetectionoverlay draw-labels=false"
        " ! textoverlay name=text valignment=top ! videoconvert ! pngenc ! multifilesink name=out max-files=1"
    )
    pipeline.get_by_name("in").set_property("location", sys.argv[1])
    pipeline.get_by_name("out").set_property("location", sys.argv[2])
    text = pipeline.get_by_name("text")

    def read(_pad, info):
        found = list(tracks(info.get_buffer()))
        text.set_property("text", "\n".join(f"track {t[0]}: {t[5]:.2f}" for t in found))
        for track, x, y, w, h, confidence in found:
            print(f"track {track}: {w}x{h} at {x},{y}, {confidence:.2f}")
        return Gst.PadProbeReturn.OK

    pipeline.get_by_name("faces").get_static_pad("src").add_probe(Gst.PadProbeType.BUFFER, read)
    pipeline.set_state(Gst.State.PLAYING)
    message = pipeline.get_bus().timed_pop_filtered(Gst.CLOCK_TIME_NONE, Gst.MessageType.EOS | Gst.MessageType.ERROR)
    pipeline.set_state(Gst.State.NULL)
    if message.type == Gst.MessageType.ERROR:
        sys.exit(str(message.parse_error()))


if __name__ == "__main__":
    main()
