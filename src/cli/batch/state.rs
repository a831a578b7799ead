//! What has been done: a record beside each output, and when it still holds.
//!
//! A record is written last, under another name and then renamed, so that a run that is killed
//! leaves an output without one, which is done again.

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
    /// Size of the output.
    pub(super) output_size: u64,
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
}

impl Place {
    /// The place for `output`, a path within the output folder `root`.
    pub(super) fn new(root: &Path, output: &Path) -> Self {
        let mut record = root.join(FOLDER).join(output).into_os_string();
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
            Err(fs::TryLockError::Error(e)) => Err(e),
        }
    }

    fn read(&self) -> Option<Record> {
        // A damaged record is none: the work is done again.
        serde_json::from_slice(&fs::read(&self.record).ok()?).ok()
    }

    /// Looks whether the output is what `input` and `options` give, with the `extras` that are
    /// wanted. `rehash` trusts no time.
    pub(super) fn check(
        &self,
        input: &Path,
        options: &str,
        extras: Extras,
        rehash: bool,
    ) -> io::Result<Verdict> {
        let stamp = Stamp::of(input)?;
        let record = self.read().filter(|record| {
            let size = fs::metadata(&self.output).map(|meta| meta.len());
            record.options == options
                && size.is_ok_and(|size| size == record.output_size)
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
        let output_size = fs::metadata(&self.output)?.len();
        let options = options.to_string();
        let record = Record { options, content, stamp, output_size, report, extras };
        let partial = self.beside("json.partial");
        fs::write(&partial, serde_json::to_vec(&record).map_err(io::Error::other)?)?;
        fs::rename(partial, &self.record)?;
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
        let verdict = place.check(input, options, Extras::default(), rehash);
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
            let verdict = place.check(&input, "x", none, false).unwrap();
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
            let found = place.check(&input, "x", page, false).unwrap();
            assert_eq!(matches!(found, Verdict::Done(_)), done);
            assert!(is_done(&place, &input, "x", false));
            let listed = with_pages(&root).unwrap();
            let names: Vec<_> = listed.iter().map(|(name, ..)| name.as_path()).collect();
            assert_eq!(names == [Path::new("a/in.mp4")], done);
        }
        fs::remove_file(root.join("a/in.mp4.html")).unwrap();
        assert!(matches!(place.check(&input, "x", page, false), Ok(Verdict::ToDo { .. })));
        assert!(with_pages(&root).unwrap().is_empty());
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
