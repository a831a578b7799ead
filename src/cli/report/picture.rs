//! Pictures for pages and galleries: PNG for faces, JPEG for parts of frames.

use std::io::Cursor;

use facesr::GeneratorOptions;
use facesr::enhance::ladder::Ladder;
use facesr::inference::{self, ModelSource};
use facesr::internals::cpu::ColorMatch;
use gst::prelude::*;
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::imageops::{FilterType, resize};
use image::{ExtendedColorType, ImageEncoder, RgbImage};

use super::best_shots::{BestShot, Part};
use crate::term::Failure;

/// Quality of JPEGs.
const QUALITY: u8 = 90;

/// A face in three ways.
pub(super) struct Face {
    /// What the generator got, PNG.
    pub(super) input: Vec<u8>,
    /// That enlarged four times by bicubic interpolation, PNG.
    pub(super) bicubic: Vec<u8>,
    /// What the generator made of it, PNG.
    pub(super) enhanced: Vec<u8>,
}

/// Makes the faces out of their shots, at the generator's own resolution and with nothing mixed in
/// from earlier frames; frames have `scale` pixels for each of the camera's, across. On the CPU,
/// wherever the video was sharpened: the frames themselves are shown beside them.
pub(super) fn faces(
    facesr: &gst::Element,
    shots: &[&BestShot],
    scale: u32,
) -> Result<Vec<Face>, Failure> {
    if shots.is_empty() {
        return Ok(Vec::new());
    }
    let named = facesr.property::<Option<String>>("generator").unwrap_or_default();
    let named: Vec<_> =
        GeneratorOptions::split_models(&named).into_iter().map(ModelSource::File).collect();
    let sources = if named.is_empty() { inference::default_generators() } else { named };
    let threads = facesr.property::<u32>("threads") as usize;
    let ladder = Ladder::open(&sources, threads).map_err(Failure::running)?;
    let face = |shot: &&BestShot| {
        let generator = ladder.generator_for(shot.square.side / scale as f32);
        let shape = generator.shape();
        let none = || Failure::running("a face cannot be cropped for the report");
        let (lr, mut hr) = (shot.crop(shape).ok_or_else(none)?, vec![0.0; shape.hr_len()]);
        generator.run(&lr, &mut hr).map_err(Failure::running)?;
        ColorMatch::new(shape).apply(&lr, &mut hr);
        let (input, large) = (rgb(&lr, shape.lr() as u32), shape.hr() as u32);
        let bicubic = resize(&input, large, large, FilterType::CatmullRom);
        let enhanced = rgb(&hr, large);
        Ok(Face { input: png(&input)?, bicubic: png(&bicubic)?, enhanced: png(&enhanced)? })
    };
    shots.iter().map(face).collect()
}

/// `[3, side, side]` in -1..=1 as a picture.
fn rgb(planes: &[f32], side: u32) -> RgbImage {
    let plane = (side * side) as usize;
    RgbImage::from_fn(side, side, |x, y| {
        let i = (y * side + x) as usize;
        let level = |v: f32| ((v + 1.0) * 127.5).round().clamp(0.0, 255.0) as u8;
        image::Rgb([0, 1, 2].map(|c| level(planes[c * plane + i])))
    })
}

/// As PNG.
pub(super) fn png(picture: &RgbImage) -> Result<Vec<u8>, Failure> {
    let mut out = Cursor::new(Vec::new());
    let (w, h) = picture.dimensions();
    PngEncoder::new(&mut out)
        .write_image(picture.as_raw(), w, h, ExtendedColorType::Rgb8)
        .map_err(Failure::running)?;
    Ok(out.into_inner())
}

/// A part of a frame, its pixels made square.
pub(super) fn picture(part: &Part) -> Result<RgbImage, Failure> {
    let cannot = |_| Failure::running("a frame cannot be converted for the report");
    let none = || Failure::running("a frame cannot be converted for the report");
    let from = gst_video::VideoInfo::from_caps(&part.caps).map_err(cannot)?;
    let (w, h) = (from.width(), from.height());
    let to = gst_video::VideoInfo::builder(gst_video::VideoFormat::Rgb, w, h)
        .par(from.par())
        .fps(from.fps())
        .build()
        .map_err(cannot)?;
    let converter = gst_video::VideoConverter::new(&from, &to, None).map_err(cannot)?;
    let data = gst::Buffer::from_slice(part.data.clone());
    let frame = gst_video::VideoFrame::from_buffer_readable(data, &from).map_err(|_| none())?;
    let space = gst::Buffer::with_size(to.size()).map_err(cannot)?;
    let mut rgb = gst_video::VideoFrame::from_buffer_writable(space, &to).map_err(|_| none())?;
    converter.frame(&frame, &mut rgb);
    let row = w as usize * 3;
    let stride = usize::try_from(to.stride()[0]).map_err(|_| none())?;
    let plane = rgb.plane_data(0).map_err(cannot)?;
    let pixels: Vec<u8> =
        plane.chunks(stride).take(h as usize).flat_map(|line| &line[..row]).copied().collect();
    let picture = RgbImage::from_raw(w, h, pixels).ok_or_else(none)?;
    let par = f64::from(to.par().numer()) / f64::from(to.par().denom().max(1));
    let wide = (f64::from(w) * par).round().clamp(1.0, 65535.0) as u32;
    Ok(match wide == w {
        true => picture,
        false => resize(&picture, wide, h, FilterType::CatmullRom),
    })
}

/// As JPEG.
pub(super) fn jpeg(picture: &RgbImage) -> Result<Vec<u8>, Failure> {
    let mut out = Cursor::new(Vec::new());
    let (w, h) = picture.dimensions();
    JpegEncoder::new_with_quality(&mut out, QUALITY)
        .write_image(picture.as_raw(), w, h, ExtendedColorType::Rgb8)
        .map_err(Failure::running)?;
    Ok(out.into_inner())
}
