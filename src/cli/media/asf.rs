//! What an ASF file (WMV, WMA) says of its length.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// Bytes that are searched for the properties.
const HEAD: u64 = 1 << 20;
/// The object that holds them.
pub(super) const PROPERTIES: [u8; 16] = [
    0xa1, 0xdc, 0xab, 0x8c, 0x47, 0xa9, 0xcf, 0x11, 0x8e, 0xe4, 0x00, 0xc0, 0x0c, 0x20, 0x53, 0x65,
];

/// Whether a file is cut short, how long it should be in nanoseconds, and whether another file is joined
/// to it.
pub(super) fn length(path: &Path) -> Option<(bool, Option<u64>, bool)> {
    let mut file = File::open(path).ok()?;
    let length = file.metadata().ok()?.len();
    let mut head = Vec::new();
    Read::by_ref(&mut file).take(HEAD).read_to_end(&mut head).ok()?;
    let (announced, duration) = properties(&head)?;
    let mut behind = [0; 16];
    let more = file.seek(SeekFrom::Start(announced)).and_then(|_| file.read_exact(&mut behind));
    Some((announced > length, duration, more.is_ok() && head.starts_with(&behind)))
}

/// Bytes of the file and nanoseconds that it lasts; `None` for what was never finished.
fn properties(head: &[u8]) -> Option<(u64, Option<u64>)> {
    let at = head.windows(16).position(|window| window == PROPERTIES)?;
    let number = |field: usize| {
        let bytes = head.get(at + field..at + field + 8)?;
        Some(u64::from_le_bytes(bytes.try_into().ok()?))
    };
    let is_broadcast = head.get(at + 88)? & 1 != 0;
    if is_broadcast {
        return None;
    }
    // In units of 100 ns, with the preroll, which is in milliseconds.
    let duration =
        number(64)?.saturating_mul(100).checked_sub(number(80)?.saturating_mul(1_000_000));
    Some((number(40)?, duration.filter(|ns| *ns > 0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn announced_length_is_read() {
        let field = |n: u64| n.to_le_bytes();
        let file = |flags: u8| {
            let fields = [5000u64, 0, 0, 50_000_000, 0, 3000].map(field).concat();
            [b"head", &PROPERTIES[..], &[0; 24], &fields, &[flags, 0, 0, 0]].concat()
        };
        assert_eq!(properties(&file(2)), Some((5000, Some(2_000_000_000))));
        assert_eq!(properties(&file(1)), None, "a broadcast knows no length");
        assert_eq!(properties(&file(2)[..60]), None);
    }
}
