//! Where the video comes from: a file, a pipe or an address, and what can be told of it before
//! playing.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use gst::prelude::*;

use super::elements::make;
use super::format::Format;
use super::prepared::Preparation;
use crate::term::{Failure, interrupt, io_reason, without_passwords};

/// The input.
#[derive(Debug, Clone)]
pub(crate) enum Input {
    /// A file of this machine.
    File(PathBuf, Format),
    /// Bytes that come once: a pipe, a socket, standard input. Its name, and what it is read by.
    Pipe(String, Arc<File>),
    /// Anything else that GStreamer reads.
    Uri(String),
}

impl Input {
    /// Takes IN of the command line. A file must be there, be readable and hold something that
    /// can be a video.
    ///
    /// # Errors
    /// A [`Failure`] that says what is the matter.
    pub(crate) fn open(input: &OsStr) -> Result<Self, Failure> {
        if input == "-" {
            let file = File::open("/dev/stdin").map_err(|e| {
                Failure::running(format_args!("cannot read standard input: {}", io_reason(&e)))
            })?;
            return Ok(Self::Pipe("standard input".into(), Arc::new(file)));
        }
        let mut path = PathBuf::from(input);
        if let Some(uri) = input.to_str().filter(|uri| uri.contains("://"))
            && !path.exists()
        {
            match gst::glib::filename_from_uri(uri) {
                // A file stays a file, however it is named.
                Ok((file, _)) => path = file,
                Err(_) => return Ok(Self::Uri(uri.to_string())),
            }
        }
        Self::file(path)
    }

    fn file(path: PathBuf) -> Result<Self, Failure> {
        let shown = path.display().to_string();
        let cannot = |why: &str| Failure::running(format_args!("cannot read {shown}: {why}"));
        let reason = |e: std::io::Error| cannot(&io_reason(&e));
        let meta = path.metadata().map_err(|e| match path.is_symlink() {
            true => cannot("the link leads nowhere"),
            false => reason(e),
        })?;
        if meta.is_dir() {
            return Err(cannot("it is a folder; name a video file"));
        }
        if !meta.is_file() {
            let mut options = File::options();
            options.read(true);
            if meta.file_type().is_fifo() {
                // Opened once, and without waiting: whoever writes may come later.
                options.custom_flags(libc::O_NONBLOCK);
            }
            let file = options.open(&path).map_err(reason)?;
            return Ok(Self::Pipe(shown, Arc::new(file)));
        }
        let mut file = File::open(&path).map_err(reason)?;
        if file.read(&mut [0]).map_err(reason)? == 0 {
            return Err(cannot("the file is empty"));
        }
        let format = Format::of(&path).map_err(reason)?;
        match format {
            Format::Playlist => Err(cannot(
                "it is a list of other files or addresses, which a file may not fetch; \
                 name the address of the stream instead",
            )),
            Format::Animation => Err(cannot(
                "it is an animated picture, and of those only GIF is read; FFmpeg makes a film of \
                 it: ffmpeg -i IN -c:v ffv1 film.mkv",
            )),
            Format::Picture => Err(cannot("it is a single picture; use facesr image")),
            _ => Ok(Self::File(path, format)),
        }
    }

