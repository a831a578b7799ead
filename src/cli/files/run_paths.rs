//! All paths of a run in one table: no output may be an input or another output.

use std::collections::HashMap;
use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{folder_of, follow_links};
use crate::term::Failure;

/// What makes two paths one file.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Identity {
    /// A file that is there: device and inode.
    There(u64, u64),
    /// One that is not: device and inode of its folder, and its name.
    ToBe(u64, u64, OsString),
    /// One without a folder.
    Nowhere(PathBuf),
}

/// Which file a path leads to, whatever it is called; `None` for pipes and devices, which may
/// be named as often as one likes.
pub(crate) fn identity(path: &Path) -> Option<Identity> {
    if let Ok(meta) = path.metadata() {
        let counts = meta.is_file() || meta.is_dir();
        return counts.then(|| Identity::There(meta.dev(), meta.ino()));
    }
    let path = follow_links(path);
    let name = path.file_name()?.to_os_string();
    Some(match folder_of(&path).metadata() {
        Ok(meta) => Identity::ToBe(meta.dev(), meta.ino(), name),
        Err(_) => Identity::Nowhere(path),
    })
}

/// The paths of a run, each with what it is for.
#[derive(Debug, Default)]
pub(crate) struct RunPaths {
    inputs: HashMap<Identity, String>,
    outputs: HashMap<Identity, String>,
}

impl RunPaths {
    /// Adds a file that is read: `role` says what it is ("the input", "the generator").
    pub(crate) fn input(&mut self, role: &str, path: Option<&Path>) -> &mut Self {
        if let Some(identity) = path.and_then(identity) {
            self.inputs.entry(identity).or_insert_with(|| role.to_string());
        }
        self
    }

    /// As [`Self::input`], for an option that may be given more than once.
    pub(crate) fn inputs(&mut self, role: &str, paths: &[PathBuf]) -> &mut Self {
        for path in paths {
            self.input(role, Some(path));
        }
        self
    }

    /// Adds a file or folder that is written.
    ///
    /// # Errors
    /// A [`Failure`] if it is one of those before.
    pub(crate) fn output(&mut self, role: &str, path: Option<&Path>) -> Result<&mut Self, Failure> {
        let Some(path) = path.filter(|path| *path != Path::new("-")) else { return Ok(self) };
        let Some(identity) = identity(path) else { return Ok(self) };
        let shown = path.display();
        if let Some(input) = self.inputs.get(&identity) {
            return Err(Failure::usage(format_args!(
                "{shown} is {input} itself; name another file for {role}"
            )));
        }
        if let Some(other) = self.outputs.insert(identity, role.to_string()) {
            return Err(Failure::usage(format_args!(
                "{shown} is named for {other} and for {role}; name two files"
            )));
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_paths_refuse_one_file_for_two_things() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str| dir.path().join(name);
        std::fs::write(file("in.mp4"), b"x").unwrap();
        std::fs::hard_link(file("in.mp4"), file("hard.mp4")).unwrap();
        std::os::unix::fs::symlink("in.mp4", file("soft.mp4")).unwrap();
        std::os::unix::fs::symlink("out.mp4", file("dangling.mp4")).unwrap();
        std::fs::create_dir(file("sub")).unwrap();
        let table = || {
            let mut table = RunPaths::default();
            table.input("the input", Some(&file("in.mp4")));
            table
        };
        for same in ["in.mp4", "hard.mp4", "soft.mp4", "sub/../in.mp4"] {
            let mut table = table();
            let error = table.output("--json", Some(&file(same))).unwrap_err();
            assert!(error.message.contains("the input itself"), "{}", error.message);
        }
        for (a, b) in [("out.mp4", "sub/../out.mp4"), ("dangling.mp4", "out.mp4"), ("sub", "sub")] {
            let mut table = table();
            table.output("OUT", Some(&file(a))).unwrap();
            assert!(table.output("--json", Some(&file(b))).is_err(), "{a} {b}");
        }
        let null = Some(Path::new("/dev/null"));
        table().output("OUT", null).unwrap().output("--json", null).unwrap();
        table()
            .output("OUT", Some(&file("a")))
            .unwrap()
            .output("--json", Some(&file("b")))
            .unwrap();
    }
}
