//! The harvest on disk: `SOURCE/NNNNN.png` and `manifest.csv`, in a folder or a tar, as
//! `facesr-train` reads them.

use std::fs::{self, File};
use std::io::{self, BufWriter, Cursor};
use std::path::{Path, PathBuf};

use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};

use super::crop_selector::Crop;
use crate::files::{AtomicFile, DraftFolder};
use crate::term::{Failure, io_reason};

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
    Tar(AtomicFile),
    /// A folder: its name, its draft, and the files of an earlier harvest in it.
    Folder(PathBuf, DraftFolder, Vec<PathBuf>),
}

impl Place {
    /// Checks that `target` can be written.
    pub(super) fn create(target: &Path, force: bool) -> Result<Self, Failure> {
        match target.extension().is_some_and(|e| e.eq_ignore_ascii_case("tar")) {
            true => AtomicFile::create(target, force).map(Self::Tar),
            false => Self::folder(target, force),
        }
    }

    fn folder(target: &Path, force: bool) -> Result<Self, Failure> {
        let shown = target.display();
        if target.file_name().is_none() {
            return Err(Failure::usage(format_args!("{shown} names no folder to write")));
        }
        if fs::symlink_metadata(target).is_ok() && !target.is_dir() {
            return Err(Failure::usage(format_args!("{shown} is a file; name a folder or a .tar")));
        }
        let mut earlier = Vec::new();
        if target.is_dir() && !is_empty(target) {
            if !force {
                return Err(Failure::usage(format_args!(
                    "{shown} exists already; --force replaces it"
                )));
            }
            let manifest = fs::read_to_string(target.join(MANIFEST)).unwrap_or_default();
            let Some(rows) = manifest.strip_prefix(HEADER) else {
                return Err(Failure::usage(format_args!(
                    "{shown} holds something else than a harvest; name another folder"
                )));
            };
            // What was put beside the faces since is not ours.
            earlier =
                rows.lines().filter_map(|row| row.split(',').next()).map(PathBuf::from).collect();
            earlier.push(MANIFEST.into());
        }
        let draft = DraftFolder::create(target).map_err(|e| {
            Failure::running(format_args!("cannot write {shown}: {}", io_reason(&e)))
        })?;
        Ok(Self::Folder(target.to_path_buf(), draft, earlier))
    }

    /// Writes the set and gives it its name.
    pub(super) fn write(self, set: &[Harvest]) -> Result<(), Failure> {
        let cannot = |target: &Path, e: io::Error| {
            Failure::running(format_args!("cannot write {}: {}", target.display(), io_reason(&e)))
        };
        match self {
            Self::Tar(file) => {
                write_tar(file.path(), set).map_err(|e| cannot(file.shown(), e))?;
                file.publish()
            }
            Self::Folder(target, draft, earlier) => {
                let written =
                    write_folder(draft.path(), set).and_then(|()| draft.publish(&earlier));
                written.map_err(|e| cannot(&target, e))
            }
        }
    }
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
                .write_image(&crop.pixels, crop.side, crop.side, ExtendedColorType::Rgb8)
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
