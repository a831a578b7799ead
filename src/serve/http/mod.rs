//! A small HTTP server: what the cameras show, how they are, and figures. It changes nothing but who looks, and answers
//! one request a connection. The heads are read by `httparse`; a server of thousands of connections is not wanted here.

mod answer;
mod metrics;
mod page;
mod post;
mod request;
mod whep;

use std::io::Write;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use base64::Engine;
use parking_lot::Mutex;

use crate::config::Credentials;
use crate::error::ServeError;
use crate::service::Shared;
use request::{Method, Refusal, Request};

/// Connections at once at most; more are turned away.
const MOST_CONNECTIONS: usize = 48;
/// Whoever does not take what is sent for so long is left.
const WRITE_WITHIN: Duration = Duration::from_secs(5);
/// How often the wish to stop is looked at.
const TICK: Duration = Duration::from_millis(50);

/// The server, in a thread of its own.
pub(crate) struct Http {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// What a connection's thread knows.
pub(super) struct Context {
    pub(super) shared: Arc<Shared>,
    access: Option<Credentials>,
    /// Whether only this machine may ask.
    is_local: bool,
    /// Where is listened, which may be all of this machine's addresses.
    pub(super) address: IpAddr,
    pub(super) stop: Arc<AtomicBool>,
    connections: AtomicUsize,
    /// Held by who has a picture enhanced: one at a time.
    enhancing: Mutex<()>,
}

impl Http {
    /// Listens on `address`; port 0 takes any.
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub(crate) fn start(
        address: SocketAddr,
        access: Option<Credentials>,
        shared: Arc<Shared>,
    ) -> Result<Self, ServeError> {
        let cannot = |_| ServeError::Listen { address, what: "HTTP" };
        let listener = TcpListener::bind(address).map_err(cannot)?;
        listener.set_nonblocking(true).map_err(cannot)?;
        let address = listener.local_addr().map_err(cannot)?;
        let stop = Arc::new(AtomicBool::new(false));
        let context = Arc::new(Context {
            shared,
            access,
            is_local: address.ip().is_loopback(),
            address: address.ip(),
            stop: stop.clone(),
            connections: AtomicUsize::new(0),
            enhancing: Mutex::new(()),
        });
        let thread = std::thread::Builder::new()
            .name("http".into())
            .spawn(move || accept(&listener, &context))?;
        Ok(Self { address, stop, thread: Some(thread) })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops listening. Connections end by themselves soon.
    pub(crate) fn stop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn accept(listener: &TcpListener, context: &Arc<Context>) {
    while !context.stop.load(Ordering::Relaxed) {
        // Also after an error: too many open files, say.
        let Ok((stream, _)) = listener.accept() else {
            std::thread::sleep(TICK);
            continue;
        };
        if context.connections.fetch_add(1, Ordering::Relaxed) >= MOST_CONNECTIONS {
            context.connections.fetch_sub(1, Ordering::Relaxed);
            // It is not waited for: it may be one of thousands.
            let _ = stream.set_nonblocking(true);
            let _ =
                (&stream).write(b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n\r\n");
            continue;
        }
        let own = context.clone();
        let serve = move || {
            serve(stream, &own);
            own.connections.fetch_sub(1, Ordering::Relaxed);
        };
        if std::thread::Builder::new().name("http request".into()).spawn(serve).is_err() {
            context.connections.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Answers one connection.
fn serve(mut stream: TcpStream, context: &Context) {
    let prepared = stream
        .set_nonblocking(false)
        .and_then(|()| stream.set_write_timeout(Some(WRITE_WITHIN)))
        .and_then(|()| stream.set_nodelay(true));
    if prepared.is_err() {
        return;
    }
    let mut request = match request::read(&mut stream) {
        Ok(request) => request,
        Err(Refusal::Gone) => return,
        Err(Refusal::Status(status, words)) => {
            let _ = answer::status(&mut stream, status, words);
            return;
        }
    };
    // Whoever has gone is not told.
    let _ = if !is_host(context, &request) {
        answer::status(&mut stream, 421, "Misdirected Request")
    } else if !is_allowed(context.access.as_ref(), &request) {
        answer::unauthorized(&mut stream)
    } else {
        route(&mut stream, context, &mut request)
    };
    let _ = stream.shutdown(std::net::Shutdown::Write);
}

/// Answers a request that may be answered.
fn route(stream: &mut TcpStream, context: &Context, request: &mut Request) -> std::io::Result<()> {
    let path = request.path.clone();
    if let Some(place) = whep::place(&path) {
        return whep::route(stream, context, request, place);
    }
    match request.method {
        Method::Get | Method::Head => page::route(stream, context, request),
        Method::Post => post::route(stream, context, request),
        _ => answer::status(stream, 405, "Method Not Allowed"),
    }
}

/// A page elsewhere may give its own name this machine's address, and have the visitor's browser ask here. Who
/// knows a password is safe from that.
fn is_host(context: &Context, request: &Request) -> bool {
    if !context.is_local || context.access.is_some() {
        return true;
    }
    let host = request.host.as_str();
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.is_empty()
        || name.eq_ignore_ascii_case("localhost")
        || name.parse::<std::net::IpAddr>().is_ok()
}

/// Whether the request comes with user and password, if they are asked for.
fn is_allowed(access: Option<&Credentials>, request: &Request) -> bool {
    let Some(access) = access else { return true };
    let given = request
        .authorization
        .split_once(' ')
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"))
        .and_then(|(_, text)| base64::engine::general_purpose::STANDARD.decode(text.trim()).ok());
    let wanted = format!("{}:{}", access.user, access.password.expose());
    given.is_some_and(|given| is_equal(&given, wanted.as_bytes()))
}

/// Compares in a time that does not tell where they differ.
fn is_equal(a: &[u8], b: &[u8]) -> bool {
    let differ = a.iter().zip(b).fold(0, |differ, (a, b)| differ | (a ^ b));
    a.len() == b.len() && std::hint::black_box(differ) == 0
}
