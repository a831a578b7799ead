//! The rooms of the trainer stand on floors: a file may import from floors below its own only, and
//! from its own room.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// From the ground up. Rooms of one floor do not know each other.
const FLOORS: &[&[&str]] = &[
    &["error", "rng", "scale", "optimizer"],
    &["models", "dataset", "loss"],
    &["config", "console", "metrics", "report", "checkpoint", "export", "prepare", "pairs"],
    &["training", "evaluation"],
    &["adaptation"],
    &["commands"],
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// The rooms that a line names after `crate::`, also within braces.
fn named(line: &str) -> Vec<String> {
    let code = line.split("//").next().unwrap();
    let word = |s: &str| s.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    code.split("crate::")
        .skip(1)
        .flat_map(|rest| match rest.strip_prefix('{') {
            Some(list) => list.split(',').map(|part| word(part.trim())).collect(),
            None => vec![word(rest)],
        })
        .collect()
}

#[test]
fn imports_point_to_lower_floors() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let floor: BTreeMap<&str, usize> = FLOORS
        .iter()
        .enumerate()
        .flat_map(|(i, rooms)| rooms.iter().map(move |r| (*r, i)))
        .collect();
    let mut files = Vec::new();
    sources(root, &mut files);
    let (mut upward, mut imports) = (Vec::new(), 0);
    for file in files {
        let place = file.strip_prefix(root).unwrap();
        let first = place.iter().next().unwrap().to_string_lossy();
        let room = first.trim_end_matches(".rs");
        // The crate's root and what stands outside of it.
        if ["lib", "main", "build", "tests", "scripts"].contains(&room) {
            continue;
        }
        let mine = *floor.get(room).unwrap_or_else(|| panic!("{room} has no floor in this test"));
        for (n, line) in std::fs::read_to_string(&file).unwrap().lines().enumerate() {
            for other in named(line) {
                imports += 1;
                let theirs = floor.get(other.as_str());
                if other != room && theirs.is_none_or(|theirs| *theirs >= mine) {
                    upward.push(format!("{}:{}: {}", place.display(), n + 1, line.trim()));
                }
            }
        }
    }
    assert!(imports > 100, "only {imports} imports were seen");
    assert!(upward.is_empty(), "imports that do not point down:\n{}", upward.join("\n"));
}
