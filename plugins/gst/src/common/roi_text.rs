//! Regions as the properties `roi` and `exclude` write them.

use facesr::Rect;
use facesr::search::{Rects, RoiFilter};

use crate::frame_map::FrameMapper;

/// What `roi` and `exclude` say.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct RoiTexts {
    pub(crate) include: Rects,
    pub(crate) exclude: Rects,
}

impl RoiTexts {
    /// Reads the texts of both properties.
    ///
    /// # Errors
    /// The element error for a text that holds anything but rectangles. An element that ran on
    /// without would show what was to be left out.
    pub(crate) fn parse(
        roi: Option<&str>,
        exclude: Option<&str>,
    ) -> Result<Self, gst::ErrorMessage> {
        let parse = |property: &str, text: Option<&str>| {
            text.unwrap_or_default().parse::<Rects>().map_err(|reason| {
                gst::error_msg!(gst::LibraryError::Settings, ("Property {property}: {reason}"))
            })
        };
        Ok(Self { include: parse("roi", roi)?, exclude: parse("exclude", exclude)? })
    }

    /// The regions in pixels of the frames that come.
    pub(crate) fn filter(&self, frames: &FrameMapper) -> RoiFilter {
        let (width, height) = frames.size();
        let pixels = |rects: &Rects| rects.in_pixels(width, height);
        RoiFilter::new(pixels(&self.include), pixels(&self.exclude))
    }

    /// What is wrong with these regions for the frames that come: those that do not meet the
    /// picture. Somebody has another size in mind.
    pub(crate) fn complaint(&self, frames: &FrameMapper) -> Option<String> {
        let (width, height) = frames.size();
        let outside = |r: &&Rect| {
            r.x >= width as f32 || r.y >= height as f32 || r.x + r.w <= 0.0 || r.y + r.h <= 0.0
        };
        let complaint = |property: &str, rects: Rects, meaning: &str| {
            let list: Vec<Rect> = rects.0.iter().filter(outside).copied().collect();
            (!list.is_empty()).then(|| {
                let list = Rects(list);
                format!("Property {property}: {list} lies outside of the picture of {width}x{height}, {meaning}")
            })
        };
        let filter = self.filter(frames);
        complaint("roi", filter.include, "where no face is searched")
            .or_else(|| complaint("exclude", filter.exclude, "and leaves nothing out"))
    }
}
