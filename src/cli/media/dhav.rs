//! DHAV, which Dahua's recorders export as `.dav`: frames of video and sound, each between a head and a
//! tail of its own. GStreamer has no demuxer for it, so the video is handed on as an MPEG program
//! stream. The format is known from FFmpeg's demuxer (libavformat/dhav.c).

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::prepared::stream_map;

/// What every frame begins with.
pub(super) const HEAD: &[u8; 4] = b"DHAV";
/// What some files begin with, before the first frame.
const FILE_HEAD: &[u8] = b"DAHUA";
/// Bytes of a frame's head without its extensions, and of its tail.
pub(super) const HEAD_BYTES: usize = 24;
const TAIL_BYTES: usize = 8;
/// Largest frame that is read.
const MAX_FRAME: usize = 64 << 20;

/// Whether a file that begins with these bytes is one.
pub(super) fn is_dhav(bytes: &[u8]) -> bool {
    bytes.starts_with(HEAD) || bytes.starts_with(FILE_HEAD)
}

/// Whether a frame of this type is sound.
fn is_sound(kind: u8) -> bool {
    kind == 0xf0
}

fn is_video(kind: u8) -> bool {
    matches!(kind, 0xfc | 0xfd)
}

/// How long a frame is, as its head says: type, and bytes with head and tail. `None` for a head that cannot
/// be one.
pub(super) fn length(head: &[u8; HEAD_BYTES]) -> Option<(u8, usize)> {
    let length = u32::from_le_bytes([head[12], head[13], head[14], head[15]]) as usize;
    let is_possible = (HEAD_BYTES + TAIL_BYTES..=MAX_FRAME).contains(&length);
    (head.starts_with(HEAD) && is_possible).then_some((head[4], length))
}

/// Bytes in which the first frame begins.
const BEGIN: usize = 4096;

/// Whether a file holds sound, and whether it ends within a frame; up to the first damage.
pub(super) fn read(path: &Path) -> Option<(bool, bool)> {
    let mut file = BufReader::new(File::open(path).ok()?);
    let length = file.get_ref().metadata().ok()?.len();
    let mut begin = Vec::new();
    file.by_ref().take(BEGIN as u64).read_to_end(&mut begin).ok()?;
    let mut at = begin.windows(4).position(|word| word == HEAD)? as u64;
    let mut has_sound = false;
    while at < length {
        file.seek(SeekFrom::Start(at)).ok()?;
        let mut head = [0; HEAD_BYTES];
        if file.read_exact(&mut head).is_err() {
            return Some((has_sound, true));
        }
        let Some((kind, size)) = self::length(&head) else { break };
        has_sound |= is_sound(kind);
        at += size as u64;
    }
    Some((has_sound, at > length))
}

/// A frame.
struct Frame {
    kind: u8,
    channel: u8,
    /// Milliseconds, of which the sixteen lower bits are told.
    time: u16,
    /// Number of the video's codec in a program stream, if it is told.
    codec: Option<u8>,
    data: Vec<u8>,
}

/// The next frame; `None` at the end of the file, also in the middle of a frame.
fn next_frame(file: &mut impl BufRead) -> io::Result<Option<Frame>> {
    let mut head = [0; HEAD_BYTES];
    let mut filled = 0;
    loop {
        // What lies between frames is passed over.
        if file.read(&mut head[filled..filled + 1])? == 0 {
            return Ok(None);
        }
        filled += 1;
        if filled == 4 && !head.starts_with(HEAD) {
            head.copy_within(1..4, 0);
            filled = 3;
        }
        if filled < HEAD_BYTES {
            continue;
        }
        let Some((kind, length)) = length(&head) else {
            filled = 0;
            continue;
        };
        let mut body = Vec::new();
        let size = length - HEAD_BYTES;
        if file.by_ref().take(size as u64).read_to_end(&mut body)? < size {
            return Ok(None);
        }
        let extensions = usize::from(head[22]);
        let Some(data) = body.get(extensions..size - TAIL_BYTES) else {
            filled = 0;
            continue;
        };
        return Ok(Some(Frame {
            kind,
            channel: head[6],
            time: u16::from_le_bytes([head[20], head[21]]),
            codec: codec(&body[..extensions]),
            data: data.to_vec(),
        }));
    }
}

/// The codec that a frame's extensions tell, as ISO/IEC 13818-1 numbers it.
fn codec(mut extensions: &[u8]) -> Option<u8> {
    while let [kind, rest @ ..] = extensions {
        let length = match kind {
            0x81 => {
                return match rest.get(1)? {
                    0x01 => Some(0x10),
                    0x02 | 0x04 | 0x08 => Some(0x1b),
                    0x0c => Some(0x24),
                    _ => None,
                };
            }
            0x80 | 0x83 | 0x94 | 0x96 | 0xa0 | 0xb2 | 0xb4 => 4,
            0x82 | 0x88 | 0x91 | 0x92 | 0x93 | 0x95 | 0x9a | 0x9b | 0xb3 => 8,
            _ => return None,
        };
        extensions = extensions.get(length..)?;
    }
    None
}

