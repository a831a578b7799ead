//! Properties that change while frames pass.

use gst::glib;
use gst::prelude::*;

use crate::{ELEMENTS, Play};

/// A value for the property, another for each `n`; `None` for types that no property here has.
fn value(pspec: &glib::ParamSpec, n: u64) -> Option<glib::Value> {
    if let Some(p) = pspec.downcast_ref::<glib::ParamSpecUInt>() {
        let edges = [p.minimum(), p.maximum(), p.default_value(), p.minimum().max(1), 40];
        return Some(edges[n as usize % 5].clamp(p.minimum(), p.maximum()).to_value());
    }
    if let Some(p) = pspec.downcast_ref::<glib::ParamSpecInt>() {
        let edges = [p.minimum(), p.maximum(), p.default_value()];
        return Some(edges[n as usize % 3].to_value());
    }
    if let Some(p) = pspec.downcast_ref::<glib::ParamSpecDouble>() {
        let share = (n % 5) as f64 / 4.0;
        return Some((p.minimum() + share * (p.maximum() - p.minimum())).to_value());
    }
    if pspec.is::<glib::ParamSpecBoolean>() {
        return Some(n.is_multiple_of(2).to_value());
    }
    if pspec.is::<glib::ParamSpecString>() {
        let texts =
            ["", "0,0,50,50", "nonsense \u{1f600}", "1,2,3,4;5,6,7,8", "-1,-1,0,99999999999"];
        return Some(texts[n as usize % 5].to_value());
    }
    if pspec.is::<glib::ParamSpecEnum>() {
        let class = glib::EnumClass::with_type(pspec.value_type())?;
        let values = class.values();
        return class.to_value(values[n as usize % values.len()].value());
    }
    None
}

/// Properties that the element says may change while playing.
fn tunables(element: &gst::Element) -> Vec<glib::ParamSpec> {
    let playing = gst::PARAM_FLAG_MUTABLE_PLAYING;
    element
        .list_properties()
        .iter()
        .filter(|p| p.flags().contains(playing) && p.flags().contains(glib::ParamFlags::WRITABLE))
        .cloned()
        .collect()
}

#[test]
fn every_tunable_at_every_moment() {
    for live in [false, true] {
        for line in
            ["facesrdetect detector=seetaface", "facesrenhance", "facesr detector=seetaface"]
        {
            let play = Play::new(&format!(
                "videotestsrc is-live={live} pattern=snow \
                 ! video/x-raw,format=RGB,width=96,height=64,framerate=200/1 \
                 ! {line} name=f ! fakesink sync=false"
            ));
            let list = tunables(&play.f);
            assert!(list.len() >= 4, "{line}: {}", list.len());
            play.set(gst::State::Playing);
            play.await_frames(1);
            let changers: Vec<_> = (0..2u64)
                .map(|thread| {
                    let (f, list) = (play.f.clone(), list.clone());
                    std::thread::spawn(move || {
                        for n in 0..60 {
                            for (i, pspec) in list.iter().enumerate() {
                                let Some(value) = value(pspec, n * 7 + i as u64 + thread) else {
                                    continue;
                                };
                                f.set_property_from_value(pspec.name(), &value);
                                let _ = f.property_value(pspec.name());
                            }
                            let _: gst::Structure = f.property("stats");
                            std::thread::sleep(std::time::Duration::from_millis(3));
                        }
                    })
                })
                .collect();
            changers.into_iter().for_each(|thread| thread.join().unwrap());
            play.await_frames(5);
            play.no_errors();
        }
    }
}

/// While playing, what names models only takes effect at the next start.
#[test]
fn other_properties_wait_for_the_next_start() {
    for line in ELEMENTS {
        let play = Play::new(&format!(
            "videotestsrc pattern=snow ! video/x-raw,format=RGB,width=96,height=64 \
             ! {line} name=f ! fakesink sync=false"
        ));
        play.set(gst::State::Playing);
        play.await_frames(2);
        for (name, text) in [
            ("generator", "/nowhere/generator.onnx"),
            ("detector-model", "/nowhere/detector.onnx"),
            ("detector", "yunet"),
            ("threads", "3"),
        ] {
            if play.f.find_property(name).is_some() {
                play.f.set_property_from_str(name, text);
            }
        }
        play.await_frames(10);
        play.no_errors();
        play.set(gst::State::Null);
        assert!(play.pipeline.set_state(gst::State::Paused).is_err(), "{line}");
        let bus = play.pipeline.bus().unwrap();
        let error = bus.pop_filtered(&[gst::MessageType::Error]);
        assert!(error.is_some(), "{line}: no error message");
    }
}

/// An application that asks for everything from within a message handler, in the thread that
/// streams.
#[test]
fn a_handler_of_messages_may_ask_and_set_anything() {
    for line in ["facesrdetect detector=seetaface", "facesr detector=seetaface live=on"] {
        let play = Play::new(&format!(
            "videotestsrc num-buffers=60 pattern=snow \
             ! video/x-raw,format=RGB,width=96,height=64 ! {line} name=f ! fakesink sync=false"
        ));
        let f = play.f.downgrade();
        play.pipeline.bus().unwrap().set_sync_handler(move |_, _| {
            if let Some(f) = f.upgrade() {
                for pspec in tunables(&f) {
                    let now = f.property_value(pspec.name());
                    f.set_property_from_value(pspec.name(), &now);
                }
                let _: gst::Structure = f.property("stats");
                let mut query = gst::query::Latency::new();
                let _ = f.query(&mut query);
            }
            gst::BusSyncReply::Pass
        });
        play.set(gst::State::Playing);
        play.await_message(gst::MessageType::Eos);
    }
}
