//! `/camera/NAME/whep`: a viewer's offer, and the end of its session. The same password and the same paths as RTSP.

use std::io;
use std::net::TcpStream;
use std::sync::Arc;

use super::request::{Method, Refusal, Request, read_body};
use super::{Context, answer};
use crate::service::Entry;
use crate::whep::{Whep, WhepError};

/// Bytes of an offer at most: a browser's has some eight thousand.
const MOST_OFFER: usize = 64 << 10;
const SDP: &str = "application/sdp";

/// The camera and, if a path names one, the session, if it is such a path.
pub(super) fn place(path: &str) -> Option<(&str, Option<&str>)> {
    let (name, rest) = path.strip_prefix("/camera/")?.split_once("/whep")?;
    match rest {
        "" => Some((name, None)),
        rest => Some((name, Some(rest.strip_prefix('/')?))),
    }
}

/// Answers a request that may be answered.
pub(super) fn route(
    out: &mut TcpStream,
    context: &Context,
    request: &mut Request,
    (name, session): (&str, Option<&str>),
) -> io::Result<()> {
    let Some(entry) = context.shared.entry(name) else {
        return answer::status(out, 404, "Not Found");
    };
    let allowed = match session {
        None => "POST, OPTIONS",
        Some(_) => "DELETE, OPTIONS",
    };
    match (request.method, session) {
        (Method::Options, _) => {
            let accept = session.map_or(format!("Accept-Post: {SDP}\r\n"), |_| String::new());
            answer::empty(out, "204 No Content", &format!("Allow: {allowed}\r\n{accept}"))
        }
        (Method::Post | Method::Delete, _) if !request.is_from_here() => {
            answer::status(out, 403, "Forbidden")
        }
        (Method::Post, None) => begin(out, context, request, (name, &entry)),
        (Method::Delete, Some(id)) => {
            let mut all = [Some(&entry.whep), entry.whep_before.as_ref()].into_iter().flatten();
            match all.any(|whep| whep.leave(id)) {
                true => answer::empty(out, "200 OK", ""),
                false => answer::status(out, 404, "Not Found"),
            }
        }
        // Addresses are not sent one by one here: RFC 9725 wants this status for PATCH then.
        _ => {
            let body = format!("{allowed}\n");
            let more = format!("Allow: {allowed}\r\n");
            let is_head = request.is_head();
            answer::whole(out, "405 Method Not Allowed", TEXT, &more, body.as_bytes(), is_head)
        }
    }
}

const TEXT: &str = "text/plain; charset=utf-8";

/// Answers an offer.
fn begin(
    out: &mut TcpStream,
    context: &Context,
    request: &mut Request,
    (name, entry): (&str, &Entry),
) -> io::Result<()> {
    let whep: Option<&Arc<Whep>> = match request.asks_for_before() {
        true => entry.whep_before.as_ref(),
        false => Some(&entry.whep),
    };
    let Some(whep) = whep else {
        return answer::status(out, 404, "Not Found");
    };
    // Another page may send other kinds without asking the browser's leave.
    let kind = request.content_type.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case(SDP) {
        return answer::status(out, 415, "Unsupported Media Type");
    }
    let offer = match read_body(out, request, MOST_OFFER) {
        Ok(offer) => offer,
        Err(Refusal::Gone) => return Ok(()),
        Err(Refusal::Status(status, words)) => return answer::status(out, status, words),
    };
    match whep.answer(&offer, context.address) {
        Ok(it) => {
            let more = format!("Location: /camera/{name}/whep/{}\r\n", it.id);
            answer::whole(out, "201 Created", SDP, &more, &it.sdp, false)
                // Nobody would ever end it.
                .inspect_err(|_| {
                    whep.leave(&it.id);
                })
        }
        Err(error) => {
            let body = format!("{error}\n");
            answer::whole(out, status(&error), TEXT, "", body.as_bytes(), false)
        }
    }
}

/// The status that says what is wrong.
fn status(error: &WhepError) -> &'static str {
    match error {
        WhepError::Missing(_) | WhepError::Unsuitable(_) => "501 Not Implemented",
        WhepError::Offer(_) => "422 Unprocessable Content",
        WhepError::NoAnswer => "406 Not Acceptable",
        WhepError::Ended => "404 Not Found",
        WhepError::TooMany | WhepError::NoPictures => "503 Service Unavailable",
        WhepError::Start(_) => "500 Internal Server Error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_a_camera_and_a_session() {
        assert_eq!(place("/camera/a/whep"), Some(("a", None)));
        assert_eq!(place("/camera/a/whep/1-2"), Some(("a", Some("1-2"))));
        for other in ["/camera/a", "/camera/a.jpg", "/camera/a/whepx", "/a/whep", "/camera/a/b"] {
            assert_eq!(place(other), None, "{other}");
        }
    }
}