    /// Its name for messages, without a password.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::File(path, _) => path.display().to_string(),
            Self::Pipe(name, _) => name.clone(),
            Self::Uri(uri) => without_passwords(uri),
        }
    }

    /// The file it is, if it is one.
    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            Self::File(path, _) => Some(path),
            _ => None,
        }
    }

    /// What kind of file it is.
    pub(super) fn format(&self) -> Format {
        match self {
            Self::File(_, format) => *format,
            _ => Format::Other,
        }
    }

    /// Whether it has an end of its own, so that one that is stopped before has failed.
    pub(super) fn is_finite(&self) -> bool {
        matches!(self, Self::File(..))
    }

    /// Whether it is the address of a camera, by any transport of RTSP.
    pub(super) fn is_rtsp(&self) -> bool {
        let Self::Uri(uri) = self else { return false };
        uri.split_once("://").is_some_and(|(scheme, _)| scheme.to_lowercase().starts_with("rtsp"))
    }

    /// Waits until a pipe holds something.
    fn wait_for_bytes(file: &File) -> Result<(), Failure> {
        let mut poll = libc::pollfd { fd: file.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        loop {
            if interrupt::requested() {
                return Err(Failure::interrupted());
            }
            // SAFETY: one valid pollfd is handed over.
            let ready = unsafe { libc::poll(&mut poll, 1, 100) };
            if ready > 0 && poll.revents & libc::POLLIN != 0 {
                return Ok(());
            }
            if ready > 0 {
                // The writer has gone without a byte.
                return Err(Failure::running("cannot read the pipe: nothing came out of it"));
            }
            if ready < 0 {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }

    /// Adds source and parser to `pipeline`: all elementary streams, still compressed, come out
    /// of the parser that is returned.
    pub(super) fn add(
        &self,
        pipeline: &gst::Pipeline,
    ) -> Result<(gst::Element, gst::Element), Failure> {
        super::restrict_factories(!matches!(self, Self::Uri(_)));
        if let Self::Uri(uri) = self
            && self.is_rtsp()
        {
            let source = rtsp_source(uri)?;
            pipeline.add(&source).map_err(Failure::running)?;
            return Ok((source.clone(), source));
        }
        let parser = make("parsebin")?;
        let source = match self {
            Self::File(path, format) => match Preparation::of(*format) {
                None => {
                    let source = make("filesrc")?;
                    source.set_property("location", path);
                    source
                }
                Some(preparation) => {
                    let cannot = |e| {
                        let (name, why) = (self.name(), io_reason(&e));
                        Failure::running(format_args!("cannot read {name}: {why}"))
                    };
                    let pipe = preparation.open(path).map_err(cannot)?;
                    let source = make("fdsrc")?;
                    source.set_property("fd", pipe.as_raw_fd());
                    // Stays open as long as the source is there.
                    if let Some(pad) = source.static_pad("src") {
                        pad.add_probe(gst::PadProbeType::EVENT_UPSTREAM, move |_, _| {
                            let _open = &pipe;
                            gst::PadProbeReturn::Ok
                        });
                    }
                    source
                }
            },
            Self::Pipe(_, file) => {
                Self::wait_for_bytes(file)?;
                let source = make("fdsrc")?;
                source.set_property("fd", file.as_raw_fd());
                source
            }
            Self::Uri(uri) => match web_source(uri) {
                Some(source) => source,
                None => {
                    let source = make("urisourcebin")?;
                    source.set_property("uri", uri);
                    source
                }
            },
        };
        pipeline.add_many([&source, &parser]).map_err(Failure::running)?;
        if source.static_pad("src").is_none() {
            let sink = parser.static_pad("sink");
            source.connect_pad_added(move |_, pad| {
                // A source with several pads (one a rendition) is served by its first.
                if let Some(sink) = sink.as_ref().filter(|sink| !sink.is_linked()) {
                    let _ = pad.link(sink);
                }
            });
        } else {
            source.link(&parser).map_err(Failure::running)?;
        }
        Ok((source, parser))
    }
}

/// A source of elementary streams, of which RTSP carries each by itself. It tells when all are there,
/// which urisourcebin does not.
fn rtsp_source(uri: &str) -> Result<gst::Element, Failure> {
    let source = make("urisourcebin")?;
    source.set_property("uri", uri);
    source.set_property("parse-streams", true);
    // Streams that come, once that is known, and those that all others have taken: a pad is listed before
    // they do, and two may come at the same moment.
    let expected = Arc::new(AtomicUsize::new(usize::MAX));
    let exposed = Arc::new(AtomicUsize::new(0));
    let told = Arc::new(AtomicBool::new(false));
    let tell = {
        let (source, expected, exposed) = (source.downgrade(), expected.clone(), exposed.clone());
        move || {
            if exposed.load(Ordering::SeqCst) >= expected.load(Ordering::SeqCst)
                && !told.swap(true, Ordering::SeqCst)
                && let Some(source) = source.upgrade()
            {
                source.no_more_pads();
            }
        }
    };
    let count = tell.clone();
    source.connect("source-setup", false, move |values| {
        let rtsp: gst::Element = values.get(1)?.get().ok()?;
        // What is neither picture nor sound, as the remarks of ONVIF, would never be there.
        rtsp.connect("select-stream", false, |values| {
            let caps = values.get(2)?.get::<gst::Caps>().ok()?;
            let media = caps.structure(0)?.get::<&str>("media").unwrap_or_default();
            Some(["video", "audio"].contains(&media).to_value())
        });
        let (expected, count) = (expected.clone(), count.clone());
        rtsp.connect_no_more_pads(move |rtsp| {
            expected.store(rtsp.src_pads().len(), Ordering::SeqCst);
            count();
        });
        None
    });
    // After all others: they take the pad first.
    source.connect("pad-added", true, move |_| {
        exposed.fetch_add(1, Ordering::SeqCst);
        tell();
        None
    });
    Ok(source)
}

/// The plain source of a web address. In front of a list of segments (HLS, DASH) urisourcebin would
/// take a demuxer that hands out streams only to a player that selects them; the parser takes one
/// that hands out the stream as it is.
fn web_source(uri: &str) -> Option<gst::Element> {
    let scheme = uri.split_once("://")?.0.to_ascii_lowercase();
    let is_web = ["http", "https"].contains(&scheme.as_str());
    is_web.then(|| gst::Element::make_from_uri(gst::URIType::Src, uri, None).ok())?
}
