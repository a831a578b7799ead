//! `facesrenhance`: what it changes, what it leaves, and what it says.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use common::*;
use facesr::frame::PixelFormat;
use gst::prelude::*;
use gst_video::{VideoFrameFlags, VideoInfo, VideoMeta, VideoRegionOfInterestMeta};

const FACE: (u32, u32, u32, u32) = (31, 17, 26, 33);
const SIZE: (u32, u32) = (97, 75);

fn face_frame(info: &VideoInfo, seed: u32) -> gst::Buffer {
    let mut buffer = frame(info, seed);
    add_face(&mut buffer, 1, FACE);
    buffer
}

#[test]
fn only_the_square_changes_in_every_format_with_odd_sizes_and_strides() {
    for (name, format) in FORMATS {
        let info = info(name, SIZE.0, SIZE.1);
        let layout = Layout::odd(format, SIZE.0, SIZE.1);
        let before = noise(layout.size, 7, 30, 200);
        let mut buffer = gst::Buffer::from_mut_slice(before.clone());
        VideoMeta::add_full(
            buffer.make_mut(),
            VideoFrameFlags::empty(),
            info.format(),
            SIZE.0,
            SIZE.1,
            &layout.offsets,
            &layout.strides,
        )
        .unwrap();
        add_face(&mut buffer, 1, FACE);
        let mut bench = Bench::with_caps(enhance(), &info);
        let after = bytes(&bench.run(buffer));
        let mask = layout.mask(format, SIZE.0, SIZE.1, &square(FACE, SIZE.0, SIZE.1));
        let mut changed = 0;
        for (i, (a, b)) in before.iter().zip(&after).enumerate() {
            assert!(mask[i] || a == b, "{name}: byte {i} outside of the square changed");
            changed += usize::from(a != b);
        }
        assert!(changed > 400, "{name}: only {changed} bytes changed");
        assert_eq!(bench.stat("faces-enhanced"), 1);
    }
}

#[test]
fn strides_make_no_difference() {
    for (name, format) in FORMATS {
        let info = info(name, SIZE.0, SIZE.1);
        let layout = Layout::odd(format, SIZE.0, SIZE.1);
        let plain = face_frame(&info, 3);
        let source = bytes(&plain);
        let mut padded = vec![9; layout.size];
        for (from, to, len) in rows(&info, format, &layout) {
            padded[to..to + len].copy_from_slice(&source[from..from + len]);
        }
        let mut padded = gst::Buffer::from_mut_slice(padded);
        VideoMeta::add_full(
            padded.make_mut(),
            VideoFrameFlags::empty(),
            info.format(),
            SIZE.0,
            SIZE.1,
            &layout.offsets,
            &layout.strides,
        )
        .unwrap();
        add_face(&mut padded, 1, FACE);
        let a = bytes(&Bench::with_caps(enhance(), &info).run(plain));
        let b = bytes(&Bench::with_caps(enhance(), &info).run(padded));
        for (i, j, len) in rows(&info, format, &layout) {
            assert_eq!(a[i..i + len], b[j..j + len], "{name}: byte {i}");
        }
    }
}

/// Every row of pixels: where it begins in the default layout and in `layout`, and its length.
fn rows(info: &VideoInfo, format: PixelFormat, layout: &Layout) -> Vec<(usize, usize, usize)> {
    let plane_rows = |plane: usize| {
        let (len, rows) = format.plane_size(plane, info.width(), info.height());
        let strides = (info.stride()[plane] as usize, layout.strides[plane] as usize);
        let starts = (info.offset()[plane], layout.offsets[plane]);
        (0..rows).map(move |y| (starts.0 + y * strides.0, starts.1 + y * strides.1, len))
    };
    (0..format.plane_count()).flat_map(plane_rows).collect()
}

#[test]
fn metadata_and_times_pass() {
    let info = info("NV12", 96, 64);
    let mut bench = Bench::with_caps(enhance(), &info);
    let mut buffer = stamped(face_frame(&info, 1), 3);
    VideoRegionOfInterestMeta::add(buffer.make_mut(), "car", (1, 2, 3, 4));
    let out = bench.run(buffer);
    assert_eq!(out.pts(), Some(120 * gst::ClockTime::MSECOND));
    assert_eq!(out.duration(), Some(40 * gst::ClockTime::MSECOND));
    let metas: Vec<_> =
        out.iter_meta::<VideoRegionOfInterestMeta>().map(|m| (m.roi_type(), m.rect())).collect();
    assert_eq!(metas, [("face", FACE), ("car", (1, 2, 3, 4))]);
}

