//! Answers on the wire.

use std::io::{self, Write};

/// What goes with every answer: nothing is kept, guessed, framed or fetched from elsewhere.
const ALWAYS: &str = "Connection: close\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n\
    X-Frame-Options: DENY\r\nReferrer-Policy: no-referrer\r\n\
    Content-Security-Policy: default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n";

/// A status in its own words.
pub(super) fn status(out: &mut impl Write, status: u16, words: &str) -> io::Result<()> {
    let body = format!("{words}\n");
    write!(
        out,
        "HTTP/1.1 {status} {words}\r\n{ALWAYS}Content-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Asks for user and password.
pub(super) fn unauthorized(out: &mut impl Write) -> io::Result<()> {
    write!(
        out,
        "HTTP/1.1 401 Unauthorized\r\n{ALWAYS}WWW-Authenticate: Basic realm=\"facesr\", charset=\"UTF-8\"\r\n\
         Content-Length: 0\r\n\r\n"
    )
}

/// A status without a body. `more` is lines of the head, each with its end.
pub(super) fn empty(out: &mut impl Write, status: &str, more: &str) -> io::Result<()> {
    // The status 204 says so by itself, and must not be told a length.
    let length = if status.starts_with("204") { "" } else { "Content-Length: 0\r\n" };
    write!(out, "HTTP/1.1 {status}\r\n{ALWAYS}{length}{more}\r\n")
}

/// Something whole. `more` is lines of the head, each with its end.
pub(super) fn whole(
    out: &mut impl Write,
    status: &str,
    kind: &str,
    more: &str,
    body: &[u8],
    is_head: bool,
) -> io::Result<()> {
    write!(
        out,
        "HTTP/1.1 {status}\r\n{ALWAYS}Content-Type: {kind}\r\nContent-Length: {}\r\n{more}\r\n",
        body.len()
    )?;
    if is_head { Ok(()) } else { out.write_all(body) }
}

/// Begins pictures one after the other.
pub(super) fn begin_pictures(out: &mut impl Write) -> io::Result<()> {
    write!(
        out,
        "HTTP/1.1 200 OK\r\n{ALWAYS}Content-Type: multipart/x-mixed-replace; boundary=picture\r\n\r\n"
    )
}

/// The next of them.
pub(super) fn picture(out: &mut impl Write, jpeg: &[u8]) -> io::Result<()> {
    write!(out, "--picture\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n", jpeg.len())?;
    out.write_all(jpeg)?;
    out.write_all(b"\r\n")?;
    out.flush()
}
