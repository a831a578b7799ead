//! What has been done: a record beside each output, and when it still holds.
//!
//! A record is written last, whole or not at all, so that a run that is killed leaves an output
//! without one, which is done again.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Folder for records and locks, in the output folder.
const FOLDER: &str = ".facesr";

/// What is known of an input without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stamp {
    size: u64,
    mtime_ns: u128,
}

impl Stamp {
    fn of(path: &Path) -> io::Result<Self> {
        let meta = path.metadata()?;
        let time = meta.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(Self { size: meta.len(), mtime_ns: time.as_nanos() })
    }
}

/// What was done for an output.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Record {
    /// Hash of all options, models and the program's version.
    pub(super) options: String,
    /// SHA-256 of the input.
    pub(super) content: String,
    /// The input's size and time then.
    pub(super) stamp: Stamp,
    /// SHA-256 of the output.
    pub(super) output_content: String,
    /// The output's size and time when it was made.
    pub(super) output_stamp: Stamp,
    /// What `facesr enhance --json` told.
    pub(super) report: Value,
    /// What was written beside the output.
    #[serde(default, flatten)]
    pub(super) extras: Extras,
}

/// What is to look at beside an output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Extras {
    /// A page.
    pub(super) page: bool,
    /// A folder with the best look at each face.
    pub(super) gallery: bool,
}

/// Where the record of an output is, and its lock.
#[derive(Debug)]
pub(super) struct Place {
    record: PathBuf,
    output: PathBuf,
}

/// Whether an output is up to date.
#[derive(Debug)]
pub(super) enum Verdict {
    /// It is; this is how it was made.
    Done(Box<Record>),
    /// It has to be made of an input of this content.
    ToDo { content: String, stamp: Stamp },
    /// Something is there that was not made here.
    Foreign(PathBuf),
}

impl Place {
    /// The place for `output`, a path within the output folder `root`.
    pub(super) fn new(root: &Path, output: &Path) -> Self {
        let name = output.file_name().unwrap_or_default();
        let mut record = root.join(FOLDER).join(output).into_os_string();
        if name.len() + ".json".len() > 255 {
            // A name that cannot be longer: one that stands for it.
            let mut hash = Sha256::new();
            hash.update(name.as_encoded_bytes());
            record = root.join(FOLDER).join(output).with_file_name(hex(hash)).into_os_string();
        }
        record.push(".json");
        Self { record: record.into(), output: root.join(output) }
    }

    /// A file beside the record with another ending.
    pub(super) fn beside(&self, ending: &str) -> PathBuf {
        self.record.with_extension(ending)
    }

    /// The page beside the output.
    pub(super) fn page(&self) -> PathBuf {
        page_of(&self.output)
    }

    /// The folder of faces beside the output.
    pub(super) fn gallery(&self) -> PathBuf {
        with_ending(&self.output, ".faces")
    }