#[test]
fn sub_pixel_boxes_are_used() {
    let info = info("GRAY8", 96, 64);
    let run = |x_min: f64| {
        let mut buffer = frame(&info, 1);
        let mut region =
            VideoRegionOfInterestMeta::add(buffer.make_mut(), "face", (20, 10, 26, 33));
        region.add_param(
            gst::Structure::builder("detection")
                .field("x_min", x_min / 96.0)
                .field("y_min", 10.0 / 64.0)
                .field("x_max", (x_min + 25.0) / 96.0)
                .field("y_max", 43.0 / 64.0)
                .build(),
        );
        bytes(&Bench::with_caps(enhance(), &info).run(buffer))
    };
    assert_ne!(run(20.25), run(20.75));
}

#[test]
fn frames_without_work_are_neither_copied_nor_changed() {
    let info = info("I420", 320, 240);
    let mut bench = Bench::with_caps(enhance(), &info);
    let mut check = |mut buffer: gst::Buffer, faces: &[(u32, u32, u32, u32)]| {
        for (i, rect) in faces.iter().enumerate() {
            add_face(&mut buffer, i as i32 + 1, *rect);
        }
        let before = bytes(&buffer);
        // Held here too: a copy would be made if it were mapped for writing.
        let held = buffer.clone();
        let out = bench.run(buffer);
        let (a, b) = (held.map_readable().unwrap(), out.map_readable().unwrap());
        assert_eq!(a.as_ptr(), b.as_ptr());
        assert_eq!(b.as_slice(), before);
    };
    check(frame(&info, 1), &[]);
    check(frame(&info, 2), &[(10, 10, 4, 4), (20, 20, 150, 180), (400, 20, 30, 30)]);
    bench.element.set_property("strength", 0.0);
    let mut buffer = face_frame(&info, 3);
    let before = bytes(&buffer);
    buffer = bench.run(buffer);
    assert_eq!(bytes(&buffer), before);
    assert_eq!(bench.stat("frames"), 3);
    assert_eq!(bench.stat("frames-untouched"), 3);
    assert_eq!(bench.stat("faces-seen"), 4);
    assert_eq!(bench.stat("faces-enhanced"), 0);
}

#[test]
fn shared_memory_of_others_is_left_alone() {
    let info = info("NV12", 320, 240);
    let mut bench = Bench::with_caps(enhance(), &info);
    let held = face_frame(&info, 1);
    let before = bytes(&held);
    let out = bench.run(held.clone());
    assert_eq!(bytes(&held), before);
    assert_ne!(bytes(&out), before);
    // The other way of sharing: two buffers of one memory, as after a tee and a make-writable.
    let twin = held.copy();
    let out = bench.run(twin);
    assert_eq!(bytes(&held), before);
    assert_ne!(bytes(&out), before);
}

#[test]
fn own_memory_is_changed_in_place() {
    let info = info("NV12", 320, 240);
    let mut bench = Bench::with_caps(enhance(), &info);
    let buffer = face_frame(&info, 1);
    let at = buffer.map_readable().unwrap().as_ptr();
    let out = bench.run(buffer);
    assert_eq!(out.map_readable().unwrap().as_ptr(), at);
    assert_eq!(bench.stat("faces-enhanced"), 1);
}

