//! Frames through real encoders and back, by GStreamer.

use std::path::Path;
use std::sync::{Arc, Mutex};

use gst::prelude::*;
use serde::{Deserialize, Serialize};

use super::yuv::{self, Coding};
use crate::error::{Error, Result};
use crate::rng::Rng;

/// Longest that a pipeline may keep still.
const TIMEOUT: gst::ClockTime = gst::ClockTime::from_seconds(60);
/// Time of a frame.
const FRAME: gst::ClockTime = gst::ClockTime::from_mseconds(40);

/// A frame as a decoder gave it.
#[derive(Debug, Clone)]
pub struct Decoded {
    /// RGB, rows without gaps.
    pub rgb: Vec<u8>,
    /// 0 I, 1 P, 2 B.
    pub kind: u8,
}

/// An encoder and how often it is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Codec {
    /// H.264 by x264.
    X264,
    /// H.264 by OpenH264.
    OpenH264,
    /// H.265 by x265.
    X265,
    /// MPEG-4 part 2 by FFmpeg.
    Mpeg4,
    /// JPEG pictures.
    Mjpeg,
    /// VP8 by libvpx.
    Vp8,
}

impl Codec {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::X264, Self::OpenH264, Self::X265, Self::Mpeg4, Self::Mjpeg, Self::Vp8];

    /// Elements: encoder, parser (may be empty) and decoder.
    fn elements(self) -> [&'static str; 3] {
        match self {
            Self::X264 => ["x264enc", "h264parse", "avdec_h264"],
            Self::OpenH264 => ["openh264enc", "h264parse", "avdec_h264"],
            Self::X265 => ["x265enc", "h265parse", "avdec_h265"],
            Self::Mpeg4 => ["avenc_mpeg4", "mpeg4videoparse", "avdec_mpeg4"],
            Self::Mjpeg => ["jpegenc", "", "jpegdec"],
            Self::Vp8 => ["vp8enc", "", "vp8dec"],
        }
    }

    /// True when its elements are installed.
    pub fn is_there(self) -> bool {
        let found = |name: &&str| name.is_empty() || gst::ElementFactory::find(name).is_some();
        self.elements().iter().all(found)
    }

    /// Which plugin the encoder is of, and of which version.
    pub fn version(self) -> String {
        let plugin = gst::ElementFactory::find(self.elements()[0]).and_then(|f| f.plugin());
        plugin.map_or_else(|| "missing".into(), |p| format!("{} {}", p.plugin_name(), p.version()))
    }

    /// Draws how it is set: quality or rate, distance of key frames, B frames, effort.
    fn settings(self, pixels: usize, rng: &mut Rng) -> String {
        let keys = [5, 12, 50][rng.below(3)];
        // Bits a second of 640x360; other sizes in proportion.
        let mut rate = |from: f32, to: f32| {
            let rate = (rng.range(from.ln(), to.ln())).exp() * pixels as f32 / 230_400.0;
            (rate as u32).max(20)
        };
        match self {
            Self::X264 => {
                let kbit = rate(180.0, 1500.0);
                let preset = ["superfast", "veryfast", "faster", "medium"][rng.below(4)];
                let quality = if rng.chance(0.7) {
                    format!("pass=qual quantizer={}", rng.whole(18, 36))
                } else {
                    format!("pass=cbr bitrate={kbit} vbv-buf-capacity=1000")
                };
                // With AVX-512 x264's macroblock tree differs from run to run, and a shard would, too.
                let repeatable =
                    if cfg!(target_arch = "x86_64") { "option-string=asm=SSE4" } else { "" };
                format!(
                    "{quality} speed-preset={preset} bframes={} key-int-max={keys} threads=1 {repeatable}",
                    rng.below(4)
                )
            }
            Self::OpenH264 => format!(
                "bitrate={} gop-size={keys} rate-control=bitrate complexity=low multi-thread=1",
                1000 * rate(180.0, 1500.0)
            ),
            Self::X265 => format!(
                "qp={} speed-preset=superfast key-int-max={keys} \
                 option-string=\"pools=none:frame-threads=1:bframes={}:log-level=0\"",
                rng.whole(22, 40),
                rng.below(3)
            ),
            Self::Mpeg4 => format!(
                "bitrate={} gop-size={keys} max-bframes={} threads=1",
                1000 * rate(400.0, 3000.0),
                rng.below(2)
            ),
            Self::Mjpeg => format!("quality={}", rng.whole(18, 75)),
            // A positive cpu-used would follow the clock, and a shard would not come out the same.
            Self::Vp8 => format!(
                "target-bitrate={} keyframe-max-dist={keys} deadline=1 cpu-used=-4 threads=1",
                1000 * rate(200.0, 1500.0)
            ),
        }
    }
}

fn failed(e: impl std::fmt::Display) -> Error {
    Error::Data(format!("GStreamer: {e}"))
}

