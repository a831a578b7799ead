//! The element on a GPU, in system and in CUDA memory: held against the CPU, and timed. Part of
//! `scripts/gpu-check.sh`; `tests/gpu_check` has the parts that need no GStreamer, and the table.
//!
//! ```text
//! gpu_elements check                the frames that come out, against those of the CPU
//! gpu_elements frames NAME FILE     frames/s of facesrenhance at 1080p with the generator of FILE
//! gpu_elements fault                a GPU that fails in mid-stream (only on the tests' driver)
//! ```
//!
//! Results go to standard output, one JSON object a line.

use std::time::Instant;

use gst::prelude::*;
use gst_check::Harness;
use gst_video::prelude::*;
use gst_video::{VideoFormat, VideoInfo, VideoRegionOfInterestMeta};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Sides of the faces' boxes, and of the squares that are cropped, about.
const SIDE: u32 = 22;
const WIDTH: u32 = 1920;
const HEIGHT: u32 = 1080;
const FORMATS: [VideoFormat; 4] =
    [VideoFormat::Nv12, VideoFormat::I420, VideoFormat::Rgba, VideoFormat::Bgra];

fn main() -> std::process::ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = start().and_then(|()| match words[..] {
        ["check"] => check(),
        ["frames", name, file] => frames(name, file),
        ["fault"] => fault(),
        _ => Err("it is told what to do by scripts/gpu/run.sh; its source says how".into()),
    });
    match done {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("gpu_elements: {error}");
            std::process::ExitCode::FAILURE
        }
    }
}

fn start() -> Result<()> {
    gst::init()?;
    Ok(gstfacesr::plugin_register_static()?)
}

/// Times mean nothing on the tests' driver, and must be short.
fn is_rehearsal() -> bool {
    facesr::internals::cuda::Cuda::open(0).is_ok_and(|cuda| {
        facesr::internals::cuda::Driver::name(&cuda).contains(facesr::internals::cuda::TEST_DEVICE)
    })
}

fn say(right: bool, text: &str) {
    println!("{{\"{}\":\"{text}\"}}", if right { "right" } else { "wrong" });
}

fn info(format: VideoFormat) -> Result<VideoInfo> {
    Ok(VideoInfo::builder(format, WIDTH, HEIGHT).fps(gst::Fraction::new(30, 1)).build()?)
}

/// A picture with `faces` faces, of which only the places are known.
fn picture(info: &VideoInfo, faces: u32, number: u64) -> Result<gst::Buffer> {
    let mut state = 2_654_435_761u32.wrapping_mul(number as u32 + 1) | 1;
    let pixels: Vec<u8> = (0..info.size())
        .map(|i| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            // Slow waves with noise on them.
            (60 + (i / 7 % 120) as u32 + (state >> 27)) as u8
        })
        .collect();
    let mut buffer = gst::Buffer::from_mut_slice(pixels);
    let editable = buffer.get_mut().ok_or("a new buffer is nobody else's")?;
    editable.set_pts(number * 33 * gst::ClockTime::MSECOND);
    mark_faces(editable, faces, number);
    Ok(buffer)
}

fn mark_faces(buffer: &mut gst::BufferRef, faces: u32, number: u64) {
    for i in 0..faces {
        let place = (30 + 230 * (i % 8) + 2 * number as u32 % 9, 40 + 250 * (i / 8), SIDE, SIDE);
        VideoRegionOfInterestMeta::add(buffer, "face", place).set_id(i as i32 + 1);
    }
}

fn enhance(device: &str, generator: &std::path::Path) -> Result<gst::Element> {
    Ok(gst::ElementFactory::make("facesrenhance")
        .property_from_str("device", device)
        .property("generator", generator.to_str().ok_or("an odd path")?)
        .property("qos", false)
        // Every face of every frame is generated.
        .property("reuse", 0.0)
        .build()?)
}

/// Plays `elements` in a row between two pads of frames in system memory.
fn row(elements: &[&gst::Element], info: &VideoInfo) -> Result<Harness> {
    let bin = gst::Bin::new();
    for element in elements {
        bin.add(*element)?;
    }
    for pair in elements.windows(2) {
        pair[0].link(pair[1])?;
    }
    let (first, last) = (elements[0], elements[elements.len() - 1]);
    for (name, pad) in [("sink", first.static_pad("sink")), ("src", last.static_pad("src"))] {
        let pad = pad.ok_or("no pad")?;
        bin.add_pad(&gst::GhostPad::builder_with_target(&pad)?.name(name).build())?;
    }
    let mut harness = Harness::with_element(&bin, Some("sink"), Some("src"));
    let caps = info.to_caps()?;
    harness.set_sink_caps(caps.clone());
    harness.set_src_caps(caps);
    Ok(harness)
}

fn make(name: &str) -> Result<gst::Element> {
    Ok(gst::ElementFactory::make(name).build()?)
}

/// The built-in generator in single precision, as a file.
fn single() -> Result<(tempfile::TempDir, std::path::PathBuf)> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("fp32.onnx");
    std::fs::write(&file, facesr::internals::read_model(&facesr::internals::built_in_fp32()[0])?)?;
    Ok((folder, file))
}