#[test]
fn planes_in_memories_of_their_own_are_enhanced() {
    let info = info("I420", 96, 64);
    let whole = face_frame(&info, 1);
    let source = bytes(&whole);
    let mut split = gst::Buffer::new();
    let ends = [info.offset()[1], info.offset()[2], info.size()];
    for (start, end) in info.offset().iter().zip(ends) {
        split.make_mut().append_memory(gst::Memory::from_mut_slice(source[*start..end].to_vec()));
    }
    let with_meta = |buffer: &mut gst::Buffer| {
        VideoMeta::add_from_info(buffer.make_mut(), VideoFrameFlags::empty(), &info).unwrap();
        add_face(buffer, 1, FACE);
    };
    let mut bare = split.copy_deep().unwrap();
    for i in 0..3 {
        bare.make_mut().replace_memory(i, split.memory(i).unwrap().copy());
    }
    add_face(&mut bare, 1, FACE);
    with_meta(&mut split);
    let wanted = bytes(&Bench::with_caps(enhance(), &info).run(whole));
    assert_ne!(wanted, source);
    let out = Bench::with_caps(enhance(), &info).run(split);
    assert_eq!(out.n_memory(), 3);
    assert_eq!(bytes(&out), wanted);
    assert_eq!(bytes(&Bench::with_caps(enhance(), &info).run(bare)), wanted);
}

#[test]
fn other_caps_are_refused() {
    let refused = [
        ("video/x-raw,format=NV61,width=64,height=64,framerate=25/1", "videoconvert"),
        ("video/x-raw,format=GRAY16_LE,width=64,height=64,framerate=25/1", "videoconvert"),
        ("video/x-raw,format=NV12_4L4,width=64,height=64,framerate=25/1", "videoconvert"),
        (
            "video/x-raw(memory:GLMemory),format=RGBA,width=64,height=64,framerate=25/1",
            "gldownload",
        ),
        ("video/x-raw(memory:DMABuf),format=NV12,width=64,height=64,framerate=25/1", "vapostproc"),
        (
            "video/x-raw(memory:DMABuf),format=DMA_DRM,drm-format=NV12:0x0100000000000002,width=64,\
             height=64,framerate=25/1",
            "NV12:0x0100000000000002",
        ),
        (
            "video/x-raw,format=NV12,width=64,height=64,framerate=25/1,interlace-mode=alternate,\
             field-order=top-field-first",
            "deinterlace",
        ),
        ("audio/x-raw,format=S16LE,rate=8000,channels=1,layout=interleaved", ""),
    ];
    for (caps, word) in refused {
        let mut bench = Bench::new(enhance());
        bench.harness.set_src_caps_str(caps);
        let flow = bench.harness.push(gst::Buffer::with_size(64 * 64 * 4).unwrap());
        assert_eq!(flow, Err(gst::FlowError::NotNegotiated), "{caps}");
        // Told once, in words, with what to put before the element.
        let told = bench.warnings();
        assert_eq!(told.len(), usize::from(!word.is_empty()), "{caps}: {told:?}");
        assert!(told.iter().all(|text| text.contains(word)), "{caps}: {told:?}");
    }
}

#[test]
fn buffers_without_caps_are_refused() {
    let mut bench = Bench::new(enhance());
    bench.harness.push_event(gst::event::StreamStart::new("test"));
    let segment = gst::FormattedSegment::<gst::ClockTime>::new();
    bench.harness.push_event(gst::event::Segment::new(&segment));
    let flow = bench.harness.push(gst::Buffer::with_size(64).unwrap());
    assert_eq!(flow, Err(gst::FlowError::NotNegotiated));
}

#[test]
fn interlaced_frames_are_taken_as_they_are() {
    let mut bench = Bench::new(enhance());
    bench.harness.set_src_caps_str(
        "video/x-raw,format=NV12,width=96,height=64,framerate=25/1,interlace-mode=interleaved",
    );
    bench.run(face_frame(&info("NV12", 96, 64), 1));
    assert_eq!(bench.stat("faces-enhanced"), 1);
}

#[test]
fn buffers_that_contradict_their_caps_are_errors() {
    let info = info("NV12", 96, 64);
    let face = (10, 10, 30, 30);
    let meta = |size: usize, offset: [usize; 2], stride: [i32; 2], width: u32| {
        let mut buffer = gst::Buffer::with_size(size).unwrap();
        VideoMeta::add_full(
            buffer.make_mut(),
            VideoFrameFlags::empty(),
            gst_video::VideoFormat::Nv12,
            width,
            64,
            &offset,
            &stride,
        )
        .unwrap();
        buffer
    };
    let end = 96 * 64;
    let bad = [
        ("small", gst::Buffer::with_size(100).unwrap()),
        ("empty", gst::Buffer::new()),
        ("beyond the end", meta(info.size(), [0, info.size() - 10], [96, 96], 96)),
        ("stride too long", meta(info.size(), [0, end], [4096, 96], 96)),
        ("stride too short", meta(info.size(), [0, end], [40, 96], 96)),
        ("negative stride", meta(info.size(), [0, end], [-96, 96], 96)),
        ("planes overlap", meta(info.size(), [0, 96], [96, 96], 96)),
        ("another width", meta(info.size(), [0, end], [96, 96], 64)),
    ];
    for (name, mut buffer) in bad {
        let mut bench = Bench::with_caps(enhance(), &info);
        add_face(&mut buffer, 1, face);
        assert_eq!(bench.harness.push(buffer), Err(gst::FlowError::Error), "{name}");
        assert_eq!(bench.messages(gst::MessageType::Error).len(), 1, "{name}");
    }
}

