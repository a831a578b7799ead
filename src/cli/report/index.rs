//! The page over all pages of an archive.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::html::{STYLE, escape, fill};
use crate::files;
use crate::term::{DISCLAIMER, Failure, io_reason};

const TEMPLATE: &str = include_str!("index.html");
/// What tells such a page from any other `index.html`.
const MARK: &str = r#"<meta name="generator" content="facesr batch">"#;

/// One video of the archive that has a page.
pub(crate) struct Entry {
    /// The page, relative to the archive's folder.
    pub(crate) page: PathBuf,
    /// The output, relative to the archive's folder.
    pub(crate) output: PathBuf,
    /// What `--json` told.
    pub(crate) report: Value,
}

/// One video that could not be done.
pub(crate) struct Failed {
    /// What would be its output, relative to the archive's folder.
    pub(crate) output: PathBuf,
    /// What went wrong, in a sentence.
    pub(crate) why: String,
}

/// Writes `index.html` in `folder`, over `entries` in the order they have, and what has `failed` below.
///
/// # Errors
/// A [`Failure`] if it cannot be written, or if an `index.html` of another kind is there.
pub(crate) fn write(folder: &Path, entries: &[Entry], failed: &[Failed]) -> Result<(), Failure> {
    let target = folder.join("index.html");
    let cannot = |e: std::io::Error| {
        Failure::running(format_args!("cannot write {}: {}", target.display(), io_reason(&e)))
    };
    if target.exists() && !std::fs::read_to_string(&target).is_ok_and(|old| old.contains(MARK)) {
        return Err(Failure::running(format_args!(
            "{} is not a page of facesr and stays as it is; the pages of the videos are written",
            target.display()
        )));
    }
    // Processes that do other parts of the archive write it too; the last has it all.
    files::replace(&target, page(folder, entries, failed).as_bytes()).map_err(cannot)
}

fn page(folder: &Path, entries: &[Entry], failed: &[Failed]) -> String {
    let title = folder.file_name().map_or("archive".into(), |name| name.to_string_lossy());
    let count = |entry: &Entry, key: &str| entry.report[key].as_u64().unwrap_or(0);
    let mut rows = String::new();
    for entry in entries {
        // Writing to a string does not fail.
        let notes = entry.report["notes"].as_array().into_iter().flatten();
        let notes: String = notes
            .filter_map(Value::as_str)
            .map(|note| format!("<br><small>{}</small>", escape(note)))
            .collect();
        let _ = writeln!(
            rows,
            "<tr><th scope=\"row\"><a href=\"{}\">{}</a>{notes}</th><td>{}</td><td>{}</td>\
             <td>{}</td><td>{}</td></tr>",
            link(&entry.page),
            escape(&entry.output.to_string_lossy()),
            count(entry, "frames"),
            count(entry, "tracks"),
            count(entry, "faces_enhanced"),
            escape(&entry.report["fps"].to_string()),
        );
    }
    for Failed { output, why } in failed {
        let _ = writeln!(
            rows,
            "<tr class=\"failed\"><th scope=\"row\">{}</th><td colspan=\"4\">failed: {}</td></tr>",
            escape(&output.to_string_lossy()),
            escape(why)
        );
    }
    let total = |key: &str| -> u64 { entries.iter().map(|entry| count(entry, key)).sum() };
    let mut facts = format!(
        "{} videos · {} frames · {} tracks · a face sharpened {} times",
        entries.len(),
        total("frames"),
        total("tracks"),
        total("faces_enhanced")
    );
    if !failed.is_empty() {
        facts += &format!(" · {} failed in the latest run", failed.len());
    }
    fill(
        TEMPLATE,
        &[
            ("{{style}}", STYLE),
            ("{{guess}}", &escape(DISCLAIMER)),
            ("{{version}}", &escape(env!("FACESR_VERSION"))),
            ("{{facts}}", &facts),
            ("{{rows}}", &rows),
            ("{{title}}", &escape(&title)),
        ],
    )
}

/// A path as a link: all but what is plain is written as bytes in hexadecimal.
fn link(path: &Path) -> String {
    let mut link = String::from("./");
    for &byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' | b'~' => {
                link.push(byte.into());
            }
            _ => link += &format!("%{byte:02X}"),
        }
    }
    link
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_cannot_break_out_and_other_pages_stay() {
        let dir = tempfile::tempdir().unwrap();
        let entry = || Entry {
            page: "a/\"><b>x #1.mp4.html".into(),
            output: "a/\"><b>x #1.mp4".into(),
            report: json!({ "frames": 3, "tracks": 2, "faces_enhanced": 5, "fps": 7.5 }),
        };
        let failed = [Failed { output: "<i>y.mp4".into(), why: "it is <b> no video".into() }];
        write(dir.path(), &[entry(), entry()], &failed).unwrap();
        let html = std::fs::read_to_string(dir.path().join("index.html")).unwrap();
        assert!(html.contains("./a/%22%3E%3Cb%3Ex%20%231.mp4.html"), "{html}");
        assert!(!html.contains("<b>") && html.contains("6 frames"), "{html}");
        assert!(html.contains("never evidence"));
        assert!(
            html.contains("&lt;i&gt;y.mp4") && html.contains("it is &lt;b&gt; no video"),
            "{html}"
        );
        assert!(html.contains("1 failed in the latest run"));
        write(dir.path(), &[], &[]).unwrap();
        let html = std::fs::read_to_string(dir.path().join("index.html")).unwrap();
        assert!(!html.contains("latest run"), "{html}");
        std::fs::write(dir.path().join("index.html"), "mine").unwrap();
        assert!(write(dir.path(), &[], &[]).unwrap_err().message.contains("stays as it is"));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
