//! Which files there are, and where their outputs go.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use sha2::{Digest, Sha256};

use super::args::{Format, Shard};
use crate::failure::Failure;
use crate::output::reason;

/// Extensions of the files in a folder that are taken for videos.
const VIDEOS: [&str; 22] = [
    "mp4", "m4v", "mov", "qt", "mkv", "webm", "avi", "ts", "mts", "m2ts", "mpg", "mpeg", "mpe",
    "vob", "wmv", "asf", "flv", "3gp", "3g2", "ogv", "mxf", "dav",
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

/// The files of `input`, a folder or a list, in order of their outputs.
pub(super) fn tasks(
    input: &Path,
    output: &Path,
    format: Option<Format>,
    shard: Option<Shard>,
) -> Result<Vec<Task>, Failure> {
    let inputs = if input.is_dir() { folder(input, output)? } else { list(input)? };
    let mut tasks: Vec<_> = inputs
        .into_iter()
        .map(|(path, name)| Task { input: path, output: output_name(&name, format) })
        .collect();
    tasks.sort_by(|a, b| a.output.cmp(&b.output).then_with(|| a.input.cmp(&b.input)));
    tasks.dedup();
    let mut seen: HashMap<&Path, &Path> = HashMap::new();
    for task in &tasks {
        if let Some(other) = seen.insert(&task.output, &task.input) {
            return Err(Failure::usage(format_args!(
                "{} and {} would both become {}; rename one, or use two output folders",
                other.display(),
                task.input.display(),
                output.join(&task.output).display()
            )));
        }
    }
    if let Some(shard) = shard {
        tasks.retain(|task| belongs(&task.output, shard));
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

/// Name of the output for an input of this name. Two names never give the same: only an extension
/// that says what the output is stays as it is, others get one more.
fn output_name(name: &Path, format: Option<Format>) -> PathBuf {
    let lower = name.extension().map(OsStr::to_ascii_lowercase);
    let own = match lower.as_ref().and_then(|e| e.to_str()) {
        Some("mp4" | "m4v") => Some(Format::Mp4),
        Some("mkv") => Some(Format::Mkv),
        _ => None,
    };
    let wanted = format.or(own).unwrap_or(Format::Mp4);
    if own == Some(wanted) {
        return name.to_path_buf();
    }
    let mut longer = OsString::from(name);
    longer.push(match wanted {
        Format::Mp4 => ".mp4",
        Format::Mkv => ".mkv",
    });
    longer.into()
}

/// The videos below a folder: where they are, and their names within it. Hidden files, links to
/// folders and the output folder are passed over.
fn folder(root: &Path, output: &Path) -> Result<Vec<(PathBuf, PathBuf)>, Failure> {
    let output = output.canonicalize().ok();
    let mut found = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let cannot = |e: std::io::Error| {
            Failure::running(format_args!("cannot read {}: {}", folder.display(), reason(&e)))
        };
        for entry in folder.read_dir().map_err(cannot)? {
            let entry = entry.map_err(cannot)?;
            let (path, kind) = (entry.path(), entry.file_type().map_err(cannot)?);
            if entry.file_name().as_encoded_bytes().starts_with(b".") {
                continue;
            }
            if kind.is_dir() {
                if output.is_none() || path.canonicalize().ok() != output {
                    folders.push(path);
                }
                continue;
            }
            let extension = path.extension().map(OsStr::to_ascii_lowercase);
            let is_video = extension
                .and_then(|e| e.into_string().ok())
                .is_some_and(|e| VIDEOS.contains(&e.as_str()));
            // A link to a file counts as the file.
            if is_video && path.is_file() {
                let name = path.strip_prefix(root).unwrap_or(&path).to_path_buf();
                found.push((path, name));
            }
        }
    }
    Ok(found)
}

/// The videos that a list names, one a line; empty lines and those that begin with # are passed
/// over. Paths are relative to the list's folder.
fn list(path: &Path) -> Result<Vec<(PathBuf, PathBuf)>, Failure> {
    let shown = path.display();
    let cannot =
        |e: std::io::Error| Failure::running(format_args!("cannot read {shown}: {}", reason(&e)));
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
    let text = String::from_utf8(bytes).map_err(|_| no_list())?;
    let lines =
        text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    Ok(lines.map(|line| (folder.join(line), name_within(Path::new(line)))).collect())
}

/// A path below the output folder for any path: `/a/../b.mp4` becomes `a/b.mp4`.
fn name_within(path: &Path) -> PathBuf {
    path.components().filter(|part| matches!(part, Component::Normal(_))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_list_is_not_read_to_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("film.mp4");
        for content in [&b"\xff\xfe\0\0"[..], b"a.mp4\n\x80.mp4\n"] {
            std::fs::write(&path, content).unwrap();
            let error = list(&path).unwrap_err();
            assert!(error.code == 2 && error.message.contains("no list of videos"), "{error:?}");
        }
        // A file with a hole is as large as it says, and costs no disk.
        File::create(&path).unwrap().set_len(1 << 40).unwrap();
        let error = list(&path).unwrap_err();
        assert!(error.code == 2 && error.message.contains("no list of videos"), "{error:?}");
    }

    #[test]
    fn outputs_are_told_apart() {
        let name = |text: &str, format| output_name(Path::new(text), format).display().to_string();
        assert_eq!(name("a/b.mp4", None), "a/b.mp4");
        assert_eq!(name("a/b.MKV", None), "a/b.MKV");
        assert_eq!(name("b.avi", None), "b.avi.mp4");
        assert_eq!(name("b.mkv", Some(Format::Mp4)), "b.mkv.mp4");
        assert_eq!(name("b", Some(Format::Mkv)), "b.mkv");
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
        let all = tasks(&input, &output, None, None).unwrap();
        assert_eq!(outputs(&all), ["a/c.AVI.mp4", "b.mp4"]);
        let list = file("list.txt");
        std::fs::write(&list, "# clips\nin/b.mp4\n\n/far/../away.mov\nin/b.mp4\n").unwrap();
        let all = tasks(&list, &output, None, None).unwrap();
        assert_eq!(outputs(&all), ["far/away.mov.mp4", "in/b.mp4"]);
        assert_eq!(all[1].input, dir.path().join("in/b.mp4"));
        std::fs::write(&list, "x/b.mp4\n/x/b.mp4\n").unwrap();
        let message = tasks(&list, &output, None, None).unwrap_err().message;
        assert!(message.contains("would both become"), "{message}");
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
