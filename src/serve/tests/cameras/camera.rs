//! An RTSP camera that can be killed, silenced and exchanged for another.

use gst::glib;
use gst::prelude::*;
use gst_rtsp_server::prelude::*;
use gst_rtsp_server::{RTSPFilterResult, RTSPMediaFactory, RTSPServer};

/// A camera that runs.
pub(crate) struct CameraServer {
    server: RTSPServer,
    context: glib::MainContext,
    main_loop: glib::MainLoop,
    source: Option<glib::SourceId>,
    thread: Option<std::thread::JoinHandle<()>>,
    media: std::sync::Arc<std::sync::Mutex<Vec<glib::WeakRef<gst::Bin>>>>,
    pub(crate) port: u16,
}

/// H.264 of one color and size.
pub(crate) fn h264(pattern: &str, width: u32, height: u32) -> String {
    format!(
        "videotestsrc is-live=true pattern={pattern} \
         ! video/x-raw,format=I420,width={width},height={height},framerate=15/1 \
         ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=15 ! valve name=valve \
         ! rtph264pay name=pay0 pt=96 config-interval=1"
    )
}

/// Motion JPEG of one color and size.
pub(crate) fn jpeg(pattern: &str, width: u32, height: u32) -> String {
    format!(
        "videotestsrc is-live=true pattern={pattern} \
         ! video/x-raw,format=I420,width={width},height={height},framerate=15/1 \
         ! jpegenc ! rtpjpegpay name=pay0 pt=26"
    )
}

impl CameraServer {
    /// Starts a camera on `port` (0 for any) that sends what `line` makes.
    pub(crate) fn start(port: u16, line: &str) -> Self {
        Self::start_with(port, line, None)
    }

    /// The same, of a camera that asks for a password that nobody knows.
    pub(crate) fn start_with_password(port: u16, line: &str) -> Self {
        let auth = gst_rtsp_server::RTSPAuth::new();
        auth.set_supported_methods(gst_rtsp::RTSPAuthMethod::Digest);
        let token =
            gst_rtsp_server::RTSPToken::builder().field("media.factory.role", "viewer").build();
        auth.add_digest("nobody", "knows", &token);
        Self::start_with(port, line, Some(&auth))
    }

    fn start_with(port: u16, line: &str, auth: Option<&gst_rtsp_server::RTSPAuth>) -> Self {
        crate::init();
        let context = glib::MainContext::new();
        let main_loop = glib::MainLoop::new(Some(&context), false);
        let server = RTSPServer::new();
        server.set_address("127.0.0.1");
        server.set_service(&port.to_string());
        server.set_auth(auth);
        let factory = RTSPMediaFactory::new();
        factory.set_launch(&format!("( {line} )"));
        factory.set_shared(true);
        let media: std::sync::Arc<std::sync::Mutex<Vec<_>>> = std::sync::Arc::default();
        let list = media.clone();
        factory.connect_media_configure(move |_, media| {
            let bin = media.element().downcast::<gst::Bin>().unwrap();
            list.lock().unwrap().push(bin.downgrade());
        });
        server.mount_points().unwrap().add_factory("/c", factory);
        let source = server.attach(Some(&context)).unwrap();
        let port = server.bound_port() as u16;
        let running = main_loop.clone();
        let thread = std::thread::spawn(move || running.run());
        Self { server, context, main_loop, source: Some(source), thread: Some(thread), media, port }
    }

    pub(crate) fn address(&self) -> String {
        format!("rtsp://127.0.0.1:{}/c", self.port)
    }

    /// Loses that share of the encoded pictures.
    pub(crate) fn lose(&self, share: f32) {
        for bin in self.media.lock().unwrap().iter().filter_map(glib::WeakRef::upgrade) {
            bin.by_name("loss").unwrap().set_property("drop-probability", share);
        }
    }

    /// Sends nothing while `silent`, without a word.
    pub(crate) fn silence(&self, silent: bool) {
        for bin in self.media.lock().unwrap().iter().filter_map(glib::WeakRef::upgrade) {
            bin.by_name("valve").unwrap().set_property("drop", silent);
        }
    }
}

impl Drop for CameraServer {
    fn drop(&mut self) {
        if let Some(source) = self.source.take().and_then(|id| self.context.find_source_by_id(&id))
        {
            source.destroy();
        }
        self.server.client_filter(Some(&mut |_: &RTSPServer, _: &_| RTSPFilterResult::Remove));
        self.main_loop.quit();
        let _ = self.thread.take().unwrap().join();
    }
}
