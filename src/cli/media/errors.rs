//! What GStreamer reports, as a sentence: what failed, and what to do.

use gst::prelude::*;

use super::elements::decoder_package;
use super::format::Format;
use super::input::Input;
use crate::term::io_reason;

/// What is known when an error message arrives.
pub(super) struct Context<'a> {
    /// The input.
    pub(super) source: &'a Input,
    /// The output's final name, if one is written.
    pub(super) output: Option<String>,
    /// Missing plugins that were status of: description, and packages that may hold them.
    pub(super) missing: &'a [(String, &'static str)],
}

/// Description and package out of a missing-plugin message.
pub(super) fn missing_plugin(message: &gst::MessageRef) -> Option<(String, &'static str)> {
    let s = message.structure().filter(|s| s.name() == "missing-plugin")?;
    let detail = match s.get::<gst::Caps>("detail") {
        Ok(caps) => caps.to_string(),
        Err(_) => s.get::<String>("detail").unwrap_or_default(),
    };
    let name = s.get::<String>("name").unwrap_or_else(|_| detail.clone());
    Some((name, decoder_package(&detail)))
}

/// How much an error tells: of several, the one with the greatest weight is the cause.
pub(super) fn weight(error: &gst::message::Error) -> u32 {
    let what = error.error();
    let tells_nothing = what.matches(gst::StreamError::Failed)
        && !error.src().is_some_and(|src| src.is::<gst::Pipeline>() || inside_facesr(src));
    match () {
        () if what.is::<gst::ResourceError>() => 2,
        () if tells_nothing => 0,
        () => 1,
    }
}

/// Whether a warning tells that something of the input cannot be read.
pub(super) fn tells_of_damage(warning: &gst::message::Warning) -> bool {
    let what = warning.error();
    what.matches(gst::StreamError::Demux) || what.matches(gst::StreamError::Decode)
}

/// The sentence for a warning.
pub(super) fn warning_sentence(warning: &gst::message::Warning) -> String {
    let text = plain(&warning.error().to_string());
    match tells_of_damage(warning) {
        true => format!("the input is damaged, parts of it are missing ({text})"),
        false => text,
    }
}

/// The sentence for an error message.
pub(super) fn sentence(error: &gst::message::Error, context: &Context<'_>) -> String {
    let input = context.source.name();
    let output = context.output.as_deref().unwrap_or("the output");
    let from = error.src();
    let of = |kind: &str| {
        from.and_then(|src| src.downcast_ref::<gst::Element>())
            .and_then(|e| e.factory())
            .is_some_and(|f| f.name() == kind)
    };
    let what = error.error();
    let text = plain(&what.to_string());
    // The pipeline itself only speaks for this program.
    if from.is_some_and(|src| src.is::<gst::Pipeline>()) {
        return error.debug().map_or(text, |debug| own_words(&debug));
    }
    if from.is_some_and(inside_facesr) {
        return text;
    }
    if of("filesink") || of("fdsink") {
        return match what.kind::<gst::ResourceError>() {
            Some(gst::ResourceError::NoSpaceLeft) => {
                format!("cannot write {output}: the disk is full")
            }
            _ => format!("cannot write {output}: {text}"),
        };
    }
    if let Some((name, package)) = context.missing.first()
        && (what.matches(gst::StreamError::CodecNotFound)
            || what.matches(gst::CoreError::MissingPlugin)
            || what.matches(gst::StreamError::TypeNotFound))
    {
        return format!(
            "cannot read {input}: GStreamer has no {name}; install the package {package}"
        );
    }
    if let Some(kind) = what.kind::<gst::StreamError>() {
        return match kind {
            gst::StreamError::TypeNotFound | gst::StreamError::WrongType => {
                // GStreamer says the same of a stream within a file, of which not a frame is whole.
                match context.source.format() {
                    Format::Other => {
                        format!("cannot read {input}: it is no video file that GStreamer knows")
                    }
                    _ => format!("cannot read {input}: it is damaged, no frame in it can be read"),
                }
            }
            gst::StreamError::Demux => {
                format!("cannot read {input}: the file is damaged or cut short ({text})")
            }
            gst::StreamError::Decode => {
                format!("cannot decode {input}: the video is damaged ({text})")
            }
            gst::StreamError::Encode => format!("cannot encode {output}: {text}"),
            gst::StreamError::Mux => format!("cannot write {output}: {text}"),
            gst::StreamError::Failed if error.debug().is_some_and(|d| d.contains("not-linked")) => {
                format!("cannot read {input}: no stream in it can be decoded")
            }
            gst::StreamError::Failed => format!("cannot read {input}: {text}"),
            _ => format!("{input}: {text}"),
        };
    }
    if what.is::<gst::ResourceError>() {
        return format!("cannot read {input}: {}", reason_in(error).unwrap_or(text));
    }
    format!("{input}: {text}")
}