/// Largest difference of any sample, and how many differ by more than one.
fn compare(a: &gst::BufferRef, b: &gst::BufferRef, info: &VideoInfo) -> Result<(u8, usize)> {
    let a = gst_video::VideoFrameRef::from_buffer_ref_readable(a, info)?;
    let b = gst_video::VideoFrameRef::from_buffer_ref_readable(b, info)?;
    let (mut most, mut beyond) = (0, 0);
    for plane in 0..info.n_planes() {
        let (from, to) = (a.plane_data(plane)?, b.plane_data(plane)?);
        let strides = [a.plane_stride()[plane as usize], b.plane_stride()[plane as usize]];
        let rows = a.plane_height(plane) as usize;
        let format = info.format_info();
        let component = if plane == 0 { 0 } else { plane as u8 };
        let width = format.scale_width(component, info.width()) as usize
            * format.pixel_stride()[component as usize] as usize;
        for y in 0..rows {
            let line = |data: &[u8], stride: i32| data[y * stride as usize..][..width].to_vec();
            for (p, q) in line(from, strides[0]).into_iter().zip(line(to, strides[1])) {
                let gap = p.abs_diff(q);
                most = most.max(gap);
                beyond += usize::from(gap > 1);
            }
        }
    }
    Ok((most, beyond))
}

