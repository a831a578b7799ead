//! The harvest on disk: `SOURCE/NNNNN.png` and `manifest.csv`, in a folder or a tar, as
//! `facesr-train` reads them.

use std::fs::{self, File};
use std::io::{self, BufWriter, Cursor};
use std::path::{Path, PathBuf};

use facesr::enhance::generator::LR_SIZE;
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};

use super::picker::Crop;
use crate::failure::Failure;
use crate::output::{Partial, hold, reason};

const MANIFEST: &str = "manifest.csv";
const HEADER: &str = "file,source,original,identity,time_s,track,box_x,box_y,box_w_px,box_h_px,\
                      detector_score\n";

/// The faces of one clip.
#[derive(Debug)]
pub(super) struct Harvest {
    /// Name of the clip in the set: letters, digits, `-` and `_`.
    pub(super) source: String,
    /// The clip as the user named it.
    pub(super) original: String,
    /// Its faces.
    pub(super) crops: Vec<Crop>,
}

/// Where the set goes; nothing is there until [`write`](Self::write).
pub(super) enum Place {
    /// A tar.
    Tar(Partial),
    /// A folder.
    Folder(NewFolder),
}

impl Place {
    /// Checks that `target` can be written.
    pub(super) fn create(target: &Path, force: bool) -> Result<Self, Failure> {
        match target.extension().is_some_and(|e| e.eq_ignore_ascii_case("tar")) {
            true => Partial::create(target, force, None).map(Self::Tar),
            false => NewFolder::create(target, force).map(Self::Folder),
        }
    }

    /// Writes the set and gives it its name.
    pub(super) fn write(self, set: &[Harvest]) -> Result<(), Failure> {
        let cannot = |target: &Path, e: io::Error| {
            Failure::running(format_args!("cannot write {}: {}", target.display(), reason(&e)))
        };
        match self {
            Self::Tar(partial) => {
                write_tar(partial.path(), set).map_err(|e| cannot(partial.target(), e))?;
                partial.finish()
            }
            Self::Folder(folder) => {
                let target = folder.target.clone();
                let written = write_folder(&folder.partial, set).and_then(|()| folder.finish());
                written.map_err(|e| cannot(&target, e))
            }
        }
    }
}

/// A folder in the making under another name. Dropped without [`finish`](Self::finish), it leaves
/// nothing behind.
pub(super) struct NewFolder {
    target: PathBuf,
    partial: PathBuf,
    /// Keeps other runs away as long as it is open.
    _held: File,
}

impl NewFolder {
    fn create(target: &Path, force: bool) -> Result<Self, Failure> {
        let shown = target.display();
        let Some(name) = target.file_name() else {
            return Err(Failure::usage(format_args!("{shown} names no folder to write")));
        };
        if target.exists() && !target.is_dir() {
            return Err(Failure::usage(format_args!("{shown} is a file; name a folder or a .tar")));
        }
        if target.exists() && !is_empty(target) {
            if !force {
                return Err(Failure::usage(format_args!(
                    "{shown} exists already; --force replaces it"
                )));
            }
            let manifest = fs::read_to_string(target.join(MANIFEST)).unwrap_or_default();
            if !manifest.starts_with(HEADER) {
                return Err(Failure::usage(format_args!(
                    "{shown} holds something else than a harvest; name another folder"
                )));
            }
        }
        let mut partial = name.to_os_string();
        partial.push(".partial");
        let partial = target.with_file_name(partial);
        let open = |path: &Path| fs::create_dir_all(path).and_then(|()| File::open(path));
        let held = hold(&partial, open)
            .and_then(|held| empty(&partial).map(|()| held))
            .map_err(|e| Failure::running(format_args!("cannot write {shown}: {}", reason(&e))))?;
        Ok(Self { target: target.to_path_buf(), partial, _held: held })
    }

    /// Gives it its name, in the place of what had it.
    fn finish(self) -> io::Result<()> {
        let (from, to) = (&self.partial, &self.target);
        if !to.exists() || is_empty(to) {
            // An empty folder gives way to a rename.
            return fs::rename(from, to);
        }
        let mut name = to.file_name().unwrap_or_default().to_os_string();
        name.push(".replaced");
        let old = to.with_file_name(name);
        fs::rename(to, &old)?;
        fs::rename(from, to)?;
        fs::remove_dir_all(old)
    }
}

impl Drop for NewFolder {
    fn drop(&mut self) {
        // Gone if it has its name by now; nothing more can be done if it cannot be removed.
        let _ = fs::remove_dir_all(&self.partial);
    }
}

/// Removes what a run that was killed has left.
fn empty(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        match entry.file_type()?.is_dir() {
            true => fs::remove_dir_all(entry.path())?,
            false => fs::remove_file(entry.path())?,
        }
    }
    Ok(())
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none())
}

/// Hands every file of the set to `add`.
fn files(set: &[Harvest], mut add: impl FnMut(&str, &[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut manifest = String::from(HEADER);
    // Commas would shift the columns.
    let cell = |text: &str| text.replace([',', '\n', '\r'], "_");
    for Harvest { source, original, crops } in set {
        for (number, crop) in (1..).zip(crops) {
            let name = format!("{source}/{number:05}.png");
            let (r, track) = (crop.rect, crop.track);
            manifest.push_str(&format!(
                "{name},{source},{},{source}:{track},{:.3},{track},{:.1},{:.1},{:.1},{:.1},{:.3}\n",
                cell(original),
                crop.time,
                r.x,
                r.y,
                r.w,
                r.h,
                crop.score,
            ));
            let mut png = Cursor::new(Vec::new());
            PngEncoder::new(&mut png)
                .write_image(&crop.pixels, LR_SIZE as u32, LR_SIZE as u32, ExtendedColorType::Rgb8)
                .map_err(io::Error::other)?;
            add(&name, png.get_ref())?;
        }
    }
    add(MANIFEST, manifest.as_bytes())
}

fn write_folder(folder: &Path, set: &[Harvest]) -> io::Result<()> {
    for harvest in set {
        fs::create_dir_all(folder.join(&harvest.source))?;
    }
    files(set, |name, bytes| fs::write(folder.join(name), bytes))
}

fn write_tar(path: &Path, set: &[Harvest]) -> io::Result<()> {
    let mut tar = tar::Builder::new(BufWriter::new(File::create(path)?));
    files(set, |name, bytes| {
        // No owner, no time: the same footage gives the same bytes.
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        tar.append_data(&mut header, name, bytes)
    })?;
    tar.into_inner()?.into_inner().map(drop).map_err(|e| e.into_error())
}
