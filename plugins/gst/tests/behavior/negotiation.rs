//! Caps, their changes in mid-stream, and allocation.

use gst::prelude::*;

use crate::common::*;
use crate::{ELEMENTS, element, face_frame, is_enhancer};

/// Frames keep coming out, in the new caps, whatever changes between one and the next.
#[test]
fn caps_change_in_mid_stream() {
    let caps = [
        "format=NV12,width=96,height=64,framerate=25/1",
        "format=NV12,width=200,height=120,framerate=25/1",
        "format=I420,width=200,height=120,framerate=25/1",
        "format=I420,width=200,height=120,framerate=50/1",
        "format=I420,width=200,height=120,framerate=0/1",
        "format=I420,width=200,height=120,framerate=0/1,max-framerate=60/1",
        "format=I420,width=200,height=120,framerate=50/1,colorimetry=bt709",
        "format=I420,width=200,height=120,framerate=50/1,colorimetry=1:4:7:1",
        "format=I420,width=200,height=120,framerate=50/1,colorimetry=bt709,chroma-site=jpeg",
        "format=I420,width=200,height=120,framerate=50/1,pixel-aspect-ratio=4/3",
        "format=I420,width=200,height=120,framerate=50/1,interlace-mode=mixed",
        "format=RGB,width=97,height=63,framerate=25/1",
        "format=GRAY8,width=96,height=64,framerate=25/1",
        "format=NV12,width=96,height=64,framerate=25/1",
    ];
    for line in ELEMENTS {
        let mut bench = Bench::new(element(line));
        let mut n = 0;
        for caps in caps {
            let caps: gst::Caps = format!("video/x-raw,{caps}").parse().unwrap();
            let info = gst_video::VideoInfo::from_caps(&caps).unwrap();
            bench.harness.set_src_caps(caps.clone());
            for _ in 0..2 {
                let buffer = face_frame(&info, n);
                let before = bytes(&buffer);
                let out = bench.run(buffer);
                assert_eq!(bytes(&out) != before, is_enhancer(line), "{line}: {caps}");
                n += 1;
            }
            let now = bench.harness.sinkpad().unwrap().current_caps().unwrap();
            assert!(now.is_strictly_equal(&caps), "{line}: {now} for {caps}");
        }
        assert_eq!(bench.stat("frames"), n, "{line}");
        assert!(bench.messages(gst::MessageType::Error).is_empty(), "{line}");
    }
}

#[test]
fn refused_caps_in_mid_stream_do_not_spoil_what_follows() {
    let info = info("NV12", 96, 64);
    for line in ELEMENTS {
        let mut bench = Bench::with_caps(element(line), &info);
        bench.run(face_frame(&info, 0));
        let refused = "video/x-raw,format=P010_10LE,width=96,height=64,framerate=25/1";
        // The bin's queue takes a frame before anyone sees its caps.
        bench.harness.set_src_caps_str(refused);
        let flow = bench.harness.push(gst::Buffer::with_size(96 * 64 * 3).unwrap());
        assert_eq!(flow, Err(gst::FlowError::NotNegotiated), "{line}");
        bench.harness.set_src_caps(info.to_caps().unwrap());
        let out = bench.run(face_frame(&info, 1));
        assert_eq!(out.size(), info.size(), "{line}");
    }
}

#[test]
fn whatever_one_side_can_do_is_what_the_other_is_told() {
    for line in ELEMENTS {
        let mut bench = Bench::new(element(line));
        bench.harness.set_sink_caps_str("video/x-raw,format={I420,RGB},width=[16,640],height=480");
        let pad = bench.element.static_pad("sink").unwrap();
        let caps = pad.query_caps(None);
        let wanted: gst::Caps =
            "video/x-raw,format={I420,RGB},width=[16,640],height=480".parse().unwrap();
        assert!(caps.is_subset(&pad.pad_template_caps()), "{line}: {caps}");
        assert_eq!(caps, caps.intersect(&wanted), "{line}");
        for (text, accepted) in [
            ("video/x-raw,format=I420,width=320,height=480,framerate=25/1", true),
            ("video/x-raw,format=NV61,width=320,height=480,framerate=25/1", false),
            ("audio/x-raw,format=S16LE,rate=8000,channels=1,layout=interleaved", false),
        ] {
            let caps: gst::Caps = text.parse().unwrap();
            assert_eq!(pad.query_accept_caps(&caps), accepted, "{line}: {text}");
        }
    }
}

/// Buffers pass in place, so what the next element wants of its buffers is what the element before
/// ours has to give.
#[test]
fn allocation_is_asked_of_the_next_element() {
    let info = info("NV12", 96, 64);
    let caps = info.to_caps().unwrap();
    for line in ELEMENTS {
        let mut bench = Bench::new(element(line));
        bench.harness.add_propose_allocation_meta(gst_video::VideoMeta::meta_api(), None);
        bench.harness.add_propose_allocation_meta(gst_video::VideoCropMeta::meta_api(), None);
        bench.harness.set_src_caps(caps.clone());
        bench.run(face_frame(&info, 0));
        let mut query = gst::query::Allocation::new(Some(&caps), true);
        let pad = bench.element.static_pad("sink").unwrap();
        assert!(pad.query(&mut query), "{line}");
        let found = query.find_allocation_meta::<gst_video::VideoMeta>();
        assert!(found.is_some(), "{line}: {query:?}");
        // A picture that is cropped by metadata alone is not what these elements see.
        let crop = query.find_allocation_meta::<gst_video::VideoCropMeta>();
        assert!(crop.is_none(), "{line}: {query:?}");
        // An allocation query without caps is nonsense that some element sends one day.
        let _ = pad.query(&mut gst::query::Allocation::new(None, true));
        bench.run(face_frame(&info, 1));
    }
}

#[test]
fn a_request_to_negotiate_again_is_followed() {
    let info = info("NV12", 96, 64);
    for line in ELEMENTS {
        let mut bench = Bench::with_caps(element(line), &info);
        for n in 0..5 {
            bench.harness.push_upstream_event(gst::event::Reconfigure::new());
            bench.run(face_frame(&info, n));
        }
        assert_eq!(bench.stat("frames"), 5, "{line}");
    }
}

#[test]
fn in_a_pipeline_the_size_changes_while_playing() {
    for line in ELEMENTS {
        let play = crate::Play::new(&format!(
            "videotestsrc pattern=snow ! videoconvert ! videoscale ! capsfilter name=c \
             caps=video/x-raw,format=NV12,width=96,height=64 ! {line} name=f ! fakesink sync=false"
        ));
        play.set(gst::State::Playing);
        let filter = play.pipeline.by_name("c").unwrap();
        for (format, width, height) in
            [("NV12", 128, 96), ("RGB", 64, 64), ("GRAY8", 97, 65), ("YUY2", 640, 48)]
        {
            let text = format!("video/x-raw,format={format},width={width},height={height}");
            filter.set_property_from_str("caps", &text);
            play.await_frames(20);
            let caps = play.f.static_pad("src").unwrap().current_caps().unwrap();
            let caps = caps.structure(0).unwrap();
            assert_eq!(caps.get::<i32>("width"), Ok(width), "{line}: {caps}");
            assert_eq!(caps.get::<&str>("format"), Ok(format), "{line}: {caps}");
        }
        play.no_errors();
    }
}
