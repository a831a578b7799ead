//! Pictures that somebody sends: `/image` answers with the enhanced picture, `/faces` with its faces.

use std::io;
use std::net::TcpStream;

use serde_json::json;

use super::request::{Refusal, Request, read_body};
use super::{Context, answer};
use crate::still;

/// Bytes of a picture at most: a large photograph.
const MOST_PICTURE: usize = 16 << 20;

/// Answers a request that may be answered.
pub(super) fn route(
    out: &mut TcpStream,
    context: &Context,
    request: &mut Request,
) -> io::Result<()> {
    if !["/image", "/faces"].contains(&request.path.as_str()) {
        return answer::status(out, 405, "Method Not Allowed");
    }
    if !request.is_from_here() {
        return answer::status(out, 403, "Forbidden");
    }
    // The cameras have most of the machine; who comes second comes again.
    let Some(_turn) = context.enhancing.try_lock() else {
        return answer::status(out, 503, "Another Picture Is Being Enhanced");
    };
    let body = match read_body(out, request, MOST_PICTURE) {
        Ok(body) => body,
        Err(Refusal::Gone) => return Ok(()),
        Err(Refusal::Status(status, words)) => return answer::status(out, status, words),
    };
    let still = match still::enhance(&body) {
        Ok(still) => still,
        Err(reason) => {
            let body = format!("{reason}\n");
            let kind = "text/plain; charset=utf-8";
            return answer::whole(
                out,
                "422 Unprocessable Content",
                kind,
                "",
                body.as_bytes(),
                false,
            );
        }
    };
    if request.path == "/image" {
        return match still.to_jpeg() {
            Some(jpeg) => answer::whole(out, "200 OK", "image/jpeg", "", &jpeg, false),
            None => answer::status(out, 500, "No Picture Came"),
        };
    }
    let faces = still.faces.iter().map(|face| {
        let (x, y, w, h) = face.rect;
        json!({ "box": [x, y, x + w, y + h], "score": (face.score * 1000.0).round() / 1000.0 })
    });
    let (width, height) = still.size;
    let body = json!({ "width": width, "height": height, "faces": faces.collect::<Vec<_>>() });
    let body = format!("{body}\n");
    answer::whole(out, "200 OK", "application/json", "", body.as_bytes(), false)
}
