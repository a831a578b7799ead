//! Clips made on the spot, and what is in a media file.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Once};

use gst::prelude::*;

/// Where real clips lie that the project may test with but not carry; the folder need not exist.
pub fn shared_clips() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/clips")
}

fn init() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| gst::init().expect("GStreamer starts"));
}

/// Runs a pipeline, written as for gst-launch, to its end.
///
/// # Panics
/// If it does not come to its end.
pub fn launch(description: &str) {
    init();
    let pipeline = gst::parse::launch(description).expect(description);
    play(&pipeline);
}

/// Runs a pipeline to its end.
fn play(pipeline: &gst::Element) {
    let bus = pipeline.bus().expect("a pipeline has a bus");
    pipeline.set_state(gst::State::Playing).expect("the pipeline starts");
    let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
    let end = bus.timed_pop_filtered(gst::ClockTime::from_seconds(120), &kinds);
    pipeline.set_state(gst::State::Null).expect("the pipeline stops");
    match end.as_ref().map(|m| m.view()) {
        Some(gst::MessageView::Eos(_)) => {}
        Some(gst::MessageView::Error(e)) => panic!("{} ({:?})", e.error(), e.debug()),
        _ => panic!("the pipeline hangs"),
    }
}

/// One packet or frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// Running time in nanoseconds; negative for what is only to be decoded, not presented.
    pub time: Option<i64>,
    /// Content.
    pub data: Vec<u8>,
}

/// A stream of a file.
#[derive(Debug, Clone)]
pub struct Stream {
    /// Media type and its fields.
    pub caps: gst::Caps,
    /// Packets, or frames if it was decoded, in the order of the file.
    pub packets: Vec<Packet>,
    /// Tags of the stream and the file.
    pub tags: gst::TagList,
}

impl Stream {
    /// Name of the media type.
    pub fn media(&self) -> String {
        self.caps.structure(0).map_or(String::new(), |s| s.name().to_string())
    }

    /// Times of the packets or frames.
    pub fn times(&self) -> Vec<Option<i64>> {
        self.packets.iter().map(|p| p.time).collect()
    }

    /// Contents of the packets or frames.
    pub fn contents(&self) -> Vec<&[u8]> {
        self.packets.iter().map(|p| p.data.as_slice()).collect()
    }
}

/// A buffer's bytes; of raw video the samples only, without what pads its rows.
fn tight(buffer: &gst::Buffer, caps: &gst::Caps) -> Vec<u8> {
    use gst_video::VideoFrameExt;
    let all = || buffer.map_readable().expect("buffers can be read").to_vec();
    let Ok(info) = gst_video::VideoInfo::from_caps(caps) else { return all() };
    let Ok(frame) = gst_video::VideoFrame::from_buffer_readable(buffer.clone(), &info) else {
        return all();
    };
    let mut data = Vec::new();
    for component in 0..frame.n_planes() {
        let row = frame.comp_width(component) as usize * frame.comp_pstride(component) as usize;
        let stride = frame.plane_stride()[component as usize] as usize;
        let plane = frame.plane_data(component).expect("the plane is there");
        let rows = plane.chunks(stride).take(frame.comp_height(component) as usize);
        rows.for_each(|line| data.extend_from_slice(&line[..row.min(line.len())]));
    }
    data
}

/// What a new pad carries, as the pad, its stream or its element knows.
fn caps_of(pad: &gst::Pad) -> gst::Caps {
    pad.current_caps()
        .or_else(|| pad.stream().and_then(|stream| stream.caps()))
        .unwrap_or_else(|| pad.query_caps(None))
}

