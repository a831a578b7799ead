//! `facesr image`: one picture, by the engine directly.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::{Args, value_parser};

use facesr::detect::{self, Detection};
use facesr::enhance::generator::Device;
use facesr::frame::MAX_DIMENSION;
use facesr::{
    Enhancer, EnhancerOptions, Face, Frame, FrameInfo, FrameMut, GeneratorOptions, PixelFormat,
};
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::imageops::FilterType;
use image::metadata::Orientation;
use image::{
    DynamicImage, ExtendedColorType, GenericImage, ImageDecoder, ImageEncoder, ImageFormat,
    ImageReader,
};
use serde_json::{Value, json};

use crate::args::{FaceArgs, scale_parser};
use crate::files::{AtomicFile, RunPaths, check_json, write_json};
use crate::media::{PictureTexts, jpeg_end};
use crate::term::{Failure, io_reason, say};

/// `facesr image`.
#[derive(Debug, Args)]
pub(crate) struct ImageArgs {
    /// Picture to read, PNG or JPEG
    #[arg(value_name = "IN")]
    pub(crate) input: PathBuf,
    /// Picture to write, .png, .jpg or .jpeg
    #[arg(short, long, value_name = "OUT")]
    pub(crate) output: PathBuf,
    /// Replace OUT if it exists
    #[arg(short, long)]
    pub(crate) force: bool,
    /// Enlarge the picture first: small faces gain the most
    #[arg(long, value_name = "2|4", hide_possible_values = true, value_parser = scale_parser())]
    pub(crate) scale: Option<u32>,
    /// Show before (left) and after (right) side by side
    #[arg(long)]
    pub(crate) compare: bool,
    /// Quality of a JPEG, 1 to 100
    #[arg(long, value_name = "N", default_value_t = 95,
          value_parser = value_parser!(u8).range(1..=100))]
    pub(crate) quality: u8,
    /// Write the faces that were found to REPORT as JSON ("-" for standard output)
    #[arg(long, value_name = "REPORT")]
    pub(crate) json: Option<PathBuf>,
    /// Print nothing but errors
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// Which faces, and how.
    #[command(flatten)]
    pub(crate) faces: FaceArgs,
}

/// White columns between before and after.
const DIVIDER: u32 = 2;

/// No picture, read or written, has more pixels: with 4 bytes each, and the copy that is compared
/// with, that is a gigabyte. A file of some bytes can claim any size.
const MAX_PIXELS: u64 = 1 << 27;

/// No file that is read is larger.
const MAX_FILE: u64 = 1 << 29;

/// Memory for what a picture says beside its pixels: a small file can inflate to any size.
const MAX_METADATA: u64 = 64 << 20;

/// A picture and what came with it.
struct Picture {
    pixels: DynamicImage,
    icc: Option<Vec<u8>>,
    exif: Option<Vec<u8>>,
    texts: PictureTexts,
}

/// Carries out the command.
pub(crate) fn run(args: &ImageArgs) -> Result<(), Failure> {
    let format = format_of(&args.output)?;
    let note = |text: &str| {
        if !args.quiet {
            say(&format!("facesr: note: {text}"));
        }
    };
    RunPaths::default()
        .input("the input", Some(&args.input))
        .inputs("the generator", &args.faces.generator)
        .input("the detector's model", args.faces.find.detector_model.as_deref())
        .output("OUT", Some(&args.output))?
        .output("--json", args.json.as_deref())?;
    if let Some(json) = &args.json {
        check_json(json, args.force)?;
    }
    let mut picture = read(&args.input, args.scale.unwrap_or(1))?;
    let draft = AtomicFile::create(&args.output, args.force)?;

    if picture.pixels.color().bytes_per_pixel() / picture.pixels.color().channel_count() > 1 {
        note("the picture has more than 8 bits a sample; it is converted to 8");
    }
    let mut pixels = eight_bits(picture.pixels);
    if format == ImageFormat::Jpeg && pixels.color().has_alpha() {
        note("JPEG has no transparency; name the output .png to keep it");
        pixels = DynamicImage::ImageRgb8(pixels.to_rgb8());
    }
    if let Some(scale) = args.scale {
        // Neither overflows: the size was checked as it was read.
        let (width, height) = (pixels.width() * scale, pixels.height() * scale);
        pixels = pixels.resize_exact(width, height, FilterType::Lanczos3);
    }
    let before = args.compare.then(|| pixels.clone());
    let found = enhance(args, &mut pixels)?;
    if let Some(before) = before {
        pixels = side_by_side(&before, &pixels)?;
    }
    picture.pixels = pixels;
    if found["faces_enhanced"].as_u64() > Some(0) {
        picture.texts.mark_generated();
    }
    let file = to_file(&picture, format, args.quality).map_err(|why| {
        Failure::running(format_args!("cannot write {}: {why}", args.output.display()))
    })?;
    draft.write(&file)?;

    if !args.quiet {
        let (detected, enhanced) = (&found["faces_detected"], &found["faces_enhanced"]);
        say(&format!("{}: {detected} faces found, {enhanced} sharpened", args.output.display()));
    }
    match &args.json {
        Some(path) => write_json(&found, path, args.force),
        None => Ok(()),
    }
}

