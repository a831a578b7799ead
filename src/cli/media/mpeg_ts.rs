//! What an MPEG transport stream says it holds: its programs, and the streams of the first.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// Bytes that are searched for the tables.
const HEAD: u64 = 4 << 20;
/// Bytes at the end that are.
const TAIL: u64 = 1 << 20;

/// What a stream says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tables {
    /// How many programs there are.
    pub(super) programs: usize,
    /// Type and packet identifier of each sound of the first program.
    pub(super) sounds: Vec<(u8, u16)>,
    /// Type and packet identifier of its streams, first and last told.
    streams: [Vec<(u8, u16)>; 2],
    /// Whether the file ends within a packet.
    pub(super) is_cut: bool,
    /// Types of a stream that is of another in the end.
    pub(super) change: Option<(u8, u8)>,
}

/// Reads the tables of the stream in a file: `stride` bytes from one packet to the next, `offset`
/// before the first.
pub(super) fn read(path: &Path, stride: usize, offset: usize) -> Tables {
    let read = |from_end: u64, limit: u64| -> io::Result<(Vec<u8>, u64)> {
        let mut bytes = Vec::new();
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        let packets = from_end.min(length) / stride as u64;
        if from_end > 0 {
            let whole = length / stride as u64;
            file.seek(SeekFrom::Start((whole - packets.min(whole)) * stride as u64))?;
        }
        file.take(limit).read_to_end(&mut bytes)?;
        Ok((bytes, length))
    };
    let Ok((bytes, length)) = read(0, HEAD) else { return Tables::default() };
    let begin = tables(&bytes, stride, offset);
    let end = read(TAIL, TAIL).map(|(bytes, _)| tables(&bytes, stride, offset));
    let [_, end] = end.unwrap_or_default().streams;
    let change = begin.streams[0].iter().find_map(|(kind, pid)| {
        let (other, _) = end.iter().find(|(other, at)| at == pid && other != kind)?;
        Some((*kind, *other))
    });
    Tables { is_cut: length % stride as u64 != 0, change, ..begin }
}

fn tables(bytes: &[u8], stride: usize, offset: usize) -> Tables {
    let mut found = Tables::default();
    let mut map: Option<u16> = None;
    // Tables that are longer than a packet come in several.
    let mut sections: HashMap<u16, Vec<u8>> = HashMap::new();
    // Streams that begin with a packet of sound, whatever the tables call them.
    let mut sounding = HashSet::new();
    let mut unnamed = Vec::new();
    let packets = bytes.chunks_exact(stride).filter_map(|chunk| chunk.get(offset..offset + 188));
    for packet in packets.filter(|packet| packet[0] == 0x47) {
        let pid = u16::from_be_bytes([packet[1] & 0x1f, packet[2]]);
        let starts = packet[1] & 0x40 != 0;
        let adaptation = if packet[3] & 0x20 != 0 { 1 + usize::from(packet[4]) } else { 0 };
        let Some(payload) = packet.get(4 + adaptation..) else { continue };
        if starts && payload.starts_with(&[0, 0, 1]) {
            if payload.get(3).is_some_and(|id| (0xc0..=0xdf).contains(id)) {
                sounding.insert(pid);
            }
            continue;
        }
        if pid != 0 && Some(pid) != map || pid == 0 && found.programs > 0 {
            continue;
        }
        let section = sections.entry(pid).or_default();
        if starts {
            let Some(skip) = payload.first().map(|pointer| 1 + usize::from(*pointer)) else {
                continue;
            };
            *section = payload.get(skip..).unwrap_or_default().to_vec();
        } else if !section.is_empty() && section.len() < 4096 {
            section.extend(payload);
        }
        let [table, high, low, ..] = section[..] else { continue };
        let length = 3 + usize::from(u16::from_be_bytes([high & 0x0f, low]));
        // Without the checksum at its end.
        let Some(section) = section.get(..length.saturating_sub(4)) else { continue };
        match table {
            0 if pid == 0 => {
                let programs: Vec<_> = section.get(8..).map_or(Vec::new(), |entries| {
                    entries.chunks_exact(4).filter(|entry| entry[..2] != [0, 0]).collect()
                });
                found.programs = programs.len();
                map = programs.first().map(|e| u16::from_be_bytes([e[2] & 0x1f, e[3]]));
            }
            2 => {
                let is_first = found.sounds.is_empty() && unnamed.is_empty();
                for (kind, pid, descriptors) in streams(section) {
                    let [first, last] = &mut found.streams;
                    if !first.iter().any(|(_, known)| *known == pid) {
                        first.push((kind, pid));
                    }
                    last.retain(|(_, known)| *known != pid);
                    last.push((kind, pid));
                    match is_sound(kind, descriptors) {
                        _ if !is_first => {}
                        true => found.sounds.push((kind, pid)),
                        false if kind == 6 && !tells_what_it_is(descriptors) => unnamed.push(pid),
                        false => {}
                    }
                }
            }
            _ => {}
        }
    }
    found.sounds.extend(unnamed.iter().filter(|pid| sounding.contains(pid)).map(|pid| (6, *pid)));
    found
}