#[test]
fn the_largest_faces_come_first_and_sizes_count() {
    let info = info("GRAY8", 320, 240);
    let mut bench = Bench::with_caps(enhance(), &info);
    let run = |bench: &mut Bench| {
        let mut buffer = frame(&info, 1);
        for (i, side) in [12, 20, 30, 40].into_iter().enumerate() {
            add_face(&mut buffer, i as i32, (70 * i as u32, 50, side, side));
        }
        let before = bench.stat("faces-enhanced");
        bench.run(buffer);
        bench.stat("faces-enhanced") - before
    };
    assert_eq!(run(&mut bench), 4);
    bench.element.set_property("max-faces", 3u32);
    assert_eq!(run(&mut bench), 3);
    bench.element.set_property("max-faces", 0u32);
    bench.element.set_property("min-face-size", 25u32);
    assert_eq!(run(&mut bench), 2);
    bench.element.set_property("max-face-size", 40u32);
    assert_eq!(run(&mut bench), 1);
    bench.element.set_property("box-scale", 0.5);
    assert_eq!(run(&mut bench), 0);
    bench.element.set_property("min-face-size", 1u32);
    assert_eq!(run(&mut bench), 4);
}

#[test]
fn strength_changes_while_playing() {
    let info = info("RGB", 96, 64);
    let mut bench = Bench::with_caps(enhance(), &info);
    bench.element.set_property("temporal-smoothing", 0.0);
    let change = |bench: &mut Bench, strength: f64| -> u64 {
        bench.element.set_property("strength", strength);
        let buffer = face_frame(&info, 1);
        let before = bytes(&buffer);
        let after = bytes(&bench.run(buffer));
        before.iter().zip(&after).map(|(a, b)| u64::from(a.abs_diff(*b))).sum()
    };
    let (full, half, none) =
        (change(&mut bench, 1.0), change(&mut bench, 0.5), change(&mut bench, 0.0));
    assert!(full > half && half > none && none == 0, "{full} {half} {none}");
}

#[test]
fn new_caps_in_mid_stream() {
    let mut bench = Bench::new(enhance());
    for (format, width, height) in [("NV12", 96, 64), ("RGB", 200, 120), ("NV12", 65, 65)] {
        let info = info(format, width, height);
        bench.harness.set_src_caps(info.to_caps().unwrap());
        let out = bench.run(face_frame(&info, 1));
        assert_eq!(out.size(), info.size());
    }
    assert_eq!(bench.stat("faces-enhanced"), 3);
}

/// What the face looked like before a flush or a seek must not shine through after it.
#[test]
fn flush_and_seek_forget_the_faces() {
    let info = info("GRAY8", 96, 64);
    let first = face_frame(&info, 1);
    let mut second = frame(&info, 1);
    {
        let second = second.make_mut();
        let mut map = second.map_writable().unwrap();
        for (i, v) in map.iter_mut().enumerate() {
            *v += (i % 3) as u8;
        }
    }
    add_face(&mut second, 1, FACE);
    let segment = || gst::FormattedSegment::<gst::ClockTime>::new();
    let flush = |bench: &mut Bench| {
        bench.harness.push_event(gst::event::FlushStart::new());
        bench.harness.push_event(gst::event::FlushStop::new(true));
        bench.harness.push_event(gst::event::Segment::new(&segment()));
    };
    let seek = |bench: &mut Bench| {
        bench.harness.push_event(gst::event::Segment::new(&segment()));
    };
    let nothing = |_: &mut Bench| {};
    let run = |between: &dyn Fn(&mut Bench)| {
        let mut bench = Bench::with_caps(enhance(), &info);
        bench.element.set_property("temporal-smoothing", 1.0);
        bench.run(first.copy_deep().unwrap());
        between(&mut bench);
        bytes(&bench.run(second.copy_deep().unwrap()))
    };
    let mut fresh = Bench::with_caps(enhance(), &info);
    let fresh = bytes(&fresh.run(second.copy_deep().unwrap()));
    assert_ne!(run(&nothing), fresh);
    assert_eq!(run(&flush), fresh);
    assert_eq!(run(&seek), fresh);
}

