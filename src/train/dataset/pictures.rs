//! Reads the tars of face crops (`SOURCE/NNNNN.jpg|png|webp` + `manifest.csv`).

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{BufReader, Cursor, Read};
use std::path::Path;

use crate::error::{Error, Result, at};

/// No face crop is anywhere near this large: a bigger entry is a broken or hostile archive.
const MAX_ENTRY: u64 = 4 << 20;

/// One decoded face crop.
#[derive(Debug, Clone)]
pub struct Picture {
    /// Path inside the archive, such as `lfw/00042.jpg`.
    pub name: String,
    /// The folder, i.e. where the picture comes from.
    pub source: String,
    /// Who it shows, where the manifest knows.
    pub identity: Option<String>,
    /// The picture or frame that it was cropped from, where the manifest knows.
    pub original: Option<String>,
    /// `side` x `side` x RGB.
    pub rgb: Vec<u8>,
}

/// Which pictures are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// Those of this side.
    Exactly(u32),
    /// Those of this side, and those of twice that, which are shrunk by area.
    OrTwice(u32),
}

impl Size {
    /// The side of what comes out.
    pub fn side(self) -> u32 {
        match self {
            Self::Exactly(side) | Self::OrTwice(side) => side,
        }
    }
}

/// One face crop as it is stored.
#[derive(Debug, Clone)]
pub struct Stored {
    /// Path inside the archive.
    pub name: String,
    /// The folder, i.e. where the picture comes from.
    pub source: String,
    /// Who it shows, where the manifest knows.
    pub identity: Option<String>,
    /// The picture that it was cropped from, where the manifest knows.
    pub original: Option<String>,
    /// How far the face is turned (nose off center, in eye distances), where the manifest knows.
    pub yaw: Option<f32>,
    /// The file.
    pub bytes: Vec<u8>,
}

/// Decodes every picture of the archive at `path`; each must be of this size.
///
/// # Errors
/// Names the archive and the entry when the archive is cut short, a picture does not decode or has
/// another size, or when there is no picture at all.
pub fn read_tar(path: &Path, size: Size) -> Result<Vec<Picture>> {
    let mut pictures = Vec::new();
    let manifest = each_entry(path, |name, bytes| {
        pictures.push(decode(name, &bytes, size)?);
        Ok(())
    })?;
    manifest.label(&mut pictures);
    Ok(pictures)
}

/// The pictures of an archive, not decoded.
///
/// # Errors
/// When the archive is cut short or holds no picture.
pub fn read_stored(path: &Path) -> Result<Vec<Stored>> {
    let mut pictures = Vec::new();
    let mut manifest = each_entry(path, |name, bytes| {
        let source = source_of(&name);
        let (identity, original, yaw) = (None, None, None);
        pictures.push(Stored { name, source, identity, original, yaw, bytes });
        Ok(())
    })?;
    for picture in &mut pictures {
        picture.identity = manifest.identities.remove(&picture.name);
        picture.original = manifest.originals.remove(&picture.name);
        picture.yaw = manifest.yaws.remove(&picture.name).and_then(|yaw| yaw.parse().ok());
    }
    Ok(pictures)
}

/// Shows every picture of an archive and answers its manifest.
fn each_entry(
    path: &Path,
    mut show: impl FnMut(String, Vec<u8>) -> std::result::Result<(), String>,
) -> Result<Manifest> {
    let file = File::open(path).map_err(at(path))?;
    let mut archive = tar::Archive::new(BufReader::with_capacity(1 << 20, file));
    let bad = |what: String| Error::Data(format!("{}: {what}", path.display()));
    let mut manifest = Manifest::default();
    let mut count = 0;
    let entries = archive.entries().map_err(at(path))?;
    for entry in entries {
        let mut entry = entry.map_err(|e| bad(format!("not a readable tar archive ({e})")))?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let name = entry
            .path()
            .map_err(|e| bad(format!("an entry has an unreadable name ({e})")))?
            .to_string_lossy()
            .into_owned();
        if entry.size() > MAX_ENTRY {
            return Err(bad(format!("{name} is {} bytes: too large for a face", entry.size())));
        }
        let mut bytes = Vec::with_capacity(entry.size() as usize);
        let cut = |e: &dyn std::fmt::Display| bad(format!("{name} is cut short ({e})"));
        entry.read_to_end(&mut bytes).map_err(|e| cut(&e))?;
        if bytes.len() as u64 != entry.size() {
            return Err(cut(&format!("{} bytes of {}", bytes.len(), entry.size())));
        }
        let lower = name.to_ascii_lowercase();
        if lower.ends_with("manifest.csv") {
            manifest = Manifest::read(&String::from_utf8_lossy(&bytes));
        } else if is_picture(&lower) {
            count += 1;
            show(name, bytes).map_err(bad)?;
        }
    }
    if count == 0 {
        return Err(bad("no picture in it".into()));
    }
    Ok(manifest)
}

/// The folder of a picture in its archive.
fn source_of(name: &str) -> String {
    name.split('/').rev().nth(1).unwrap_or("").to_owned()
}