/// The streams in a program's map: type, packet identifier and descriptors.
fn streams(section: &[u8]) -> Vec<(u8, u16, &[u8])> {
    let number = |at: usize| {
        section.get(at..at + 2).map(|b| usize::from(u16::from_be_bytes([b[0] & 0x0f, b[1]])))
    };
    let mut at = 12 + number(10).unwrap_or(section.len());
    let mut found = Vec::new();
    while let Some([kind, high, low]) = section.get(at..at + 3)
        && let Some(length) = number(at + 3)
    {
        let descriptors = section.get(at + 5..at + 5 + length).unwrap_or_default();
        found.push((*kind, u16::from_be_bytes([high & 0x1f, *low]), descriptors));
        at += 5 + length;
    }
    found
}

/// The descriptors of a stream: tag and content.
fn each(mut descriptors: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let (tag, length) = (*descriptors.first()?, usize::from(*descriptors.get(1)?));
        let content = descriptors.get(2..2 + length)?;
        descriptors = &descriptors[2 + length..];
        Some((tag, content))
    })
}

/// Whether a stream is sound by its type, or by its descriptors where the type leaves it open.
fn is_sound(kind: u8, descriptors: &[u8]) -> bool {
    match kind {
        // MPEG-1 and 2, AAC in three ways.
        0x03 | 0x04 | 0x0f | 0x11 | 0x1c => true,
        6 => each(descriptors).any(|(tag, content)| match tag {
            // AC-3, E-AC-3, DTS, AAC.
            0x6a | 0x7a | 0x7b | 0x7c => true,
            5 => [&b"Opus"[..], b"AC-3", b"EAC3", b"DTS1", b"DTS2", b"DTS3", b"BSSD"]
                .contains(&content.get(..4).unwrap_or_default()),
            _ => false,
        }),
        _ => false,
    }
}

/// Whether descriptors say what a private stream holds: a registration, or one of DVB's.
fn tells_what_it_is(descriptors: &[u8]) -> bool {
    each(descriptors).any(|(tag, _)| matches!(tag, 5 | 0x45 | 0x46 | 0x56 | 0x59 | 0x7f))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A packet that begins a table or a stream.
    fn packet(pid: u16, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x47, 0x40 | (pid >> 8) as u8, pid as u8, 0x10];
        packet.extend(payload);
        packet.resize(188, 0xff);
        packet
    }

    fn section(table: u8, content: &[u8]) -> Vec<u8> {
        let length = (5 + content.len() + 4) as u16;
        let head = [0, table, 0xb0 | (length >> 8) as u8, length as u8, 0, 1, 0xc1, 0, 0];
        [&head[..], content, &[0; 4]].concat()
    }

    #[test]
    fn sounds_of_the_first_program_are_known() {
        let programs = section(0, &[0, 1, 0xe1, 0, 0, 2, 0xe2, 0]);
        let map = section(
            2,
            &[
                &[0xe1, 1, 0xf0, 0][..],
                &[0x1b, 0xe1, 1, 0xf0, 0, 0x0f, 0xe1, 2, 0xf0, 0, 6, 0xe1, 3, 0xf0, 0],
                &[6, 0xe1, 4, 0xf0, 6, 5, 4],
                b"Opus",
                &[6, 0xe1, 5, 0xf0, 3, 0x59, 1, 0, 6, 0xe1, 6, 0xf0, 0],
            ]
            .concat(),
        );
        let bytes = [
            packet(0, &programs),
            packet(0x100, &map),
            packet(0x103, &[0, 0, 1, 0xc0]),
            packet(0x106, &[0, 0, 1, 0xbd]),
        ]
        .concat();
        let tables = tables(&bytes, 188, 0);
        assert_eq!(tables.programs, 2);
        assert_eq!(tables.sounds, [(0x0f, 0x102), (6, 0x104), (6, 0x103)]);
        // The first stream becomes H.265.
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.ts");
        let later = map.iter().map(|byte| if *byte == 0x1b { 0x24 } else { *byte });
        let later: Vec<_> = later.collect();
        std::fs::write(&path, [&bytes[..], &packet(0x100, &later)].concat()).unwrap();
        assert_eq!(read(&path, 188, 0).change, Some((0x1b, 0x24)));
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(read(&path, 188, 0).change, None);
        std::fs::write(&path, &bytes[..bytes.len() - 9]).unwrap();
        assert!(read(&path, 188, 0).is_cut);
    }
}
