//! Measures how far a detector's boxes are from the WIDER-style box that the crop square is made
//! of.
//!
//! ```sh
//! cargo run --release -p facesr --example measure_box_factor -- FOLDER DETECTOR [MODEL]
//! ```
//!
//! FOLDER holds face pictures that are crop squares themselves (JPEG or PNG, cropped as
//! `facesr-train prepare` does). They are shrunk to several sizes, pasted onto canvases, and looked for.
//! The true box is the pasted square over 1.1. For each size the program prints the median of
//! `side` (true side over the box's longer side) and of `down` (how far the true center lies below
//! the box's, over the box's longer side).
//!
//! The detectors apply what was measured before, so what is printed is what is *left* to correct:
//! a new `side` is the old one times the printed one; a new `down` is the old one plus the printed
//! one times the old `side`.

use std::error::Error;
use std::path::PathBuf;

use facesr::detect::{self, Detection, DetectorOptions};
use facesr::geometry::CROP_SCALE;
use facesr::{Frame, FrameInfo, PixelFormat, Rect};
use image::RgbImage;
use image::imageops::FilterType;

/// Sides of the pasted squares, pixels.
const SIDES: [u32; 8] = [16, 20, 26, 34, 44, 64, 96, 128];

/// Canvas size: neither too wide for the networks nor too small for SeetaFace, so that nothing is
/// resized in between except SeetaFace's own enlargement.
const CANVAS: (u32, u32) = (640, 480);

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(folder), Some(kind)) = (args.next(), args.next()) else {
        return Err("usage: measure_box_factor FOLDER DETECTOR [MODEL]".into());
    };
    let options =
        DetectorOptions::default().kind(kind.parse()?).model(args.next().map(PathBuf::from));
    let mut detector = detect::open(&options)?;
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(&folder)?.map(|e| Ok(e?.path())).collect::<std::io::Result<_>>()?;
    files.retain(|p| p.extension().is_some_and(|e| e == "jpg" || e == "png"));
    files.sort();
    if files.is_empty() {
        return Err(format!("no pictures in {folder}").into());
    }
    println!(
        "{:>5} {:>6} {:>6} {:>7} {:>7} {:>13}",
        "side", "faces", "found", "side", "down", "5-95 % side"
    );
    let mut every = Vec::new();
    for side in SIDES {
        // Room around each face for what a detector wants to see of its surroundings.
        let cell = side * 2;
        let (columns, rows) = (CANVAS.0 / cell, CANVAS.1 / cell);
        let count = (columns * rows) as usize;
        let (mut pasted, mut misses) = (0, Vec::new());
        for chunk in files.chunks(count).take(400 / count + 1) {
            let mut canvas = RgbImage::from_pixel(CANVAS.0, CANVAS.1, image::Rgb([110, 110, 110]));
            let mut truth = Vec::new();
            for (i, file) in chunk.iter().enumerate() {
                let face = image::open(file)?.to_rgb8();
                let face = image::imageops::resize(&face, side, side, FilterType::CatmullRom);
                let corner = ((i as u32 % columns) * cell, (i as u32 / columns) * cell);
                paste(&mut canvas, &face, corner, cell);
                let box_side = side as f32 / CROP_SCALE;
                let at = |c: u32| c as f32 + (cell as f32 - box_side) / 2.0;
                truth.push(Rect::new(at(corner.0), at(corner.1), box_side, box_side));
            }
            let info = FrameInfo::new(PixelFormat::Rgb, CANVAS.0, CANVAS.1);
            let frame = Frame::new(info, &[canvas.as_raw()], &[3 * CANVAS.0 as usize])?;
            let mut found = Vec::new();
            detector.detect(&frame, &mut found)?;
            pasted += truth.len();
            misses.extend(truth.iter().filter_map(|t| miss(t, &found)));
        }
        report(&side.to_string(), pasted, &misses);
        every.extend(misses);
    }
    report("all", 0, &every);
    Ok(())
}

/// Puts `face` in the middle of a cell; its edge pixels run out to the cell's border.
fn paste(canvas: &mut RgbImage, face: &RgbImage, corner: (u32, u32), cell: u32) {
    let margin = (cell - face.width()) / 2;
    for y in 0..cell {
        for x in 0..cell {
            let inside = |c: u32| c.saturating_sub(margin).min(face.width() - 1);
            canvas.put_pixel(corner.0 + x, corner.1 + y, *face.get_pixel(inside(x), inside(y)));
        }
    }
}

/// (side, down) of the detection that is centered nearest in a face, if one is.
fn miss(truth: &Rect, found: &[Detection]) -> Option<(f32, f32)> {
    let distance = |d: &Detection| {
        let (a, b) = (truth.center(), d.rect.center());
        (a.x - b.x).hypot(a.y - b.y)
    };
    let best = found.iter().min_by(|a, b| distance(a).total_cmp(&distance(b)))?;
    if distance(best) > truth.w / 2.0 {
        return None;
    }
    let longer = best.rect.w.max(best.rect.h);
    Some((truth.w / longer, (truth.center().y - best.rect.center().y) / longer))
}

fn report(name: &str, pasted: usize, misses: &[(f32, f32)]) {
    let part = |pick: fn(&(f32, f32)) -> f32, at: f32| {
        let mut values: Vec<f32> = misses.iter().map(pick).collect();
        values.sort_by(f32::total_cmp);
        values.get((values.len() as f32 * at) as usize).copied().unwrap_or(f32::NAN)
    };
    println!(
        "{name:>5} {pasted:>6} {:>6} {:>7.3} {:>7.3} {:>6.2}-{:.2}",
        misses.len(),
        part(|m| m.0, 0.5),
        part(|m| m.1, 0.5),
        part(|m| m.0, 0.05),
        part(|m| m.0, 0.95),
    );
}
