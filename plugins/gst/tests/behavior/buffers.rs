//! Buffers as they come: without times, shared, padded, of the wrong size.

use facesr::frame::PixelFormat;
use gst::prelude::*;
use gst_video::{VideoFrameFlags, VideoMeta};

use crate::common::*;
use crate::{ELEMENTS, FACE, Play, element, face_frame, is_enhancer};

#[test]
fn buffers_without_times_are_worked_on() {
    let info = info("NV12", 96, 64);
    for line in ELEMENTS {
        let mut bench = Bench::with_caps(element(line), &info);
        for n in 0..4 {
            let mut buffer = face_frame(&info, n);
            {
                let buffer = buffer.make_mut();
                buffer.set_pts(None);
                buffer.set_duration(None);
            }
            let before = bytes(&buffer);
            let out = bench.run(buffer);
            assert_eq!((out.pts(), out.duration()), (None, None), "{line}");
            assert_eq!(bytes(&out) != before, is_enhancer(line), "{line}");
        }
        // Times that come and go, and run backwards.
        for n in [9u64, 3, 100_000, 0] {
            bench.run(face_frame(&info, n));
        }
        assert_eq!(bench.stat("frames"), 8, "{line}");
    }
}

/// Whoever else holds a buffer or its memory keeps what it had.
#[test]
fn shared_buffers_are_not_changed_for_others() {
    let info = info("I420", 96, 64);
    for line in ELEMENTS {
        let mut bench = Bench::with_caps(element(line), &info);
        let original = face_frame(&info, 1);
        let before = bytes(&original);
        let mut outs = vec![];
        outs.push(bench.run(original.clone()));
        outs.push(bench.run(original.copy()));
        outs.push(bench.run(original.copy_region(gst::BufferCopyFlags::all(), ..).unwrap()));
        // Memory that may not be written at all.
        let bytes_of = before.clone();
        let mut read_only = gst::Buffer::from_slice(bytes_of);
        add_face(&mut read_only, 1, FACE);
        outs.push(bench.run(read_only));
        for (i, out) in outs.iter().enumerate() {
            assert_eq!(bytes(out) != before, is_enhancer(line), "{line}: case {i}");
        }
        assert_eq!(bytes(&original), before, "{line}");
    }
}

#[test]
fn both_branches_of_a_tee_enhance_for_themselves() {
    for line in ELEMENTS {
        let play = Play::new(&format!(
            "videotestsrc num-buffers=20 pattern=snow ! video/x-raw,format=NV12,width=96,height=64 \
             ! tee name=t ! queue ! {line} name=f ! fakesink sync=false async=false \
             t. ! queue ! {line} ! {line} name=g ! fakesink sync=false async=false"
        ));
        play.set(gst::State::Playing);
        play.await_message(gst::MessageType::Eos);
        assert_eq!(play.stat("frames"), 20, "{line}");
        let g: gst::Structure = play.pipeline.by_name("g").unwrap().property("stats");
        assert_eq!(g.get::<u64>("frames"), Ok(20), "{line}");
    }
}

#[test]
fn two_in_a_row() {
    let info = info("NV12", 96, 64);
    for line in ELEMENTS {
        let bin = gst::parse::bin_from_description(&format!("{line} ! {line}"), true).unwrap();
        let mut harness = gst_check::Harness::with_element(&bin, Some("sink"), Some("src"));
        harness.set_src_caps(info.to_caps().unwrap());
        for n in 0..10 {
            let out = harness.push_and_pull(face_frame(&info, n)).unwrap();
            assert_eq!(out.size(), info.size(), "{line}");
        }
    }
}

/// What no allocator of GStreamer makes, but some camera's driver does.
#[test]
fn odd_strides_offsets_and_sizes() {
    for line in ELEMENTS {
        for (name, format) in FORMATS {
            for (width, height) in [(97, 75), (64, 50)] {
                let info = info(name, width, height);
                let mut bench = Bench::with_caps(element(line), &info);
                let layout = Layout::odd(format, width, height);
                let before = noise(layout.size, 3, 30, 200);
                let out = bench.run(padded(&info, format, before.clone(), 0));
                let mask = layout.mask(format, width, height, &square(FACE, width, height));
                let after = bytes(&out);
                for (i, (a, b)) in before.iter().zip(&after).enumerate() {
                    assert!(mask[i] || a == b, "{line} {name}: byte {i}");
                }
                assert_eq!(before != after, is_enhancer(line), "{line} {name}");
                // The same in the middle of a larger memory.
                let inner = bytes(&bench.run(padded(&info, format, before, 13)));
                assert_eq!(inner.len(), after.len(), "{line} {name}");
            }
        }
    }
}

