//! `--gallery`: the best look at each face as PNG files, with JSON beside them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::{Shown, picture};
use crate::args::GUESS;
use crate::failure::Failure;
use crate::output::reason;

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
        let cannot =
            |e: io::Error| Failure::running(format_args!("cannot write {shown}: {}", reason(&e)));
        if folder.exists() && !folder.is_dir() {
            return Err(Failure::usage(format_args!("{shown} is a file; name a folder")));
        }
        fs::create_dir_all(folder).map_err(cannot)?;
        if !force && earlier(folder).map_err(cannot)?.next().is_some() {
            return Err(Failure::usage(format_args!(
                "{shown} holds a gallery already; --force replaces it"
            )));
        }
        Ok(Self { folder: folder.to_path_buf() })
    }

    /// Writes the faces of `input`.
    pub(super) fn write(self, input: &str, shown: &[Shown<'_>], scale: u32) -> Result<(), Failure> {
        let write = || -> io::Result<()> {
            let folder = &self.folder;
            for file in earlier(folder)?.collect::<Vec<_>>() {
                fs::remove_file(file)?;
            }
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
                about["note"] = json!(GUESS);
                about["facesr"] = json!(env!("FACESR_VERSION"));
                // Last, so that a picture with its JSON is whole.
                fs::write(folder.join(name(".json")), format!("{about:#}\n"))?;
            }
            Ok(())
        };
        write().map_err(|e| {
            let shown = self.folder.display();
            Failure::running(format_args!("cannot write {shown}: {}", reason(&e)))
        })
    }
}

/// The files of an earlier gallery.
fn earlier(folder: &Path) -> io::Result<impl Iterator<Item = PathBuf>> {
    Ok(fs::read_dir(folder)?.filter_map(|entry| {
        let path = entry.ok()?.path();
        let name = path.file_name()?.to_str()?;
        let rest = name.strip_prefix(PREFIX)?;
        let number = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        let ours = number == ".json" || KINDS.contains(&number);
        (ours && number != rest).then_some(path)
    }))
}