/// The message of an error on the bus, with its element.
fn bus_error(pipeline: &gst::Pipeline) -> Option<Error> {
    let message = pipeline.bus()?.pop_filtered(&[gst::MessageType::Error])?;
    let gst::MessageView::Error(e) = message.view() else { return None };
    let from = e.src().map(|s| s.name().to_string()).unwrap_or_default();
    Some(failed(format!("{from}: {}", e.error())))
}

/// Stops a pipeline however a function ends.
struct Running(gst::Pipeline);

impl Drop for Running {
    fn drop(&mut self) {
        // Nothing can be done about a pipeline that does not stop.
        let _ = self.0.set_state(gst::State::Null);
    }
}

impl Running {
    fn start(description: &str) -> Result<Self> {
        let pipeline = gst::parse::launch(description)
            .map_err(failed)?
            .downcast::<gst::Pipeline>()
            .map_err(|_| failed("no pipeline"))?;
        Ok(Self(pipeline))
    }

    fn element(&self, name: &str) -> Result<gst::Element> {
        self.0.by_name(name).ok_or_else(|| failed(format!("there is no element {name}")))
    }

    fn play(&self) -> Result<()> {
        self.0
            .set_state(gst::State::Playing)
            .map(drop)
            .map_err(|e| bus_error(&self.0).unwrap_or_else(|| failed(e)))
    }

    /// The next frame of the sink, `None` at the end.
    fn pull(&self, sink: &gst::Element) -> Result<Option<gst::Sample>> {
        let sample: Option<gst::Sample> =
            sink.emit_by_name("try-pull-sample", &[&TIMEOUT.nseconds()]);
        if sample.is_none() {
            if let Some(error) = bus_error(&self.0) {
                return Err(error);
            }
            if !sink.property::<bool>("eos") {
                return Err(failed("no frame came within a minute"));
            }
        }
        Ok(sample)
    }
}

/// Pixels of a frame of RGB whose rows may end in padding.
fn pixels(sample: &gst::Sample, width: usize, height: usize) -> Result<Vec<u8>> {
    let buffer = sample.buffer().ok_or_else(|| failed("a frame without pixels"))?;
    let map = buffer.map_readable().map_err(failed)?;
    let stride = (width * 3).next_multiple_of(4);
    if map.len() < stride * (height - 1) + width * 3 {
        return Err(failed("a frame of another size"));
    }
    let rows = map.chunks(stride).take(height);
    Ok(rows.flat_map(|row| row[..width * 3].iter().copied()).collect())
}

/// Frames (RGB, `width` x `height`, `width` a multiple of 8, `height` even) through an encoder and back. Fewer may
/// come back than went in, where the decoder drops some.
///
/// # Errors
/// When an element is missing or fails.
pub fn through(
    frames: &[Vec<u8>],
    width: usize,
    height: usize,
    codec: Codec,
    rng: &mut Rng,
) -> Result<Vec<Decoded>> {
    let [encoder, parser, decoder] = codec.elements();
    let parser = if parser.is_empty() { "identity" } else { parser };
    let settings = codec.settings(width * height, rng);
    let coding = if codec == Codec::Mjpeg { Coding::Jpeg } else { Coding::Video };
    let description = format!(
        "appsrc name=src format=time caps=video/x-raw,format=I420,width={width},height={height},\
         framerate=25/1,{} ! {encoder} name=enc {settings} ! {parser} ! {decoder} ! \
         video/x-raw,format=I420 ! appsink name=sink sync=false",
        coding.caps()
    );
    let running = Running::start(&description)?;
    let (source, sink) = (running.element("src")?, running.element("sink")?);
    let kinds = Arc::new(Mutex::new(Vec::<(gst::ClockTime, u8)>::new()));
    let pad = running.element("enc")?.static_pad("src").ok_or_else(|| failed("no pad"))?;
    let seen = Arc::clone(&kinds);
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        if let (Some(buffer), Ok(mut kinds)) = (info.buffer(), seen.lock())
            && let Some(time) = buffer.pts()
        {
            // Shown before one that was sent earlier: no other frame hangs on it.
            let backward = kinds.iter().any(|(other, _)| *other > time);
            let delta = buffer.flags().contains(gst::BufferFlags::DELTA_UNIT);
            kinds.push((time, if backward { 2 } else { u8::from(delta) }));
        }
        gst::PadProbeReturn::Ok
    });
    running.play()?;
    for (i, frame) in frames.iter().enumerate() {
        let mut buffer = gst::Buffer::from_slice(yuv::from_rgb(frame, width, height, coding));
        if let Some(buffer) = buffer.get_mut() {
            buffer.set_pts(FRAME * i as u64);
            buffer.set_duration(FRAME);
        }
        let flow: gst::FlowReturn = source.emit_by_name("push-buffer", &[&buffer]);
        if flow != gst::FlowReturn::Ok {
            return Err(bus_error(&running.0).unwrap_or_else(|| failed("a frame was refused")));
        }
    }
    let _: gst::FlowReturn = source.emit_by_name("end-of-stream", &[]);
    let mut decoded = Vec::with_capacity(frames.len());
    while let Some(sample) = running.pull(&sink)? {
        let buffer = sample.buffer().ok_or_else(|| failed("a frame without pixels"))?;
        let planes = buffer.map_readable().map_err(failed)?;
        if planes.len() != width * height * 3 / 2 {
            return Err(failed("a frame of another size"));
        }
        decoded.push((buffer.pts(), yuv::to_rgb(&planes, width, height, coding)));
    }
    // Only now all of them are known: encoders may shift all times alike, and then the order counts.
    let mut kinds = kinds.lock().map_err(|_| failed("a thread ended"))?.clone();
    kinds.sort_unstable();
    let kind = |n: usize, time: Option<gst::ClockTime>| {
        let same = time.and_then(|time| kinds.iter().find(|kind| kind.0 == time));
        same.or(kinds.get(n)).map_or(255, |kind| kind.1)
    };
    let frames = decoded.into_iter().enumerate();
    Ok(frames.map(|(n, (time, rgb))| Decoded { rgb, kind: kind(n, time) }).collect())
}

