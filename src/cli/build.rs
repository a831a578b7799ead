//! Gives the command its version: that of the package, and in a release build the commit it was made from, as
//! `0.2.0-dev+236.g9c58b7e` (commits so far, and the latest), unless that commit is tagged as the version.

use std::path::Path;
use std::process::Command;

fn main() {
    let package = std::env::var("CARGO_PKG_VERSION").expect("cargo sets it");
    // Other builds would be linked again after each commit.
    let is_release = std::env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let commit = if is_release { commit(&package) } else { None };
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-env=FACESR_VERSION={package}{}", commit.unwrap_or_default());
}

/// What a `git` in the sources' folder prints, if it is there and knows them.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}

fn commit(package: &str) -> Option<String> {
    // The sources may lie, unpacked, in somebody else's repository.
    git(&["ls-files", "--error-unmatch", "build.rs"])?;
    let branch = git(&["symbolic-ref", "-q", "HEAD"]);
    for name in ["HEAD", "packed-refs", branch.as_deref().unwrap_or("HEAD")] {
        let path = git(&["rev-parse", "--git-path", name]).unwrap_or_default();
        // A file that is not there would have this run, and the command be linked, every time.
        if Path::new(&path).is_file() {
            println!("cargo:rerun-if-changed={path}");
        }
    }
    let dirty = if git(&["status", "--porcelain", "-uno"]).is_some() { ".dirty" } else { "" };
    let tag = git(&["describe", "--tags", "--exact-match"]);
    if dirty.is_empty() && tag.is_some_and(|tag| tag.strip_prefix('v') == Some(package)) {
        return None;
    }
    let count = git(&["rev-list", "--count", "HEAD"])?;
    let hash = git(&["rev-parse", "--short=7", "HEAD"])?;
    Some(format!("+{count}.g{hash}{dirty}"))
}