#[test]
fn late_frames_pass_untouched() {
    let info = info("NV12", 96, 64);
    let mut bench = Bench::with_caps(enhance(), &info);
    bench.run(face_frame(&info, 1));
    let late = |ms: u64| {
        gst::event::Qos::new(
            gst::QOSType::Underflow,
            1.5,
            (ms * 1_000_000) as i64,
            gst::ClockTime::ZERO,
        )
    };
    bench.harness.push_upstream_event(late(100));
    let mut untouched = Vec::new();
    for n in 0..5 {
        let buffer = stamped(face_frame(&info, n as u32), n);
        let before = bytes(&buffer);
        untouched.push(bytes(&bench.run(buffer)) == before);
    }
    assert_eq!(untouched, [true, true, true, false, false]);
    assert_eq!(bench.stat("frames-untouched-late"), 3);
    assert_eq!(bench.messages(gst::MessageType::Qos).len(), 3);
    // Told to take its time.
    bench.element.set_property("qos", false);
    bench.run(stamped(face_frame(&info, 9), 0));
    assert_eq!(bench.stat("faces-enhanced"), 4);
    // A flush begins again.
    bench.element.set_property("qos", true);
    bench.harness.push_event(gst::event::FlushStart::new());
    bench.harness.push_event(gst::event::FlushStop::new(true));
    let segment = gst::FormattedSegment::<gst::ClockTime>::new();
    bench.harness.push_event(gst::event::Segment::new(&segment));
    bench.run(stamped(face_frame(&info, 9), 0));
    assert_eq!(bench.stat("faces-enhanced"), 5);
}

#[test]
fn a_generator_that_fails_leaves_the_frame_and_warns_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("afraid.onnx");
    std::fs::write(&path, onnx::afraid_of_light()).unwrap();
    let info = info("GRAY8", 96, 64);
    let element = enhance();
    element.set_property("generator", path.to_str().unwrap());
    let mut bench = Bench::with_caps(element, &info);
    let mut run = |bright: bool| {
        let (low, high) = if bright { (200, 255) } else { (30, 120) };
        let mut buffer = gst::Buffer::from_mut_slice(noise(info.size(), 1, low, high));
        add_face(&mut buffer, 1, FACE);
        let before = bytes(&buffer);
        bytes(&bench.run(buffer)) != before
    };
    assert!(run(false));
    assert!(!run(true));
    assert!(!run(true));
    assert!(run(false));
    assert!(!run(true));
    let warnings = bench.messages(gst::MessageType::Warning);
    assert_eq!(warnings.len(), 1);
    let gst::MessageView::Warning(warning) = warnings[0].view() else { unreachable!() };
    assert!(warning.error().to_string().contains("afraid.onnx"), "{}", warning.error());
    assert_eq!(bench.stat("enhancement-errors"), 3);
    assert_eq!(bench.stat("frames-untouched"), 3);
}

#[test]
fn excluded_faces_are_left_alone() {
    let info = info("NV12", 96, 64);
    let element = enhance();
    element.set_property("exclude", "0,0,50,64");
    let mut bench = Bench::with_caps(element, &info);
    let mut run = |exclude: &str| {
        bench.element.set_property("exclude", exclude);
        let buffer = face_frame(&info, 1);
        let before = bytes(&buffer);
        bytes(&bench.run(buffer)) != before
    };
    assert!(!run("0,0,50,64"));
    assert!(run("50,0,46,64"));
    assert!(!run("0.2,0.2,0.5,0.5"));
    assert!(run(""));
}

