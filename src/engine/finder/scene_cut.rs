//! Notices that a new scene begins: then no track may live on.

use crate::frame::{ColorModel, Frame};
use crate::search::Window;

/// Samples across and down.
const GRID: (usize, usize) = (32, 18);
/// Mean absolute change of the samples, in codes of 0 to 255, above which a scene is new. A person
/// who walks past the camera changes far less, a flash or a hard cut more.
const NEW_SCENE: f32 = 36.0;
/// Change of a sample, in codes, that noise does not make.
const MOTION: u8 = 12;

/// What a frame shows, beside those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct SceneChange {
    /// The frame is unlike the one before: a cut or a flash, as the next frame will show.
    pub(crate) is_suspected: bool,
    /// What the frame before, which was suspected, turns out to be.
    pub(crate) verdict: Option<Verdict>,
}

/// What a frame was that is unlike the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The first of another scene.
    Cut,
    /// A single odd one: the scene goes on.
    Flash,
}

/// Compares each frame with those before.
#[derive(Debug, Default)]
pub(crate) struct SceneCutDetector {
    last: Vec<u8>,
    now: Vec<u8>,
    /// The last frame of the scene before a suspected cut; empty if none is suspected.
    before: Vec<u8>,
    changes: Vec<u8>,
}

impl SceneCutDetector {
    /// Forgets all frames.
    pub(crate) fn reset(&mut self) {
        self.last.clear();
        self.before.clear();
        self.changes.clear();
    }

    /// Looks at the next frame. The first begins no new scene.
    pub(crate) fn observe(&mut self, frame: &Frame<'_>) -> SceneChange {
        // Luma, or green, which carries most of it.
        let c = frame.component(usize::from(frame.info().format.model() == ColorModel::Rgb));
        self.now.clear();
        for j in 0..GRID.1 {
            let row = &c.data[(2 * j + 1) * c.height / (2 * GRID.1) * c.stride..];
            let columns = (0..GRID.0).map(|i| (2 * i + 1) * c.width / (2 * GRID.0));
            self.now.extend(columns.map(|x| row[x * c.step]));
        }
        let is_alike = is_alike(&self.before, &self.now);
        let verdict = (!self.before.is_empty()).then_some(if is_alike {
            Verdict::Flash
        } else {
            Verdict::Cut
        });
        self.before.clear();
        let is_suspected =
            verdict != Some(Verdict::Flash) && !is_alike_or_first(&self.last, &self.now);
        if is_suspected {
            self.before.extend_from_slice(&self.last);
        }
        self.changes.clear();
        self.changes.extend(self.last.iter().zip(&self.now).map(|(a, b)| a.abs_diff(*b)));
        std::mem::swap(&mut self.last, &mut self.now);
        SceneChange { is_suspected, verdict }
    }

    /// Share of `window`, a part of a frame of `size`, that differs from the frame before, 0 to 1.
    pub(super) fn motion(&self, window: &Window, size: (u32, u32)) -> f32 {
        let range = |start: u32, length: u32, limit: u32, cells: usize| {
            let cell = |v: u32| (u64::from(v) * cells as u64 / u64::from(limit.max(1))) as usize;
            let first = cell(start).min(cells - 1);
            first..cell(start + length).clamp(first + 1, cells)
        };
        let (columns, rows) = (
            range(window.x, window.width, size.0, GRID.0),
            range(window.y, window.height, size.1, GRID.1),
        );
        let cells = columns.len() * rows.len();
        let cells_changed = rows
            .flat_map(|j| columns.clone().map(move |i| j * GRID.0 + i))
            .filter(|i| self.changes.get(*i).is_some_and(|change| *change > MOTION));
        cells_changed.count() as f32 / cells as f32
    }
}

fn is_alike_or_first(a: &[u8], b: &[u8]) -> bool {
    a.is_empty() || is_alike(a, b)
}

fn is_alike(a: &[u8], b: &[u8]) -> bool {
    let change: u32 = a.iter().zip(b).map(|(a, b)| u32::from(a.abs_diff(*b))).sum();
    change as f32 <= NEW_SCENE * (GRID.0 * GRID.1) as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{FrameInfo, PixelFormat};

    fn observe(detector: &mut SceneCutDetector, picture: &dyn Fn(usize) -> u8) -> SceneChange {
        let info = FrameInfo::new(PixelFormat::Gray8, 99, 55);
        let data: Vec<u8> = (0..99 * 55).map(picture).collect();
        detector.observe(&Frame::new(info, &[&data], &[99]).unwrap())
    }

    fn slope(i: usize) -> u8 {
        (i % 99) as u8
    }

    const NONE: SceneChange = SceneChange { is_suspected: false, verdict: None };

    #[test]
    fn scene_cut_is_suspected_at_once_and_certain_with_the_next_frame() {
        let mut detector = SceneCutDetector::default();
        assert_eq!(observe(&mut detector, &slope), NONE);
        assert_eq!(observe(&mut detector, &|i| slope(i) + 10), NONE);
        let cut = observe(&mut detector, &|i| 255 - slope(i));
        assert_eq!(cut, SceneChange { is_suspected: true, verdict: None });
        let after = observe(&mut detector, &|i| 250 - slope(i));
        assert_eq!(after, SceneChange { is_suspected: false, verdict: Some(Verdict::Cut) });
        assert_eq!(observe(&mut detector, &|i| 255 - slope(i)), NONE);
    }

    #[test]
    fn flash_of_one_frame_is_no_cut() {
        let mut detector = SceneCutDetector::default();
        observe(&mut detector, &slope);
        assert!(observe(&mut detector, &|_| 250).is_suspected);
        let after = observe(&mut detector, &slope);
        assert_eq!(after, SceneChange { is_suspected: false, verdict: Some(Verdict::Flash) });
        assert_eq!(observe(&mut detector, &slope), NONE);
    }

    #[test]
    fn cuts_in_a_row_are_all_seen() {
        let mut detector = SceneCutDetector::default();
        observe(&mut detector, &|_| 0);
        assert!(observe(&mut detector, &|_| 120).is_suspected);
        let second = observe(&mut detector, &|_| 240);
        assert_eq!(second, SceneChange { is_suspected: true, verdict: Some(Verdict::Cut) });
    }

    #[test]
    fn motion_is_told_by_place() {
        let mut detector = SceneCutDetector::default();
        observe(&mut detector, &|_| 90);
        observe(&mut detector, &|i| if i % 99 < 33 { 130 } else { 90 });
        let window = |x: u32, width: u32| Window { x, y: 0, width, height: 55 };
        assert!(detector.motion(&window(0, 30), (99, 55)) > 0.9);
        assert_eq!(detector.motion(&window(50, 30), (99, 55)), 0.0);
        let all = detector.motion(&window(0, 99), (99, 55));
        assert!((all - 1.0 / 3.0).abs() < 0.05, "{all}");
    }

    #[test]
    fn smallest_frame_can_be_observed() {
        let info = FrameInfo::new(PixelFormat::Rgb, 1, 1);
        let frame = Frame::new(info, &[&[1, 2, 3]], &[3]).unwrap();
        let mut detector = SceneCutDetector::default();
        assert_eq!(detector.observe(&frame), NONE);
        assert_eq!(detector.observe(&frame), NONE);
    }
}
