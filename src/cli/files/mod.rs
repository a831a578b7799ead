//! Files of the user: nothing is touched but what is the program's own, and an output is either
//! whole or not there.

mod atomic_file;
mod draft_folder;
mod lock;
mod run_paths;

pub(crate) use crate::term::io_reason;
pub(crate) use atomic_file::{AtomicFile, check_json, replace, write_json};
pub(crate) use draft_folder::DraftFolder;
pub(crate) use run_paths::{RunPaths, identity};

use std::path::{Path, PathBuf};

/// Where a path leads: symbolic links at its end are followed, also when they lead nowhere.
pub(crate) fn follow_links(path: &Path) -> PathBuf {
    let mut path = path.to_path_buf();
    // As many as the system follows.
    for _ in 0..40 {
        match std::fs::read_link(&path) {
            Ok(to) => path = path.parent().unwrap_or(Path::new("")).join(to),
            Err(_) => break,
        }
    }
    path
}

/// The folder that holds `path`.
pub(crate) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}
