//! An output file that is either whole or not there: written without a name, then given its own.

use std::ffi::OsString;
use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::lock::OutputLock;
use super::{folder_of, follow_links};
use crate::term::{Failure, io_reason};

/// A file in the making. It has no name until [`publish`](Self::publish), so nothing else is
/// touched and nothing stays if the program dies. Where a file system has no unnamed files, it has
/// a random name that no other file has.
#[derive(Debug)]
pub(crate) struct AtomicFile {
    /// As the user named it.
    shown: PathBuf,
    /// Where it will be: links followed.
    target: PathBuf,
    file: File,
    /// Where to write to it by name.
    path: PathBuf,
    /// Its random name, if it has one.
    named: Option<PathBuf>,
    /// Whether it may take the place of another file.
    force: bool,
    /// Rights that a new file has here.
    mode: u32,
    /// Keeps other runs away from the output.
    _lock: Option<OutputLock>,
}

impl AtomicFile {
    /// Prepares to write `target`; `force` allows to replace what is there. Symbolic links are
    /// followed: the file that they lead to is written.
    ///
    /// # Errors
    /// A [`Failure`] if something is there, the folder is missing or closed, or another run is
    /// writing it: told before any work is done.
    pub(crate) fn create(target: &Path, force: bool) -> Result<Self, Failure> {
        let shown = target.display();
        if target.file_name().is_none() {
            return Err(Failure::usage(format_args!("{shown} names no file to write")));
        }
        if target.is_dir() {
            return Err(Failure::usage(format_args!("{shown} is a folder; name a file in it")));
        }
        if fs::symlink_metadata(target).is_ok() {
            if !force {
                return Err(Failure::usage(format_args!(
                    "{shown} exists already; --force replaces it"
                )));
            }
            if fs::metadata(target).is_ok_and(|meta| !meta.is_file()) {
                return Err(Failure::usage(format_args!("{shown} is no plain file")));
            }
        }
        let real = follow_links(target);
        let made = OutputLock::acquire(&real).and_then(|lock| {
            let mut file = Self::draft(target, real, force)?;
            file._lock = Some(lock);
            Ok(file)
        });
        made.map_err(|e| Failure::running(format_args!("cannot write {shown}: {}", io_reason(&e))))
    }

    fn draft(shown: &Path, target: PathBuf, force: bool) -> io::Result<Self> {
        let folder = folder_of(&target);
        let (file, path, named) = unnamed(folder).or_else(|_| named(folder))?;
        // The system has applied the user's mask; until it is whole, it is nobody else's.
        let mode = file.metadata()?.mode() & 0o7777;
        file.set_permissions(Permissions::from_mode(0o600))?;
        let shown = shown.to_path_buf();
        Ok(Self { shown, target, file, path, named, force, mode, _lock: None })
    }

    /// Where to write.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The name it will have, as the user gave it.
    pub(crate) fn shown(&self) -> &Path {
        &self.shown
    }

    /// Writes it whole, and gives it its name.
    pub(crate) fn write(mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.file.write_all(bytes).map_err(|e| self.cannot(&e))?;
        self.publish()
    }

    /// Makes it last and gives it its name. A file that it replaces passes on its rights.
    pub(crate) fn publish(mut self) -> Result<(), Failure> {
        self.give_name().map_err(|e| match e.kind() {
            io::ErrorKind::AlreadyExists => Failure::running(format_args!(
                "{} has come to be while this was made, and stays as it is; \
                 --force replaces it",
                self.shown.display()
            )),
            _ => self.cannot(&e),
        })
    }

    fn give_name(&mut self) -> io::Result<()> {
        let old = fs::metadata(&self.target).ok().filter(|_| self.force);
        let mode = old.as_ref().map_or(self.mode, |old| old.mode() & 0o7777);
        if let Some(old) = &old {
            // Only root may give files away; for others a group of their own can be kept.
            let _ = std::os::unix::fs::fchown(&self.file, Some(old.uid()), Some(old.gid()));
        }
        self.file.set_permissions(Permissions::from_mode(mode))?;
        self.file.sync_all()?;
        let from = match &self.named {
            Some(named) => named.clone(),
            None if !self.force => return link(&self.file, &self.target),
            None => {
                let random = random_name(folder_of(&self.target));
                link(&self.file, &random)?;
                self.named = Some(random.clone());
                random
            }
        };
        match self.force {
            true => fs::rename(&from, &self.target)?,
            // Fails if something is there.
            false => {
                fs::hard_link(&from, &self.target).or_else(|e| match e.kind() {
                    // No hard links here.
                    io::ErrorKind::Unsupported | io::ErrorKind::PermissionDenied
                        if fs::symlink_metadata(&self.target).is_err() =>
                    {
                        fs::rename(&from, &self.target)
                    }
                    _ => Err(e),
                })?;
                let _ = fs::remove_file(&from);
            }
        }
        self.named = None;
        Ok(())
    }

