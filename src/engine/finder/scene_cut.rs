//! Notices that a new scene begins: then no track and no memory of a face may live on.

use crate::frame::{ColorModel, Frame};

/// Samples across and down.
const GRID: (usize, usize) = (32, 18);
/// Mean absolute change of the samples, in codes of 0..=255, above which a scene is new. A person
/// who walks past the camera changes far less, a flash or a hard cut more.
const NEW_SCENE: f32 = 36.0;

/// Compares each frame with the one before.
#[derive(Debug, Default)]
pub struct SceneCutDetector {
    last: Vec<u8>,
    now: Vec<u8>,
}

impl SceneCutDetector {
    /// Forgets the last frame.
    pub fn reset(&mut self) {
        self.last.clear();
    }

    /// Whether `frame` begins a new scene. The first frame does not.
    pub fn is_new(&mut self, frame: &Frame<'_>) -> bool {
        // Luma, or green, which carries most of it.
        let c = frame.component(usize::from(frame.info().format.model() == ColorModel::Rgb));
        self.now.clear();
        for j in 0..GRID.1 {
            let row = &c.data[(2 * j + 1) * c.height / (2 * GRID.1) * c.stride..];
            let columns = (0..GRID.0).map(|i| (2 * i + 1) * c.width / (2 * GRID.0));
            self.now.extend(columns.map(|x| row[x * c.step]));
        }
        let change: u32 =
            self.last.iter().zip(&self.now).map(|(a, b)| u32::from(a.abs_diff(*b))).sum();
        std::mem::swap(&mut self.last, &mut self.now);
        change as f32 > NEW_SCENE * (GRID.0 * GRID.1) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{FrameInfo, PixelFormat};

    #[test]
    fn cuts_are_seen_and_small_changes_are_not() {
        let info = FrameInfo::new(PixelFormat::Gray8, 99, 55);
        let mut watch = SceneCutDetector::default();
        let mut is_new = |picture: &dyn Fn(usize) -> u8| {
            let data: Vec<u8> = (0..99 * 55).map(picture).collect();
            watch.is_new(&Frame::new(info, &[&data], &[99]).unwrap())
        };
        assert!(!is_new(&|i| (i % 99) as u8));
        assert!(!is_new(&|i| (i % 99) as u8 + 10));
        assert!(is_new(&|i| 255 - (i % 99) as u8));
        assert!(!is_new(&|i| 255 - (i % 99) as u8));
    }

    #[test]
    fn the_smallest_frame_can_be_watched() {
        let info = FrameInfo::new(PixelFormat::Rgb, 1, 1);
        assert!(
            !SceneCutDetector::default().is_new(&Frame::new(info, &[&[1, 2, 3]], &[3]).unwrap())
        );
    }
}
