//! Which files there are, and where their outputs go.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use sha2::{Digest, Sha256};

use super::args::Shard;
use crate::args::ContainerName;
use crate::files::identity;
use crate::term::{Failure, io_reason};

/// Extensions of the files in a folder that are taken for videos.
const VIDEOS: [&str; 37] = [
    "mp4", "m4v", "mov", "qt", "mkv", "webm", "avi", "divx", "ts", "mts", "m2ts", "m2t", "mpg",
    "mpeg", "mpe", "m2v", "vob", "wmv", "asf", "flv", "f4v", "3gp", "3g2", "ogv", "ogm", "mxf",
    "rm", "rmvb", "dav", "h264", "264", "avc", "h265", "265", "hevc", "mjpg", "mjpeg",
];

/// No list has more bytes: some hundred thousand paths.
const MAX_LIST: u64 = 64 << 20;

/// One file to work on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Task {
    /// The video.
    pub(super) input: PathBuf,
    /// Its output, within the output folder.
    pub(super) output: PathBuf,
}

/// What there is to do.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// The files, in order of their outputs.
    pub(super) tasks: Vec<Task>,
    /// What cannot be read: where, and why.
    pub(super) unreadable: Vec<(PathBuf, String)>,
    /// Files that are not taken for videos.
    pub(super) passed_over: Vec<PathBuf>,
}

/// The files of `input`, a folder or a list.
///
/// # Errors
/// A [`Failure`] if an output would be an input, or two outputs one file.
pub(super) fn listing(
    input: &Path,
    output: &Path,
    format: Option<ContainerName>,
    shard: Option<Shard>,
) -> Result<Listing, Failure> {
    let mut listing = Listing::default();
    let inputs = if input.is_dir() {
        if identity(input) == identity(output) {
            return Err(Failure::usage(format_args!(
                "{} is the folder of the inputs itself; name another folder for the outputs",
                output.display()
            )));
        }
        folder(input, output, &mut listing)
    } else {
        list(input)?
    };
    let tasks: Vec<_> = inputs
        .into_iter()
        .map(|(path, name)| Task {
            input: path,
            output: container(&name, format).output_name(&name),
        })
        .collect();
    listing.tasks = distinct(tasks, output)?;
    if let Some(shard) = shard {
        listing.tasks.retain(|task| belongs(&task.output, shard));
        // Each part would tell of them otherwise.
        if shard.index > 0 {
            listing.unreadable.clear();
            listing.passed_over.clear();
        }
    }
    Ok(listing)
}

/// The tasks in order of their outputs, none of which is another's output or an input.
fn distinct(mut tasks: Vec<Task>, output: &Path) -> Result<Vec<Task>, Failure> {
    tasks.sort_by(|a, b| a.output.cmp(&b.output).then_with(|| a.input.cmp(&b.input)));
    tasks.dedup();
    let mut seen: HashMap<&Path, &Path> = HashMap::new();
    let inputs: HashSet<_> = tasks.iter().filter_map(|task| identity(&task.input)).collect();
    for task in &tasks {
        let target = output.join(&task.output);
        if let Some(other) = seen.insert(&task.output, &task.input) {
            return Err(Failure::usage(format_args!(
                "{} and {} would both become {}; rename one, or use two output folders",
                other.display(),
                task.input.display(),
                target.display()
            )));
        }
        if target.exists() && identity(&target).is_some_and(|target| inputs.contains(&target)) {
            return Err(Failure::usage(format_args!(
                "{} is an input itself and would be replaced; name another output folder",
                target.display()
            )));
        }
    }
    Ok(tasks)
}

/// Whether a file is part of a shard. By its name, not by its place in the list: however the
/// archive grows while the shards start, no file is left out or done twice.
fn belongs(output: &Path, shard: Shard) -> bool {
    let hash = Sha256::digest(output.as_os_str().as_encoded_bytes());
    let mut number = [0; 8];
    number.copy_from_slice(&hash[..8]);
    u64::from_le_bytes(number) % shard.count == shard.index
}

/// The container of the output for an input of this name.
fn container(name: &Path, format: Option<ContainerName>) -> ContainerName {
    let own = ContainerName::of(name);
    let kept = own.filter(|own| matches!(own, ContainerName::Mp4 | ContainerName::Mkv));
    format.or(kept).unwrap_or(ContainerName::Mp4)
}

