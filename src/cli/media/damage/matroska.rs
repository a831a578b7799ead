//! Matroska and WebM: elements of the segment, and those of each cluster.

use super::Window;
use crate::media::matroska::{EBML, SEGMENT, element};

const CLUSTER: u32 = 0x1F43_B675;
/// What stands beside clusters: seek head, information, tracks, cues, attachments, chapters, tags.
const BESIDE: [u32; 7] =
    [0x114D_9B74, 0x1549_A966, 0x1654_AE6B, 0x1C53_BB6B, 0x1941_A469, 0x1043_A770, 0x1254_C367];

/// The first byte at which no element can begin.
pub(super) fn walk(file: &mut Window) -> Option<u64> {
    let (mut at, mut end) = (0u64, u64::MAX);
    while at < file.length.min(end) {
        let Some((id, header, size)) = element(file.upto(at, 16)) else {
            return is_inside(file, at).then_some(at);
        };
        let begin = at + header as u64;
        match (id, size) {
            (EBML, _) if at > 0 => return None,
            (SEGMENT, size) => {
                end = size.map_or(u64::MAX, |size| begin.saturating_add(size));
                at = begin;
            }
            (CLUSTER, size) => {
                let last = size.map(|size| begin.saturating_add(size));
                if last.is_some_and(|last| last > end) {
                    return Some(at);
                }
                match cluster(file, begin, last) {
                    Ok(next) => at = next,
                    Err(place) => return Some(place),
                }
            }
            (_, Some(size)) => {
                let next = begin.saturating_add(size);
                if next > end {
                    return Some(at);
                }
                at = next;
            }
            (_, None) => return Some(at),
        }
    }
    None
}

/// Whether enough follows for an element's header to be whole.
fn is_inside(file: &Window, at: u64) -> bool {
    file.length - at >= 16
}

/// Where the cluster ends whose content begins at `at`; as an error, where nothing can begin.
fn cluster(file: &mut Window, mut at: u64, end: Option<u64>) -> Result<u64, u64> {
    while at < file.length && end.is_none_or(|end| at < end) {
        let Some((id, header, size)) = element(file.upto(at, 16)) else {
            return if is_inside(file, at) { Err(at) } else { Ok(file.length) };
        };
        // One of unknown size ends where something begins that it cannot hold.
        if end.is_none() && (matches!(id, CLUSTER | SEGMENT | EBML) || BESIDE.contains(&id)) {
            return Ok(at);
        }
        let next = (at + header as u64).saturating_add(size.ok_or(at)?);
        if end.is_some_and(|end| next > end) {
            return Err(at);
        }
        at = next;
    }
    Ok(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::damage::tests::damage;
    use crate::media::format::Format;

    /// An element with a size of four bytes.
    fn wrapped(id: u32, content: &[u8]) -> Vec<u8> {
        let id = id.to_be_bytes();
        let id = &id[id.iter().take_while(|byte| **byte == 0).count()..];
        let size = (content.len() as u32 | 0x1000_0000).to_be_bytes();
        [id, &size, content].concat()
    }

    fn file(sizes_are_known: bool) -> Vec<u8> {
        let block = wrapped(0xA3, &[&[0x81, 0, 0, 0][..], &[7; 300]].concat());
        let blocks = [wrapped(0xE7, &[0]), block.clone(), block].concat();
        let mut clusters = [wrapped(CLUSTER, &blocks), wrapped(CLUSTER, &blocks)].concat();
        if !sizes_are_known {
            let one = clusters.len() / 2;
            for at in [4, one + 4] {
                clusters[at..at + 4].copy_from_slice(&[0x1f, 0xff, 0xff, 0xff]);
            }
        }
        let cues = wrapped(0x1C53_BB6B, &[0xEC, 0x80]);
        [
            wrapped(EBML, b""),
            wrapped(SEGMENT, &[wrapped(0x1549_A966, b""), clusters, cues].concat()),
        ]
        .concat()
    }

    #[test]
    fn zeros_among_blocks_are_found() {
        let format = Format::Matroska { second: None };
        for sizes_are_known in [true, false] {
            let whole = file(sizes_are_known);
            assert_eq!(damage(&whole, format), None);
            assert_eq!(damage(&whole[..whole.len() - 200], format), None, "cut short is no damage");
            let mut damaged = whole.clone();
            // From within one block over the head of the next.
            damaged[200..500].fill(0);
            let found = damage(&damaged, format);
            assert!(found.is_some_and(|(at, _)| (200..500).contains(&at)), "{found:?}");
        }
    }
}
