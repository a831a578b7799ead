//! How large a detector sees frames.

/// Narrower than this, in pixels, a network sees nothing.
const LEAST_WIDTH: u32 = 32;

/// How large a detector sees frames. Sizes are of frames as they are shown, with square pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Sizing {
    /// Frames with a longer longer side are reduced to this, pixels.
    pub long_side: u32,
    /// Frames with a shorter longer side are enlarged to this, at most twice, pixels.
    pub small_frame: u32,
    /// The user's choice: a width in pixels for the full frame; 0 for none.
    pub width: u32,
    /// CPU time of a search per million pixels that the detector sees, milliseconds; `None` if it
    /// cannot search at another scale than its own.
    pub ms_per_megapixel: Option<f32>,
}

impl Sizing {
    /// Frames as they are, and at no other scale.
    pub const AS_IT_IS: Self =
        Self { long_side: u32::MAX, small_frame: 0, width: 0, ms_per_megapixel: None };

    /// Detector pixels per pixel of a full frame of `width` x `height` pixels.
    pub fn full_scale(&self, width: f32, height: f32) -> f32 {
        let long = width.max(height).max(1.0);
        match self.width {
            0 if long < self.small_frame as f32 => 2f32.min(self.small_frame as f32 / long),
            0 => 1f32.min(self.long_side as f32 / long),
            chosen => 2f32.min(chosen.max(LEAST_WIDTH) as f32 / width.max(1.0)),
        }
    }

    /// Size of a frame of `width` x `height` pixels at a scale, in detector pixels.
    pub(super) fn scaled(width: f32, height: f32, scale: f32) -> (usize, usize) {
        let side = |n: f32| ((n * scale).round() as usize).max(1);
        (side(width), side(height))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_frames_are_reduced_enlarged_or_as_the_user_chooses() {
        let size = |width: f32, height: f32, chosen: u32| {
            let sizing = Sizing {
                long_side: 960,
                small_frame: 640,
                width: chosen,
                ms_per_megapixel: Some(50.0),
            };
            Sizing::scaled(width, height, sizing.full_scale(width, height))
        };
        for (width, height, chosen, wanted) in [
            (1920.0, 1080.0, 0, (960, 540)),
            (1080.0, 1920.0, 0, (540, 960)),
            (1280.0, 720.0, 0, (960, 540)),
            (960.0, 544.0, 0, (960, 544)),
            (768.0, 432.0, 0, (768, 432)),
            (480.0, 270.0, 0, (640, 360)),
            (176.0, 144.0, 0, (352, 288)),
            (1920.0, 1080.0, 640, (640, 360)),
            (320.0, 240.0, 640, (640, 480)),
            (320.0, 240.0, 1920, (640, 480)),
            (1920.0, 1080.0, 1, (32, 18)),
            (32_768.0, 1.0, 0, (960, 1)),
            (1.0, 1.0, 0, (2, 2)),
        ] {
            assert_eq!(size(width, height, chosen), wanted, "{width}x{height} {chosen}");
        }
    }
}