/// The same of a folder of that shape. The manifest may name pictures that are no longer there: what
/// someone has thrown out stays out.
///
/// # Errors
/// As [`read_tar`].
pub fn read_folder(folder: &Path, size: Size) -> Result<Vec<Picture>> {
    let bad = |what: String| Error::Data(format!("{}: {what}", folder.display()));
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(at(folder))? {
        let path = entry.map_err(at(folder))?.path();
        if !path.is_dir() {
            names.push(path);
            continue;
        }
        for entry in fs::read_dir(&path).map_err(at(&path))? {
            names.push(entry.map_err(at(&path))?.path());
        }
    }
    names.sort();
    let mut pictures = Vec::new();
    let mut manifest = Manifest::default();
    for path in names {
        let name = path.strip_prefix(folder).unwrap_or(&path).to_string_lossy().into_owned();
        let lower = name.to_ascii_lowercase();
        if lower == "manifest.csv" {
            manifest = Manifest::read(&fs::read_to_string(&path).map_err(at(&path))?);
        } else if is_picture(&lower) {
            let bytes = fs::metadata(&path).map_err(at(&path))?.len();
            if bytes > MAX_ENTRY {
                return Err(bad(format!("{name} is {bytes} bytes: too large for a face")));
            }
            let bytes = fs::read(&path).map_err(at(&path))?;
            pictures.push(decode(name, &bytes, size).map_err(bad)?);
        }
    }
    if pictures.is_empty() {
        return Err(bad("no picture in it".into()));
    }
    manifest.label(&mut pictures);
    Ok(pictures)
}

fn is_picture(lower: &str) -> bool {
    [".jpg", ".jpeg", ".png", ".webp"].iter().any(|ending| lower.ends_with(ending))
}

fn decode(name: String, bytes: &[u8], size: Size) -> std::result::Result<Picture, String> {
    let broken = |e| format!("{name} does not decode ({e})");
    // Looked at before a pixel is decoded: a picture of some bytes can claim any size.
    let (w, h) = claimed_size(bytes).map_err(broken)?;
    let side = size.side();
    let twice = size == Size::OrTwice(side) && (w, h) == (2 * side, 2 * side);
    if (w, h) != (side, side) && !twice {
        return Err(format!("{name} is {w}x{h}, expected {side}x{side}"));
    }
    let rgb = image::load_from_memory(bytes).map_err(broken)?.into_rgb8().into_raw();
    let rgb = if twice { halve(&rgb, side as usize) } else { rgb };
    let source = source_of(&name);
    Ok(Picture { name, source, identity: None, original: None, rgb })
}

/// Shrinks RGB pixels of twice `side` to `side` x `side`: the mean of 2x2, rounded.
pub fn halve(rgb: &[u8], side: usize) -> Vec<u8> {
    let at = |y: usize, x: usize, c: usize| u32::from(rgb[(y * 2 * side + x) * 3 + c]);
    let mut out = Vec::with_capacity(side * side * 3);
    for (y, x) in (0..side * side).map(|i| (2 * (i / side), 2 * (i % side))) {
        for c in 0..3 {
            let sum = at(y, x, c) + at(y, x + 1, c) + at(y + 1, x, c) + at(y + 1, x + 1, c);
            out.push(((sum + 2) / 4) as u8);
        }
    }
    out
}

/// Width and height that a picture claims.
pub(crate) fn claimed_size(picture: &[u8]) -> image::ImageResult<(u32, u32)> {
    image::ImageReader::new(Cursor::new(picture)).with_guessed_format()?.into_dimensions()
}

/// What a manifest says of pictures, by their `file`.
#[derive(Debug, Default)]
struct Manifest {
    identities: HashMap<String, String>,
    originals: HashMap<String, String>,
    yaws: HashMap<String, String>,
}

impl Manifest {
    /// Reads the columns `file`, `identity`, `original` and `yaw`, as far as they are there.
    fn read(csv: &str) -> Self {
        let mut lines = csv.lines();
        let header: Vec<&str> = lines.next().unwrap_or("").split(',').map(str::trim).collect();
        let column = |name| header.iter().position(|h| *h == name);
        let Some(file) = column("file") else { return Self::default() };
        let columns = [column("identity"), column("original"), column("yaw")];
        let mut manifest = Self::default();
        for line in lines {
            let cells: Vec<&str> = line.split(',').map(str::trim).collect();
            let Some(file) = cells.get(file) else { continue };
            let Self { identities, originals, yaws } = &mut manifest;
            let maps = [identities, originals, yaws];
            for (column, map) in columns.iter().zip(maps) {
                let cell = column.and_then(|c| cells.get(c)).filter(|cell| !cell.is_empty());
                if let Some(cell) = cell {
                    map.insert((*file).to_owned(), (*cell).to_owned());
                }
            }
        }
        manifest
    }

