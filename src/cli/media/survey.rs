//! A first look at a video, before it is worked on: how large the picture is, and its faces.

use facesr::detect::{Detection, Detector};
use gst::prelude::*;
use gstfacesr::FrameMapper;

use super::container::Kind;
use super::elements::{add_chain, make};
use super::router::caps_of;
use super::{Excerpt, Input};
use crate::term::{Failure, interrupt};

/// Frames that are looked at, evenly over the whole length.
const MOMENTS: u64 = 8;
/// The picture that is looked for may take so long to come.
const TIMEOUT: gst::ClockTime = gst::ClockTime::from_seconds(20);
/// The detector's scale for pictures in which it finds nobody as they are.
const CLOSER: f32 = 2.0;

/// What a first look at a video shows.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Survey {
    /// Size of the picture, pixels.
    pub(crate) size: (u32, u32),
    /// Longer sides of the faces in some frames, pixels, in ascending order.
    pub(crate) faces: Vec<f32>,
}

impl Survey {
    /// Looks at some frames of a part of a file. If the picture is larger than `most` on its longer side, it
    /// looks for no faces. `None` for what cannot be read twice, or not be read at all: that is for
    /// the run itself to tell.
    pub(crate) fn of(
        source: &Input,
        part: Excerpt,
        most: u32,
        detector: &mut dyn Detector,
    ) -> Option<Self> {
        let Input::File(..) = source else { return None };
        let (pipeline, sink) = pipeline(source).ok()?;
        let survey = look(&pipeline, &sink, part, most, detector);
        let _ = pipeline.set_state(gst::State::Null);
        survey
    }
}

/// `source ! parsebin ! decodebin ! videoconvert ! videoflip ! fakesink`, and the sink.
fn pipeline(source: &Input) -> Result<(gst::Pipeline, gst::Element), Failure> {
    let pipeline = gst::Pipeline::new();
    let (_, parser) = source.add(&pipeline)?;
    let (decoder, convert, flip, sink) =
        (make("decodebin")?, make("videoconvert")?, make("videoflip")?, make("fakesink")?);
    flip.set_property_from_str("video-direction", "auto");
    sink.set_property("enable-last-sample", true);
    add_chain(&pipeline, &[&convert, &flip, &sink]).map_err(Failure::running)?;
    pipeline.add(&decoder).map_err(Failure::running)?;
    let into = decoder.static_pad("sink");
    parser.connect_pad_added(move |_, pad| {
        let is_video = Kind::of(&caps_of(pad)) == Some(Kind::Video);
        if let Some(into) = into.as_ref().filter(|into| is_video && !into.is_linked()) {
            let _ = pad.link(into);
        }
    });
    let into = convert.static_pad("sink");
    decoder.connect_pad_added(move |_, pad| {
        if let Some(into) = into.as_ref().filter(|into| !into.is_linked()) {
            let _ = pad.link(into);
        }
    });
    Ok((pipeline, sink))
}

fn look(
    pipeline: &gst::Pipeline,
    sink: &gst::Element,
    part: Excerpt,
    most: u32,
    detector: &mut dyn Detector,
) -> Option<Survey> {
    pipeline.set_state(gst::State::Paused).ok()?;
    let is_there = || {
        let (reached, ..) = pipeline.state(TIMEOUT);
        matches!(reached, Ok(gst::StateChangeSuccess::Success)) && !interrupt::requested()
    };
    let mut survey: Option<Survey> = None;
    let moments = if part.frames.is_some() { 1 } else { MOMENTS };
    // The picture before a moment may lie before the part.
    let unit = if part.start > 0 { gst::SeekFlags::ACCURATE } else { gst::SeekFlags::KEY_UNIT };
    if !is_there() {
        return None;
    }
    for moment in 0..moments {
        if part.start > 0 || moment > 0 {
            // What tells no length and cannot be searched is seen at its beginning alone.
            let length = pipeline.query_duration::<gst::ClockTime>();
            let length = part.duration(length.map_or(0, |length| length.nseconds()));
            let at =
                part.start + (u128::from(length) * u128::from(moment) / u128::from(moments)) as u64;
            let at = gst::ClockTime::from_nseconds(at);
            let sought = pipeline.seek_simple(gst::SeekFlags::FLUSH | unit, at);
            if moment > 0 && (sought.is_err() || length == 0) || sought.is_ok() && !is_there() {
                break;
            }
        }
        let Some(sample) = sink.property::<Option<gst::Sample>>("last-sample") else { break };
        let (size, found) = search(&sample, most, detector)?;
        let survey = survey.get_or_insert(Survey { size, faces: Vec::new() });
        survey.faces.extend(found.iter().map(|face| face.rect.w.max(face.rect.h)));
        if size.0.max(size.1) > most {
            break;
        }
    }
    let mut survey = survey?;
    survey.faces.sort_by(f32::total_cmp);
    Some(survey)
}

/// Size and faces of a picture.
fn search(
    sample: &gst::Sample,
    most: u32,
    detector: &mut dyn Detector,
) -> Option<((u32, u32), Vec<Detection>)> {
    let (mapper, buffer) = (FrameMapper::from_caps(sample.caps()?)?, sample.buffer_owned()?);
    let size = (mapper.frame().width, mapper.frame().height);
    let mut found = Vec::new();
    if size.0.max(size.1) <= most {
        mapper
            .read(&buffer, |frame| {
                let searched = detector.detect(frame, &mut found);
                if searched.is_ok() && found.is_empty() {
                    let _ = detector.detect_at_scale(frame, CLOSER, &mut found);
                }
            })
            .ok()?;
        let least = detector.min_score();
        found.retain(|face| face.score >= least);
    }
    Some((size, found))
}
