//! The RTSP server: a path for each output. All viewers of a path share one stream.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use gst::glib;
use gst::prelude::*;
use gst_rtsp_server::prelude::*;
use gst_rtsp_server::{RTSPAuth, RTSPMediaFactory, RTSPServer, RTSPToken};

use crate::config::Credentials;
use crate::error::ServeError;
use crate::output::Output;

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
    needs_password: bool,
}

impl Rtsp {
    /// Listens on `address`; port 0 takes any.
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub(crate) fn start(
        address: SocketAddr,
        access: Option<&Credentials>,
    ) -> Result<Self, ServeError> {
        let server = RTSPServer::new();
        server.set_address(&address.ip().to_string());
        server.set_service(&address.port().to_string());
        server.set_content_length_limit(MOST_BODY);
        if let Some(pool) = server.session_pool() {
            pool.set_max_sessions(MOST_CLIENTS as u32);
        }
        if let Some(access) = access {
            server.set_auth(Some(&auth(access)));
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
            needs_password: access.is_some(),
        })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves `output` on `path`, in the place of what was there.
    pub(crate) fn mount(&self, path: &str, output: &Arc<Output>) {
        let factory = RTSPMediaFactory::new();
        factory.set_launch(
            "( appsrc name=video is-live=true format=time max-bytes=0 ! rtph264pay name=pay0 pt=96 )",
        );
        factory.set_shared(true);
        if self.needs_password {
            let role = gst::Structure::builder(ROLE)
                .field("media.factory.access", true)
                .field("media.factory.construct", true)
                .build();
            factory.add_role_from_structure(&role);
        }
        let output = output.clone();
        factory.connect_media_configure(move |_, media| {
            let source = media
                .element()
                .downcast::<gst::Bin>()
                .ok()
                .and_then(|bin| bin.by_name("video"))
                .and_then(|source| source.downcast::<gst_app::AppSrc>().ok());
            let Some(source) = source else { return };
            // Without an encoder the viewer is told, since nothing comes.
            let Ok(id) = output.attach(source) else { return };
            let fanout = output.fanout.clone();
            media.connect_unprepared(move |_| fanout.remove(id));
        });
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

/// Lets in who knows the password: digest, where it is not sent, and basic for viewers that know nothing else.
fn auth(access: &Credentials) -> RTSPAuth {
    let auth = RTSPAuth::new();
    auth.set_realm(Some("facesr"));
    auth.set_supported_methods(gst_rtsp::RTSPAuthMethod::Digest);
    let token = RTSPToken::builder().field("media.factory.role", ROLE).build();
    auth.add_digest(&access.user, access.password.expose(), &token);
    auth
}
