//! Shards of pairs that went through real video encoders: an LR face as a decoder gave it, and the
//! HR face that was filmed. Written by `facesr-train pairs`, or by anything that keeps to the form.
//!
//! A shard (`train-NNNN.pairs`, `held-NNNN.pairs`; little endian) is `FSRPAIR1`, the length of a JSON
//! header (u32), the header, one row of 24 bytes for each pair, then the records. Row: offset of the
//! record (u64), bytes of its JPEG (u32), side of the face's square in camera pixels (f32), index of
//! the original (u32), kind of frame (u8: 0 I, 1 P, 2 B, 255 unknown), flags (u8), two bytes 0.
//! Record: the face at 16x16 and at 32x32 (RGB, 8 bit), and the original at 128x128 as JPEG.
//!
//! Pixels are read from the files when they are drawn; only the rows are kept in memory.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::RwLock;

use serde::{Deserialize, Serialize};

use super::pictures::{claimed_size, halve};
use crate::error::{Error, Result, at};
use crate::rng::Rng;
use crate::scale::Scale;

/// First bytes of a shard.
pub const MAGIC: &[u8; 8] = b"FSRPAIR1";
/// Bytes of a row of the table.
pub const ROW: usize = 24;
/// Bytes of the two LR faces of a record.
pub const LR_BYTES: usize = 3 * (16 * 16 + 32 * 32);
/// Side of the originals.
pub const ORIGINAL: usize = 128;
/// A header longer than this is none.
const MAX_HEADER: u32 = 1 << 20;
/// No face of 128x128 takes as many bytes.
const MAX_JPEG: u32 = 1 << 18;

/// What is known of a pair beside its pixels.
pub mod flag {
    /// Something covers part of the face.
    pub const COVERED: u8 = 1;
    /// The face is turned away.
    pub const TURNED: u8 = 2;
    /// Nothing can be made out: the original is the blur.
    pub const HOPELESS: u8 = 4;
    /// The film was enlarged before the face was cropped.
    pub const ENLARGED: u8 = 8;
}

/// The JSON header of a shard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Pairs in the shard.
    pub count: usize,
    /// Seed of the set.
    pub seed: u64,
    /// Number of the shard.
    pub index: u64,
    /// True for people and scenes that are never trained on.
    pub held: bool,
    /// Name or checksum of the recipe.
    pub recipe: String,
}

/// One pair of a shard.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Row {
    /// Where the record begins in the file.
    pub offset: u64,
    /// Bytes of the JPEG.
    pub jpeg: u32,
    /// Side of the face's square, pixels of the camera.
    pub native: f32,
    /// Which original it is of.
    pub original: u32,
    /// Kind of frame: 0 I, 1 P, 2 B, 255 unknown.
    pub frame: u8,
    /// See [`flag`].
    pub flags: u8,
}

impl Row {
    /// As it lies in the table.
    pub fn to_bytes(self) -> [u8; ROW] {
        let mut out = [0; ROW];
        out[..8].copy_from_slice(&self.offset.to_le_bytes());
        out[8..12].copy_from_slice(&self.jpeg.to_le_bytes());
        out[12..16].copy_from_slice(&self.native.to_le_bytes());
        out[16..20].copy_from_slice(&self.original.to_le_bytes());
        (out[20], out[21]) = (self.frame, self.flags);
        out
    }

    fn from_bytes(b: &[u8; ROW]) -> Self {
        let word = |i: usize| u32::from_le_bytes([b[i], b[i + 1], b[i + 2], b[i + 3]]);
        Self {
            offset: u64::from(word(0)) | u64::from(word(4)) << 32,
            jpeg: word(8),
            native: f32::from_bits(word(12)),
            original: word(16),
            frame: b[20],
            flags: b[21],
        }
    }
}

#[derive(Debug)]
struct Shard {
    path: PathBuf,
    file: File,
}

