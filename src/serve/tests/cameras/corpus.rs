//! Replays what fuzzing the configuration has kept (`fuzz/corpus/config`).

use std::path::Path;

use crate::fuzz_config::config;

#[test]
fn corpus_of_configurations_is_refused_in_words_or_can_be_served() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/config");
    let files: Vec<_> =
        std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() >= 10, "{} inputs in {}", files.len(), folder.display());
    for file in files {
        // Printed by the test runner if what follows panics.
        eprintln!("{}", file.display());
        let data = std::fs::read(&file).unwrap();
        for end in [0, 1, data.len() / 3, data.len() / 2, data.len().saturating_sub(1), data.len()]
        {
            config(&data[..end.min(data.len())]);
        }
    }
}