fn collect(pad: &gst::Pad) -> Arc<Mutex<Stream>> {
    let caps = caps_of(pad);
    let stream = Stream { caps, packets: Vec::new(), tags: gst::TagList::new() };
    let stream = Arc::new(Mutex::new(stream));
    let collected = stream.clone();
    let segment: Mutex<Option<gst::FormattedSegment<gst::ClockTime>>> = Mutex::new(None);
    let what = gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM;
    pad.add_probe(what, move |_, info| {
        let mut stream = collected.lock().unwrap();
        match &info.data {
            Some(gst::PadProbeData::Buffer(buffer)) => {
                let segment = segment.lock().unwrap();
                let time = segment.as_ref().zip(buffer.pts()).and_then(|(segment, pts)| {
                    let time = segment.to_running_time_full(pts)?;
                    let ns = time.abs().nseconds() as i64;
                    Some(if time.is_negative() { -ns } else { ns })
                });
                let data = tight(buffer, &stream.caps);
                stream.packets.push(Packet { time, data });
            }
            Some(gst::PadProbeData::Event(event)) => match event.view() {
                gst::EventView::Segment(new) => {
                    *segment.lock().unwrap() = new.segment().clone().downcast().ok();
                }
                gst::EventView::Caps(caps) => stream.caps = caps.caps_owned(),
                gst::EventView::Tag(tag) => {
                    let all = stream.tags.merge(tag.tag(), gst::TagMergeMode::Append);
                    stream.tags = all;
                }
                _ => {}
            },
            _ => {}
        }
        gst::PadProbeReturn::Ok
    });
    stream
}

fn read(path: &Path, splitter: &str, wanted: fn(&str) -> bool) -> Vec<Stream> {
    init();
    let pipeline = gst::Pipeline::new();
    let source = gst::ElementFactory::make("filesrc").property("location", path).build().unwrap();
    let splitter = gst::ElementFactory::make(splitter).build().unwrap();
    pipeline.add_many([&source, &splitter]).unwrap();
    source.link(&splitter).unwrap();
    let streams: Arc<Mutex<Vec<Arc<Mutex<Stream>>>>> = Arc::default();
    let (found, weak) = (streams.clone(), pipeline.downgrade());
    splitter.connect_pad_added(move |_, pad| {
        let Some(pipeline) = weak.upgrade() else { return };
        let media = caps_of(pad).to_string();
        if wanted(&media) {
            found.lock().unwrap().push(collect(pad));
        }
        let sink = gst::ElementFactory::make("fakesink").property("sync", false).build().unwrap();
        // All streams run to their end, whichever comes first.
        sink.set_property("async", false);
        pipeline.add(&sink).unwrap();
        sink.sync_state_with_parent().unwrap();
        pad.link(&sink.static_pad("sink").unwrap()).unwrap();
    });
    play(pipeline.upcast_ref());
    let streams = streams.lock().unwrap();
    streams.iter().map(|s| s.lock().unwrap().clone()).collect()
}

/// The compressed streams of a file.
///
/// # Panics
/// If it cannot be read.
pub fn packets(path: &Path) -> Vec<Stream> {
    read(path, "parsebin", |_| true)
}

/// The first `limit` frames of a file's decoded video, as I420.
///
/// # Panics
/// If it cannot be read or has no video.
pub fn first_frames(path: &Path, limit: usize) -> Stream {
    init();
    let line = "filesrc name=f ! decodebin ! videoconvert ! video/x-raw,format=I420 \
                ! identity name=i ! fakesink sync=false";
    let pipeline: gst::Pipeline = gst::parse::launch(line).unwrap().downcast().unwrap();
    pipeline.by_name("f").unwrap().set_property("location", path);
    let counter = pipeline.by_name("i").unwrap();
    counter.set_property("eos-after", i32::try_from(limit).unwrap_or(-1).max(-1));
    let stream = collect(&counter.static_pad("sink").unwrap());
    play(pipeline.upcast_ref());
    pipeline.set_state(gst::State::Null).unwrap();
    let mut stream = stream.lock().unwrap().clone();
    stream.packets.truncate(limit);
    stream
}

/// The decoded video of a file.
///
/// # Panics
/// If it cannot be read or has no video.
pub fn frames(path: &Path) -> Stream {
    let mut video = read(path, "decodebin", |media| media.starts_with("video/x-raw"));
    assert!(!video.is_empty(), "{} has no video", path.display());
    video.swap_remove(0)
}