/// The header and the rows of a shard, checked against the size of the file.
fn read_table(path: &Path, file: &File) -> Result<(Header, Vec<Row>)> {
    let bad = |what: &str| Error::Data(format!("{}: {what}", path.display()));
    let size = file.metadata().map_err(at(path))?.len();
    let mut start = [0; 12];
    file.read_exact_at(&mut start, 0).map_err(|_| bad("not a shard of pairs"))?;
    let header = u32::from_le_bytes([start[8], start[9], start[10], start[11]]);
    if &start[..8] != MAGIC || header > MAX_HEADER {
        return Err(bad("not a shard of pairs"));
    }
    let mut text = vec![0; header as usize];
    file.read_exact_at(&mut text, 12).map_err(|_| bad("cut short in its header"))?;
    let head: Header = serde_json::from_slice(&text)
        .map_err(|e| bad(&format!("its header cannot be read ({e})")))?;
    let table = 12 + u64::from(header);
    let rows_end = (head.count as u64).checked_mul(ROW as u64).and_then(|n| n.checked_add(table));
    if rows_end.is_none_or(|end| end > size) {
        return Err(bad("cut short in its table"));
    }
    let mut bytes = vec![0; head.count * ROW];
    file.read_exact_at(&mut bytes, table).map_err(at(path))?;
    let rows: Vec<Row> = bytes.as_chunks::<ROW>().0.iter().map(Row::from_bytes).collect();
    let fits = |row: &Row| {
        let record = LR_BYTES as u64 + u64::from(row.jpeg);
        row.jpeg <= MAX_JPEG
            && row.native.is_finite()
            && row.offset.checked_add(record).is_some_and(|end| end <= size)
    };
    if let Some(i) = rows.iter().position(|row| !fits(row)) {
        return Err(bad(&format!("pair {i} lies outside of the file: the shard is damaged")));
    }
    Ok((head, rows))
}

#[derive(Debug, Default)]
struct Contents {
    known: BTreeSet<PathBuf>,
    shards: Vec<Shard>,
    /// Shard and row.
    pairs: Vec<(u32, Row)>,
}

/// The pairs of some folders that are of use at a scale.
#[derive(Debug)]
pub struct PairSet {
    folders: Vec<PathBuf>,
    held: bool,
    scale: Scale,
    contents: RwLock<Contents>,
}

/// A pair with its pixels.
#[derive(Debug, Clone)]
pub struct Pair {
    /// RGB, side as the scale says.
    pub lr: Vec<u8>,
    /// RGB, four times as large.
    pub hr: Vec<u8>,
    /// What the shard says of it.
    pub row: Row,
}

/// Native sides (pixels of the camera) that the generator of a scale gets to see, with a margin.
pub fn native_range(scale: Scale) -> std::ops::Range<f32> {
    if scale == Scale::SMALL { 8.0..27.0 } else { 15.0..100.0 }
}

impl PairSet {
    /// Reads the tables of the shards to learn from, or of those held back, in some folders.
    ///
    /// # Errors
    /// When a folder or a shard cannot be read or is damaged, or when there is no pair.
    pub fn open(folders: &[PathBuf], held: bool, scale: Scale) -> Result<Self> {
        let set = Self { folders: folders.to_vec(), held, scale, contents: RwLock::default() };
        set.rescan()?;
        if set.is_empty() {
            let names: Vec<_> = folders.iter().map(|f| f.display().to_string()).collect();
            let kind = if held { "held" } else { "train" };
            return Err(Error::Data(format!(
                "no {kind}-*.pairs with faces in {}",
                names.join(", ")
            )));
        }
        Ok(set)
    }