    fn cannot(&self, e: &io::Error) -> Failure {
        let shown = self.shown.display();
        Failure::running(format_args!("cannot write {shown}: {}", io_reason(e)))
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        if let Some(named) = &self.named {
            // Nothing more can be done about a file that cannot be removed.
            let _ = fs::remove_file(named);
        }
    }
}

type Opened = (File, PathBuf, Option<PathBuf>);

/// A file in `folder` that has no name.
fn unnamed(folder: &Path) -> io::Result<Opened> {
    let mut options = File::options();
    let file =
        options.read(true).write(true).mode(0o666).custom_flags(libc::O_TMPFILE).open(folder)?;
    let path = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
    // Others write to it by this path.
    if !path.exists() {
        return Err(io::ErrorKind::Unsupported.into());
    }
    Ok((file, path, None))
}

/// A file in `folder` with a random name, where there are no others.
fn named(folder: &Path) -> io::Result<Opened> {
    let path = random_name(folder);
    let file = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o666)
        .custom_flags(libc::O_NOFOLLOW)
        .open(&path)?;
    Ok((file, path.clone(), Some(path)))
}

/// A path in `folder` that nobody can guess.
pub(super) fn random_name(folder: &Path) -> PathBuf {
    // The standard library's hash keys are random in every process and differ at every call.
    use std::hash::{BuildHasher, Hasher, RandomState};
    let mut name = OsString::from(".facesr-");
    for _ in 0..2 {
        let mut hasher = RandomState::new().build_hasher();
        hasher.write_u32(std::process::id());
        name.push(format!("{:016x}", hasher.finish()));
    }
    name.push(".tmp");
    folder.join(name)
}

/// Gives a file that has no name one that nothing else has.
fn link(file: &File, to: &Path) -> io::Result<()> {
    let from = format!("/proc/self/fd/{}", file.as_raw_fd());
    let flags = rustix::fs::AtFlags::SYMLINK_FOLLOW;
    rustix::fs::linkat(rustix::fs::CWD, &from, rustix::fs::CWD, to, flags)?;
    Ok(())
}

/// Writes a file of the program's own, whole or not at all, in the place of what is there.
///
/// # Errors
/// What the system answers.
pub(crate) fn replace(target: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut draft = AtomicFile::draft(target, follow_links(target), true)?;
    draft.file.write_all(bytes)?;
    draft.give_name()
}

/// Writes JSON for `--json`: to a file, or to standard output for "-". A file that holds something
/// else than such a report is replaced by force only.
///
/// # Errors
/// A [`Failure`] if it cannot be written.
pub(crate) fn write_json(json: &Value, to: &Path, force: bool) -> Result<(), Failure> {
    let text = format!("{json:#}\n");
    if to == Path::new("-") {
        return crate::term::print(&text);
    }
    let cannot = |e: io::Error| {
        Failure::running(format_args!("cannot write {}: {}", to.display(), io_reason(&e)))
    };
    // A pipe or a device is written to as it is.
    if fs::metadata(to).is_ok_and(|meta| !meta.is_file() && !meta.is_dir()) {
        let mut file = File::options().write(true).open(to).map_err(cannot)?;
        return file.write_all(text.as_bytes()).map_err(cannot);
    }
    AtomicFile::create(to, force || is_report(to))?.write(text.as_bytes())
}

/// Checks that [`write_json`] can write `to`, before any work is done.
///
/// # Errors
/// A [`Failure`] if something else is there.
pub(crate) fn check_json(to: &Path, force: bool) -> Result<(), Failure> {
    let is_other = |meta: &fs::Metadata| meta.is_file() && !force && !is_report(to);
    match fs::metadata(to) {
        _ if to == Path::new("-") => Ok(()),
        Ok(meta) if meta.is_dir() => {
            Err(Failure::usage(format_args!("{} is a folder; name a file in it", to.display())))
        }
        Ok(meta) if is_other(&meta) => Err(Failure::usage(format_args!(
            "{} exists already and is no report of facesr; --force replaces it",
            to.display()
        ))),
        Err(_) if !folder_of(to).is_dir() => Err(Failure::running(format_args!(
            "cannot write {}: there is no such file or folder",
            to.display()
        ))),
        _ => Ok(()),
    }
}

