//! Reads the tars of face crops (`SOURCE/NNNNN.jpg|png` + `manifest.csv`) as they are.

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
    /// `side` x `side` x RGB.
    pub rgb: Vec<u8>,
}

/// Decodes every picture of the archive at `path`; each must be `side` x `side`.
///
/// # Errors
/// Names the archive and the entry when the archive is cut short, a picture does not decode or has
/// another size, or when there is no picture at all.
pub fn read_tar(path: &Path, side: u32) -> Result<Vec<Picture>> {
    let file = File::open(path).map_err(at(path))?;
    let mut archive = tar::Archive::new(BufReader::with_capacity(1 << 20, file));
    let bad = |what: String| Error::Data(format!("{}: {what}", path.display()));
    let mut pictures = Vec::new();
    let mut identities = HashMap::new();
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
            identities = read_identities(&String::from_utf8_lossy(&bytes));
        } else if is_picture(&lower) {
            pictures.push(decode(name, &bytes, side).map_err(bad)?);
        }
    }
    if pictures.is_empty() {
        return Err(bad("no picture in it".into()));
    }
    name_people(&mut pictures, identities);
    Ok(pictures)
}

/// The same of a folder of that shape. The manifest may name pictures that are no longer there: what
/// someone has thrown out stays out.
///
/// # Errors
/// As [`read_tar`].
pub fn read_folder(folder: &Path, side: u32) -> Result<Vec<Picture>> {
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
    let mut identities = HashMap::new();
    for path in names {
        let name = path.strip_prefix(folder).unwrap_or(&path).to_string_lossy().into_owned();
        let lower = name.to_ascii_lowercase();
        if lower == "manifest.csv" {
            identities = read_identities(&fs::read_to_string(&path).map_err(at(&path))?);
        } else if is_picture(&lower) {
            let size = fs::metadata(&path).map_err(at(&path))?.len();
            if size > MAX_ENTRY {
                return Err(bad(format!("{name} is {size} bytes: too large for a face")));
            }
            let bytes = fs::read(&path).map_err(at(&path))?;
            pictures.push(decode(name, &bytes, side).map_err(bad)?);
        }
    }
    if pictures.is_empty() {
        return Err(bad("no picture in it".into()));
    }
    name_people(&mut pictures, identities);
    Ok(pictures)
}

fn is_picture(lower: &str) -> bool {
    [".jpg", ".jpeg", ".png"].iter().any(|ending| lower.ends_with(ending))
}

fn decode(name: String, bytes: &[u8], side: u32) -> std::result::Result<Picture, String> {
    let broken = |e| format!("{name} does not decode ({e})");
    // Looked at before a pixel is decoded: a picture of some bytes can claim any size.
    let (w, h) = size(bytes).map_err(broken)?;
    if (w, h) != (side, side) {
        return Err(format!("{name} is {w}x{h}, expected {side}x{side}"));
    }
    let rgb = image::load_from_memory(bytes).map_err(broken)?.into_rgb8();
    let source = name.split('/').rev().nth(1).unwrap_or("").to_owned();
    Ok(Picture { name, source, identity: None, rgb: rgb.into_raw() })
}

fn name_people(pictures: &mut [Picture], mut identities: HashMap<String, String>) {
    for picture in pictures {
        picture.identity = identities.remove(&picture.name);
    }
}

/// Width and height that a picture claims.
pub(crate) fn size(picture: &[u8]) -> image::ImageResult<(u32, u32)> {
    image::ImageReader::new(Cursor::new(picture)).with_guessed_format()?.into_dimensions()
}

/// `file` -> `identity` of a manifest that has both columns.
fn read_identities(csv: &str) -> HashMap<String, String> {
    let mut lines = csv.lines();
    let header: Vec<&str> = lines.next().unwrap_or("").split(',').map(str::trim).collect();
    let column = |name| header.iter().position(|h| *h == name);
    let (Some(file), Some(identity)) = (column("file"), column("identity")) else {
        return HashMap::new();
    };
    lines
        .filter_map(|line| {
            let cells: Vec<&str> = line.split(',').map(str::trim).collect();
            let (f, i) = (cells.get(file)?, cells.get(identity)?);
            (!i.is_empty()).then(|| ((*f).to_owned(), (*i).to_owned()))
        })
        .collect()
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
        let faces = read_tar(file.path(), 16).unwrap();
        assert_eq!(faces.len(), 2);
        assert_eq!((faces[0].source.as_str(), faces[0].identity.as_deref()), ("a", Some("a:Jo")));
        assert_eq!(faces[1].identity, None);
        assert_eq!(&faces[0].rgb[..3], [10, 20, 30]);
    }

    #[test]
    fn a_folder_is_read_like_a_tar() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("a")).unwrap();
        let csv = "file,source,identity\na/1.png,a,a:7\na/2.png,a,a:8\n";
        std::fs::write(dir.path().join("manifest.csv"), csv).unwrap();
        std::fs::write(dir.path().join("a/1.png"), png(16)).unwrap();
        let faces = read_folder(dir.path(), 16).unwrap();
        let found: Vec<_> = faces.iter().map(|f| (f.name.as_str(), f.source.as_str())).collect();
        assert_eq!(found, [("a/1.png", "a")]);
        assert_eq!(faces[0].identity.as_deref(), Some("a:7"));
        assert!(read_folder(dir.path(), 64).unwrap_err().to_string().contains("expected 64x64"));
        assert!(read_folder(&dir.path().join("no"), 16).is_err());
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
            let error = read_tar(file.path(), 16).unwrap_err().to_string();
            assert!(error.contains(says), "{error} does not say {says}");
        }
        assert!(read_tar(Path::new("/nowhere/x.tar"), 16).is_err());
    }
}