    /// Takes in shards that have come since; how many.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn rescan(&self) -> Result<usize> {
        let prefix = if self.held { "held-" } else { "train-" };
        let mut paths = Vec::new();
        for folder in &self.folders {
            for entry in fs::read_dir(folder).map_err(at(folder))? {
                let path = entry.map_err(at(folder))?.path();
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                if name.starts_with(prefix) && name.ends_with(".pairs") {
                    paths.push(path);
                }
            }
        }
        paths.sort();
        let mut contents = self.contents.write().unwrap_or_else(|e| e.into_inner());
        let mut new = 0;
        for path in paths {
            if contents.known.contains(&path) {
                continue;
            }
            let file = File::open(&path).map_err(at(&path))?;
            let (header, rows) = read_table(&path, &file)?;
            if header.held != self.held {
                let text = "its name and its header disagree about being held back";
                return Err(Error::Data(format!("{}: {text}", path.display())));
            }
            let range = native_range(self.scale);
            let number = contents.shards.len() as u32;
            let useful = rows.into_iter().filter(|row| range.contains(&row.native));
            contents.pairs.extend(useful.map(|row| (number, row)));
            contents.known.insert(path.clone());
            contents.shards.push(Shard { path, file });
            new += 1;
        }
        Ok(new)
    }

    /// How many pairs there are.
    pub fn len(&self) -> usize {
        self.contents.read().unwrap_or_else(|e| e.into_inner()).pairs.len()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One of them.
    ///
    /// # Errors
    /// When the file cannot be read or the original is broken.
    pub fn read(&self, i: usize) -> Result<Pair> {
        let contents = self.contents.read().unwrap_or_else(|e| e.into_inner());
        let (shard, row) = contents.pairs[i];
        let Shard { path, file } = &contents.shards[shard as usize];
        let mut bytes = vec![0; LR_BYTES + row.jpeg as usize];
        file.read_exact_at(&mut bytes, row.offset).map_err(at(path))?;
        let small = 3 * 16 * 16;
        let lr = match self.scale {
            Scale::SMALL => bytes[..small].to_vec(),
            _ => bytes[small..LR_BYTES].to_vec(),
        };
        let jpeg = &bytes[LR_BYTES..];
        let bad = |what: String| {
            Error::Data(format!("{}: the original at byte {} {what}", path.display(), row.offset))
        };
        let broken = |e: image::ImageError| bad(format!("does not decode ({e})"));
        let side = ORIGINAL as u32;
        if claimed_size(jpeg).map_err(broken)? != (side, side) {
            return Err(bad(format!("is not {side}x{side}")));
        }
        let hr = image::load_from_memory(jpeg).map_err(broken)?.into_rgb8().into_raw();
        let hr = if self.scale.hr() == ORIGINAL { hr } else { halve(&hr, self.scale.hr()) };
        Ok(Pair { lr, hr, row })
    }

    /// A pair at random.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn draw(&self, rng: &mut Rng) -> Result<Pair> {
        self.read(rng.below(self.len()))
    }

    /// `n` pairs, or all if there are fewer, spread evenly over the set: always the same ones.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn spread(&self, n: usize) -> Result<Vec<Pair>> {
        let all = self.len();
        (0..n.min(all)).map(|i| self.read(i * all / n.min(all))).collect()
    }
}

/// A shard in memory, from its pairs in their final order.
///
/// # Errors
/// When the header cannot be written.
pub fn encode(mut header: Header, pairs: &[NewPair]) -> Result<Vec<u8>> {
    header.count = pairs.len();
    let text = serde_json::to_vec(&header)
        .map_err(|e| Error::Data(format!("the header of a shard cannot be written: {e}")))?;
    let mut out = MAGIC.to_vec();
    out.extend_from_slice(&(text.len() as u32).to_le_bytes());
    out.extend_from_slice(&text);
    let mut offset = (out.len() + pairs.len() * ROW) as u64;
    for pair in pairs {
        let row = Row { offset, jpeg: pair.jpeg.len() as u32, ..pair.row };
        out.extend_from_slice(&row.to_bytes());
        offset += (LR_BYTES + pair.jpeg.len()) as u64;
    }
    for pair in pairs {
        out.extend_from_slice(&pair.lr16);
        out.extend_from_slice(&pair.lr32);
        out.extend_from_slice(&pair.jpeg);
    }
    Ok(out)
}