/// Whether a file is an earlier report.
fn is_report(path: &Path) -> bool {
    let small = fs::metadata(path).is_ok_and(|meta| meta.len() < 1 << 24);
    let text = small.then(|| fs::read(path).ok()).flatten();
    let json = text.and_then(|text| serde_json::from_slice::<Value>(&text).ok());
    json.is_some_and(|json| {
        json.get("output").is_some() && (json.get("input").is_some() || json.get("clips").is_some())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::term::ExitStatus;
    use std::time::Duration;

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn atomic_file_has_no_name_until_it_is_published() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("a.mp4");
        fs::write(dir.path().join("a.mp4.partial"), b"mine").unwrap();
        let draft = AtomicFile::create(&target, false).unwrap();
        fs::write(draft.path(), b"half").unwrap();
        drop(draft);
        assert_eq!(names(dir.path()), ["a.mp4.partial"]);

        let draft = AtomicFile::create(&target, false).unwrap();
        fs::write(draft.path(), b"whole").unwrap();
        draft.publish().unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"whole");
        assert_eq!(names(dir.path()), ["a.mp4", "a.mp4.partial"]);
        assert_eq!(fs::read(dir.path().join("a.mp4.partial")).unwrap(), b"mine");
    }

    #[test]
    fn atomic_file_admits_one_run_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("a.mp4");
        let first = AtomicFile::create(&target, false).unwrap();
        fs::write(first.path(), b"of the first").unwrap();
        let second = AtomicFile::create(&target, true).unwrap_err();
        assert!(second.message.contains("another run is writing it"), "{}", second.message);
        assert_eq!(fs::read(first.path()).unwrap(), b"of the first");
        drop(first);
        // One that waits gets it as soon as the first has ended, in either way.
        for finish in [true, false] {
            let first = AtomicFile::create(&target, true).unwrap();
            let late = std::thread::scope(|scope| {
                let late = scope.spawn(|| AtomicFile::create(&target, true));
                std::thread::sleep(Duration::from_millis(200));
                fs::write(first.path(), b"whole").unwrap();
                if finish {
                    first.publish().unwrap()
                } else {
                    drop(first)
                }
                late.join().unwrap()
            });
            let late = late.unwrap();
            assert_eq!(fs::read(late.path()).unwrap(), b"");
            late.write(b"of the late one").unwrap();
            assert_eq!(fs::read(&target).unwrap(), b"of the late one");
            assert_eq!(names(dir.path()), ["a.mp4"]);
        }
    }

    #[test]
    fn atomic_file_keeps_target_unless_forced() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("a.mp4");
        fs::write(&target, b"old").unwrap();
        let refused = |path: &Path, force| AtomicFile::create(path, force).unwrap_err().status;
        assert_eq!(refused(&target, false), ExitStatus::Usage);
        assert_eq!(refused(dir.path(), true), ExitStatus::Usage);
        assert!(AtomicFile::create(&target, true).is_ok());
        assert_eq!(fs::read(&target).unwrap(), b"old");
        let nowhere = dir.path().join("no/such/a.mp4");
        let failure = AtomicFile::create(&nowhere, false).unwrap_err();
        assert!(failure.message.contains("no such"), "{}", failure.message);
        // One that comes to be while the work is done stays, too.
        let late = dir.path().join("late.mp4");
        let draft = AtomicFile::create(&late, false).unwrap();
        fs::write(&late, b"another's").unwrap();
        assert!(draft.write(b"ours").unwrap_err().message.contains("--force"));
        assert_eq!(fs::read(&late).unwrap(), b"another's");
    }

    #[test]
    fn atomic_file_follows_links_and_keeps_rights() {
        let dir = tempfile::tempdir().unwrap();
        let (real, link) = (dir.path().join("real.mp4"), dir.path().join("link.mp4"));
        fs::write(&real, b"old").unwrap();
        fs::set_permissions(&real, Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink("real.mp4", &link).unwrap();
        assert_eq!(AtomicFile::create(&link, false).unwrap_err().status, ExitStatus::Usage);
        AtomicFile::create(&link, true).unwrap().write(b"new").unwrap();
        assert_eq!(fs::read(&real).unwrap(), b"new");
        assert_eq!(fs::metadata(&real).unwrap().mode() & 0o777, 0o640);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        // One that leads nowhere is something, too.
        let dangling = dir.path().join("dangling.mp4");
        std::os::unix::fs::symlink("gone.mp4", &dangling).unwrap();
        assert_eq!(AtomicFile::create(&dangling, false).unwrap_err().status, ExitStatus::Usage);
        AtomicFile::create(&dangling, true).unwrap().write(b"new").unwrap();
        assert_eq!(fs::read(dir.path().join("gone.mp4")).unwrap(), b"new");
    }

    #[test]
    fn named_draft_vanishes_with_its_run() {
        let dir = tempfile::tempdir().unwrap();
        let (file, path, named) = named(dir.path()).unwrap();
        let target = dir.path().join("a.mp4");
        let draft = |force| AtomicFile {
            shown: target.clone(),
            target: target.clone(),
            file: file.try_clone().unwrap(),
            path: path.clone(),
            named: named.clone(),
            force,
            mode: 0o644,
            _lock: None,
        };
        draft(false).write(b"x").unwrap();
        assert_eq!(
            (names(dir.path()), fs::read(&target).unwrap()),
            (vec!["a.mp4".into()], b"x".into())
        );
    }

    #[test]
    fn report_replaces_reports_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("r.json");
        let report = serde_json::json!({ "input": "a", "output": null });
        write_json(&report, &path, false).unwrap();
        write_json(&report, &path, false).unwrap();
        fs::write(&path, b"film").unwrap();
        assert!(write_json(&report, &path, false).is_err() && check_json(&path, false).is_err());
        assert_eq!(fs::read(&path).unwrap(), b"film");
        write_json(&report, &path, true).unwrap();
    }
}
