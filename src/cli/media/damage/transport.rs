//! MPEG transport streams: sync bytes and the counters of the packets.

use std::collections::HashMap;

use super::Window;

const SYNC: u8 = 0x47;
/// The identifier of packets that only fill.
const NULL: u16 = 0x1fff;

/// The first damaged byte, and how often packets are broken or missing. `stride` bytes lie from one packet
/// to the next, `offset` before the first.
pub(super) fn walk(file: &mut Window, stride: usize, offset: usize) -> Option<(u64, u64)> {
    file.step = Window::LARGE_STEP;
    let mut counters: HashMap<u16, u8> = HashMap::new();
    let mut found: Option<(u64, u64)> = None;
    let mut note =
        |at: u64| found = Some(found.map_or((at, 1), |(first, places)| (first, places + 1)));
    let mut at = offset as u64;
    while let Some(head) = file.at::<6>(at) {
        if head[0] != SYNC {
            note(at);
            counters.clear();
            match next_sync(file, at, stride) {
                Some(next) => at = next,
                None => break,
            }
            continue;
        }
        if !follows(&mut counters, head) {
            note(at);
        }
        at += stride as u64;
    }
    found
}

/// Where packets go on behind `at`.
fn next_sync(file: &mut Window, at: u64, stride: usize) -> Option<u64> {
    let mut at = at + 1;
    loop {
        let bytes = file.upto(at, Window::LARGE_STEP / 2);
        let is_sync = |i: usize| (0..3).all(|n| bytes.get(i + n * stride) == Some(&SYNC));
        if let Some(i) = (0..bytes.len()).find(|i| is_sync(*i)) {
            return Some(at + i as u64);
        }
        // Three packets must be seen at once.
        at += bytes.len().checked_sub(3 * stride).filter(|step| *step > 0)? as u64;
    }
}

/// Whether a packet is sound and follows the one before it in its stream (ISO/IEC 13818-1, 2.4.3.3).
fn follows(counters: &mut HashMap<u16, u8>, head: [u8; 6]) -> bool {
    let pid = u16::from_be_bytes([head[1] & 0x1f, head[2]]);
    let is_broken = head[1] & 0x80 != 0;
    let (has_adaptation, has_payload) = (head[3] & 0x20 != 0, head[3] & 0x10 != 0);
    let may_jump = has_adaptation && head[4] > 0 && head[5] & 0x80 != 0;
    if pid == NULL || !has_payload {
        return !is_broken;
    }
    let counter = head[3] & 0xf;
    let last = counters.insert(pid, counter);
    // A packet may be sent twice.
    let is_next = last.is_none_or(|last| counter == (last + 1) & 0xf || counter == last);
    // Another stream that was joined to this one counts from 0.
    let begins = head[1] & 0x40 != 0 && counter == 0;
    !is_broken && (is_next || may_jump || begins)
}

#[cfg(test)]
mod tests {
    use crate::media::damage::tests::damage;
    use crate::media::format::Format;

    fn packets(numbers: impl Iterator<Item = u8>) -> Vec<u8> {
        let packet = |n: u8| [&[0x47, 1, 0, 0x10 | n & 0xf][..], &[0xaa; 184]].concat();
        numbers.flat_map(packet).collect()
    }

    #[test]
    fn lost_and_overwritten_packets_are_counted() {
        let format = Format::Ts { stride: 188, offset: 0 };
        assert_eq!(damage(&packets(0..100), format), None);
        assert_eq!(damage(&packets((0..100).chain(99..120)), format), None, "one is sent twice");
        let gaps = packets((0..100).filter(|n| *n != 10 && *n != 50));
        assert_eq!(damage(&gaps, format), Some((10 * 188, 2)));
        let mut zeroed = packets(0..100);
        zeroed[20 * 188 + 50..30 * 188 + 50].fill(0);
        assert_eq!(damage(&zeroed, format), Some((21 * 188, 1)));
        zeroed.drain(40 * 188..40 * 188 + 60);
        assert_eq!(damage(&zeroed, format).map(|(_, places)| places), Some(2));
    }

    #[test]
    fn stream_that_is_joined_to_another_is_no_damage() {
        let mut second = packets(0..40);
        second[1] |= 0x40;
        let format = Format::Ts { stride: 188, offset: 0 };
        assert_eq!(damage(&[packets(0..41), second].concat(), format), None);
    }

    #[test]
    fn end_within_a_packet_is_no_damage() {
        let format = Format::Ts { stride: 188, offset: 0 };
        let whole = packets(0..50);
        assert_eq!(damage(&whole[..whole.len() - 70], format), None);
    }
}
