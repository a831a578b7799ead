//! Where the video comes from: a file or a URI, and what can be told of it before playing.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use gst::prelude::*;

use super::elements::make;
use crate::failure::Failure;
use crate::output::reason;

/// The input.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// A file of this machine.
    File(PathBuf),
    /// Anything else that GStreamer reads.
    Uri(String),
}

impl Source {
    /// Takes IN of the command line. A file must be there, be readable and hold something.
    pub(crate) fn open(input: &str) -> Result<Self, Failure> {
        if !Path::new(input).exists() && input.contains("://") {
            return Ok(Self::Uri(input.to_string()));
        }
        let path = PathBuf::from(input);
        let cannot = |why: String| Failure::running(format_args!("cannot read {input}: {why}"));
        let meta = path.metadata().map_err(|e| cannot(reason(&e)))?;
        if meta.is_dir() {
            return Err(cannot("it is a folder; name a video file".into()));
        }
        let mut file = File::open(&path).map_err(|e| cannot(reason(&e)))?;
        if meta.is_file() && file.read(&mut [0]).map_err(|e| cannot(reason(&e)))? == 0 {
            return Err(cannot("the file is empty".into()));
        }
        Ok(Self::File(path))
    }

    /// Its name for messages.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Uri(uri) => uri.clone(),
        }
    }

    /// The file it is, if it is one.
    pub(crate) fn path(&self) -> Option<PathBuf> {
        match self {
            Self::File(path) => Some(path.clone()),
            Self::Uri(uri) => gst::glib::filename_from_uri(uri).ok().map(|(path, _)| path),
        }
    }

    /// Adds source and parser to `pipeline`: all elementary streams, still compressed, come out
    /// of the parser that is answered.
    pub(super) fn add(&self, pipeline: &gst::Pipeline) -> Result<gst::Element, Failure> {
        let parser = make("parsebin")?;
        let wired = match self {
            Self::File(path) => {
                let source = make("filesrc")?;
                source.set_property("location", path);
                pipeline.add_many([&source, &parser]).and_then(|()| source.link(&parser))
            }
            Self::Uri(uri) => {
                let source = make("urisourcebin")?;
                source.set_property("uri", uri);
                let sink = parser.static_pad("sink");
                source.connect_pad_added(move |_, pad| {
                    // A source with several pads (one a rendition) is served by its first.
                    if let Some(sink) = sink.as_ref().filter(|sink| !sink.is_linked()) {
                        let _ = pad.link(sink);
                    }
                });
                pipeline.add_many([&source, &parser])
            }
        };
        wired.map_err(Failure::running)?;
        Ok(parser)
    }
}
