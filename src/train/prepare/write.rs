//! Writes the sets: `hr-faces.tar`, `lr-faces.tar` and their `-test` halves, each with a manifest.

use std::fs::{self, File};
use std::io::{BufWriter, Cursor};
use std::path::Path;

use image::{ExtendedColorType, ImageEncoder};
use sha2::{Digest, Sha256};

use super::crop::{Crop, Kind};
use crate::error::{Error, Result, at};

/// True for the share that is held apart: by person where known, else by picture, so that no person
/// and no picture is on both sides.
fn held_apart(crop: &Crop, share: f64) -> bool {
    let key = crop.identity.as_deref().unwrap_or(&crop.original);
    let hash = Sha256::digest(key.as_bytes());
    let place = u32::from_le_bytes([hash[0], hash[1], hash[2], hash[3]]);
    f64::from(place) < share * f64::from(u32::MAX)
}

/// Writes all four archives; an empty one is left out.
///
/// # Errors
/// When a file cannot be written.
pub fn all(crops: &[Crop], source: &str, test_share: f64, out: &Path) -> Result<()> {
    fs::create_dir_all(out).map_err(at(out))?;
    for (kind, stem) in [(Kind::Hr, "hr-faces"), (Kind::Lr, "lr-faces")] {
        for test in [false, true] {
            let chosen: Vec<&Crop> = crops
                .iter()
                .filter(|c| c.kind == kind && held_apart(c, test_share) == test)
                .collect();
            if !chosen.is_empty() {
                let name = format!("{stem}{}.tar", if test { "-test" } else { "" });
                archive(&chosen, source, &out.join(name))?;
            }
        }
    }
    Ok(())
}

fn encode(crop: &Crop) -> Result<(Vec<u8>, &'static str)> {
    let side = crop.kind.side() as u32;
    let mut bytes = Cursor::new(Vec::new());
    let (done, end) = match crop.kind {
        Kind::Hr => {
            let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 95);
            (encoder.write_image(&crop.pixels, side, side, ExtendedColorType::Rgb8), "jpg")
        }
        Kind::Lr => {
            let encoder = image::codecs::png::PngEncoder::new(&mut bytes);
            (encoder.write_image(&crop.pixels, side, side, ExtendedColorType::Rgb8), "png")
        }
    };
    done.map_err(|e| Error::Data(format!("a face of {} cannot be stored: {e}", crop.original)))?;
    Ok((bytes.into_inner(), end))
}

fn archive(crops: &[&Crop], source: &str, path: &Path) -> Result<()> {
    let beside = path.with_extension("part");
    let file = File::create(&beside).map_err(at(&beside))?;
    let mut tar = tar::Builder::new(BufWriter::new(file));
    let mut add = |name: &str, bytes: &[u8]| {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        tar.append_data(&mut header, name, bytes).map_err(at(&beside))
    };
    let mut manifest = String::from(
        "file,source,original,identity,box_x,box_y,box_w_px,box_h_px,detector_score,sharpness\n",
    );
    // Commas would shift the columns.
    let cell = |text: &str| text.replace([',', '\n', '\r'], "_");
    for (i, crop) in crops.iter().enumerate() {
        let (bytes, end) = encode(crop)?;
        let name = format!("{source}/{:05}.{end}", i + 1);
        let r = crop.rect;
        manifest.push_str(&format!(
            "{name},{source},{},{},{:.1},{:.1},{:.1},{:.1},{:.2},{:.0}\n",
            cell(&crop.original),
            cell(crop.identity.as_deref().unwrap_or("")),
            r.x,
            r.y,
            r.w,
            r.h,
            crop.score,
            crop.sharpness,
        ));
        add(&name, &bytes)?;
    }
    add("manifest.csv", manifest.as_bytes())?;
    tar.into_inner().map_err(at(&beside))?;
    fs::rename(&beside, path).map_err(at(path))
}
