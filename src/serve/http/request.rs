//! One request, as far as this server wants to know: it is read in time, is small, and names who asks.

use std::io::{self, Read};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Bytes of a head at most, and lines in it.
const MOST_HEAD: usize = 8 << 10;
const MOST_LINES: usize = 64;
/// A head must have come by then, however slowly it comes, and a body.
const HEAD_WITHIN: Duration = Duration::from_secs(5);
const BODY_WITHIN: Duration = Duration::from_secs(20);

/// What is to be done.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    #[default]
    Get,
    Head,
    Post,
    Patch,
    Delete,
    Options,
}

/// What was asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: String,
    pub(super) host: String,
    pub(super) authorization: String,
    /// The page that asks, if a browser says so.
    pub(super) origin: String,
    /// What the body is.
    pub(super) content_type: String,
    /// Bytes of the body.
    length: Option<usize>,
    /// What has come of it already.
    body: Vec<u8>,
}

impl Request {
    /// Whether the answer is to have no body.
    pub(super) fn is_head(&self) -> bool {
        self.method == Method::Head
    }

    /// Whether no page elsewhere lets its visitor's browser ask.
    pub(super) fn is_from_here(&self) -> bool {
        let origin = self.origin.split_once("://").map(|(_, host)| host);
        self.origin.is_empty() || origin == Some(self.host.as_str())
    }

    /// Whether pictures are wanted as they came.
    pub(super) fn asks_for_before(&self) -> bool {
        self.query.split('&').any(|part| part == "before")
    }
}

/// Why there is no answer but a status.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Nobody to answer to.
    Gone,
    /// A status and its words.
    Status(u16, &'static str),
}

/// Reads more of what comes, before `until`.
fn read_part(stream: &mut TcpStream, until: Instant, to: &mut Vec<u8>) -> Result<(), Refusal> {
    let mut part = [0; 4096];
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Refusal::Status(408, "Request Timeout"));
        }
        stream.set_read_timeout(Some(left)).map_err(|_| Refusal::Gone)?;
        match stream.read(&mut part) {
            Ok(0) => return Err(Refusal::Gone),
            Ok(n) => {
                to.extend(part.iter().take(n));
                return Ok(());
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                return Err(Refusal::Status(408, "Request Timeout"));
            }
            Err(_) => return Err(Refusal::Gone),
        }
    }
}

/// Reads the body, of `most` bytes at most, of a request whose head has come. Whoever may not ask is refused before.
pub(super) fn read_body(
    stream: &mut TcpStream,
    request: &mut Request,
    most: usize,
) -> Result<Vec<u8>, Refusal> {
    let length = request.length.ok_or(Refusal::Status(411, "Length Required"))?;
    if length > most {
        return Err(Refusal::Status(413, "Content Too Large"));
    }
    let until = Instant::now() + BODY_WITHIN;
    let mut body = std::mem::take(&mut request.body);
    while body.len() < length {
        read_part(stream, until, &mut body)?;
    }
    body.truncate(length);
    Ok(body)
}

/// Reads the head of a request.
pub(super) fn read(stream: &mut TcpStream) -> Result<Request, Refusal> {
    let until = Instant::now() + HEAD_WITHIN;
    let mut head = Vec::with_capacity(1024);
    loop {
        read_part(stream, until, &mut head)?;
        if let Some(request) = parse(&head)? {
            return Ok(request);
        }
        if head.len() >= MOST_HEAD {
            return Err(Refusal::Status(431, "Request Header Fields Too Large"));
        }
    }
}

/// Understands a head; `None` if it is not all there.
pub(super) fn parse(head: &[u8]) -> Result<Option<Request>, Refusal> {
    let mut lines = [httparse::EMPTY_HEADER; MOST_LINES];
    let mut parsed = httparse::Request::new(&mut lines);
    let end = match parsed.parse(head) {
        Ok(httparse::Status::Complete(end)) => end,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => {
            return Err(Refusal::Status(431, "Request Header Fields Too Large"));
        }
        Err(_) => return Err(Refusal::Status(400, "Bad Request")),
    };
    let method = match parsed.method {
        Some("GET") => Method::Get,
        Some("HEAD") => Method::Head,
        Some("POST") => Method::Post,
        Some("PATCH") => Method::Patch,
        Some("DELETE") => Method::Delete,
        Some("OPTIONS") => Method::Options,
        _ => return Err(Refusal::Status(405, "Method Not Allowed")),
    };
    let body = match method {
        Method::Post => head.get(end..).unwrap_or_default().to_vec(),
        _ => Vec::new(),
    };
    let mut request = Request { method, body, ..Request::default() };
    let target = parsed.path.unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    (request.path, request.query) = (path.into(), query.into());
    for line in parsed.headers.iter() {
        let place = match () {
            () if line.name.eq_ignore_ascii_case("host") => &mut request.host,
            () if line.name.eq_ignore_ascii_case("authorization") => &mut request.authorization,
            () if line.name.eq_ignore_ascii_case("origin") => &mut request.origin,
            () if line.name.eq_ignore_ascii_case("content-type") => &mut request.content_type,
            () if line.name.eq_ignore_ascii_case("content-length") => {
                let text = String::from_utf8_lossy(line.value);
                let length = text.trim().parse::<usize>();
                if request.length.is_some() || text.starts_with('+') {
                    return Err(Refusal::Status(400, "Bad Request"));
                }
                request.length = Some(length.map_err(|_| Refusal::Status(400, "Bad Request"))?);
                continue;
            }
            () => continue,
        };
        *place = String::from_utf8_lossy(line.value).into_owned();
    }
    Ok(Some(request))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn head_is_understood_or_refused() {
        let request =
            parse(b"GET /camera/a.jpg?before HTTP/1.1\r\nhOST: x\r\n\r\n").unwrap().unwrap();
        assert_eq!((request.path.as_str(), request.query.as_str()), ("/camera/a.jpg", "before"));
        assert_eq!((request.host.as_str(), request.method), ("x", Method::Get));
        assert_eq!(parse(b"GET / HTTP/1.1\r\nHost: x\r\n"), Ok(None));
        for (head, status) in [
            (&b"PUT / HTTP/1.1\r\n\r\n"[..], 405),
            (b"POST /image HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
            (b"POST /image HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
            (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
            (b"GET / HTTP/9.9\r\n\r\n", 400),
            (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
        ] {
            let refusal = parse(head).unwrap_err();
            assert!(matches!(refusal, Refusal::Status(s, _) if s == status), "{refusal:?}");
        }
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(100));
        assert!(matches!(parse(many.as_bytes()), Err(Refusal::Status(431, _))));
    }
}
