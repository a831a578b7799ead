//! Events by HTTP: each is posted as JSON, once.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use gst::glib;
use gst_rtsp_server::gio;
use gst_rtsp_server::gio::prelude::*;
use http::Uri;

use super::{CountedEvent, EventFigures};
use crate::config::WebhookConfig;
use crate::error::{ServeError, ensure_tls};

/// How long each step of a post may take; all of it may take twice as long.
const TIMEOUT: Duration = Duration::from_secs(5);
/// No head of a response is longer, in bytes.
const MAX_HEAD: usize = 16 << 10;
/// Nor has more lines.
const MAX_HEADERS: usize = 64;

/// Whether TLS is there, if it is needed, with the certificates that are named.
///
/// # Errors
/// It is not.
pub(super) fn check(config: &WebhookConfig) -> Result<(), ServeError> {
    if config.is_secure {
        ensure_tls()?;
    }
    let Some(path) = &config.ca else { return Ok(()) };
    let database = gio::TlsFileDatabase::new(path);
    database.map(drop).map_err(|error| ServeError::certificate(path, &error))
}

pub(super) fn run(
    queue: &Receiver<Arc<CountedEvent>>,
    config: &WebhookConfig,
    figures: &EventFigures,
) {
    let webhook = Webhook::new(config);
    while let Ok(told) = queue.recv() {
        let body = told.face.to_json().to_string();
        let status = webhook.as_ref().and_then(|webhook| webhook.post(&body).ok());
        let is_taken = status.is_some_and(|status| (200..300).contains(&status));
        let figure = if is_taken { &figures.sent } else { &figures.failed };
        figure.fetch_add(1, Ordering::Relaxed);
    }
}

/// An address that events are posted to.
struct Webhook {
    client: gio::SocketClient,
    address: gio::NetworkAddress,
    /// The request's head, but for the length of what follows.
    head: String,
}

impl Webhook {
    /// `None` if the address or a certificate is of no use, which was [checked](check).
    fn new(config: &WebhookConfig) -> Option<Self> {
        let uri: Uri = config.url.expose().parse().ok()?;
        let authority = uri.authority()?;
        let port = authority.port_u16().unwrap_or(if config.is_secure { 443 } else { 80 });
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let client = gio::SocketClient::new();
        client.set_timeout(TIMEOUT.as_secs() as u32);
        client.set_tls(config.is_secure);
        if let Some(ca) = &config.ca {
            let database = gio::TlsFileDatabase::new(ca).ok()?;
            client.connect_event(move |_, event, _, connection| {
                let connection =
                    connection.and_then(|c| c.dynamic_cast_ref::<gio::TlsConnection>());
                if let (gio::SocketClientEvent::TlsHandshaking, Some(tls)) = (event, connection) {
                    tls.set_database(Some(&database));
                }
            });
        }
        let (access, shown) = match authority.as_str().rsplit_once('@') {
            Some((user, shown)) => {
                let user = glib::uri_unescape_string(user, None::<&str>).unwrap_or_default();
                let code = BASE64_STANDARD.encode(user.as_bytes());
                (format!("Authorization: Basic {code}\r\n"), shown)
            }
            None => (String::new(), authority.as_str()),
        };
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {shown}\r\n{access}User-Agent: facesr\r\n\
             Content-Type: application/json\r\nConnection: close\r\n"
        );
        Some(Self { client, address: gio::NetworkAddress::new(host, port), head })
    }

    /// Posts `body`, and returns the response's status.
    ///
    /// # Errors
    /// The receiver is not there, is not who it should be, or says nothing that can be read.
    fn post(&self, body: &str) -> io::Result<u16> {
        let start = Instant::now();
        let stream = SocketClientExt::connect(&self.client, &self.address, gio::Cancellable::NONE)
            .map_err(io::Error::other)?;
        let request = format!("{}Content-Length: {}\r\n\r\n{body}", self.head, body.len());
        io::Write::write_all(&mut stream.output_stream().into_write(), request.as_bytes())?;
        let mut input = stream.input_stream().into_read();
        let (mut head, mut part) = (Vec::new(), [0; 1024]);
        // What follows the head is not read.
        while head.len() < MAX_HEAD && start.elapsed() < 2 * TIMEOUT {
            let count = io::Read::read(&mut input, &mut part)?;
            head.extend(&part[..count]);
            let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
            let mut response = httparse::Response::new(&mut headers);
            let parsed = response.parse(&head).map_err(io::Error::other)?;
            if let (true, Some(status)) = (parsed.is_complete(), response.code) {
                return Ok(status);
            }
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Err(io::ErrorKind::TimedOut.into())
    }
}