/// A pair on its way into a shard.
#[derive(Debug, Clone)]
pub struct NewPair {
    /// 16x16 RGB.
    pub lr16: Vec<u8>,
    /// 32x32 RGB.
    pub lr32: Vec<u8>,
    /// The original, 128x128.
    pub jpeg: Vec<u8>,
    /// What is known of it; place and length are filled in.
    pub row: Row,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    fn header(held: bool) -> Header {
        Header { count: 0, seed: 1, index: 0, held, recipe: "test".into() }
    }

    /// A flat pair of this brightness.
    fn pair(level: u8, native: f32) -> NewPair {
        let mut jpeg = std::io::Cursor::new(Vec::new());
        image::RgbImage::from_pixel(128, 128, image::Rgb([level; 3]))
            .write_to(&mut jpeg, image::ImageFormat::Jpeg)
            .unwrap();
        NewPair {
            lr16: vec![level; 3 * 256],
            lr32: vec![level + 1; 3 * 1024],
            jpeg: jpeg.into_inner(),
            row: Row { offset: 0, jpeg: 0, native, original: 7, frame: 1, flags: flag::TURNED },
        }
    }

    #[test]
    fn pairs_come_back_for_the_scale_that_can_use_them() {
        let dir = tempfile::tempdir().unwrap();
        let pairs = [pair(40, 12.0), pair(80, 20.0), pair(120, 60.0)];
        let shard = encode(header(false), &pairs).unwrap();
        fs::write(dir.path().join("train-0000.pairs"), &shard).unwrap();
        let folders = [dir.path().to_owned()];
        let small = PairSet::open(&folders, false, Scale::SMALL).unwrap();
        let large = PairSet::open(&folders, false, Scale::LARGE).unwrap();
        assert_eq!((small.len(), large.len()), (2, 2));
        let (a, b) = (small.read(1).unwrap(), large.read(1).unwrap());
        assert_eq!((a.lr.len(), a.hr.len(), a.lr[0]), (3 * 256, 3 * 64 * 64, 80));
        assert_eq!((b.lr.len(), b.hr.len(), b.lr[0]), (3 * 1024, 3 * 128 * 128, 121));
        assert!(b.hr[0].abs_diff(120) <= 1);
        assert_eq!((b.row.native, b.row.original, b.row.flags), (60.0, 7, flag::TURNED));
        assert!(PairSet::open(&folders, true, Scale::SMALL).is_err(), "none is held back");
        let mut rng = Rng::new(1, Stream::Batch, 0);
        assert!((0..20).all(|_| [40, 80].contains(&small.draw(&mut rng).unwrap().lr[0])));
        // Another shard comes.
        fs::write(dir.path().join("train-0001.pairs"), &shard).unwrap();
        assert_eq!((small.rescan().unwrap(), small.len(), small.rescan().unwrap()), (1, 4, 0));
    }

    #[test]
    fn damaged_shards_are_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("train-0000.pairs");
        let shard = encode(header(false), &[pair(40, 12.0), pair(90, 12.0)]).unwrap();
        let open = || PairSet::open(&[dir.path().to_owned()], false, Scale::SMALL);
        let table = 12 + u32::from_le_bytes([shard[8], shard[9], shard[10], shard[11]]) as usize;
        for cut in [0, 7, 11, 40, table + 2 * ROW - 1, shard.len() - 1] {
            fs::write(&path, &shard[..cut]).unwrap();
            let error = open().unwrap_err().to_string();
            assert!(error.contains("train-0000.pairs"), "{cut}: {error}");
        }
        let mut wild = shard.clone();
        wild[table..table + 8].copy_from_slice(&u64::MAX.to_le_bytes());
        fs::write(&path, wild).unwrap();
        assert!(open().unwrap_err().to_string().contains("damaged"));
        fs::write(&path, encode(header(true), &[pair(40, 12.0)]).unwrap()).unwrap();
        assert!(open().unwrap_err().to_string().contains("disagree"));
        let mut broken = pair(40, 12.0);
        broken.jpeg.truncate(30);
        fs::write(&path, encode(header(false), &[broken]).unwrap()).unwrap();
        assert!(open().unwrap().read(0).unwrap_err().to_string().contains("does not decode"));
    }
}