    /// Makes the folders of the output and its record.
    pub(super) fn prepare(&self) -> io::Result<()> {
        for path in [&self.record, &self.output] {
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder)?;
            }
        }
        Ok(())
    }

    /// Keeps other processes away from this output as long as the file that is answered is open;
    /// `None` if one is at it. A process that dies lets go.
    pub(super) fn lock(&self) -> io::Result<Option<File>> {
        let file = File::options().create(true).append(true).open(self.beside("lock"))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            // Some network file systems have no locks: nobody is kept away there.
            Err(fs::TryLockError::Error(e)) if e.kind() == io::ErrorKind::Unsupported => {
                Ok(Some(file))
            }
            Err(fs::TryLockError::Error(e)) => Err(e),
        }
    }

    fn read(&self) -> Option<Record> {
        // A damaged record is none: the work is done again.
        serde_json::from_slice(&fs::read(&self.record).ok()?).ok()
    }

    /// What is in the place of an output, its page or its gallery and was not made here.
    fn foreign(&self, extras: Extras) -> Option<PathBuf> {
        let is_there = |path: &Path| fs::symlink_metadata(path).is_ok();
        // One that was begun when nothing was there is ours, even if its run was killed.
        if is_there(&self.beside("new")) {
            return None;
        }
        // A damaged record is one of an output of ours, too.
        let is_ours = is_there(&self.record);
        let record = self.read();
        let had = |extra: fn(&Extras) -> bool| record.as_ref().is_none_or(|r| extra(&r.extras));
        let has_files =
            |path: &Path| fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some());
        let (page, gallery) = (self.page(), self.gallery());
        match () {
            () if !is_ours && is_there(&self.output) => Some(self.output.clone()),
            () if extras.page && is_there(&page) && !(is_ours && had(|e| e.page)) => Some(page),
            () if extras.gallery
                && (has_files(&gallery) || gallery.is_file())
                && !(is_ours && had(|e| e.gallery)) =>
            {
                Some(gallery)
            }
            () => None,
        }
    }

    /// Notes that the output is being made.
    pub(super) fn begin(&self) -> io::Result<()> {
        fs::write(self.beside("new"), b"")
    }

    /// Notes that nothing was made.
    pub(super) fn abandon(&self) {
        if fs::symlink_metadata(&self.output).is_err() {
            let _ = fs::remove_file(self.beside("new"));
        }
    }

    /// Looks whether the output is what `input` and `options` give, with the `extras` that are
    /// wanted. `rehash` trusts no time; `force` lets what was not made here be replaced.
    pub(super) fn check(
        &self,
        input: &Path,
        options: &str,
        extras: Extras,
        (rehash, force): (bool, bool),
    ) -> io::Result<Verdict> {
        if let Some(foreign) = self.foreign(extras).filter(|_| !force) {
            return Ok(Verdict::Foreign(foreign));
        }
        let stamp = Stamp::of(input)?;
        let record = self.read().filter(|record| {
            let is_as_written = match Stamp::of(&self.output) {
                Ok(stamp) if stamp == record.output_stamp && !rehash => true,
                Ok(stamp) if stamp.size == record.output_stamp.size => {
                    hash_file(&self.output).is_ok_and(|hash| hash == record.output_content)
                }
                _ => false,
            };
            record.options == options
                && is_as_written
                && (!extras.page || record.extras.page && self.page().is_file())
                && (!extras.gallery || record.extras.gallery && self.gallery().is_dir())
        });
        let content = match &record {
            Some(record) if record.stamp == stamp && !rehash => record.content.clone(),
            _ => hash_file(input)?,
        };
        Ok(match record {
            Some(record) if record.content == content => Verdict::Done(Box::new(record)),
            _ => Verdict::ToDo { content, stamp },
        })
    }

    /// Notes that the output is made, from an input that was as it still is.
    pub(super) fn write(
        &self,
        input: &Path,
        (content, stamp): (String, Stamp),
        options: &str,
        (report, extras): (Value, Extras),
    ) -> io::Result<Record> {
        if Stamp::of(input)? != stamp {
            return Err(io::Error::other("the input was changed while it was read"));
        }
        let output_stamp = Stamp::of(&self.output)?;
        let output_content = hash_file(&self.output)?;
        let options = options.to_string();
        let record =
            Record { options, content, stamp, output_content, output_stamp, report, extras };
        let text = serde_json::to_vec(&record).map_err(io::Error::other)?;
        crate::files::replace(&self.record, &text)?;
        let _ = fs::remove_file(self.beside("new"));
        Ok(record)
    }
}

