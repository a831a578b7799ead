//! Single pictures that somebody sends: enhanced, or the faces in them.

use gst::prelude::*;
use gst_video::{VideoFormat, VideoInfo};

use crate::elements::{chain, make};
use crate::looks::{FaceBox, faces};
use crate::picture::Picture;

/// Pixels at most, and on a side.
const MOST_PIXELS: u64 = 40_000_000;
const MOST_SIDE: u32 = 16_384;
/// The same picture is shown so often: a face counts once two searches have found it.
const ROUNDS: u64 = 4;
/// It takes no longer.
const WITHIN: gst::ClockTime = gst::ClockTime::from_seconds(60);

/// A picture that has been looked at.
pub(crate) struct Still {
    picture: Picture,
    /// Its faces.
    pub(crate) faces: Vec<FaceBox>,
    /// Width and height.
    pub(crate) size: (u32, u32),
}

impl Still {
    /// The enhanced picture as JPEG.
    pub(crate) fn to_jpeg(&self) -> Option<Vec<u8>> {
        self.picture.to_jpeg()
    }
}

/// Enhances a JPEG or PNG picture.
///
/// # Errors
/// A sentence for whoever sent it.
pub(crate) fn enhance(bytes: &[u8]) -> Result<Still, &'static str> {
    let (pixels, size) = decode(bytes)?;
    let failed = "it could not be enhanced";
    let (caps, info) = VideoInfo::builder(VideoFormat::Rgb, size.0, size.1)
        .fps(gst::Fraction::new(1, 1))
        .build()
        .ok()
        .and_then(|info| Some((info.to_caps().ok()?, info)))
        .ok_or(failed)?;
    let buffer = with_strides(&pixels, &info).ok_or(failed)?;
    let pipeline = gst::Pipeline::new();
    let source = gst_app::AppSrc::builder().caps(&caps).format(gst::Format::Time).build();
    let sink = gst_app::AppSink::builder().sync(false).max_buffers(1).build();
    let run = || -> Result<gst::Sample, crate::error::ServeError> {
        let face = make("facesr")?;
        face.set_property_from_str("live", "off");
        chain(&pipeline, &[source.clone().upcast(), face, sink.clone().upcast()])?;
        let wrong = || gst::glib::bool_error!("it does not run");
        pipeline.set_state(gst::State::Playing).map_err(|_| wrong())?;
        for round in 0..ROUNDS {
            let mut copy = buffer.copy();
            copy.make_mut().set_pts(gst::ClockTime::from_seconds(round));
            copy.make_mut().set_duration(gst::ClockTime::SECOND);
            source.push_buffer(copy).map_err(|_| wrong())?;
        }
        let mut last = None;
        for _ in 0..ROUNDS {
            last = sink.try_pull_sample(WITHIN);
        }
        Ok(last.ok_or_else(wrong)?)
    };
    let sample = run();
    let _ = pipeline.set_state(gst::State::Null);
    let sample = sample.map_err(|_| failed)?;
    let buffer = sample.buffer_owned().ok_or(failed)?;
    let faces = faces(&buffer);
    let picture = Picture { buffer, info, at: crate::picture::now() };
    Ok(Still { picture, faces, size })
}

/// The pixels as RGB, upright, and width and height.
fn decode(bytes: &[u8]) -> Result<(Vec<u8>, (u32, u32)), &'static str> {
    use image::ImageDecoder;
    let wrong = "it is no JPEG or PNG picture that can be read";
    let mut reader = image::ImageReader::new(std::io::Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|_| wrong)?;
    let mut limits = image::Limits::default();
    (limits.max_image_width, limits.max_image_height) = (Some(MOST_SIDE), Some(MOST_SIDE));
    limits.max_alloc = Some(MOST_PIXELS * 8);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(|_| wrong)?;
    let (w, h) = decoder.dimensions();
    if u64::from(w) * u64::from(h) > MOST_PIXELS {
        return Err("it has too many pixels");
    }
    let orientation = decoder.orientation().map_err(|_| wrong)?;
    let mut image = image::DynamicImage::from_decoder(decoder).map_err(|_| wrong)?;
    image.apply_orientation(orientation);
    let rgb = image.into_rgb8();
    let size = rgb.dimensions();
    Ok((rgb.into_raw(), size))
}

/// A buffer in which each row begins where GStreamer looks for it.
fn with_strides(pixels: &[u8], info: &VideoInfo) -> Option<gst::Buffer> {
    let stride = usize::try_from(*info.stride().first()?).ok()?;
    let row = info.width() as usize * 3;
    let mut data = vec![0; info.size()];
    for (to, from) in data.chunks_mut(stride).zip(pixels.chunks(row)) {
        to.get_mut(..row)?.copy_from_slice(from);
    }
    Some(gst::Buffer::from_mut_slice(data))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_picture_or_too_large_is_refused() {
        assert!(decode(b"").is_err());
        assert!(decode(b"\xff\xd8\xff\xe0 and then nothing of the kind").is_err());
        // A PNG's head that promises 60,000 by 60,000 pixels.
        let mut huge = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR".to_vec();
        huge.extend(60_000u32.to_be_bytes());
        huge.extend(60_000u32.to_be_bytes());
        huge.extend([8, 2, 0, 0, 0, 1, 2, 3, 4]);
        assert!(decode(&huge).is_err());
    }
}
