//! Replays the archives that fuzzing has kept (`fuzz/corpus/tar`).

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::path::Path;

use facesr_train::dataset::pictures::{Size, read_tar};
use facesr_train::prepare::pictures::each;

#[test]
fn archives_of_all_kinds() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/tar");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        eprintln!("{}", path.display());
        if let Ok(pictures) = read_tar(&path, Size::Exactly(16)) {
            assert!(pictures.iter().all(|picture| picture.rgb.len() == 16 * 16 * 3));
        }
        let size = path.metadata().unwrap().len() as usize;
        let _ = each(&path, |_, bytes| {
            assert!(bytes.len() <= size);
            Ok(())
        });
        count += 1;
    }
    assert!(count >= 10, "{count} archives");
}