/// The records of all outputs below `root` that have a page, in order of their names: the output's
/// path within `root`, its page's, and the record.
pub(super) fn with_pages(root: &Path) -> io::Result<Vec<(PathBuf, PathBuf, Record)>> {
    let records = root.join(FOLDER);
    let mut found = Vec::new();
    let mut folders = vec![records.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            // Not the reports of runs under way: those have another ending.
            let name = path.strip_prefix(&records).unwrap_or(&path).with_extension("");
            let Ok(place) = fs::read(&path)
                .map_err(drop)
                .and_then(|text| serde_json::from_slice::<Record>(&text).map_err(drop))
            else {
                continue;
            };
            let page = page_of(&name);
            if place.extras.page && root.join(&name).is_file() && root.join(&page).is_file() {
                found.push((name, page, place));
            }
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(found)
}

fn page_of(output: &Path) -> PathBuf {
    with_ending(output, ".html")
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut longer = path.as_os_str().to_os_string();
    longer.push(ending);
    longer.into()
}

/// SHA-256 of a file, in hexadecimal.
pub(super) fn hash_file(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut block = vec![0; 1 << 18];
    loop {
        match file.read(&mut block)? {
            0 => return Ok(hex(hash)),
            n => hash.update(&block[..n]),
        }
    }
}

/// The digest in hexadecimal.
pub(super) fn hex(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn is_done(place: &Place, input: &Path, options: &str, rehash: bool) -> bool {
        let verdict = place.check(input, options, Extras::default(), (rehash, false));
        matches!(verdict.unwrap(), Verdict::Done(_))
    }

    #[test]
    fn a_record_holds_until_input_output_or_options_change() {
        let dir = tempfile::tempdir().unwrap();
        let (input, root) = (dir.path().join("in.mp4"), dir.path().join("out"));
        fs::write(&input, b"video").unwrap();
        let place = Place::new(&root, Path::new("a/in.mp4"));
        place.prepare().unwrap();
        let make = || {
            let none = Extras::default();
            let verdict = place.check(&input, "x", none, (false, false)).unwrap();
            let Verdict::ToDo { content, stamp } = verdict else { panic!("it is done already") };
            fs::write(root.join("a/in.mp4"), b"enhanced").unwrap();
            let report = (json!({ "frames": 3 }), none);
            place.write(&input, (content, stamp), "x", report).unwrap();
        };
        assert!(!is_done(&place, &input, "x", false));
        make();
        assert!(is_done(&place, &input, "x", false) && is_done(&place, &input, "x", true));
        assert!(!is_done(&place, &input, "y", false));
        // Touched, but the same: the content decides.
        let late = File::options().write(true).open(&input).unwrap();
        late.set_modified(std::time::SystemTime::now() + std::time::Duration::from_secs(5))
            .unwrap();
        assert!(is_done(&place, &input, "x", false));
        fs::write(&input, b"other").unwrap();
        assert!(!is_done(&place, &input, "x", false));
        make();
        fs::write(root.join("a/in.mp4"), b"cut").unwrap();
        assert!(!is_done(&place, &input, "x", false));
        make();
        fs::write(root.join(".facesr/a/in.mp4.json"), b"{").unwrap();
        assert!(!is_done(&place, &input, "x", false));
    }

    #[test]
    fn a_page_that_is_wanted_must_be_there() {
        let dir = tempfile::tempdir().unwrap();
        let (input, root) = (dir.path().join("in.mp4"), dir.path().join("out"));
        fs::write(&input, b"video").unwrap();
        let place = Place::new(&root, Path::new("a/in.mp4"));
        place.prepare().unwrap();
        let page = Extras { page: true, gallery: false };
        for (made, done) in [(Extras::default(), false), (page, true)] {
            let key = (hash_file(&input).unwrap(), Stamp::of(&input).unwrap());
            fs::write(root.join("a/in.mp4"), b"enhanced").unwrap();
            fs::write(root.join("a/in.mp4.html"), b"page").unwrap();
            place.write(&input, key, "x", (Value::Null, made)).unwrap();
            let found = place.check(&input, "x", page, (false, false)).unwrap();
            assert_eq!(matches!(found, Verdict::Done(_)), done);
            assert!(is_done(&place, &input, "x", false));
            let listed = with_pages(&root).unwrap();
            let names: Vec<_> = listed.iter().map(|(name, ..)| name.as_path()).collect();
            assert_eq!(names == [Path::new("a/in.mp4")], done);
        }
        fs::remove_file(root.join("a/in.mp4.html")).unwrap();
        let again = place.check(&input, "x", page, (false, false));
        assert!(matches!(again, Ok(Verdict::ToDo { .. })));
        assert!(with_pages(&root).unwrap().is_empty());
    }

    #[test]
    fn state_knows_what_it_did_not_make() {
        let dir = tempfile::tempdir().unwrap();
        let (input, root) = (dir.path().join("in.mp4"), dir.path().join("out"));
        fs::write(&input, b"video").unwrap();
        let place = Place::new(&root, Path::new("in.mp4"));
        place.prepare().unwrap();
        let check =
            |extras, rehash, force| place.check(&input, "x", extras, (rehash, force)).unwrap();
        let none = Extras::default();
        let page = Extras { page: true, gallery: false };
        fs::write(root.join("in.mp4.html"), b"mine").unwrap();
        assert!(
            matches!(check(page, false, false), Verdict::Foreign(path) if path == place.page())
        );
        assert!(matches!(check(none, false, false), Verdict::ToDo { .. }));
        // Killed after the output had its name: it goes on.
        place.begin().unwrap();
        fs::write(root.join("in.mp4"), b"enhanced").unwrap();
        assert!(matches!(check(none, false, false), Verdict::ToDo { .. }));
        fs::remove_file(place.beside("new")).unwrap();
        assert!(matches!(check(none, false, false), Verdict::Foreign(_)));
        assert!(matches!(check(none, false, true), Verdict::ToDo { .. }));
        let key = (hash_file(&input).unwrap(), Stamp::of(&input).unwrap());
        place.write(&input, key, "x", (Value::Null, none)).unwrap();
        assert!(matches!(check(none, false, false), Verdict::Done(_)));
        // Other content of the same size, with the old time too.
        let time = fs::metadata(root.join("in.mp4")).unwrap().modified().unwrap();
        fs::write(root.join("in.mp4"), b"damaged!").unwrap();
        let file = File::options().write(true).open(root.join("in.mp4")).unwrap();
        file.set_modified(time + std::time::Duration::from_secs(1)).unwrap();
        assert!(matches!(check(none, false, false), Verdict::ToDo { .. }));
        file.set_modified(time).unwrap();
        assert!(matches!(check(none, true, false), Verdict::ToDo { .. }));
    }

    #[test]
    fn one_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::new(dir.path(), Path::new("a.mp4"));
        place.prepare().unwrap();
        let held = place.lock().unwrap();
        assert!(held.is_some() && place.lock().unwrap().is_none());
        drop(held);
        assert!(place.lock().unwrap().is_some());
    }
}
