//! Imports in the command run one way: down the floors drawn in docs/architecture.md, and no
//! command knows another.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Each room with the number of its floor, 0 at the top.
fn drawn() -> BTreeMap<String, usize> {
    let text = std::fs::read_to_string(root().join("../../docs/architecture.md")).unwrap();
    let drawing = text.split("<!-- floors of the command -->").nth(1).unwrap();
    let drawing = drawing.split("```").nth(1).unwrap();
    let floors = drawing.lines().skip(1).map(str::trim).filter(|line| !line.is_empty());
    floors.enumerate().map(|(floor, room)| (room.to_string(), floor)).collect()
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("tests") {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") && !path.ends_with("build.rs") {
            found.push(path);
        }
    }
}

/// What a file says outside its comments and tests.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// What a file imports from the crate's root: room, and module within it.
fn imports(code: &str) -> Vec<(String, String)> {
    code.split("crate::")
        .skip(1)
        .map(|rest| {
            let path = rest.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).next();
            let mut parts = path.unwrap().split("::").map(String::from);
            (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
        })
        .collect()
}

#[test]
fn imports_run_down_the_floors_of_the_drawing() {
    let floors = drawn();
    let mut files = Vec::new();
    sources(&root(), &mut files);
    assert!(files.len() > 40, "{files:?}");
    let (mut wrong, mut importing) = (Vec::new(), BTreeSet::new());
    for file in files {
        let path = file.strip_prefix(root()).unwrap().with_extension("");
        let parts: Vec<_> = path.iter().map(|part| part.to_str().unwrap()).collect();
        let floor = floors[parts[0]];
        let code = code(&std::fs::read_to_string(&file).unwrap());
        for (room, module) in imports(&code) {
            importing.insert(parts[0].to_string());
            let upward = room != parts[0] && floors[&room] <= floor;
            // A command is a file or a folder of that name.
            let sideways = room == "commands" && parts[0] == "commands" && parts[1] != module;
            if upward || sideways {
                wrong.push(format!("{} imports {room}::{module}", file.display()));
            }
        }
    }
    // `main` declares its modules and needs no path; the lowest room imports none.
    let others =
        floors.iter().filter(|(room, floor)| *room != "main" && **floor + 1 < floors.len());
    let others: BTreeSet<String> = others.map(|(room, _)| room.clone()).collect();
    assert_eq!(importing, others, "rooms whose imports were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What prints must outlive a closed or full terminal: `term` has it.
#[test]
fn nothing_prints_past_the_room_for_it() {
    let mut files = Vec::new();
    sources(&root(), &mut files);
    for file in files {
        let code = code(&std::fs::read_to_string(&file).unwrap());
        for word in ["println!", "eprintln!", "print!(", "eprint!("] {
            assert!(!code.contains(word), "{}: {word}", file.display());
        }
    }
}