/// Every `every`-th frame of a film, at most `most`, at this size (RGB).
///
/// # Errors
/// When the film cannot be read.
pub fn decode_film(
    file: &Path,
    width: usize,
    height: usize,
    every: usize,
    most: usize,
) -> Result<Vec<Vec<u8>>> {
    let in_file = |e: Error| Error::Data(format!("{}: {e}", file.display()));
    let description = format!(
        "filesrc name=src ! decodebin ! videoconvert ! videoscale add-borders=false ! \
         video/x-raw,format=RGB,width={width},height={height},pixel-aspect-ratio=1/1 ! \
         appsink name=sink sync=false max-buffers=4"
    );
    let running = Running::start(&description).map_err(in_file)?;
    running.element("src")?.set_property("location", file);
    let sink = running.element("sink")?;
    running.play().map_err(in_file)?;
    let mut out = Vec::new();
    let mut n = 0;
    while out.len() < most
        && let Some(sample) = running.pull(&sink).map_err(in_file)?
    {
        if n % every == 0 {
            out.push(pixels(&sample, width, height).map_err(in_file)?);
        }
        n += 1;
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    /// A bright square that moves over a shaded ground.
    fn film(n: usize) -> Vec<Vec<u8>> {
        (0..n)
            .map(|t| {
                (0..160 * 96)
                    .flat_map(|i| {
                        let (x, y) = (i % 160, i / 160);
                        let inside = (20 + 4 * t..50 + 4 * t).contains(&x) && (30..60).contains(&y);
                        [if inside { 220 } else { (x / 2 + y) as u8 }; 3]
                    })
                    .collect()
            })
            .collect()
    }

    #[test]
    fn frames_come_back_in_order_from_every_encoder_that_is_there() {
        gst::init().unwrap();
        let frames = film(12);
        let mut tried = 0;
        for codec in Codec::ALL.into_iter().filter(|c| c.is_there()) {
            let mut rng = Rng::new(3, Stream::Pairs, 1);
            let back = through(&frames, 160, 96, codec, &mut rng).unwrap();
            assert_eq!(back.len(), 12, "{codec:?}");
            let gap = |a: &[u8], b: &[u8]| {
                a.iter().zip(b).map(|(a, b)| f64::from(a.abs_diff(*b))).sum::<f64>()
                    / a.len() as f64
            };
            for (i, frame) in back.iter().enumerate() {
                let own = gap(&frame.rgb, &frames[i]);
                assert!(own < 14.0, "{codec:?} {i}: {own}");
            }
            let mean =
                |rgb: &[u8]| rgb.iter().map(|v| f64::from(*v)).sum::<f64>() / rgb.len() as f64;
            let shift = mean(&back[0].rgb) - mean(&frames[0]);
            assert!(shift.abs() < 1.0, "{codec:?} is {shift} brighter");
            assert!(back[0].rgb != frames[0], "{codec:?} loses something");
            assert_eq!(back[0].kind, 0, "{codec:?}: a film begins with an I frame");
            assert!(back.iter().all(|f| f.kind <= 2), "{codec:?}");
            if codec != Codec::Mjpeg {
                assert!(back.iter().any(|f| f.kind == 1), "{codec:?} has P frames");
            }
            tried += 1;
        }
        assert!(tried >= 1, "no encoder is installed");
    }

    #[test]
    fn same_frames_give_the_same_stream() {
        gst::init().unwrap();
        let mut rng = Rng::new(3, Stream::Pairs, 0);
        let mut noise = || (128.0 + 30.0 * rng.normal()) as u8;
        let frames: Vec<Vec<u8>> =
            (0..6).map(|_| (0..160 * 120 * 3).map(|_| noise()).collect()).collect();
        for codec in Codec::ALL.into_iter().filter(|codec| codec.is_there()) {
            for seed in 0..60 {
                let film = || {
                    let mut rng = Rng::new(seed, Stream::Pairs, 0);
                    let decoded = through(&frames, 160, 120, codec, &mut rng).unwrap();
                    decoded.into_iter().map(|d| (d.rgb, d.kind)).collect::<Vec<_>>()
                };
                assert!(film() == film(), "{codec:?} with the settings of seed {seed}");
            }
        }
    }
}
