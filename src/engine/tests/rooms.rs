//! Imports in the engine run one way: down the floors drawn in docs/architecture.md.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// A module, as the drawing names it: `frame`, `enhance::cpu`.
type Room = String;

/// The drawing: each room with the number of its floor, 0 at the top.
fn drawn() -> BTreeMap<Room, usize> {
    let path = root().join("../../docs/architecture.md");
    let text = fs::read_to_string(&path).unwrap();
    let drawing = text.split("<!-- floors of the engine -->").nth(1).unwrap();
    let drawing = drawing.split("```").nth(1).unwrap();
    let mut rooms = BTreeMap::new();
    for (floor, line) in drawing.lines().skip(1).enumerate() {
        for room in line.split('|').map(str::trim).filter(|room| !room.is_empty()) {
            assert_eq!(rooms.insert(room.to_string(), floor), None, "{room} is drawn twice");
        }
    }
    rooms
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Source files of the library; tests, benches and examples are crates of their own.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() {
            if !["tests", "benches", "examples"].contains(&name) {
                sources(&path, found);
            }
        } else if name.ends_with(".rs") && name != "tests.rs" {
            found.push(path);
        }
    }
}

/// The path of a file's module within the crate; empty for lib.rs.
fn module(file: &Path) -> Vec<String> {
    let path = file.strip_prefix(root()).unwrap().with_extension("");
    let mut parts: Vec<_> = path.iter().map(|part| part.to_str().unwrap().to_string()).collect();
    if ["mod", "lib"].contains(&parts.last().unwrap().as_str()) {
        parts.pop();
    }
    parts
}

/// The room that `path` lies in: the longest part of it that is drawn.
fn room_of(path: &[String], rooms: &BTreeMap<Room, usize>) -> Option<Room> {
    (0..=path.len()).rev().find_map(|n| {
        let name = if n == 0 { "lib".to_string() } else { path[..n].join("::") };
        rooms.contains_key(&name).then_some(name)
    })
}

/// What a file says outside its comments and tests.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// Paths that begin with `crate::` or `super::`, from the crate's root.
fn imports(code: &str, module: &[String]) -> Vec<Vec<String>> {
    let is_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let words = code.split(|c| !is_path(c)).filter(|word| word.contains("::"));
    words
        .filter_map(|word| {
            let mut parts = word.trim_matches(':').split("::").map(str::to_string).peekable();
            let mut path = match parts.next()?.as_str() {
                "crate" => Vec::new(),
                "super" => module[..module.len() - 1].to_vec(),
                _ => return None,
            };
            while parts.next_if(|part| part == "super").is_some() {
                path.pop();
            }
            path.extend(parts);
            Some(path)
        })
        .collect()
}

#[test]
fn imports_run_down_the_floors_of_the_drawing() {
    let rooms = drawn();
    let mut files = Vec::new();
    sources(&root(), &mut files);
    assert!(files.len() > 40, "{files:?}");
    let (mut upward, mut seen) = (Vec::new(), 0);
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let code = code(&text);
        assert!(!code.contains("crate::{"), "{}: one room a `use`", file.display());
        let module = module(&file);
        let own = room_of(&module, &rooms).unwrap();
        assert!(own != "lib" || module.is_empty(), "{} is in no room", file.display());
        for path in imports(&code, &module) {
            let other = room_of(&path, &rooms).unwrap();
            seen += 1;
            if other != own && rooms[&other] <= rooms[&own] {
                upward.push(format!("{}: {own} imports {}", file.display(), path.join("::")));
            }
        }
    }
    assert!(seen > 150, "only {seen} imports found");
    assert!(upward.is_empty(), "upward imports:\n{}", upward.join("\n"));
}

#[test]
fn every_drawn_room_exists() {
    for room in drawn().into_keys() {
        let path = root().join(room.replace("::", "/"));
        let exists = path.with_extension("rs").is_file() || path.join("mod.rs").is_file();
        assert!(exists, "{room}");
    }
}

#[test]
fn an_upward_import_is_found() {
    let module = ["enhance".to_string(), "cpu".to_string(), "crop".to_string()];
    let found = imports("use super::super::planner::X;\nuse crate::finder::{A, B};", &module);
    assert_eq!(found, [vec!["enhance", "planner", "X"], vec!["finder"]]);
    let rooms = drawn();
    assert_eq!(room_of(&found[0], &rooms).unwrap(), "enhance::planner");
    assert!(rooms["enhance::planner"] <= rooms["enhance::cpu"]);
    assert!(rooms["finder"] < rooms["enhance::cpu"]);
}