/// Writes the video of the first channel as a program stream.
///
/// # Errors
/// What reading and writing answer.
pub(super) fn to_program_stream(file: impl Read, to: &mut impl Write) -> io::Result<()> {
    let mut file = BufReader::new(file);
    let (mut video, mut channel) = (None, None);
    let (mut last, mut time) = (None, 0u64);
    while let Some(frame) = next_frame(&mut file)? {
        if !is_video(frame.kind) || *channel.get_or_insert(frame.channel) != frame.channel {
            continue;
        }
        let step = last.map_or(0, |last| frame.time.wrapping_sub(last));
        last = Some(frame.time);
        // Time that goes back is a new recording, which is put behind.
        time += u64::from(if step < 0x8000 { step } else { 0 });
        // A second before the first frame, for what decoders want ahead.
        let ticks = 90_000 + time * 90;
        to.write_all(&pack_header(ticks))?;
        if let Some(codec) = frame.codec.filter(|codec| video != Some(*codec)) {
            video = Some(codec);
        }
        if frame.kind == 0xfd {
            to.write_all(&stream_map(video.unwrap_or(0x1b)))?;
        }
        write_packets(&frame.data, ticks, to)?;
    }
    Ok(())
}

/// The header of a pack (ISO/IEC 13818-1, 2.5.3.3) at a time in ticks of 90 kHz.
fn pack_header(ticks: u64) -> [u8; 14] {
    let t = ticks;
    let byte = |value: u64| value as u8;
    [
        0,
        0,
        1,
        0xba,
        0x44 | byte(t >> 27 & 0x38) | byte(t >> 28 & 3),
        byte(t >> 20),
        4 | byte(t >> 12 & 0xf8) | byte(t >> 13 & 3),
        byte(t >> 5),
        4 | byte(t << 3 & 0xf8),
        1,
        1,
        0x89,
        0xc3,
        0xf8,
    ]
}

/// Writes a frame in packets (ISO/IEC 13818-1, 2.4.3.6), the first of which tells its time.
fn write_packets(frame: &[u8], ticks: u64, to: &mut impl Write) -> io::Result<()> {
    const MOST: usize = 65_000;
    let byte = |value: u64| value as u8;
    for (number, part) in frame.chunks(MOST).enumerate() {
        let time: &[u8] = &[
            0x21 | byte(ticks >> 29 & 0xe),
            byte(ticks >> 22),
            1 | byte(ticks >> 14 & 0xfe),
            byte(ticks >> 7),
            1 | byte(ticks << 1 & 0xfe),
        ];
        let time = if number == 0 { time } else { &[] };
        let has_time = if number == 0 { 0x80 } else { 0 };
        to.write_all(&[0, 0, 1, 0xe0])?;
        to.write_all(&((part.len() + time.len() + 3) as u16).to_be_bytes())?;
        to.write_all(&[0x80, has_time, time.len() as u8])?;
        to.write_all(time)?;
        to.write_all(part)?;
    }
    Ok(())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A frame of a type at a time, with these extensions.
    pub(in crate::media) fn frame(kind: u8, time: u16, extensions: &[u8], data: &[u8]) -> Vec<u8> {
        let length = (HEAD_BYTES + extensions.len() + data.len() + TAIL_BYTES) as u32;
        let mut bytes = [HEAD, &[kind, 0, 0, 0][..], &[0; 4]].concat();
        bytes.extend(length.to_le_bytes());
        bytes.extend([0; 4]);
        bytes.extend(time.to_le_bytes());
        bytes.extend([extensions.len() as u8, 0]);
        bytes.extend([extensions, data, b"dhav"].concat());
        bytes.extend(length.to_le_bytes());
        bytes
    }

    const H265: [u8; 4] = [0x81, 0, 0x0c, 25];

    fn converted(file: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        to_program_stream(file, &mut out).unwrap();
        out
    }

    #[test]
    fn video_is_handed_on_with_its_times_and_sound_is_not() {
        let file = [
            frame(0xfd, 65_500, &[&[0x80, 0, 80, 45][..], &H265].concat(), b"first"),
            frame(0xf0, 65_510, &[], b"sound"),
            b"rubbish".to_vec(),
            frame(0xfc, 4, &[], b"second"),
        ]
        .concat();
        let out = converted(&file);
        let mut wanted = pack_header(90_000).to_vec();
        wanted.extend(stream_map(0x24));
        write_packets(b"first", 90_000, &mut wanted).unwrap();
        // Forty milliseconds later, although the count of them began again.
        wanted.extend(pack_header(93_600));
        write_packets(b"second", 93_600, &mut wanted).unwrap();
        assert_eq!(out, wanted);
    }

    #[test]
    fn hostile_files_are_read_without_a_panic() {
        let whole = [frame(0xfd, 0, &H265, &[1; 50]), frame(0xfc, 40, &[], &[2; 50])].concat();
        for at in 0..whole.len() {
            converted(&whole[..at]);
            for value in [0, 1, 0x7f, 0xff] {
                let mut damaged = whole.clone();
                damaged[at] = value;
                converted(&damaged);
            }
        }
    }
}