/// Numbers that change places from frame to frame, as detectors without a tracker give them, are
/// no reason to show one face's detail on another, or to generate it again.
#[test]
fn region_numbers_are_no_identities() {
    let info = info("GRAY8", 160, 64);
    let generated = |swap: bool| {
        let mut bench = Bench::with_caps(enhance(), &info);
        let outs: Vec<_> = (0..12u64)
            .map(|n| {
                // One picture over and over: nothing changes that would be generated again.
                let mut buffer = stamped(frame(&info, 1), n);
                let mut faces = [(10, (10, 15, 26, 33)), (11, (100, 15, 26, 33))];
                if swap && n % 2 == 1 {
                    faces = [(10, faces[1].1), (11, faces[0].1)];
                }
                faces.iter().for_each(|(id, rect)| add_face(&mut buffer, *id, *rect));
                bytes(&bench.run(buffer))
            })
            .collect();
        (bench.stat("faces-generated"), outs)
    };
    let (steady, swapped) = (generated(false), generated(true));
    assert_eq!(steady.0, swapped.0);
    assert!(steady.1 == swapped.1);
}

#[test]
fn faces_are_sharpened_whatever_the_spelling_of_their_type() {
    let info = info("GRAY8", 96, 64);
    for (kind, seen) in [("face", 1), ("Face", 1), ("FACE", 1), ("human face", 0), ("car", 0)] {
        let mut bench = Bench::with_caps(enhance(), &info);
        for n in 0..3 {
            let mut buffer = stamped(frame(&info, 1), n);
            VideoRegionOfInterestMeta::add(buffer.make_mut(), kind, FACE);
            bench.run(buffer);
        }
        assert_eq!(bench.stat("faces-seen"), 3 * seen, "{kind}");
        // That none of the regions is a face is told once.
        let told = bench.messages(gst::MessageType::Info);
        assert_eq!(told.len(), usize::from(seen == 0), "{kind}");
        for message in told {
            let gst::MessageView::Info(info) = message.view() else { unreachable!() };
            assert!(info.error().to_string().contains(kind), "{}", info.error());
        }
    }
}

/// An element before ours crops by metadata although it was not asked to.
#[test]
fn picture_cropped_by_metadata_is_found_in_its_memory() {
    for name in ["GRAY8", "NV12", "I420", "YUY2", "RGB"] {
        let (whole, part) = (info(name, 128, 96), info(name, 96, 64));
        let (x, y) = (20, 24);
        let mut cropped = frame(&whole, 5);
        {
            let buffer = cropped.make_mut();
            VideoMeta::add_from_info(buffer, VideoFrameFlags::empty(), &whole).unwrap();
            gst_video::VideoCropMeta::add(buffer, (x, y, 96, 64));
        }
        add_face(&mut cropped, 1, FACE);
        let before = bytes(&cropped);
        let mut bench = Bench::with_caps(enhance(), &part);
        let after = bytes(&bench.run(cropped));
        assert_eq!(bench.stat("faces-enhanced"), 1, "{name}");
        let format = FORMATS.iter().find(|(n, _)| *n == name).unwrap().1;
        let layout = Layout::of(&whole);
        let mut square = square(FACE, 96, 64);
        (square.x, square.y) = (square.x + x as f32, square.y + y as f32);
        let mask = layout.mask(format, 128, 96, &square);
        let mut changed = 0;
        for (i, (a, b)) in before.iter().zip(&after).enumerate() {
            assert!(mask[i] || a == b, "{name}: byte {i} outside of the square changed");
            changed += usize::from(a != b);
        }
        assert!(changed > 400, "{name}: {changed}");
    }
}

#[test]
fn properties_keep_their_values() {
    let element = enhance();
    element.set_property_from_str("device", "cpu");
    element.set_property("generator", "/tmp/x.onnx");
    element.set_property("threads", 3u32);
    element.set_property("temporal-smoothing", 0.25);
    assert_eq!(element.property::<gstfacesr::Device>("device"), gstfacesr::Device::Cpu);
    assert_eq!(element.property::<Option<String>>("generator").as_deref(), Some("/tmp/x.onnx"));
    assert_eq!(element.property::<u32>("threads"), 3);
    assert_eq!(element.property::<f64>("temporal-smoothing"), 0.25);
    element.set_property("generator", "");
    assert_eq!(element.property::<Option<String>>("generator"), None);
}
