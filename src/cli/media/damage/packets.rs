//! Formats of packets that follow each other: Ogg, ASF, MPEG program streams, DV, and streams of a codec
//! without any container.

use std::collections::HashMap;

use super::Window;
use crate::media::asf::PROPERTIES;
use crate::media::dhav;

/// So many zeros in a row are no stuffing: a disk's sector, or a hole.
const HOLE: usize = 4096;

/// The first damaged byte of an Ogg file, and how often pages are broken or missing (RFC 3533, 6).
pub(super) fn ogg(file: &mut Window) -> Option<(u64, u64)> {
    let mut numbers: HashMap<[u8; 4], u32> = HashMap::new();
    let mut found: Option<(u64, u64)> = None;
    let mut note =
        |at: u64| found = Some(found.map_or((at, 1), |(first, places)| (first, places + 1)));
    let mut at = 0u64;
    while let Some(page) = file.at::<27>(at) {
        if !page.starts_with(b"OggS") {
            note(at);
            numbers.clear();
            match next(file, at, b"OggS") {
                Some(next) => at = next,
                None => break,
            }
            continue;
        }
        let number = u32::from_le_bytes([page[18], page[19], page[20], page[21]]);
        let stream = [page[14], page[15], page[16], page[17]];
        // A stream that begins counts from 0.
        let begins = page[5] & 2 != 0;
        let last = numbers.insert(stream, number);
        if !begins && last.is_some_and(|last| number != last.wrapping_add(1)) {
            note(at);
        }
        let segments = usize::from(page[26]);
        let sizes = file.upto(at + 27, segments);
        at += 27 + segments as u64 + sizes.iter().map(|size| u64::from(*size)).sum::<u64>();
    }
    found
}

/// Where `word` stands next behind `at`.
fn next(file: &mut Window, at: u64, word: &[u8]) -> Option<u64> {
    let mut at = at + 1;
    loop {
        let bytes = file.upto(at, Window::STEP);
        if let Some(i) = bytes.windows(word.len()).position(|window| window == word) {
            return Some(at + i as u64);
        }
        at += bytes.len().checked_sub(word.len()).filter(|step| *step > 0)? as u64;
    }
}

/// The object of an ASF file that holds its packets.
const DATA: [u8; 16] = [
    0x36, 0x26, 0xb2, 0x75, 0x8e, 0x66, 0xcf, 0x11, 0xa6, 0xd9, 0x00, 0xaa, 0x00, 0x62, 0xce, 0x6c,
];
/// Bytes of an ASF file that are searched for both.
const ASF_HEAD: usize = 1 << 20;

/// The first byte of an ASF file at which no packet can begin: all begin with the same byte if the first
/// has error correction data, which nearly all have.
pub(super) fn asf(file: &mut Window) -> Option<u64> {
    let head = file.upto(0, ASF_HEAD);
    let find = |word: &[u8]| head.windows(16).position(|window| window == word);
    let size = find(&PROPERTIES).and_then(|at| head.get(at + 92..at + 96))?;
    let size = u64::from(u32::from_le_bytes(size.try_into().ok()?));
    let data = find(&DATA)?;
    let count = u64::from_le_bytes(head.get(data + 40..data + 48)?.try_into().ok()?);
    let first = data as u64 + 50;
    let [kind] = file.at(first)?;
    if kind & 0x80 == 0 || size < 16 {
        return None;
    }
    let end = file.length;
    (1..count)
        .map(|n| first.saturating_add(n.saturating_mul(size)))
        .take_while(|at| *at < end)
        .find(|at| file.at(*at).is_some_and(|[byte]: [u8; 1]| byte != kind))
}

/// The first byte of a program stream behind which no packet begins for long; recorders fill up what they
/// write with anything. `skip` bytes lie before it.
pub(super) fn program_stream(file: &mut Window, skip: u64) -> Option<u64> {
    let mut at = skip;
    while let Some(head) = file.at::<14>(at) {
        at += match (&head[..3], head[3]) {
            ([0, 0, 1], 0xba) if head[4] & 0xc0 == 0x40 => 14 + u64::from(head[13] & 7),
            ([0, 0, 1], 0xba) => 12,
            ([0, 0, 1], 0xb9) => 4,
            ([0, 0, 1], 0xbb..) => 6 + u64::from(u16::from_be_bytes([head[4], head[5]])),
            _ => {
                let begin = next(file, at, &[0, 0, 1, 0xba])?;
                if begin - at >= HOLE as u64 {
                    return Some(at);
                }
                begin - at
            }
        };
    }
    None
}

/// The first byte of DHAV at which a frame should begin and does not, although others follow.
pub(super) fn dhav(file: &mut Window) -> Option<u64> {
    let mut at = file.upto(0, HOLE).windows(4).position(|word| word == dhav::HEAD)? as u64;
    while let Some(head) = file.at::<{ dhav::HEAD_BYTES }>(at) {
        match dhav::length(&head) {
            Some((_, length)) => at += length as u64,
            None => return next(file, at, dhav::HEAD).map(|_| at),
        }
    }
    None
}

/// Bytes of a sequence of DIF blocks, of which each frame of DV has several.
const SEQUENCE: u64 = 12_000;

