//! The RTSP server: a path for each output. All viewers of a path share one stream.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use gst::glib;
use gst::prelude::*;
use gst_rtsp_server::prelude::*;
use gst_rtsp_server::{RTSPAuth, RTSPServer, RTSPToken, gio};

use crate::config::{Credentials, TlsFiles};
use crate::error::{ServeError, ensure_tls};
use crate::output::Output;
use crate::rtsp_factory::Factory;
use crate::sound::Sound;

/// Connections at most, and sessions.
const MOST_CLIENTS: usize = 256;
/// Bytes of a request's body at most.
const MOST_BODY: u32 = 16 << 10;
/// How often sessions of viewers that have vanished are looked for.
const CLEAN_EVERY: std::time::Duration = std::time::Duration::from_secs(5);
/// What a user who is known may do.
const ROLE: &str = "viewer";

/// The server, in a thread of its own.
pub(crate) struct Rtsp {
    server: RTSPServer,
    context: glib::MainContext,
    main_loop: glib::MainLoop,
    source: Option<glib::SourceId>,
    thread: Option<JoinHandle<()>>,
    address: SocketAddr,
    /// Whether paths say who may look.
    needs_role: bool,
}

impl Rtsp {
    /// Listens on `address`; port 0 takes any.
    ///
    /// # Errors
    /// The address cannot be listened on, or certificate and key are of no use.
    pub(crate) fn start(
        address: SocketAddr,
        access: Option<&Credentials>,
        tls: Option<&TlsFiles>,
    ) -> Result<Self, ServeError> {
        let server = RTSPServer::new();
        server.set_address(&address.ip().to_string());
        server.set_service(&address.port().to_string());
        server.set_content_length_limit(MOST_BODY);
        if let Some(pool) = server.session_pool() {
            pool.set_max_sessions(MOST_CLIENTS as u32);
        }
        if access.is_some() || tls.is_some() {
            server.set_auth(Some(&auth(access, tls)?));
        }
        server.connect_client_connected(|server, client| {
            let mut count = 0;
            server.client_filter(Some(&mut |_: &RTSPServer, _: &_| {
                count += 1;
                gst_rtsp_server::RTSPFilterResult::Keep
            }));
            if count > MOST_CLIENTS {
                client.close();
            }
        });
        let context = glib::MainContext::new();
        let source = server
            .attach(Some(&context))
            .map_err(|_| ServeError::Listen { address, what: "RTSP" })?;
        let port = u16::try_from(server.bound_port()).unwrap_or(address.port());
        let main_loop = glib::MainLoop::new(Some(&context), false);
        let weak = server.downgrade();
        let clean = glib::timeout_source_new(CLEAN_EVERY, None, glib::Priority::LOW, move || {
            if let Some(pool) = weak.upgrade().and_then(|server| server.session_pool()) {
                pool.cleanup();
            }
            glib::ControlFlow::Continue
        });
        clean.attach(Some(&context));
        let running = main_loop.clone();
        let thread =
            std::thread::Builder::new().name("rtsp".into()).spawn(move || running.run())?;
        Ok(Self {
            server,
            context,
            main_loop,
            source: Some(source),
            thread: Some(thread),
            address: SocketAddr::new(address.ip(), port),
            needs_role: access.is_some() || tls.is_some(),
        })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves `output` and `sound` on `path`, in the place of what was there.
    pub(crate) fn mount(&self, path: &str, output: &Arc<Output>, sound: &Arc<Sound>) {
        let factory = Factory::new(output, sound);
        if self.needs_role {
            let role = gst::Structure::builder(ROLE)
                .field("media.factory.access", true)
                .field("media.factory.construct", true)
                .build();
            factory.add_role_from_structure(&role);
        }
        if let Some(mounts) = self.server.mount_points() {
            mounts.add_factory(path, factory);
        }
    }

    /// Serves nothing there any more; who looks there is sent away.
    pub(crate) fn unmount(&self, path: &str) {
        if let Some(mounts) = self.server.mount_points() {
            mounts.remove_factory(path);
        }
    }

    /// Sends every viewer away and stops listening.
    pub(crate) fn stop(&mut self) {
        if let Some(source) = self.source.take().and_then(|id| self.context.find_source_by_id(&id))
        {
            source.destroy();
        }
        self.server.client_filter(Some(&mut |_: &RTSPServer, _: &_| {
            gst_rtsp_server::RTSPFilterResult::Remove
        }));
        self.main_loop.quit();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Lets in who knows the password: digest, where it is not sent; and all who come by TLS, if none is set.
fn auth(access: Option<&Credentials>, tls: Option<&TlsFiles>) -> Result<RTSPAuth, ServeError> {
    let auth = RTSPAuth::new();
    let token = || RTSPToken::builder().field("media.factory.role", ROLE).build();
    match access {
        Some(access) => {
            auth.set_realm(Some("facesr"));
            auth.set_supported_methods(gst_rtsp::RTSPAuthMethod::Digest);
            auth.add_digest(&access.user, access.password.expose(), &token());
        }
        None => {
            let mut everyone = token();
            auth.set_default_token(Some(&mut everyone));
        }
    }
    if let Some(files) = tls {
        ensure_tls()?;
        let certificate = gio::TlsCertificate::from_files(&files.certificate, &files.key)
            .map_err(|error| ServeError::certificate(&files.certificate, &error))?;
        auth.set_tls_certificate(Some(&certificate));
    }
    Ok(auth)
}
