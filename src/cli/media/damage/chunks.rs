//! Formats of boxes, chunks and tags, each of which tells how long it is: MP4, AVI, FLV.

use super::Window;

fn is_word(word: [u8; 4]) -> bool {
    word.iter().all(|byte| (0x20..0x7f).contains(byte))
}

/// The first byte of an MP4 at which no box can begin although fragments follow. What else lies behind the
/// last box is nobody's, and passed over.
pub(super) fn mp4(file: &mut Window) -> Option<u64> {
    let (mut at, mut has_fragments) = (0u64, false);
    while let Some(head) = file.at::<8>(at) {
        let kind = [head[4], head[5], head[6], head[7]];
        let size = match u32::from_be_bytes([head[0], head[1], head[2], head[3]]) {
            1 => u64::from_be_bytes(file.at::<8>(at + 8)?),
            size => size.into(),
        };
        // The first letter of texts from QuickTime is no ASCII.
        let is_named = is_word(kind) || kind[0] == 0xa9;
        if size < 8 || !is_named {
            // A box without a size is the last.
            let goes_on = has_fragments && !(size == 0 && is_named) && has_fragment(file, at);
            return goes_on.then_some(at);
        }
        has_fragments |= &kind == b"moof";
        at = at.checked_add(size)?;
    }
    None
}

/// Whether a fragment begins anywhere behind `at`.
fn has_fragment(file: &mut Window, mut at: u64) -> bool {
    file.step = Window::LARGE_STEP;
    while at < file.length {
        let bytes = file.upto(at, Window::LARGE_STEP);
        if bytes.windows(4).any(|word| word == b"moof") {
            return true;
        }
        at += (bytes.len().saturating_sub(3)).max(1) as u64;
    }
    false
}

/// The first byte of an AVI at which no chunk can begin.
pub(super) fn avi(file: &mut Window) -> Option<u64> {
    let (mut at, mut end) = (0u64, 0u64);
    // Chunks of an odd size are filled up; some programs do not.
    let mut filling = 1;
    while let Some(head) = file.at::<12>(at) {
        let id = [head[0], head[1], head[2], head[3]];
        let size = u64::from(u32::from_le_bytes([head[4], head[5], head[6], head[7]]));
        match (&id, &head[8..12]) {
            (b"RIFF", _) => {
                // One that was never finished does not say how long it is.
                end = if size == 0 { u64::MAX } else { at + 8 + size };
                at += 12;
            }
            _ if at >= end => return None,
            (b"LIST", b"movi" | b"rec ") => at += 12,
            (id, _) if is_word(*id) => at += 8 + size + size % 2 * filling,
            _ if filling > 0 && file.at(at - 1).is_some_and(is_word) => {
                at -= 1;
                filling = 0;
            }
            _ => return Some(at),
        }
    }
    None
}

/// The first byte of an FLV at which no tag can begin.
pub(super) fn flv(file: &mut Window) -> Option<u64> {
    let head = file.at::<9>(0)?;
    let mut at = u64::from(u32::from_be_bytes([head[5], head[6], head[7], head[8]]));
    // Each tag follows the size of the one before.
    while let Some(tag) = file.at::<15>(at) {
        if tag[4..].starts_with(b"FLV") {
            return None;
        }
        // Sound, video, script, each maybe encrypted.
        if !matches!(tag[4] & !0x20, 8 | 9 | 18) {
            return Some(at + 4);
        }
        at += 4 + 11 + u64::from(u32::from_be_bytes([0, tag[5], tag[6], tag[7]]));
    }
    None
}

#[cfg(test)]
mod tests {
    use crate::media::damage::tests::damage;
    use crate::media::format::Format;

    fn boxed(kind: &[u8; 4], size: usize) -> Vec<u8> {
        [&(size as u32 + 8).to_be_bytes()[..], kind, &vec![1; size]].concat()
    }

    #[test]
    fn lost_fragments_of_mp4_are_found() {
        let (moof, mdat) = (boxed(b"moof", 40), boxed(b"mdat", 200));
        let one = [moof, mdat].concat();
        let head = [boxed(b"ftyp", 8), boxed(b"moov", 100)].concat();
        let whole = [&head[..], &one, &one, &one].concat();
        assert_eq!(damage(&whole, Format::Mp4), None);
        assert_eq!(damage(&whole[..whole.len() - 50], Format::Mp4), None);
        assert_eq!(
            damage(&[&whole[..], &[0; 100]].concat(), Format::Mp4),
            None,
            "zeros at the end"
        );
        let second = head.len() + one.len();
        let mut damaged = whole;
        damaged[second - 50..second + 30].fill(0);
        assert_eq!(damage(&damaged, Format::Mp4), Some((second as u64, 1)));
    }

    fn chunk(id: &[u8; 4], content: &[u8]) -> Vec<u8> {
        [id, &(content.len() as u32).to_le_bytes()[..], content].concat()
    }

    #[test]
    fn zeros_among_chunks_of_avi_are_found() {
        let frames = |count: usize, content: &[u8]| chunk(b"00dc", content).repeat(count);
        let file = |frames: Vec<u8>| {
            let list = chunk(b"LIST", &[b"movi", &frames[..]].concat());
            chunk(b"RIFF", &[b"AVI ", &list[..], &chunk(b"idx1", &[0; 32])].concat())
        };
        let whole = file(frames(10, &[3; 200]));
        assert_eq!(damage(&whole, Format::Avi), None);
        assert_eq!(
            damage(&file(frames(10, &[3; 201])), Format::Avi),
            None,
            "odd and not filled up"
        );
        assert_eq!(damage(&[&whole[..], &[0; 64]].concat(), Format::Avi), None);
        let mut damaged = whole;
        damaged[500..900].fill(0);
        let found = damage(&damaged, Format::Avi);
        assert!(found.is_some_and(|(at, _)| (500..900).contains(&at)), "{found:?}");
    }

    #[test]
    fn zeros_among_tags_of_flv_are_found() {
        let tag = |kind: u8| [&[0, 0, 0, 0, kind, 0, 0, 100][..], &[0; 7], &[7; 100]].concat();
        let mut file = [b"FLV\x01\x05\0\0\0\x09", &tag(18)[..], &tag(9), &tag(8), &[0; 4]].concat();
        assert_eq!(damage(&file, Format::Flv), None);
        let third = 9 + 2 * tag(9).len();
        file[third - 20..third + 20].fill(0);
        assert_eq!(damage(&file, Format::Flv), Some((third as u64 + 4, 1)));
    }
}
