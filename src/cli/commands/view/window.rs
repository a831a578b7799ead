//! The window.

use std::ffi::{c_int, c_void};

use gst::prelude::*;

use crate::media::make;
use crate::term::Failure;

/// The element that shows the picture: the one that was asked for, or the first that opens a window on
/// this desktop.
///
/// GStreamer's own choice, `autovideosink`, is not asked on Linux: where no window can be opened it tries
/// DirectFB, which crashes.
pub(super) fn open(asked: Option<&str>) -> Result<gst::Element, Failure> {
    if let Some(name) = asked {
        outlive_x_errors();
        return make(name);
    }
    if !cfg!(target_os = "linux") {
        return make("autovideosink");
    }
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let mut names = Vec::new();
    if set("DISPLAY") {
        names.extend(["xvimagesink", "ximagesink", "glimagesink"]);
    }
    if set("WAYLAND_DISPLAY") {
        names.push("waylandsink");
    }
    if names.is_empty() {
        return Err(Failure::running(
            "no window can be opened: there is no display (neither DISPLAY nor WAYLAND_DISPLAY is set); \
             --sink names another element to show the picture",
        ));
    }
    outlive_x_errors();
    let mut found = false;
    for name in names {
        let Ok(sink) = make(name) else { continue };
        found = true;
        if sink.set_state(gst::State::Ready).is_ok() {
            return Ok(sink);
        }
        let _ = sink.set_state(gst::State::Null);
    }
    Err(Failure::running(if found {
        "no window can be opened on this display; --sink names another element to show the picture"
    } else {
        "GStreamer's elements that open windows are missing; install the package gstreamer1.0-x \
         (Wayland: gstreamer1.0-plugins-bad)"
    }))
}

/// Makes a request that an X server refuses cost that request and not, as is the default, the program.
/// GStreamer 1.22's X windows ask for touch events with bits that were never set: a server may refuse
/// that, and nobody misses them here.
fn outlive_x_errors() {
    type Handler = unsafe extern "C" fn(*mut c_void, *mut c_void) -> c_int;
    unsafe extern "C" fn go_on(_display: *mut c_void, _event: *mut c_void) -> c_int {
        0
    }
    // SAFETY: libX11's initialisers have no conditions; without it there are no X windows.
    let Ok(library) = (unsafe { libloading::Library::new("libX11.so.6") }) else { return };
    // SAFETY: Xlib.h declares it so; a handler may be set at any time.
    unsafe {
        if let Ok(set) = library
            .get::<unsafe extern "C" fn(Option<Handler>) -> Option<Handler>>(c"XSetErrorHandler")
        {
            set(Some(go_on));
        }
    }
    // It holds the handler until the end.
    std::mem::forget(library);
}