/// A frame of `data` in the odd layout, `skip` bytes into its memory.
fn padded(
    info: &gst_video::VideoInfo,
    format: PixelFormat,
    data: Vec<u8>,
    skip: usize,
) -> gst::Buffer {
    let layout = Layout::odd(format, info.width(), info.height());
    let mut memory = vec![7; skip];
    memory.extend(data);
    memory.extend(vec![9; skip]);
    let whole = gst::Buffer::from_mut_slice(memory);
    let end = skip + layout.size;
    let mut buffer = whole.copy_region(gst::BufferCopyFlags::MEMORY, skip..end).unwrap();
    drop(whole);
    VideoMeta::add_full(
        buffer.make_mut(),
        VideoFrameFlags::empty(),
        info.format(),
        info.width(),
        info.height(),
        &layout.offsets,
        &layout.strides,
    )
    .unwrap();
    add_face(&mut buffer, 1, FACE);
    buffer
}

/// One error message, an error for upstream, and after a restart all is well.
#[test]
fn buffers_of_the_wrong_size_are_errors() {
    let info = info("NV12", 96, 64);
    for line in ELEMENTS {
        let element = element(line);
        if element.find_property("detector").is_some() {
            element.set_property_from_str("detector", "seetaface");
        }
        for size in [0, 1, 96, info.size() - 1] {
            let mut bench = Bench::with_caps(element.clone(), &info);
            let mut buffer = gst::Buffer::with_size(size).unwrap();
            add_face(&mut buffer, 1, FACE);
            assert_eq!(bench.harness.push(buffer), Err(gst::FlowError::Error), "{line}: {size}");
            assert_eq!(bench.messages(gst::MessageType::Error).len(), 1, "{line}: {size}");
            drop(bench);
            element.set_state(gst::State::Null).unwrap();
            let mut bench = Bench::with_caps(element.clone(), &info);
            // More than is needed is no mistake.
            let mut buffer = gst::Buffer::with_size(info.size() + 100).unwrap();
            buffer.make_mut().memset(.., 100).unwrap();
            add_face(&mut buffer, 1, FACE);
            bench.run(buffer);
            drop(bench);
            element.set_state(gst::State::Null).unwrap();
        }
    }
}

#[test]
fn frames_that_are_damaged_or_dropped_upstream() {
    let info = info("NV12", 96, 64);
    for line in ELEMENTS {
        let mut bench = Bench::with_caps(element(line), &info);
        for (n, flag) in [
            gst::BufferFlags::CORRUPTED,
            gst::BufferFlags::DISCONT,
            gst::BufferFlags::DROPPABLE,
            gst::BufferFlags::DELTA_UNIT,
            gst::BufferFlags::LIVE,
        ]
        .into_iter()
        .enumerate()
        {
            let mut buffer = face_frame(&info, 100 * n as u64);
            buffer.make_mut().set_flags(flag);
            let out = bench.run(buffer);
            assert!(out.flags().contains(flag), "{line}: {flag:?}");
        }
    }
}

#[test]
fn lists_of_buffers_are_worked_on_one_by_one() {
    let info = info("NV12", 96, 64);
    for line in ELEMENTS {
        let mut bench = Bench::with_caps(element(line), &info);
        let mut list = gst::BufferList::new();
        for n in 0..5 {
            list.get_mut().unwrap().add(face_frame(&info, n));
        }
        let pad = bench.harness.srcpad().unwrap();
        assert_eq!(pad.push_list(list), Ok(gst::FlowSuccess::Ok), "{line}");
        for n in 0..5 {
            let out = bench.harness.pull().unwrap();
            assert_eq!(out.pts(), Some(40 * n * gst::ClockTime::MSECOND), "{line}");
        }
        assert_eq!(bench.stat("frames"), 5, "{line}");
    }
}
