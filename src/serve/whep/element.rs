//! The element `whepserversink`: whether it is there, and how it is set so that it talks to nobody by itself. By
//! default it listens on a port of its own, where anybody may ask, and tells a server elsewhere of each session.

use std::net::IpAddr;

use gst::glib;
use gst::prelude::*;

use super::WhepError;
use crate::elements::{make, set_if_there};

/// What it is made of at run time.
const NEEDED: [&str; 7] =
    ["whepserversink", "webrtcbin", "nicesrc", "dtlssrtpenc", "srtpenc", "rtph264pay", "clocksync"];

/// The first of the elements that is not installed.
pub(crate) fn missing() -> Option<&'static str> {
    NEEDED.into_iter().find(|name| gst::ElementFactory::find(name).is_none())
}

/// Whether objects of a type have such a signal. Asking one that has not would be fatal.
fn has_signal(object: &impl IsA<glib::Object>, name: &str) -> bool {
    glib::subclass::SignalId::lookup(name, object.type_()).is_some()
}

/// What takes the element's offers and ends its sessions.
pub(super) fn signaller(sink: &gst::Element) -> Option<glib::Object> {
    object(sink.upcast_ref(), "signaller")
}

/// A property that is an object, if there is such a one.
fn object(holder: &glib::Object, name: &str) -> Option<glib::Object> {
    holder.has_property(name).then(|| holder.property_value(name).get::<glib::Object>().ok())?
}

/// Makes the element.
///
/// # Errors
/// It is not there, or is one that cannot be kept from talking to others.
pub(super) fn make_sink() -> Result<gst::Element, WhepError> {
    let sink = make("whepserversink")?;
    for signal in ["consumer-pipeline-created", "consumer-added", "consumer-removed"] {
        if !has_signal(&sink, signal) {
            return Err(WhepError::Unsuitable("signals of its viewers"));
        }
    }
    let signaller = signaller(&sink).ok_or(WhepError::Unsuitable("property 'signaller'"))?;
    if !["post", "delete", "start"].iter().all(|signal| has_signal(&signaller, signal)) {
        return Err(WhepError::Unsuitable("signals 'post' and 'delete'"));
    }
    let silent = [
        (&signaller, "host-addr"),
        (&signaller, "stun-server"),
        (sink.upcast_ref(), "stun-server"),
    ];
    for (object, property) in silent {
        if !object.has_property_with_type(property, String::static_type()) {
            return Err(WhepError::Unsuitable("properties 'host-addr' and 'stun-server'"));
        }
        object.set_property(property, None::<&str>);
    }
    // The pictures are encoded already: nothing can be done about their bits.
    for (property, value) in [
        ("video-caps", "video/x-h264"),
        ("congestion-control", "disabled"),
        ("do-fec", "false"),
        ("do-retransmission", "true"),
    ] {
        set_if_there(&sink, property, value);
    }
    Ok(sink)
}

/// Sees to it that a viewer's WebRTC asks no router for a port, connects to nobody by TCP, and listens on `address`
/// alone if it names one.
pub(super) fn confine(webrtcbin: &gst::Element, address: IpAddr) {
    let Some(ice) = object(webrtcbin.upcast_ref(), "ice-agent") else { return };
    if !address.is_unspecified() && has_signal(&ice, "add-local-ip-address") {
        let values: [&dyn ToValue; 1] = [&address.to_string()];
        ice.emit_by_name::<bool>("add-local-ip-address", &values);
    }
    let Some(agent) = object(&ice, "agent") else { return };
    for property in ["upnp", "ice-tcp"] {
        if agent.has_property_with_type(property, bool::static_type()) {
            agent.set_property(property, false);
        }
    }
}
