//! What an AVI says of its length, and whether it is one file.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// What a file says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Avi {
    /// Whether it is cut short.
    pub(super) is_cut: bool,
    /// How long it should be, nanoseconds.
    pub(super) duration: Option<u64>,
    /// Whether another file is joined to it.
    pub(super) is_joined: bool,
}

/// Reads a file; `None` if it cannot be read.
pub(super) fn read(path: &Path) -> Option<Avi> {
    let mut file = File::open(path).ok()?;
    let length = file.metadata().ok()?.len();
    let mut head = [0; 64];
    file.read_exact(&mut head).ok()?;
    let number = |at: usize| {
        head.get(at..at + 4).map_or(0, |b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
    };
    let duration = (&head[24..28] == b"avih")
        .then(|| u64::from(number(32)).saturating_mul(1000).saturating_mul(number(48).into()))
        .filter(|ns| *ns > 0);
    let mut avi = Avi { duration, ..Avi::default() };
    let mut at = 0u64;
    // One RIFF a gigabyte.
    for _ in 0..1 << 16 {
        let mut chunk = [0; 12];
        if file.seek(SeekFrom::Start(at)).is_err() || file.read_exact(&mut chunk).is_err() {
            break;
        }
        if &chunk[..4] != b"RIFF" {
            break;
        }
        // Those that go on are called otherwise.
        avi.is_joined |= at > 0 && &chunk[8..] == b"AVI ";
        let size = u64::from(u32::from_le_bytes([chunk[4], chunk[5], chunk[6], chunk[7]]));
        at += 8 + size + size % 2;
        if at > length + 1 {
            avi.is_cut = true;
            break;
        }
    }
    Some(avi)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_and_joined_files_are_seen() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.avi");
        let riff = |kind: &[u8]| [b"RIFF", &[64, 0, 0, 0][..], kind, &[0; 60]].concat();
        let of = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            read(&path).unwrap()
        };
        let (one, more) = (riff(b"AVI "), riff(b"AVIX"));
        assert_eq!(of(&[&one[..], &more].concat()), Avi::default());
        assert!(of(&[&one[..], &one].concat()).is_joined);
        assert!(of(&[&one[..], &more[..40]].concat()).is_cut);
    }
}
