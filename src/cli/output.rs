//! An output file that is either whole or not there: written beside its name, then renamed.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// A file in the making. Dropped without [`finish`](Self::finish), it leaves nothing behind.
#[derive(Debug)]
pub(crate) struct Partial {
    target: PathBuf,
    partial: PathBuf,
    finished: bool,
}

impl Partial {
    /// Prepares to write `target`: `force` allows to replace it, `input` is the file that must
    /// not be replaced even then.
    pub(crate) fn create(
        target: &Path,
        force: bool,
        input: Option<&Path>,
    ) -> Result<Self, Failure> {
        let shown = target.display();
        let Some(name) = target.file_name() else {
            return Err(Failure::usage(format_args!("{shown} names no file to write")));
        };
        let same = |a: &Path, b: &Path| match (a.canonicalize(), b.canonicalize()) {
            (Ok(a), Ok(b)) => a == b,
            _ => false,
        };
        if input.is_some_and(|input| same(input, target)) {
            return Err(Failure::usage(format_args!(
                "{shown} is the input itself; name another output"
            )));
        }
        if target.is_dir() {
            return Err(Failure::usage(format_args!("{shown} is a folder; name a file in it")));
        }
        if target.exists() && !force {
            return Err(Failure::usage(format_args!(
                "{shown} exists already; --force replaces it"
            )));
        }
        let mut partial_name = name.to_os_string();
        partial_name.push(".partial");
        let partial = target.with_file_name(partial_name);
        // Made here, so that a folder that is missing or closed is told before any work is done.
        File::create(&partial)
            .map_err(|e| Failure::running(format_args!("cannot write {shown}: {}", reason(&e))))?;
        Ok(Self { target: target.to_path_buf(), partial, finished: false })
    }

    /// Where to write.
    pub(crate) fn path(&self) -> &Path {
        &self.partial
    }

    /// The name it will have.
    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// Makes it last and gives it its name.
    pub(crate) fn finish(mut self) -> Result<(), Failure> {
        let done = File::open(&self.partial)
            .and_then(|file| file.sync_all())
            .and_then(|()| fs::rename(&self.partial, &self.target));
        done.map_err(|e| {
            let shown = self.target.display();
            Failure::running(format_args!("cannot write {shown}: {}", reason(&e)))
        })?;
        self.finished = true;
        Ok(())
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.finished {
            // Nothing more can be done about a file that cannot be removed.
            let _ = fs::remove_file(&self.partial);
        }
    }
}

/// The system's reason in plain words, without the error number.
pub(crate) fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file or folder".into(),
        io::ErrorKind::PermissionDenied => "permission denied".into(),
        io::ErrorKind::StorageFull => "the disk is full".into(),
        io::ErrorKind::ReadOnlyFilesystem => "the file system is read-only".into(),
        _ => {
            let text = error.to_string();
            text.split(" (os error").next().unwrap_or(&text).to_lowercase()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_stays_unless_finished() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("a.mp4");
        let partial = Partial::create(&target, false, None).unwrap();
        fs::write(partial.path(), b"half").unwrap();
        drop(partial);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);

        let partial = Partial::create(&target, false, None).unwrap();
        fs::write(partial.path(), b"whole").unwrap();
        partial.finish().unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"whole");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_there_is_replaced_only_by_force() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("a.mp4");
        fs::write(&target, b"old").unwrap();
        assert_eq!(Partial::create(&target, false, None).unwrap_err().code, 2);
        assert_eq!(Partial::create(&target, true, Some(&target)).unwrap_err().code, 2);
        assert_eq!(Partial::create(dir.path(), true, None).unwrap_err().code, 2);
        assert!(Partial::create(&target, true, None).is_ok());
        assert_eq!(fs::read(&target).unwrap(), b"old");
        let nowhere = dir.path().join("no/such/a.mp4");
        let failure = Partial::create(&nowhere, false, None).unwrap_err();
        assert!(failure.code == 1 && failure.message.contains("no such"), "{}", failure.message);
    }
}
