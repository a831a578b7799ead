//! The trainer's readers of archives. They are built in by their paths: the trainer itself links
//! libtorch.
#![no_main]
#![allow(dead_code, reason = "the readers only")]

#[path = "../../src/train/dataset/pictures.rs"]
mod faces;
#[path = "../../src/train/prepare/pictures.rs"]
mod pictures;

mod error {
    //! As much of the trainer's error as its readers use.

    use std::path::{Path, PathBuf};

    #[derive(Debug, thiserror::Error)]
    pub enum Error {
        #[error("{}: {source}", path.display())]
        Io { path: PathBuf, source: std::io::Error },
        #[error("{0}")]
        Data(String),
    }

    pub type Result<T> = std::result::Result<T, Error>;

    pub fn at(path: &Path) -> impl FnOnce(std::io::Error) -> Error + '_ {
        move |source| Error::Io { path: path.to_owned(), source }
    }
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), data).unwrap();
    if let Ok(list) = faces::read_tar(file.path(), faces::Size::Exactly(16)) {
        assert!(list.iter().all(|picture| picture.rgb.len() == 16 * 16 * 3));
    }
    let _ = pictures::each(file.path(), |_, bytes| {
        assert!(bytes.len() <= data.len());
        Ok(())
    });
});
