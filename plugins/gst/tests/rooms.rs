//! Imports in the plugin run one way: down the floors drawn in docs/architecture.md.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Each room with the number of its floor, 0 at the top.
fn drawn() -> HashMap<String, usize> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/architecture.md");
    let text = fs::read_to_string(path).unwrap();
    let drawing = text.split("<!-- floors of the plugin -->").nth(1).unwrap();
    let drawing = drawing.split("```").nth(1).unwrap();
    let floors = drawing.lines().skip(1).enumerate();
    floors
        .flat_map(|(floor, line)| line.split('|').map(move |room| (room.trim().to_string(), floor)))
        .collect()
}

/// Source files, each with its room.
fn sources(folder: &Path, room: Option<&str>, found: &mut Vec<(String, PathBuf)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_str().unwrap();
        if path.is_dir() {
            sources(&path, Some(room.unwrap_or(stem)), found);
        } else {
            found.push((room.unwrap_or(stem).to_string(), path));
        }
    }
}

/// The rooms that `code` imports by `crate::`.
fn imports(code: &str) -> Vec<String> {
    let code = code.split("#[cfg(test)]\nmod tests").next().unwrap();
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    let code = lines.collect::<Vec<_>>().join(" ");
    let mut rooms = Vec::new();
    for after in code.split("crate::").skip(1) {
        let list = match after.strip_prefix('{') {
            Some(list) => list.split('}').next().unwrap(),
            None => after,
        };
        let name = |part: &str| {
            let end = part.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(part.len());
            part[..end].to_string()
        };
        if after.starts_with('{') {
            rooms.extend(list.split(',').map(|part| name(part.trim())).filter(|r| !r.is_empty()));
        } else {
            rooms.push(name(list));
        }
    }
    rooms
}

#[test]
fn imports_run_down_the_floors_of_the_drawing() {
    let floors = drawn();
    let mut files = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), None, &mut files);
    assert!(files.len() > 20, "{files:?}");
    let (mut seen, mut upward) = (0, Vec::new());
    for (room, file) in files {
        let own = *floors.get(&room).unwrap_or_else(|| panic!("{room} is not drawn"));
        for other in imports(&fs::read_to_string(&file).unwrap()) {
            let floor = *floors.get(&other).unwrap_or_else(|| panic!("{other} is not drawn"));
            seen += 1;
            if other != room && floor <= own {
                upward.push(format!("{}: {room} imports {other}", file.display()));
            }
        }
    }
    assert!(seen > 30, "only {seen} imports found");
    assert!(upward.is_empty(), "upward imports:\n{}", upward.join("\n"));
}

#[test]
fn imports_are_found_in_lists_and_alone() {
    let code = "use crate::common::live;\n// use crate::lib;\nuse crate::{facesr, frame_map};";
    assert_eq!(imports(code), ["common", "facesr", "frame_map"]);
}
