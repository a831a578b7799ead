//! Goes through the pictures of a folder (and its folders) or of a tar, in the order of their names.

use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result, at};

/// No picture is larger than this many bytes.
const MAX_BYTES: u64 = 256 << 20;

fn is_picture(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    [".jpg", ".jpeg", ".png"].iter().any(|end| name.ends_with(end))
}

/// Calls `f` with the name (path from the folder or within the tar) and the bytes of each picture.
///
/// # Errors
/// When the folder or tar cannot be read, or what `f` answers.
pub fn each(place: &Path, f: impl FnMut(&str, Vec<u8>) -> Result<()>) -> Result<()> {
    if place.is_dir() { in_folder(place, f) } else { in_tar(place, f) }
}

fn in_folder(place: &Path, mut f: impl FnMut(&str, Vec<u8>) -> Result<()>) -> Result<()> {
    let mut files = Vec::new();
    let mut folders = vec![place.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(at(&folder))? {
            let entry = entry.map_err(at(&folder))?;
            // Links are not followed: a link to a parent would never end.
            let kind = entry.file_type().map_err(at(&folder))?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() && is_picture(&entry.file_name().to_string_lossy()) {
                files.push(entry.path());
            }
        }
    }
    files.sort();
    for path in files {
        let name: PathBuf = path.strip_prefix(place).unwrap_or(&path).to_owned();
        f(&name.to_string_lossy(), fs::read(&path).map_err(at(&path))?)?;
    }
    Ok(())
}

fn in_tar(place: &Path, mut f: impl FnMut(&str, Vec<u8>) -> Result<()>) -> Result<()> {
    let file = File::open(place).map_err(at(place))?;
    let mut archive = tar::Archive::new(BufReader::with_capacity(1 << 20, file));
    let bad = |what: String| Error::Data(format!("{}: {what}", place.display()));
    for entry in archive.entries().map_err(at(place))? {
        let mut entry = entry.map_err(|e| bad(format!("not a readable tar archive ({e})")))?;
        let name = entry.path().map(|p| p.to_string_lossy().into_owned()).unwrap_or_default();
        if !entry.header().entry_type().is_file() || !is_picture(&name) {
            continue;
        }
        if entry.size() > MAX_BYTES {
            return Err(bad(format!("{name} is too large for a picture")));
        }
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).map_err(|e| bad(format!("{name} is cut short ({e})")))?;
        f(&name, bytes)?;
    }
    Ok(())
}