/// Five frames with eight faces in every format, by the CPU and by the GPU, whose frames lie in system
/// and in CUDA memory.
fn check() -> Result<()> {
    let (_folder, generator) = single()?;
    let mut wrong = Vec::new();
    for memory in ["system", "CUDA"] {
        if memory == "CUDA" && gst::ElementFactory::find("cudaupload").is_none() {
            say(false, "no element cudaupload: nothing was checked in CUDA memory");
            wrong.push(memory.to_string());
            continue;
        }
        for format in FORMATS {
            let info = info(format)?;
            let on_gpu = enhance("cuda", &generator)?;
            let mut gpu = match memory {
                "system" => row(&[&on_gpu], &info)?,
                _ => {
                    let only = gst::ElementFactory::make("capsfilter")
                        .property_from_str("caps", "video/x-raw(memory:CUDAMemory)")
                        .build()?;
                    // An uploaded frame has lost what was known of its faces.
                    let pad = on_gpu.static_pad("sink").ok_or("no pad")?;
                    pad.add_probe(gst::PadProbeType::BUFFER, |_, info| {
                        if let Some(buffer) = info.buffer_mut() {
                            let number = buffer.pts().map_or(0, |pts| pts.mseconds() / 33);
                            let buffer = buffer.make_mut();
                            if buffer.meta::<VideoRegionOfInterestMeta>().is_none() {
                                mark_faces(buffer, 8, number);
                            }
                        }
                        gst::PadProbeReturn::Ok
                    });
                    row(&[&make("cudaupload")?, &only, &on_gpu, &make("cudadownload")?], &info)?
                }
            };
            let mut cpu = row(&[&enhance("cpu", &generator)?], &info)?;
            let (mut most, mut beyond, mut changed) = (0, 0, 0);
            for number in 0..5 {
                let source = picture(&info, 8, number)?;
                let a = gpu.push_and_pull(source.copy_deep()?)?;
                let b = cpu.push_and_pull(source.copy_deep()?)?;
                let gap = compare(&a, &b, &info)?;
                most = most.max(gap.0);
                beyond += gap.1;
                changed += compare(&b, &source, &info)?.1;
            }
            let pad = on_gpu.static_pad("sink").ok_or("no pad")?;
            let caps = pad.current_caps().ok_or("no caps")?;
            let there = caps.to_string().contains("memory:CUDAMemory") == (memory == "CUDA");
            // Numbers that differ in their last digits may be rounded to the next sample.
            let right = most <= 1 && changed > 1000 && there;
            say(
                right,
                &format!(
                    "facesrenhance, {format}, {memory} memory: at most {most} of 255 from the CPU, {beyond} \
                     samples by more than 1; {changed} samples changed; caps {}",
                    if there { "as they should be" } else { "of another memory" }
                ),
            );
            if !right {
                wrong.push(format!("{format} in {memory} memory"));
            }
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(format!("wrong: {}", wrong.join(", ")).into()) }
}

/// Frames a second of the element by itself, in both memories; frames go round and round.
fn frames(name: &str, file: &str) -> Result<()> {
    let (_folder, built_in) = single()?;
    let generator = if file == "built-in" { built_in } else { file.into() };
    let timed = if is_rehearsal() { 6 } else { 1000 };
    let info = info(VideoFormat::Nv12)?;
    for faces in [8, 32] {
        let element = enhance("cuda", &generator)?;
        let mut harness = row(&[&element], &info)?;
        let pictures = (0..4).map(|n| picture(&info, faces, n)).collect::<Result<Vec<_>>>()?;
        let rate = go_round(&mut harness, pictures, timed)?;
        figure(&format!("facesrenhance, system memory, {name}, frames/s"), faces, rate);
    }
    for faces in [8, 32] {
        // The context that the element shares with its neighbours is handed on to the uploader.
        let element = enhance("cuda", &generator)?;
        let bus = gst::Bus::new();
        element.set_bus(Some(&bus));
        let mut harness = Harness::with_element(&element, Some("sink"), Some("src"));
        let mut caps = info.to_caps()?;
        caps.make_mut().set_features(0, Some(gst::CapsFeatures::new(["memory:CUDAMemory"])));
        harness.set_sink_caps(caps.clone());
        harness.set_src_caps(caps.clone());
        let shared = bus.iter().find_map(|message| match message.view() {
            gst::MessageView::HaveContext(have) => Some(have.context()),
            _ => None,
        });
        let uploader = make("cudaupload")?;
        uploader.set_context(&shared.ok_or("the element shares no CUDA context")?);
        let mut upload = Harness::with_element(&uploader, Some("sink"), Some("src"));
        upload.set_sink_caps(caps);
        upload.set_src_caps(info.to_caps()?);
        let pictures = (0..4)
            .map(|n| {
                let mut buffer = upload.push_and_pull(picture(&info, 0, n)?)?;
                mark_faces(buffer.make_mut(), faces, n);
                Ok(buffer)
            })
            .collect::<Result<Vec<_>>>()?;
        let rate = go_round(&mut harness, pictures, timed)?;
        let stats = element.property::<gst::Structure>("stats");
        let enhanced = stats.get::<u64>("faces-enhanced").unwrap_or(0);
        if enhanced < timed as u64 * u64::from(faces) {
            return Err(format!("only {enhanced} faces were sharpened in CUDA memory").into());
        }
        figure(&format!("facesrenhance, CUDA memory, {name}, frames/s"), faces, rate);
    }
    Ok(())
}

fn figure(row: &str, faces: u32, value: f64) {
    println!("{{\"row\":\"{row}\",\"faces\":{faces},\"value\":{value}}}");
}

/// Pushes the pictures in turn, each as it came out the last time; frames a second.
fn go_round(harness: &mut Harness, pictures: Vec<gst::Buffer>, timed: usize) -> Result<f64> {
    let mut ring: std::collections::VecDeque<_> = pictures.into();
    let mut start = Instant::now();
    for i in 0..timed + timed / 10 {
        if i == timed / 10 {
            start = Instant::now();
        }
        let mut buffer = ring.pop_front().ok_or("no pictures")?;
        buffer.make_mut().set_pts(i as u64 * 33 * gst::ClockTime::MSECOND);
        ring.push_back(harness.push_and_pull(buffer)?);
    }
    Ok(timed as f64 / start.elapsed().as_secs_f64())
}

/// A GPU that fails at some call of some frame: every frame comes out, as the CPU would make it, and one
/// warning says so.
fn fault() -> Result<()> {
    if !is_rehearsal() {
        return Err("faults can only be had from the tests' driver".into());
    }
    let (_folder, generator) = single()?;
    let fail = failing()?;
    let info = info(VideoFormat::Nv12)?;
    // Nothing is kept from frame to frame: what is kept is lost with the card.
    let unsteady = |device: &str| -> Result<gst::Element> {
        let element = enhance(device, &generator)?;
        element.set_property("temporal-smoothing", 0.0);
        Ok(element)
    };
    for calls in [0, 1, 3, 6, 9, 13, 17, 20] {
        let on_gpu = unsteady("cuda")?;
        let mut gpu = row(&[&on_gpu], &info)?;
        let bus = gst::Bus::new();
        on_gpu.set_bus(Some(&bus));
        let mut cpu = row(&[&unsteady("cpu")?], &info)?;
        for number in 0..4 {
            if number == 2 {
                fail(calls);
            }
            let got = gpu.push_and_pull(picture(&info, 2, number)?)?;
            let wanted = cpu.push_and_pull(picture(&info, 2, number)?)?;
            let (most, _) = compare(&got, &wanted, &info)?;
            if most > 1 {
                return Err(format!("after {calls} calls: frame {number} is off by {most}").into());
            }
        }
        let warnings = bus.iter().filter(|m| m.type_() == gst::MessageType::Warning).count();
        if warnings != 1 {
            return Err(format!("after {calls} calls: {warnings} warnings").into());
        }
        drop(gpu);
        fail(-1);
    }
    say(true, "a GPU that fails in mid-stream: no frame is lost, one warning");
    Ok(())
}

/// Tells the tests' driver after how many calls to fail; -1 never.
fn failing() -> Result<impl Fn(std::ffi::c_long)> {
    // SAFETY: the driver is loaded already, and has no initialisers.
    let driver = unsafe { libloading::Library::new("libcuda.so.1") }?;
    // SAFETY: as src/testkit/driver/cuda.cpp declares it.
    let fail = unsafe {
        *driver.get::<unsafe extern "C" fn(std::ffi::c_long)>(b"facesr_test_driver_fail\0")?
    };
    std::mem::forget(driver);
    // SAFETY: a function that sets a number.
    Ok(move |calls| unsafe { fail(calls) })
}