fn format_of(path: &Path) -> Result<ImageFormat, Failure> {
    match ImageFormat::from_path(path) {
        Ok(format @ (ImageFormat::Png | ImageFormat::Jpeg)) => Ok(format),
        _ => Err(Failure::usage(format_args!(
            "cannot tell the format of {}: name the output something.png or something.jpg",
            path.display()
        ))),
    }
}

/// Whether a picture of this size can be worked on, and be written `scale` times as large.
fn check_size((width, height): (u32, u32), scale: u32) -> Result<(), String> {
    let [w, h] = [width, height].map(|side| u64::from(side) * u64::from(scale));
    if w.max(h) <= u64::from(MAX_DIMENSION) && w * h <= MAX_PIXELS {
        return Ok(());
    }
    let most = MAX_PIXELS / 1_000_000;
    let limits = format!("at most {MAX_DIMENSION} each way and {most} million together");
    Err(match scale {
        1 => format!("{width}x{height} pixels are too many: {limits}"),
        _ => format!("{scale} times {width}x{height} pixels are too many: {limits}"),
    })
}

/// Reads a picture that is to be enlarged `scale` times, and turns it upright; the EXIF data no
/// longer says that it lies.
fn read(path: &Path, scale: u32) -> Result<Picture, Failure> {
    let cannot =
        |why: String| Failure::running(format_args!("cannot read {}: {why}", path.display()));
    let file = File::open(path).map_err(|e| cannot(io_reason(&e)))?;
    if file.metadata().is_ok_and(|meta| meta.is_dir()) {
        return Err(cannot("it is a folder; name a picture".into()));
    }
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(|e| cannot(io_reason(&e)))?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(cannot(format!("the file is larger than {} MB", MAX_FILE >> 20)));
    }
    let texts = PictureTexts::read(&bytes);
    // Decoders fill what is missing with grey.
    let is_jpeg = bytes.starts_with(b"\xff\xd8");
    if is_jpeg && jpeg_end(&bytes).is_none() {
        return Err(cannot("the picture is cut short or damaged".into()));
    }
    let no_picture = |_| cannot("it is no PNG or JPEG picture, or a damaged one".into());
    let mut reader = ImageReader::new(std::io::Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|e| cannot(io_reason(&e)))?;
    let mut limits = image::Limits::default();
    limits.max_alloc = Some(MAX_METADATA);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(no_picture)?;
    check_size(decoder.dimensions(), scale).map_err(cannot)?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let icc = decoder.icc_profile().ok().flatten();
    let mut exif = decoder.exif_metadata().ok().flatten();
    let mut pixels = DynamicImage::from_decoder(decoder).map_err(no_picture)?;
    pixels.apply_orientation(orientation);
    if let Some(exif) = exif.as_mut() {
        // Applied above; what is left would turn the picture twice.
        let _ = Orientation::remove_from_exif_chunk(exif);
    }
    Ok(Picture { pixels, icc, exif, texts })
}

/// The picture in one of the layouts that the engine works on. Grey with alpha becomes RGBA.
fn eight_bits(pixels: DynamicImage) -> DynamicImage {
    match pixels {
        p @ (DynamicImage::ImageLuma8(_)
        | DynamicImage::ImageRgb8(_)
        | DynamicImage::ImageRgba8(_)) => p,
        p if p.color().has_alpha() => DynamicImage::ImageRgba8(p.into_rgba8()),
        p if !p.color().has_color() => DynamicImage::ImageLuma8(p.into_luma8()),
        p => DynamicImage::ImageRgb8(p.into_rgb8()),
    }
}

fn layout(pixels: &DynamicImage) -> Result<(FrameInfo, usize), Failure> {
    let (format, step) = match pixels {
        DynamicImage::ImageLuma8(_) => (PixelFormat::Gray8, 1),
        DynamicImage::ImageRgb8(_) => (PixelFormat::Rgb, 3),
        DynamicImage::ImageRgba8(_) => (PixelFormat::Rgba, 4),
        _ => return Err(Failure::running("this kind of picture is not supported")),
    };
    let info = FrameInfo::new(format, pixels.width(), pixels.height());
    Ok((info, step * pixels.width() as usize))
}