/// Why nothing can come from an address of the web, if nobody answers there: GStreamer's source does
/// not say.
pub(super) fn unreachable(uri: &str) -> Option<String> {
    use std::net::{TcpStream, ToSocketAddrs};
    let (host, port) = host_and_port(uri)?;
    let all = match (host, port).to_socket_addrs() {
        Ok(all) => all,
        Err(_) => return Some(format!("cannot connect to {host}: its name is not known")),
    };
    let mut reason = None;
    for address in all.take(4) {
        match TcpStream::connect_timeout(&address, CONNECT) {
            Ok(_) => return None,
            Err(e) if e.kind() == std::io::ErrorKind::TimedOut => {
                reason = Some("it does not answer".to_string());
            }
            Err(e) => reason = Some(io_reason(&e)),
        }
    }
    Some(format!("cannot connect to {host}:{port}: {}", reason?))
}

/// Host and port of an address of the web.
fn host_and_port(uri: &str) -> Option<(&str, u16)> {
    let (scheme, rest) = uri.split_once("://")?;
    let default = match scheme.to_ascii_lowercase().as_str() {
        "http" => 80,
        "https" => 443,
        _ => return None,
    };
    let authority = rest.split(['/', '?', '#']).next()?;
    let place = authority.rsplit_once('@').map_or(authority, |(_, place)| place);
    let (host, port) = match place.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']')?;
            (host, rest.strip_prefix(':'))
        }
        None => place.split_once(':').map_or((place, None), |(host, port)| (host, Some(port))),
    };
    Some((host, port.map_or(Some(default), |port| port.parse().ok())?))
}

/// How long an address may take to answer.
const CONNECT: std::time::Duration = std::time::Duration::from_secs(3);

/// The reason that a source gives in its debug text only.
fn reason_in(error: &gst::message::Error) -> Option<String> {
    let debug = error.debug()?.to_lowercase();
    ["connection refused", "no route to host", "network is unreachable", "timed out"]
        .into_iter()
        .find(|reason| debug.contains(reason))
        .map(String::from)
}

fn inside_facesr(src: &gst::Object) -> bool {
    let mut at = Some(src.clone());
    while let Some(object) = at {
        if object.downcast_ref::<gst::Element>().and_then(|e| e.factory()).is_some_and(|f| {
            ["facesr", "facesrdetect", "facesrenhance"].contains(&f.name().as_str())
        }) {
            return true;
        }
        at = object.parent();
    }
    false
}

/// GStreamer's debug text begins with file, line and element; the words follow on a line of
/// their own.
fn own_words(debug: &str) -> String {
    debug.lines().next_back().unwrap_or(debug).trim().to_string()
}

fn plain(text: &str) -> String {
    text.trim_end_matches('.').to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_and_port_of_an_address() {
        for (uri, wanted) in [
            ("http://127.0.0.1:9/a.mp4", Some(("127.0.0.1", 9))),
            ("https://user:a:b@cam.local?x=1", Some(("cam.local", 443))),
            ("HTTP://[::1]:8080/x", Some(("::1", 8080))),
            ("rtsp://cam/x", None),
            ("http://cam:port/", None),
        ] {
            assert_eq!(host_and_port(uri), wanted, "{uri}");
        }
    }
}
