//! Where a file is damaged in the middle, found by walking its structure.
//!
//! Demuxers search for the next thing that they understand and go on without a word. Here each format is
//! walked by its own rules, from header to header; whatever can be valid passes. A file that only ends too
//! early is not damaged in this sense: readers of the formats tell of that.

mod chunks;
mod matroska;
mod packets;
mod transport;

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::format::Format;

/// What is damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Damage {
    /// The first byte that cannot be right.
    pub(super) at: u64,
    /// How many such places there are, as far as the walk can go on behind one.
    pub(super) places: u64,
    /// Bytes of the whole file.
    pub(super) length: u64,
}

impl Damage {
    /// Looks for damage in a file of this kind. It reads headers, of some kinds the whole file.
    pub(super) fn find(path: &Path, format: Format) -> Option<Self> {
        let mut file = Window::open(path)?;
        let once = |at: Option<u64>| at.map(|at| (at, 1));
        let (at, places) = match format {
            Format::Matroska { .. } => once(matroska::walk(&mut file)),
            Format::Ts { stride, offset } => transport::walk(&mut file, stride, offset),
            Format::Mp4 => once(chunks::mp4(&mut file)),
            Format::Avi => once(chunks::avi(&mut file)),
            Format::Flv => once(chunks::flv(&mut file)),
            Format::Ogg { .. } => packets::ogg(&mut file),
            Format::Asf => once(packets::asf(&mut file)),
            Format::Ps { skip, .. } => once(packets::program_stream(&mut file, skip)),
            Format::Dhav => once(packets::dhav(&mut file)),
            Format::Dv => once(packets::dv(&mut file)),
            Format::Mjpeg => once(packets::zeros(&mut file)),
            Format::Other if packets::is_annex_b(&mut file) => once(packets::zeros(&mut file)),
            _ => None,
        }?;
        Some(Self { at, places, length: file.length })
    }

    /// A sentence for the user.
    pub(super) fn sentence(&self) -> String {
        let Self { at, places, length } = *self;
        let percent = at * 100 / length.max(1);
        let begin = match places {
            1 => format!("the input is damaged at byte {at}"),
            _ => format!("the input is damaged in {places} places, first at byte {at}"),
        };
        format!("{begin} ({percent} % of the file): what was there is missing")
    }
}

/// A file of which a small part is in memory.
struct Window {
    file: File,
    length: u64,
    bytes: Vec<u8>,
    /// Where `bytes` lie in the file.
    begin: u64,
    /// How many bytes are read at a time.
    step: usize,
}

impl Window {
    /// For walks that jump from header to header.
    const STEP: usize = 4096;
    /// For walks that read everything.
    const LARGE_STEP: usize = 1 << 20;

    fn open(path: &Path) -> Option<Self> {
        let file = File::open(path).ok()?;
        let length = file.metadata().ok()?.len();
        Some(Self { file, length, bytes: Vec::new(), begin: 0, step: Self::STEP })
    }

    /// The bytes from `at` on: `count` of them, fewer at the end of the file.
    fn upto(&mut self, at: u64, count: usize) -> &[u8] {
        let end = at.saturating_add(count as u64).min(self.length);
        if at < self.begin || end > self.begin + self.bytes.len() as u64 {
            self.bytes.resize(self.step.max(count), 0);
            let mut got = 0;
            // What cannot be read ends the file here; reading it in earnest tells why.
            while got < self.bytes.len()
                && let Ok(more @ 1..) = self.file.read_at(&mut self.bytes[got..], at + got as u64)
            {
                got += more;
            }
            self.bytes.truncate(got);
            self.begin = at;
        }
        let from = usize::try_from(at - self.begin).unwrap_or(usize::MAX).min(self.bytes.len());
        &self.bytes[from..self.bytes.len().min(from.saturating_add(count))]
    }

    /// The `N` bytes from `at` on; `None` where the file ends.
    fn at<const N: usize>(&mut self, at: u64) -> Option<[u8; N]> {
        self.upto(at, N).try_into().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where a file of these bytes is damaged, and in how many places.
    pub(super) fn damage(bytes: &[u8], format: Format) -> Option<(u64, u64)> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, bytes).unwrap();
        Damage::find(&path, format).map(|damage| (damage.at, damage.places))
    }

    #[test]
    fn window_reads_any_part() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let bytes: Vec<u8> = (0..10_000u32).map(|n| (n % 251) as u8).collect();
        std::fs::write(&path, &bytes).unwrap();
        let mut file = Window::open(&path).unwrap();
        for (at, count) in [(0, 10), (4090, 20), (9_000, 8_000), (100, 4), (9_999, 4), (20_000, 4)]
        {
            let end = (at + count).min(bytes.len());
            let wanted = bytes.get(at..end).unwrap_or_default();
            assert_eq!(file.upto(at as u64, count), wanted, "{count} from {at}");
        }
        assert_eq!(file.at::<2>(9_999), None);
    }

    #[test]
    fn sentences_say_where_and_how_often() {
        let one = Damage { at: 500, places: 1, length: 1000 };
        assert_eq!(
            one.sentence(),
            "the input is damaged at byte 500 (50 % of the file): what was there is missing"
        );
        let more = Damage { places: 3, ..one };
        assert!(more.sentence().starts_with("the input is damaged in 3 places, first at byte 500"));
    }
}