/// The videos below a folder: where they are, and their names within it. Links are followed;
/// hidden folders and the output folder are passed over.
fn folder(root: &Path, output: &Path, listing: &mut Listing) -> Vec<(PathBuf, PathBuf)> {
    let output = identity(output);
    let mut found = Vec::new();
    let is_wanted = |entry: &walkdir::DirEntry| {
        let is_folder = entry.file_type().is_dir();
        entry.depth() == 0
            || !is_folder
            || !is_hidden(entry.path()) && identity(entry.path()) != output
    };
    let walk = walkdir::WalkDir::new(root).follow_links(true).sort_by_file_name();
    for entry in walk.into_iter().filter_entry(is_wanted) {
        let entry = match entry {
            Ok(entry) => entry,
            Err(e) => {
                let path = e.path().unwrap_or(root).to_path_buf();
                let why = match e.io_error() {
                    _ if e.loop_ancestor().is_some() => continue,
                    _ if path.is_symlink() && !path.exists() => "the link leads nowhere".into(),
                    Some(error) => io_reason(error),
                    None => e.to_string(),
                };
                if !is_hidden(&path) {
                    listing.unreadable.push((path, why));
                }
                continue;
            }
        };
        if entry.file_type().is_dir() {
            continue;
        }
        let path = entry.into_path();
        if !is_hidden(&path) && is_video(&path) && path.is_file() {
            let name = path.strip_prefix(root).unwrap_or(&path).to_path_buf();
            found.push((path, name));
        } else {
            listing.passed_over.push(path);
        }
    }
    found
}

/// Whether a name begins with a dot: files of systems, drafts of programs.
fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

/// Whether a file is taken for a video: by its ending, or by its content where it has none.
fn is_video(path: &Path) -> bool {
    match path.extension().map(OsStr::to_ascii_lowercase) {
        Some(extension) => extension.to_str().is_some_and(|e| VIDEOS.contains(&e)),
        None => crate::media::is_video_container(path),
    }
}

