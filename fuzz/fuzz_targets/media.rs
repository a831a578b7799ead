//! The command's readers of files: boxes of MP4, elements of Matroska, pages of Ogg, packs of program streams,
//! tables of transport streams, chunks of AVI, GIF and PNG, segments of JPEG. They are built in by their paths: the
//! command is a program, no library.
#![no_main]

#[path = "media/readers.rs"]
mod media;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), data).unwrap();
    media::read_all(file.path());
});
