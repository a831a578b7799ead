#!/usr/bin/env python3
"""Serves a video or a camera with sharpened faces over RTSP, at rtsp://HOST:PORT/faces.

    rtsp_server.py SOURCE [PORT]

SOURCE is a file, which is played from its start for each who looks, or an rtsp:// address.
Needs GStreamer for Python and its RTSP server: python3-gst-1.0, gir1.2-gst-rtsp-server-1.0.
"""

import pathlib
import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    Gst.init(None)
    source = sys.argv[1]
    if "://" not in source:
        source = pathlib.Path(source).resolve().as_uri()
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(
        f'( uridecodebin uri="{source}" ! videoconvert ! facesr ! videoconvert ! '
        "x264enc tune=zerolatency speed-preset=superfast ! rtph264pay name=pay0 config-interval=1 )"
    )
    # One pipeline for all who look at a camera; a file begins again for each.
    factory.set_shared(source.startswith("rtsp"))
    server = GstRtspServer.RTSPServer()
    server.set_service(sys.argv[2] if len(sys.argv) == 3 else "8554")
    server.get_mount_points().add_factory("/faces", factory)
    server.attach(None)
    print(f"rtsp://127.0.0.1:{server.get_bound_port()}/faces", flush=True)
    try:
        GLib.MainLoop().run()
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
