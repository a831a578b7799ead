//! How much a picture is enlarged before its faces are sharpened.

use clap::builder::{PossibleValuesParser, TypedValueParser};

/// How much the picture is enlarged first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scale {
    /// As its size and its faces suggest.
    Auto,
    /// So many times.
    Times(u32),
}

/// Larger pictures are not enlarged unasked, pixels of the longer side...
pub(crate) const MOST_ENLARGED: u32 = 960;
/// ... and they become no larger than this.
const LARGEST: u32 = 1920;
/// Nor does the median of the faces become larger than this, pixels: such a face can be looked at.
const LARGEST_FACE: f32 = 192.0;

impl Scale {
    pub(super) fn parser() -> impl TypedValueParser<Value = Self> {
        PossibleValuesParser::new(["auto", "1", "2", "4"])
            .map(|text| text.parse().map_or(Self::Auto, Self::Times))
    }

    /// What [`Auto`](Self::Auto) is for a picture of `size` pixels with `faces` of so many pixels, in
    /// ascending order, in some of its frames.
    pub(crate) fn suggested(size: (u32, u32), faces: &[f32]) -> u32 {
        let long = size.0.max(size.1);
        let Some(median) = faces.get(faces.len() / 2) else { return 1 };
        let fits = |times: u32| times * long <= LARGEST && times as f32 * median <= LARGEST_FACE;
        [4, 2].into_iter().find(|&times| long <= MOST_ENLARGED && fits(times)).unwrap_or(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_pictures_with_small_faces_are_enlarged() {
        for (size, faces, wanted) in [
            ((640, 360), &[12.0, 20.0, 90.0][..], 2),
            ((640, 360), &[97.0], 1),
            ((352, 288), &[12.0, 20.0], 4),
            ((288, 352), &[12.0, 20.0], 4),
            ((480, 270), &[48.0], 4),
            ((480, 270), &[49.0], 2),
            ((481, 270), &[20.0], 2),
            ((176, 144), &[60.0], 2),
            ((176, 144), &[100.0], 1),
            ((960, 540), &[30.0], 2),
            ((961, 540), &[10.0], 1),
            ((540, 961), &[10.0], 1),
            ((640, 360), &[], 1),
        ] {
            assert_eq!(Scale::suggested(size, faces), wanted, "{size:?} {faces:?}");
        }
    }
}
