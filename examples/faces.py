#!/usr/bin/env python3
"""Sharpens the faces of a video and prints who came and went.

    faces.py IN OUT.mp4

Needs GStreamer for Python: python3-gst-1.0.
"""

import sys

import gi

gi.require_version("Gst", "1.0")
from gi.repository import Gst  # noqa: E402


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    Gst.init(None)
    pipeline = Gst.parse_launch(
        "filesrc name=in ! decodebin ! videoconvert ! facesr name=faces ! videoconvert ! x264enc ! "
        "mp4mux ! filesink name=out"
    )
    pipeline.get_by_name("in").set_property("location", sys.argv[1])
    pipeline.get_by_name("out").set_property("location", sys.argv[2])
    bus = pipeline.get_bus()
    pipeline.set_state(Gst.State.PLAYING)
    try:
        while True:
            message = bus.timed_pop(Gst.CLOCK_TIME_NONE)
            if message.type == Gst.MessageType.ELEMENT and message.has_name("facesr-faces"):
                # Time, and id, box and score of each face that is there now.
                print(message.get_structure().to_string())
            elif message.type == Gst.MessageType.ERROR:
                sys.exit(f"faces.py: {message.parse_error()[0].message}")
            elif message.type == Gst.MessageType.EOS:
                break
        print(pipeline.get_by_name("faces").get_property("stats").to_string())
    finally:
        pipeline.set_state(Gst.State.NULL)


if __name__ == "__main__":
    main()