/// The videos that a list names, one a line; empty lines and those that begin with # are passed
/// over. Paths are relative to the list's folder.
fn list(path: &Path) -> Result<Vec<(PathBuf, PathBuf)>, Failure> {
    let shown = path.display();
    let cannot = |e: std::io::Error| {
        Failure::running(format_args!("cannot read {shown}: {}", io_reason(&e)))
    };
    let no_list = || {
        Failure::usage(format_args!(
            "{shown} is no list of videos; name a folder, or a text file with one path a line"
        ))
    };
    let mut bytes = Vec::new();
    let mut read = |file: &mut dyn Read| file.take(MAX_LIST + 1).read_to_end(&mut bytes);
    let folder = if path == Path::new("-") {
        read(&mut std::io::stdin()).map_err(cannot)?;
        PathBuf::new()
    } else {
        read(&mut File::open(path).map_err(cannot)?).map_err(cannot)?;
        path.parent().unwrap_or(Path::new("")).to_path_buf()
    };
    // A video that is taken for a list would else be read to its end.
    if bytes.len() as u64 > MAX_LIST {
        return Err(no_list());
    }
    // Names are bytes, but no name has a byte that is none.
    if bytes.contains(&0) {
        return Err(no_list());
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    let lines = bytes.split(|byte| *byte == b'\n');
    let lines = lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let mut found = Vec::new();
    for line in lines.filter(|line| !line.trim_ascii().is_empty()) {
        let whole = folder.join(OsStr::from_bytes(line));
        // A name may begin with # or with spaces; a comment names no file.
        let line = if whole.exists() { line } else { line.trim_ascii() };
        if line.starts_with(b"#") && !whole.exists() {
            continue;
        }
        let name = Path::new(OsStr::from_bytes(line));
        found.push((folder.join(name), name_within(name)));
    }
    Ok(found)
}

/// A path below the output folder for any path: `/a/../b.mp4` becomes `a/b.mp4`.
fn name_within(path: &Path) -> PathBuf {
    path.components().filter(|part| matches!(part, Component::Normal(_))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::term::ExitStatus;

    #[test]
    fn what_is_no_list_is_not_read_to_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("film.mp4");
        for content in [&b"\xff\xfe\0\0"[..], b"a.mp4\n\0\x80.mp4\n"] {
            std::fs::write(&path, content).unwrap();
            let error = list(&path).unwrap_err();
            assert!(
                error.status == ExitStatus::Usage && error.message.contains("no list of videos"),
                "{error:?}"
            );
        }
        // A file with a hole is as large as it says, and costs no disk.
        File::create(&path).unwrap().set_len(1 << 40).unwrap();
        let error = list(&path).unwrap_err();
        assert!(
            error.status == ExitStatus::Usage && error.message.contains("no list of videos"),
            "{error:?}"
        );
    }

    #[test]
    fn folders_are_walked_and_lists_read() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str| {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, b"x").unwrap();
            path
        };
        for name in ["in/b.mp4", "in/a/c.AVI", "in/notes.txt", "in/.hidden.mp4", "in/out/b.mp4"] {
            file(name);
        }
        let (input, output) = (dir.path().join("in"), dir.path().join("in/out"));
        let outputs = |tasks: &[Task]| -> Vec<_> {
            tasks.iter().map(|task| task.output.display().to_string()).collect()
        };
        let all = listing(&input, &output, None, None).unwrap().tasks;
        assert_eq!(outputs(&all), ["a/c.AVI.mp4", "b.mp4"]);
        let list = file("list.txt");
        std::fs::write(&list, "# clips\nin/b.mp4\n\n/far/../away.mov\nin/b.mp4\n").unwrap();
        let all = listing(&list, &output, None, None).unwrap().tasks;
        assert_eq!(outputs(&all), ["far/away.mov.mp4", "in/b.mp4"]);
        assert_eq!(all[1].input, dir.path().join("in/b.mp4"));
        std::fs::write(&list, "x/b.mp4\n/x/b.mp4\n").unwrap();
        let message = listing(&list, &output, None, None).unwrap_err().message;
        assert!(message.contains("would both become"), "{message}");
    }

    #[test]
    fn listing_names_what_it_passes_over() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str| dir.path().join(name);
        for folder in ["in", "disk2"] {
            std::fs::create_dir(file(folder)).unwrap();
        }
        for name in ["in/a.h264", "in/.hidden.mp4", "in/notes.txt", "disk2/b.mp4"] {
            std::fs::write(file(name), b"x").unwrap();
        }
        std::os::unix::fs::symlink("../disk2", file("in/disk2")).unwrap();
        std::os::unix::fs::symlink("../in", file("in/loop")).unwrap();
        std::os::unix::fs::symlink("gone.mp4", file("in/c.mp4")).unwrap();
        let found = listing(&file("in"), &file("out"), None, None).unwrap();
        let outputs: Vec<_> = found.tasks.iter().map(|t| t.output.to_str().unwrap()).collect();
        assert_eq!(outputs, ["a.h264.mp4", "disk2/b.mp4"]);
        assert_eq!(found.passed_over, [file("in/.hidden.mp4"), file("in/notes.txt")]);
        assert_eq!(found.unreadable, [(file("in/c.mp4"), "the link leads nowhere".to_string())]);
        let refused = listing(&file("in"), &file("in"), None, None).unwrap_err();
        assert_eq!(refused.status, ExitStatus::Usage);
    }

    #[test]
    fn list_takes_names_as_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("l.txt");
        std::fs::write(dir.path().join("#1.mp4"), b"x").unwrap();
        std::fs::write(&path, b"\xef\xbb\xbfa.mp4\r\n# words\n#1.mp4\n\xe9.mp4\n").unwrap();
        let names: Vec<_> = list(&path).unwrap().into_iter().map(|(_, name)| name).collect();
        let wanted: Vec<_> = [&b"a.mp4"[..], b"#1.mp4", b"\xe9.mp4"]
            .map(|n| PathBuf::from(OsStr::from_bytes(n)))
            .into();
        assert_eq!(names, wanted);
    }

    #[test]
    fn every_file_is_in_one_shard() {
        let mut counts = [0; 5];
        for i in 0..1000 {
            let name = PathBuf::from(format!("camera/{i}.mp4"));
            let within: Vec<_> =
                (0..5).filter(|&index| belongs(&name, Shard { index, count: 5 })).collect();
            assert_eq!(within.len(), 1);
            counts[within[0] as usize] += 1;
        }
        assert!(counts.iter().all(|n| (140..260).contains(n)), "{counts:?}");
    }
}
