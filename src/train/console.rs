//! Pictures and figures for people: sample grids as PNG, metrics as JSON lines.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;

use serde::Serialize;
use tch::{Kind, Tensor};

use crate::dataset::batch::to_bytes;
use crate::error::{Error, Result, at};

fn four_times(x: &Tensor) -> [i64; 2] {
    [4 * x.size()[2], 4 * x.size()[3]]
}

/// Enlarges four times by repeating pixels.
pub fn nearest(x: &Tensor) -> Tensor {
    x.to_kind(Kind::Float).upsample_nearest2d(four_times(x), None, None)
}

/// Enlarges four times by bicubic interpolation.
pub fn bicubic(x: &Tensor) -> Tensor {
    x.to_kind(Kind::Float).upsample_bicubic2d(four_times(x), false, None, None).clamp(-1.0, 1.0)
}

/// Writes rows of pictures, each row a tensor [n, 3, h, w] in [-1, 1], as one PNG. Shorter rows
/// end in black.
pub fn grid(rows: &[Tensor], path: &Path) -> Result<()> {
    let longest = rows.iter().map(|r| r.size()[0]).max().unwrap_or(0);
    let line = |row: &Tensor| {
        let pictures = row.to_kind(Kind::Float).clamp(-1.0, 1.0);
        let missing = [0, 0, 0, 0, 0, 0, 0, longest - row.size()[0]];
        Tensor::cat(&pictures.pad(missing.as_slice(), "constant", -1.0).split(1, 0), 3)
    };
    let lines: Vec<Tensor> = rows.iter().map(line).collect();
    let sheet = Tensor::cat(&lines, 2);
    let size = sheet.size();
    let picture = image::RgbImage::from_raw(size[3] as u32, size[2] as u32, to_bytes(&sheet))
        .ok_or_else(|| Error::Training("a sample grid has an impossible size".into()))?;
    picture
        .save(path)
        .map_err(|e| Error::Training(format!("{}: cannot be written ({e})", path.display())))
}

/// Metrics, one JSON object a line.
#[derive(Debug)]
pub struct Log {
    file: File,
}

impl Log {
    /// Opens for appending.
    pub fn open(path: &Path) -> Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path).map_err(at(path))?;
        Ok(Self { file })
    }

    /// Adds a line.
    pub fn line(&mut self, record: &impl Serialize) -> Result<()> {
        let mut line = serde_json::to_string(record)
            .map_err(|e| Error::Training(format!("metrics cannot be written: {e}")))?;
        line.push('\n');
        self.file
            .write_all(line.as_bytes())
            .map_err(|e| Error::Training(format!("metrics cannot be written: {e}")))
    }
}