    fn label(mut self, pictures: &mut [Picture]) {
        for picture in pictures {
            picture.identity = self.identities.remove(&picture.name);
            picture.original = self.originals.remove(&picture.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn png(side: u32) -> Vec<u8> {
        let mut out = std::io::Cursor::new(Vec::new());
        image::RgbImage::from_pixel(side, side, image::Rgb([10, 20, 30]))
            .write_to(&mut out, image::ImageFormat::Png)
            .unwrap();
        out.into_inner()
    }

    /// The same picture with another size in its header, and the header's checksum.
    fn claiming(mut png: Vec<u8>, side: u32) -> Vec<u8> {
        png[16..20].copy_from_slice(&side.to_be_bytes());
        png[20..24].copy_from_slice(&side.to_be_bytes());
        let crc = png[12..29].iter().fold(u32::MAX, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte), |c, _| {
                c >> 1 ^ (0xedb8_8320 & (c & 1).wrapping_neg())
            })
        });
        png[29..33].copy_from_slice(&(!crc).to_be_bytes());
        png
    }

    fn tar_of(entries: &[(&str, &[u8])]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut builder = tar::Builder::new(file.reopen().unwrap());
        for (name, bytes) in entries {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            header.set_cksum();
            builder.append_data(&mut header, name, *bytes).unwrap();
        }
        builder.finish().unwrap();
        file
    }

    #[test]
    fn reads_pictures_and_identities() {
        let csv = b"file,source,original,identity\na/1.png,a,x.jpg,a:Jo\na/2.png,a,y.jpg,\n";
        let file = tar_of(&[("manifest.csv", csv), ("a/1.png", &png(16)), ("a/2.png", &png(16))]);
        let faces = read_tar(file.path(), Size::Exactly(16)).unwrap();
        assert_eq!(faces.len(), 2);
        assert_eq!((faces[0].source.as_str(), faces[0].identity.as_deref()), ("a", Some("a:Jo")));
        assert_eq!(faces[1].identity, None);
        assert_eq!(faces[1].original.as_deref(), Some("y.jpg"));
        assert_eq!(&faces[0].rgb[..3], [10, 20, 30]);
    }

    #[test]
    fn larger_pictures_are_shrunk_only_where_that_is_asked_for() {
        let webp = {
            let mut out = std::io::Cursor::new(Vec::new());
            image::RgbImage::from_fn(32, 32, |x, _| image::Rgb([(x % 2 * 100) as u8; 3]))
                .write_to(&mut out, image::ImageFormat::WebP)
                .unwrap();
            out.into_inner()
        };
        let file = tar_of(&[("a/1.webp", &webp), ("a/2.png", &png(16))]);
        let faces = read_tar(file.path(), Size::OrTwice(16)).unwrap();
        assert_eq!(faces[0].rgb, [50; 16 * 16 * 3]);
        assert_eq!(faces[1].rgb[..3], [10, 20, 30]);
        let error = read_tar(file.path(), Size::Exactly(16)).unwrap_err().to_string();
        assert!(error.contains("32x32, expected 16x16"), "{error}");
    }

    #[test]
    fn a_folder_is_read_like_a_tar() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("a")).unwrap();
        let csv = "file,source,identity\na/1.png,a,a:7\na/2.png,a,a:8\n";
        std::fs::write(dir.path().join("manifest.csv"), csv).unwrap();
        std::fs::write(dir.path().join("a/1.png"), png(16)).unwrap();
        let faces = read_folder(dir.path(), Size::Exactly(16)).unwrap();
        let found: Vec<_> = faces.iter().map(|f| (f.name.as_str(), f.source.as_str())).collect();
        assert_eq!(found, [("a/1.png", "a")]);
        assert_eq!(faces[0].identity.as_deref(), Some("a:7"));
        assert!(
            read_folder(dir.path(), Size::Exactly(64))
                .unwrap_err()
                .to_string()
                .contains("expected 64x64")
        );
        assert!(read_folder(&dir.path().join("no"), Size::Exactly(16)).is_err());
    }

    #[test]
    fn refuses_bad_archives_with_a_reason() {
        let small = tar_of(&[("a/1.png", &png(8))]);
        let huge = tar_of(&[("a/1.png", &claiming(png(16), 60_000))]);
        let broken = tar_of(&[("a/1.png", &png(16)[..40])]);
        let empty = tar_of(&[("a/readme.txt", b"hello")]);
        let noise = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(noise.path(), vec![7u8; 4096]).unwrap();
        let cut = tar_of(&[("a/1.png", &png(16)), ("a/2.png", &vec![0; 30_000])]);
        let bytes = std::fs::read(cut.path()).unwrap();
        std::fs::write(cut.path(), &bytes[..9000]).unwrap();
        for (file, says) in [
            (&small, "8x8, expected 16x16"),
            (&huge, "60000x60000, expected 16x16"),
            (&broken, "does not decode"),
            (&empty, "no picture"),
            (&noise, "not a readable tar"),
            (&cut, "cut short"),
        ] {
            let error = read_tar(file.path(), Size::Exactly(16)).unwrap_err().to_string();
            assert!(error.contains(says), "{error} does not say {says}");
        }
        assert!(read_tar(Path::new("/nowhere/x.tar"), Size::Exactly(16)).is_err());
    }
}