fn bytes_mut(pixels: &mut DynamicImage) -> &mut [u8] {
    match pixels {
        DynamicImage::ImageLuma8(p) => p,
        DynamicImage::ImageRgb8(p) => p,
        DynamicImage::ImageRgba8(p) => p,
        _ => &mut [],
    }
}

/// Finds and sharpens the faces; answers what was found as JSON.
fn enhance(args: &ImageArgs, pixels: &mut DynamicImage) -> Result<Value, Failure> {
    let faces = &args.faces;
    let options = faces
        .find
        .options()?
        .ok_or_else(|| Failure::usage("a picture needs a detector; 'none' is for streams"))?;
    let mut detector = detect::open(&options).map_err(Failure::running)?;
    let device: Device =
        faces.device.as_deref().unwrap_or("auto").parse().map_err(Failure::usage)?;
    let default = EnhancerOptions::default();
    let (min_face_size, max_face_size) = faces.sizes(args.scale.unwrap_or(1));
    let options = EnhancerOptions::default()
        .strength(faces.strength.unwrap_or(default.strength))
        .fidelity(faces.fidelity.unwrap_or(default.fidelity))
        .source_scale(args.scale.unwrap_or(1) as f32)
        .min_face_size(min_face_size)
        .max_face_size(max_face_size)
        .max_faces(faces.max_faces.map_or(default.max_faces, |n| n as usize))
        .temporal_smoothing(0.0);
    let generator = GeneratorOptions::default()
        .models(faces.generator.clone())
        .threads(faces.find.threads())
        .device(device)
        .cuda_device(faces.cuda_device_id.unwrap_or(0));
    let mut enhancer = Enhancer::open(&generator, options).map_err(Failure::running)?;

    let (info, stride) = layout(pixels)?;
    let bytes = bytes_mut(pixels);
    let mut found = Vec::new();
    let frame = Frame::new(info, &[&*bytes], &[stride]).map_err(Failure::running)?;
    detector.detect(&frame, &mut found).map_err(Failure::running)?;
    let list: Vec<Face> = (1..)
        .zip(&found)
        .map(|(id, found): (_, &Detection)| Face::new(id, found.rect, found.score))
        .collect();
    let mut frame = FrameMut::new(info, [bytes], &[stride]).map_err(Failure::running)?;
    let at_start = enhancer.take_notice();
    let enhanced = enhancer.enhance(&mut frame, &list).map_err(Failure::running)?;
    if !args.quiet {
        at_start
            .into_iter()
            .chain(enhancer.take_notice())
            .for_each(|notice| say(&notice.to_string()));
    }
    let faces: Vec<_> = list
        .iter()
        .map(|f| {
            let r = f.rect;
            json!({ "x": r.x, "y": r.y, "w": r.w, "h": r.h, "score": f.score })
        })
        .collect();
    Ok(json!({
        "input": args.input,
        "output": args.output,
        "width": info.width,
        "height": info.height,
        "detector": detector.name(),
        "generator": enhancer.generators(),
        "device": enhancer.device(),
        "faces_detected": list.len(),
        "faces_enhanced": enhanced,
        "faces": faces,
    }))
}

fn side_by_side(before: &DynamicImage, after: &DynamicImage) -> Result<DynamicImage, Failure> {
    let (width, height) = (before.width(), before.height());
    let mut wide = DynamicImage::new(2 * width + DIVIDER, height, before.color());
    bytes_mut(&mut wide).fill(255);
    wide.copy_from(before, 0, 0)
        .and_then(|()| wide.copy_from(after, width + DIVIDER, 0))
        .map_err(Failure::running)?;
    Ok(wide)
}

/// The picture as a file.
fn to_file(picture: &Picture, format: ImageFormat, quality: u8) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    let encoded = match format {
        ImageFormat::Jpeg => encode(picture, JpegEncoder::new_with_quality(&mut out, quality)),
        _ => encode(picture, PngEncoder::new(&mut out)),
    };
    encoded.map_err(|e| e.to_string())?;
    Ok(picture.texts.put_into(out))
}

fn encode(picture: &Picture, mut encoder: impl ImageEncoder) -> image::ImageResult<()> {
    // A format that cannot carry them does without.
    if let Some(icc) = &picture.icc {
        let _ = encoder.set_icc_profile(icc.clone());
    }
    if let Some(exif) = &picture.exif {
        let _ = encoder.set_exif_metadata(exif.clone());
    }
    let pixels = &picture.pixels;
    let color: ExtendedColorType = pixels.color().into();
    encoder.write_image(pixels.as_bytes(), pixels.width(), pixels.height(), color)
}
