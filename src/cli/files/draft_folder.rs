//! An output folder that is either whole or not there.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Component, Path, PathBuf};

use super::atomic_file::random_name;
use super::folder_of;

/// A folder in the making, under a random name beside the one it will have. Dropped without
/// [`publish`](Self::publish), it leaves nothing behind.
#[derive(Debug)]
pub(crate) struct DraftFolder {
    target: PathBuf,
    draft: PathBuf,
}

impl DraftFolder {
    /// Makes the draft of `target`.
    ///
    /// # Errors
    /// What the system answers.
    pub(crate) fn create(target: &Path) -> io::Result<Self> {
        let target = super::follow_links(target);
        let draft = random_name(folder_of(&target));
        // Fails if it is there; nobody else sees what is being made.
        fs::DirBuilder::new().mode(0o700).create(&draft)?;
        Ok(Self { target, draft })
    }

    /// Where to write.
    pub(crate) fn path(&self) -> &Path {
        &self.draft
    }

    /// Gives it its name. Of what is there already, the files `ours` (paths within it) are
    /// removed; all else stays.
    ///
    /// # Errors
    /// What the system answers, and [`io::ErrorKind::AlreadyExists`] if a file that is not ours
    /// lies where a new one has to be.
    pub(crate) fn publish(self, ours: &[PathBuf]) -> io::Result<()> {
        // Rights as a new folder has them here.
        let probe = random_name(folder_of(&self.target));
        if fs::create_dir(&probe).is_ok() {
            if let Ok(meta) = fs::metadata(&probe) {
                let _ = fs::set_permissions(&self.draft, meta.permissions());
            }
            fs::remove_dir(&probe)?;
        }
        if fs::symlink_metadata(&self.target).is_err() {
            return fs::rename(&self.draft, &self.target);
        }
        let ours: HashSet<&Path> =
            ours.iter().map(PathBuf::as_path).filter(|p| is_plain(p)).collect();
        let new = files_below(&self.draft)?;
        for path in &new {
            let there = fs::symlink_metadata(self.target.join(path)).is_ok();
            if there && !ours.contains(path.as_path()) {
                return Err(io::Error::new(
                    io::ErrorKind::AlreadyExists,
                    format!("{} in it is not of an earlier run; move it away", path.display()),
                ));
            }
        }
        // New files first, each in one step: a run that dies here leaves old or new ones.
        for path in &new {
            let to = self.target.join(path);
            fs::create_dir_all(folder_of(&to))?;
            fs::rename(self.draft.join(path), to)?;
        }
        let new: HashSet<&Path> = new.iter().map(PathBuf::as_path).collect();
        for path in ours.difference(&new) {
            let old = self.target.join(path);
            if fs::symlink_metadata(&old).is_ok_and(|meta| meta.is_file()) {
                fs::remove_file(&old)?;
                // Only if nothing else is in it.
                if path.parent().is_some_and(|folder| !folder.as_os_str().is_empty()) {
                    let _ = fs::remove_dir(folder_of(&old));
                }
            }
        }
        Ok(())
    }
}

impl Drop for DraftFolder {
    fn drop(&mut self) {
        // Gone if it has its name by now; nothing more can be done if it cannot be removed.
        let _ = fs::remove_dir_all(&self.draft);
    }
}

/// Whether a path leads nowhere but down.
fn is_plain(path: &Path) -> bool {
    path.components().all(|part| matches!(part, Component::Normal(_)))
}

/// All files below a folder, as paths within it.
fn files_below(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in walkdir::WalkDir::new(folder).sort_by_file_name() {
        let entry = entry?;
        if !entry.file_type().is_dir()
            && let Ok(path) = entry.path().strip_prefix(folder)
        {
            found.push(path.to_path_buf());
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draft_folder_replaces_only_what_is_ours() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("faces");
        let write = |draft: &DraftFolder, name: &str| {
            let path = draft.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, name).unwrap();
        };
        let first = DraftFolder::create(&target).unwrap();
        write(&first, "a/1.png");
        write(&first, "b/1.png");
        first.publish(&[]).unwrap();
        fs::write(target.join("NOTES.txt"), "mine").unwrap();
        fs::write(target.join("b/mine.png"), "mine").unwrap();
        fs::write(dir.path().join("outside"), "mine").unwrap();

        let ours = ["a/1.png", "b/1.png", "../outside"].map(PathBuf::from);
        let second = DraftFolder::create(&target).unwrap();
        write(&second, "c/1.png");
        second.publish(&ours).unwrap();
        let left = files_below(dir.path()).unwrap();
        let left: Vec<_> = left.iter().map(|path| path.to_str().unwrap()).collect();
        assert_eq!(left, ["faces/NOTES.txt", "faces/b/mine.png", "faces/c/1.png", "outside"]);
        assert!(!target.join("a").exists());

        let third = DraftFolder::create(&target).unwrap();
        write(&third, "NOTES.txt");
        let error = third.publish(&[PathBuf::from("c/1.png")]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(target.join("NOTES.txt")).unwrap(), "mine");
        drop(DraftFolder::create(&dir.path().join("none")).unwrap());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }
}
