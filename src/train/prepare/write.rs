//! Writes the sets: `hr-faces.tar`, `lr-faces.tar` and their `-test` halves, each with a manifest.

use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Cursor, Read};
use std::path::Path;

use image::{ExtendedColorType, ImageEncoder};
use sha2::{Digest, Sha256};

use super::crop::{Crop, Kind};
use crate::error::{Error, Result, at};
use crate::scale::Scale;

/// True for the share that is held apart: by person where known, else by picture, so that no person
/// and no picture is on both sides.
fn held_apart(crop: &Crop, share: f64) -> bool {
    let key = crop.identity.as_deref().unwrap_or(&crop.original);
    let hash = Sha256::digest(key.as_bytes());
    let place = u32::from_le_bytes([hash[0], hash[1], hash[2], hash[3]]);
    f64::from(place) < share * f64::from(u32::MAX)
}

/// Writes all four archives; an empty one is left out. Other sources that are in them stay.
///
/// # Errors
/// When a file cannot be read or written, or when the archives hold this source already and `force`
/// does not say to replace it.
pub fn all(
    crops: &[Crop],
    source: &str,
    (out, scale): (&Path, Scale),
    test_share: f64,
    force: bool,
) -> Result<()> {
    fs::create_dir_all(out).map_err(at(out))?;
    let stems = if scale == Scale::SMALL {
        ["hr-faces", "lr-faces"]
    } else {
        ["hr-faces-128", "lr-faces-32"]
    };
    let mut parts = Vec::new();
    for (kind, stem) in [(Kind::Hr, stems[0]), (Kind::Lr, stems[1])] {
        for test in [false, true] {
            let chosen: Vec<&Crop> = crops
                .iter()
                .filter(|c| c.kind == kind && held_apart(c, test_share) == test)
                .collect();
            let path = out.join(format!("{stem}{}.tar", if test { "-test" } else { "" }));
            // Looked at before the first is written.
            let others = Archive::open(&path)?;
            if others.has(source) && !force {
                return Err(Error::Data(format!(
                    "{} holds a source {source} already: name another by --source, or replace it \
                     by --force",
                    path.display()
                )));
            }
            parts.push((chosen, path, others.without(source)));
        }
    }
    for (chosen, path, others) in parts {
        if !chosen.is_empty() {
            archive(&chosen, source, &path, others)?;
        } else if others.shrunk {
            others.write(&path)?;
        }
    }
    Ok(())
}

fn encode(crop: &Crop) -> Result<(Vec<u8>, &'static str)> {
    let side = crop.side as u32;
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

/// Columns of the manifest.
const COLUMNS: &str =
    "file,source,original,identity,box_x,box_y,box_w_px,box_h_px,detector_score,sharpness";

/// The pictures of an archive and the lines of its manifest.
#[derive(Debug, Default)]
struct Archive {
    pictures: Vec<(String, Vec<u8>)>,
    lines: Vec<String>,
    /// True when a source was taken out.
    shrunk: bool,
}

impl Archive {
    /// Reads an archive that `prepare` wrote; an empty one where there is none.
    fn open(path: &Path) -> Result<Self> {
        let mut this = Self::default();
        if !path.exists() {
            return Ok(this);
        }
        let bad = |what: String| Error::Data(format!("{}: {what}", path.display()));
        let mut archive = tar::Archive::new(BufReader::new(File::open(path).map_err(at(path))?));
        for entry in archive.entries().map_err(at(path))? {
            let mut entry = entry.map_err(|e| bad(format!("not a readable tar archive ({e})")))?;
            let name = entry.path().map_err(at(path))?.to_string_lossy().into_owned();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).map_err(at(path))?;
            if name != "manifest.csv" {
                this.pictures.push((name, bytes));
                continue;
            }
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let mut lines = text.lines().map(str::to_owned);
            if lines.next().as_deref() != Some(COLUMNS) {
                return Err(bad(
                    "its manifest has other columns, so nothing can be added to it: give another \
                     folder by --out"
                        .into(),
                ));
            }
            this.lines = lines.collect();
        }
        Ok(this)
    }

    fn has(&self, source: &str) -> bool {
        self.pictures.iter().any(|(name, _)| of_source(name, source))
    }

    fn without(mut self, source: &str) -> Self {
        let before = self.pictures.len();
        self.pictures.retain(|(name, _)| !of_source(name, source));
        self.lines.retain(|line| !of_source(line, source));
        self.shrunk = self.pictures.len() < before;
        self
    }

    /// Writes beside the place and renames.
    fn write(&self, path: &Path) -> Result<()> {
        let folder = path.parent().unwrap_or(Path::new("."));
        let draft = tempfile::NamedTempFile::new_in(folder).map_err(at(folder))?;
        let mut tar = tar::Builder::new(BufWriter::new(draft));
        let mut add = |name: &str, bytes: &[u8]| {
            let mut header = tar::Header::new_ustar();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            header.set_cksum();
            tar.append_data(&mut header, name, bytes).map_err(at(path))
        };
        for (name, bytes) in &self.pictures {
            add(name, bytes)?;
        }
        let mut manifest = format!("{COLUMNS}\n");
        self.lines.iter().for_each(|line| manifest += &format!("{line}\n"));
        add("manifest.csv", manifest.as_bytes())?;
        let draft = tar.into_inner().map_err(at(path))?;
        let draft = draft.into_inner().map_err(|e| at(path)(e.into_error()))?;
        draft.persist(path).map_err(|e| at(path)(e.error))?;
        Ok(())
    }
}

/// True for a path or a line of a manifest that is of this source.
fn of_source(name: &str, source: &str) -> bool {
    name.strip_prefix(source).is_some_and(|rest| rest.starts_with('/'))
}

/// Writes an archive: what other sources have in it, then these faces.
fn archive(crops: &[&Crop], source: &str, path: &Path, mut whole: Archive) -> Result<()> {
    // Commas would shift the columns.
    let cell = |text: &str| text.replace([',', '\n', '\r'], "_");
    for (i, crop) in crops.iter().enumerate() {
        let (bytes, end) = encode(crop)?;
        let name = format!("{source}/{:05}.{end}", i + 1);
        let r = crop.rect;
        whole.lines.push(format!(
            "{name},{source},{},{},{:.1},{:.1},{:.1},{:.1},{:.2},{:.0}",
            cell(&crop.original),
            cell(crop.identity.as_deref().unwrap_or("")),
            r.x,
            r.y,
            r.w,
            r.h,
            crop.score,
            crop.sharpness,
        ));
        whole.pictures.push((name, bytes));
    }
    whole.write(path)
}
