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
        let file = File::open(&path).map_err(at(&path))?;
        let bytes = limited(file).map_err(at(&path))?;
        let large = || Error::Data(format!("{} is too large for a picture", path.display()));
        f(&name.to_string_lossy(), bytes.ok_or_else(large)?)?;
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
        let size = entry.size();
        let large = || bad(format!("{name} is too large for a picture"));
        if size > MAX_BYTES {
            return Err(large());
        }
        let cut = |e: &dyn std::fmt::Display| bad(format!("{name} is cut short ({e})"));
        let bytes = limited(&mut entry).map_err(|e| cut(&e))?.ok_or_else(large)?;
        if bytes.len() as u64 != size {
            return Err(cut(&format!("{} bytes of {size}", bytes.len())));
        }
        f(&name, bytes)?;
    }
    Ok(())
}

/// All of `file`; `None` if that is more than any picture has.
fn limited(file: impl Read) -> std::io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= MAX_BYTES).then_some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file with a hole is as large as it says, and costs no disk.
    #[test]
    fn what_is_too_large_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        File::create(dir.path().join("a.jpg")).unwrap().set_len(MAX_BYTES + 1).unwrap();
        let error = each(dir.path(), |_, _| panic!("it was read")).unwrap_err().to_string();
        assert!(error.contains("a.jpg is too large"), "{error}");

        let tar = dir.path().join("set.tar");
        let mut header = tar::Header::new_gnu();
        header.set_path("b.png").unwrap();
        header.set_size(MAX_BYTES + 1);
        header.set_cksum();
        fs::write(&tar, header.as_bytes()).unwrap();
        let error = each(&tar, |_, _| panic!("it was read")).unwrap_err().to_string();
        assert!(error.contains("b.png is too large"), "{error}");

        header.set_size(5000);
        header.set_cksum();
        fs::write(&tar, [header.as_bytes().as_slice(), &[7; 600]].concat()).unwrap();
        let error = each(&tar, |_, _| panic!("half of it was taken")).unwrap_err().to_string();
        assert!(error.contains("b.png is cut short"), "{error}");
    }
}