/// The first byte of DV at which no sequence begins (IEC 61834-2).
pub(super) fn dv(file: &mut Window) -> Option<u64> {
    let sequences = file.length / SEQUENCE;
    // Section type 0 is a header.
    (0..sequences)
        .map(|n| n * SEQUENCE)
        .find(|at| file.at(*at).is_some_and(|[byte]: [u8; 1]| byte & 0xe0 != 0 || byte == 0))
}

/// Whether it is a stream of H.264 or H.265 as it leaves an encoder.
pub(super) fn is_annex_b(file: &mut Window) -> bool {
    matches!(file.at(0), Some([0, 0, 0, 1] | [0, 0, 1, _]))
}

/// The first of very many zeros in a row, which no codec writes.
pub(super) fn zeros(file: &mut Window) -> Option<u64> {
    file.step = Window::LARGE_STEP;
    let (mut at, mut run) = (0u64, 0usize);
    loop {
        let bytes = file.upto(at, Window::LARGE_STEP);
        if bytes.is_empty() {
            return None;
        }
        for (i, byte) in bytes.iter().enumerate() {
            run = if *byte == 0 { run + 1 } else { 0 };
            if run == HOLE {
                return Some(at + i as u64 + 1 - HOLE as u64);
            }
        }
        at += bytes.len() as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::damage::tests::damage;
    use crate::media::format::Format;

    #[test]
    fn missing_and_broken_pages_of_ogg_are_counted() {
        let page = |number: u32| {
            let first = u8::from(number == 0) * 2;
            let head = [b"OggS\0", &[first][..], &[0; 8], b"abcd", &number.to_le_bytes()].concat();
            [&head[..], &[0; 4], &[2, 255, 100], &[9; 355]].concat()
        };
        let pages =
            |numbers: &mut dyn Iterator<Item = u32>| numbers.flat_map(page).collect::<Vec<_>>();
        let format = Format::Ogg { files: 1, first: 0, is_cut: false };
        assert_eq!(damage(&pages(&mut (0..20)), format), None);
        let one = page(0).len();
        let gap = pages(&mut (0..20).filter(|n| *n != 7));
        assert_eq!(damage(&gap, format), Some((7 * one as u64, 1)));
        let mut zeroed = pages(&mut (0..20));
        zeroed[5 * one - 100..8 * one - 50].fill(0);
        assert_eq!(damage(&zeroed, format), Some((5 * one as u64, 1)));
    }

    #[test]
    fn zeroed_packets_of_asf_are_found() {
        let mut properties = [0; 104];
        properties[..16].copy_from_slice(&PROPERTIES);
        properties[92..96].copy_from_slice(&200u32.to_le_bytes());
        let mut data = [0; 50];
        data[..16].copy_from_slice(&DATA);
        data[40..48].copy_from_slice(&10u64.to_le_bytes());
        let packet = [&[0x82][..], &[5; 199]].concat();
        let mut file = [&properties[..], &data, &packet.repeat(10)].concat();
        assert_eq!(damage(&file, Format::Asf), None);
        let fourth = 154 + 3 * 200;
        file[fourth - 50..fourth + 20].fill(0);
        assert_eq!(damage(&file, Format::Asf), Some((fourth as u64, 1)));
    }

    #[test]
    fn hole_in_a_program_stream_is_found() {
        let pack = [&[0, 0, 1, 0xba, 0x44][..], &[1; 8], &[0xf8]].concat();
        let packet = [&[0, 0, 1, 0xe0, 8, 0][..], &[7; 2048]].concat();
        let one = [pack, packet].concat();
        let format = Format::Ps { skip: 0, untold: None };
        let mut file = one.repeat(20);
        assert_eq!(damage(&file, format), None);
        let filled = [&one[..], &[0xff; 500], &one, &[0; 500], &one].concat();
        assert_eq!(damage(&filled, format), None);
        file[5 * one.len() + 100..9 * one.len()].fill(0);
        assert_eq!(damage(&file, format), Some((6 * one.len() as u64, 1)));
    }

    #[test]
    fn hole_among_frames_of_dhav_is_found() {
        let one = dhav::tests::frame(0xfc, 0, &[], &[7; 500]);
        let mut file = one.repeat(10);
        assert_eq!(damage(&file, Format::Dhav), None);
        assert_eq!(damage(&file[..file.len() - 100], Format::Dhav), None);
        file[3 * one.len() + 100..5 * one.len() + 100].fill(0);
        assert_eq!(damage(&file, Format::Dhav), Some((4 * one.len() as u64, 1)));
    }

    #[test]
    fn hole_in_a_bare_stream_is_found() {
        let unit = [&[0, 0, 0, 1, 0x65][..], &[0x5a; 3000]].concat();
        let mut file = unit.repeat(10);
        assert_eq!(damage(&file, Format::Other), None);
        file[9000..15_000].fill(0);
        assert_eq!(damage(&file, Format::Other), Some((9000, 1)));
        assert_eq!(damage(&[1; 20_000], Format::Other), None);
        let pictures = [0; 20_000];
        assert_eq!(damage(&pictures[..], Format::Other), None, "raw pictures may be black");
    }

    #[test]
    fn zeroed_sequence_of_dv_is_found() {
        let sequence = [&[0x1f, 7, 0][..], &[3; 11_997]].concat();
        let mut file = sequence.repeat(20);
        assert_eq!(damage(&file, Format::Dv), None);
        file[30_000..40_000].fill(0);
        assert_eq!(damage(&file, Format::Dv), Some((36_000, 1)));
    }
}
