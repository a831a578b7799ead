//! Keeping other runs away from an output.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

/// How long to wait for another run to let go of an output: one that was stopped a moment ago.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Holds an output: a file of its own beside it, which is empty and vanishes with the run.
#[derive(Debug)]
pub(super) struct OutputLock {
    /// The lock file and its path; `None` where there is nothing to lock by.
    held: Option<(File, PathBuf)>,
}

impl OutputLock {
    /// Waits a moment for another run that writes `target`.
    ///
    /// # Errors
    /// [`io::ErrorKind::ResourceBusy`] if it is still at it, and what opening answers.
    pub(super) fn acquire(target: &Path) -> io::Result<Self> {
        let name = target.file_name().unwrap_or_default();
        let hash = Sha256::digest(name.as_encoded_bytes());
        let short: String = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let path = super::folder_of(target).join(format!(".facesr-{short}.lock"));
        let open = |path: &Path| {
            let mut options = File::options();
            options.create(true).append(true).mode(0o600).custom_flags(libc::O_NOFOLLOW);
            options.open(path)
        };
        // A file of this name that holds something is not a lock of ours: it is left alone.
        if fs::symlink_metadata(&path).is_ok_and(|meta| !meta.is_file() || meta.len() > 0) {
            return Ok(Self { held: None });
        }
        lock_exclusive(&path, open).map(|file| Self { held: Some((file, path)) })
    }
}

impl Drop for OutputLock {
    fn drop(&mut self) {
        if let Some((file, path)) = &self.held
            && file.metadata().is_ok_and(|meta| meta.len() == 0)
            && is_at(file, path)
        {
            // Whoever waits for it notices that it has gone and makes a new one.
            let _ = fs::remove_file(path);
        }
    }
}

/// Opens `path` so that no other run can as long as the file that is returned is open. A run that
/// dies lets go.
///
/// # Errors
/// [`io::ErrorKind::ResourceBusy`] if another run has it, and what `open` returns.
fn lock_exclusive(path: &Path, open: impl Fn(&Path) -> io::Result<File>) -> io::Result<File> {
    let begun = Instant::now();
    loop {
        let file = open(path)?;
        match file.try_lock() {
            // It may have been removed by its last owner before it was locked.
            Ok(()) if is_at(&file, path) => return Ok(file),
            Ok(()) => {}
            // Some network file systems have no locks: nobody is kept away there.
            Err(TryLockError::Error(e)) if e.kind() == io::ErrorKind::Unsupported => {
                return Ok(file);
            }
            Err(TryLockError::Error(e)) => return Err(e),
            Err(TryLockError::WouldBlock) if begun.elapsed() > TIMEOUT => {
                return Err(io::ErrorKind::ResourceBusy.into());
            }
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}

/// Whether `path` still names `file`.
fn is_at(file: &File, path: &Path) -> bool {
    let place = |meta: fs::Metadata| (meta.dev(), meta.ino());
    file.metadata().ok().map(place) == fs::symlink_metadata(path).ok().map(place)
}
