//! `--gallery`: the best look at each face as PNG files, with JSON beside them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{ShownFace, picture};
use crate::files::DraftFolder;
use crate::term::{DISCLAIMER, Failure, io_reason};

/// Every file of a gallery begins like this.
const PREFIX: &str = "track-";
/// And ends like this: the frame around a face before and after; the network's input, that
/// enlarged by bicubic interpolation, and the network's output.
const KINDS: [&str; 5] =
    ["-before.png", "-after.png", "-input.png", "-bicubic.png", "-enhanced.png"];

/// A folder that may take a gallery.
pub(crate) struct Gallery {
    folder: PathBuf,
}

impl Gallery {
    /// Checks that `folder` can take one: it is new or empty, or holds an earlier gallery that
    /// `force` allows to replace.
    pub(crate) fn create(folder: &Path, force: bool) -> Result<Self, Failure> {
        let shown = folder.display();
        let cannot = |e: io::Error| {
            Failure::running(format_args!("cannot write {shown}: {}", io_reason(&e)))
        };
        if fs::symlink_metadata(folder).is_ok() && !folder.is_dir() {
            return Err(Failure::usage(format_args!("{shown} is a file; name a folder")));
        }
        if folder.is_dir() {
            if !force && has_pictures(folder).map_err(cannot)? {
                return Err(Failure::usage(format_args!(
                    "{shown} holds a gallery already; --force replaces it"
                )));
            }
        } else {
            fs::metadata(crate::files::folder_of(folder)).map_err(cannot)?;
        }
        Ok(Self { folder: folder.to_path_buf() })
    }

    /// Writes the faces of `input`.
    pub(super) fn write(
        self,
        input: &str,
        shown: &[ShownFace<'_>],
        scale: u32,
    ) -> Result<(), Failure> {
        let write = || -> io::Result<()> {
            let draft = DraftFolder::create(&self.folder)?;
            let folder = draft.path();
            for face in shown {
                let name = |what: &str| format!("{PREFIX}{:04}{what}", face.id);
                let png = |picture| picture::png(picture).map_err(|e| io::Error::other(e.message));
                fs::write(folder.join(name(KINDS[0])), png(&face.before)?)?;
                fs::write(folder.join(name(KINDS[1])), png(&face.after)?)?;
                fs::write(folder.join(name(KINDS[2])), &face.pictures.input)?;
                fs::write(folder.join(name(KINDS[3])), &face.pictures.bicubic)?;
                fs::write(folder.join(name(KINDS[4])), &face.pictures.enhanced)?;
                let mut about = face.to_json(scale);
                about["video"] = json!(input);
                about["pictures"] = json!({
                    "before": name(KINDS[0]),
                    "after": name(KINDS[1]),
                    "input": name(KINDS[2]),
                    "bicubic": name(KINDS[3]),
                    "enhanced": name(KINDS[4]),
                });
                about["note"] = json!(DISCLAIMER);
                about["facesr"] = json!(env!("FACESR_VERSION"));
                fs::write(folder.join(name(".json")), format!("{about:#}\n"))?;
            }
            draft.publish(&earlier(&self.folder)?)
        };
        write().map_err(|e| {
            let shown = self.folder.display();
            Failure::running(format_args!("cannot write {shown}: {}", io_reason(&e)))
        })
    }
}

/// Whether a folder holds files that are called as those of a gallery.
fn has_pictures(folder: &Path) -> io::Result<bool> {
    let is_called_so = |name: &str| -> Option<bool> {
        let rest = name.strip_prefix(PREFIX)?;
        let kind = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        Some(kind != rest && (kind == ".json" || KINDS.contains(&kind)))
    };
    Ok(fs::read_dir(folder)?.any(|entry| {
        let name = entry.map(|entry| entry.file_name().to_string_lossy().into_owned());
        name.is_ok_and(|name| is_called_so(&name) == Some(true))
    }))
}

/// The files of an earlier gallery: those that its own JSON names, and that.
fn earlier(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut ours = Vec::new();
    if !folder.is_dir() {
        return Ok(ours);
    }
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        let Some(track) = name.strip_suffix(".json").filter(|n| n.starts_with(PREFIX)) else {
            continue;
        };
        let about = fs::read(&path).ok().and_then(|t| serde_json::from_slice::<Value>(&t).ok());
        if about.is_some_and(|about| about.get("facesr").is_some()) {
            ours.push(PathBuf::from(name));
            ours.extend(KINDS.iter().map(|kind| PathBuf::from(format!("{track}{kind}"))));
        }
    }
    Ok(ours)
}
