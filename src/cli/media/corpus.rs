//! Replays what fuzzing has kept of the readers of files (`fuzz/corpus/media`): inputs that reach each part of
//! them, and those that once broke something. `fuzz/fuzz_targets/media.rs` runs the same readers.

use std::path::{Path, PathBuf};

use super::read_all::read_all;

fn kept() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/media");
    let mut files: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 10, "{} inputs", files.len());
    files
}

#[test]
fn files_that_are_kept_are_read() {
    for file in kept() {
        let outcome = std::panic::catch_unwind(|| read_all(&file));
        assert!(outcome.is_ok(), "{}", file.display());
    }
}

/// Damages them at random for `FACESR_FUZZ_SECONDS` (2): where no libFuzzer is at hand.
#[test]
fn damaged_files_are_read() {
    let seconds = std::env::var("FACESR_FUZZ_SECONDS").ok().and_then(|s| s.parse().ok());
    let end = std::time::Instant::now() + std::time::Duration::from_secs(seconds.unwrap_or(2));
    let whole: Vec<_> = kept().iter().map(|file| std::fs::read(file).unwrap()).collect();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("damaged");
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    let mut draw = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below.max(1) as u64) as usize
    };
    let mut rounds = 0;
    while rounds < 100 || std::time::Instant::now() < end {
        let mut data = whole[draw(whole.len())].clone();
        for _ in 0..=draw(4) {
            let at = draw(data.len());
            let until = (at + [1, 2, 4, 8, 64, 500][draw(6)]).min(data.len());
            match draw(5) {
                0 => data.truncate(at),
                1 => drop(data.drain(at..until)),
                2 => data[at..until].fill([0, 1, 0x7f, 0x80, 0xff][draw(5)]),
                3 => {
                    let piece = data[at..until].to_vec();
                    let to = draw(data.len());
                    data.splice(to..to, piece);
                }
                _ => data.iter_mut().skip(at).take(1).for_each(|byte| *byte = draw(256) as u8),
            }
        }
        std::fs::write(&path, &data).unwrap();
        read_all(&path);
        rounds += 1;
    }
}
