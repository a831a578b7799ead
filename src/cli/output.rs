//! An output file that is either whole or not there: written beside its name, then renamed.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::failure::Failure;

/// How long to wait for another run to let go of an output: one that was stopped a moment ago.
const PATIENCE: Duration = Duration::from_secs(3);

/// A file in the making. Dropped without [`finish`](Self::finish), it leaves nothing behind.
#[derive(Debug)]
pub(crate) struct Partial {
    target: PathBuf,
    partial: PathBuf,
    finished: bool,
    /// Keeps other runs away as long as it is open.
    _held: File,
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
        // What another run has written is not cut off before that run is known to be gone.
        let open = |path: &Path| File::options().create(true).append(true).open(path);
        let held = hold(&partial, open)
            .and_then(|held| held.set_len(0).map(|()| held))
            .map_err(|e| Failure::running(format_args!("cannot write {shown}: {}", reason(&e))))?;
        Ok(Self { target: target.to_path_buf(), partial, finished: false, _held: held })
    }

    /// Where to write.
    pub(crate) fn path(&self) -> &Path {
        &self.partial
    }

    /// The name it will have.
    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// Writes it whole, and gives it its name.
    pub(crate) fn write(self, bytes: &[u8]) -> Result<(), Failure> {
        fs::write(&self.partial, bytes).map_err(|e| {
            let shown = self.target.display();
            Failure::running(format_args!("cannot write {shown}: {}", reason(&e)))
        })?;
        self.finish()
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

/// Opens `path`, file or folder, so that no other run can as long as the file that is answered is
/// open. A run that dies lets go.
///
/// # Errors
/// [`io::ErrorKind::ResourceBusy`] if another run has it, and what `open` answers.
pub(crate) fn hold(path: &Path, open: impl Fn(&Path) -> io::Result<File>) -> io::Result<File> {
    let begun = Instant::now();
    loop {
        let file = open(path)?;
        match file.try_lock() {
            // It may have been renamed or removed by its last owner before it was locked.
            Ok(()) if is_at(&file, path) => return Ok(file),
            Ok(()) => {}
            // Some network file systems have no locks: nobody is kept away there.
            Err(TryLockError::Error(e)) if e.kind() == io::ErrorKind::Unsupported => {
                return Ok(file);
            }
            Err(TryLockError::Error(e)) => return Err(e),
            Err(TryLockError::WouldBlock) if begun.elapsed() > PATIENCE => {
                return Err(io::ErrorKind::ResourceBusy.into());
            }
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}

/// Whether `path` still names `file`.
fn is_at(file: &File, path: &Path) -> bool {
    let place = |meta: fs::Metadata| (meta.dev(), meta.ino());
    file.metadata().ok().map(place) == fs::metadata(path).ok().map(place)
}

/// The system's reason in plain words, without the error number.
pub(crate) fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ResourceBusy => {
            "another run is writing it; wait until that has ended, or name another output".into()
        }
        io::ErrorKind::NotFound => "there is no such file or folder".into(),
        io::ErrorKind::PermissionDenied => "permission denied".into(),
        io::ErrorKind::StorageFull => "the disk is full".into(),
        io::ErrorKind::ReadOnlyFilesystem => "the file system is read-only".into(),
        _ => {
            let text = error.to_string();
            // Encoders wrap what the system says, and its kind is lost.
            if text.starts_with("No space left on device") {
                return "the disk is full".into();
            }
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
    fn one_run_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("a.mp4");
        let first = Partial::create(&target, false, None).unwrap();
        fs::write(first.path(), b"of the first").unwrap();
        let second = Partial::create(&target, true, None).unwrap_err();
        assert!(second.message.contains("another run is writing it"), "{}", second.message);
        assert_eq!(fs::read(first.path()).unwrap(), b"of the first");
        drop(first);
        // One that waits gets it as soon as the first has ended, in either way.
        for finish in [true, false] {
            let first = Partial::create(&target, true, None).unwrap();
            let late = std::thread::scope(|scope| {
                let late = scope.spawn(|| Partial::create(&target, true, None));
                std::thread::sleep(Duration::from_millis(200));
                fs::write(first.path(), b"whole").unwrap();
                if finish {
                    first.finish().unwrap()
                } else {
                    drop(first)
                }
                late.join().unwrap()
            });
            let late = late.unwrap();
            assert_eq!(fs::read(late.path()).unwrap(), b"");
            fs::write(late.path(), b"of the late one").unwrap();
            late.finish().unwrap();
            assert_eq!(fs::read(&target).unwrap(), b"of the late one");
            assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        }
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
