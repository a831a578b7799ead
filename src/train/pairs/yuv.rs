//! RGB to 4:2:0 and back, as cameras and players do it: BT.601, by numbers that round to nearest. GStreamer's own
//! converter takes quick ways here that make a picture 4 of 255 darker, which a network would learn to undo.

use facesr::frame::{FrameInfo, Matrix, PixelFormat, Range};
use facesr::internals::Color;

/// How samples of a stream are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    /// Video: luma 16 to 235; chroma lies above the left of its two columns (MPEG-2).
    Video,
    /// JPEG: luma 0 to 255; chroma lies in the middle of its four pixels (JFIF).
    Jpeg,
}

impl Coding {
    /// What GStreamer calls it.
    pub(super) fn caps(self) -> &'static str {
        match self {
            Self::Video => "colorimetry=bt601,chroma-site=mpeg2",
            Self::Jpeg => "colorimetry=1:4:0:0,chroma-site=jpeg",
        }
    }

    fn color(self) -> Color {
        let mut info = FrameInfo::new(PixelFormat::I420, 2, 2);
        info.matrix = Matrix::Bt601;
        info.range = match self {
            Self::Video => Range::Limited,
            Self::Jpeg => Range::Full,
        };
        Color::of(&info)
    }

    /// Shares of a column and of its neighbors left and right in the chroma of its pair.
    fn taps(self) -> [f32; 3] {
        match self {
            Self::Video => [0.25, 0.5, 0.25],
            Self::Jpeg => [0.0, 0.5, 0.5],
        }
    }

    /// Where column `x` lies among the columns of chroma.
    fn chroma_column(self, x: usize) -> f32 {
        match self {
            Self::Video => x as f32 / 2.0,
            Self::Jpeg => (x as f32 - 0.5) / 2.0,
        }
    }
}

fn code(value: f32) -> u8 {
    value.round().clamp(0.0, 255.0) as u8
}

/// I420 planes, one behind the other without gaps, of RGB. Both sides are even and the width a multiple of 8,
/// so that GStreamer's rows have no padding either.
pub(super) fn from_rgb(rgb: &[u8], width: usize, height: usize, coding: Coding) -> Vec<u8> {
    let color = coding.color();
    let component = |i: usize, rgb: [f32; 3]| {
        let mut out = [0.0];
        color.row(i, &rgb.map(|value| [value]), &mut out);
        code(out[0])
    };
    let at = |x: usize, y: usize| -> [f32; 3] {
        std::array::from_fn(|c| f32::from(rgb[3 * (y * width + x) + c]))
    };
    let mut out = Vec::with_capacity(width * height * 3 / 2);
    for y in 0..height {
        out.extend((0..width).map(|x| component(0, at(x, y))));
    }
    // Both planes of chroma are of these.
    let mut means = Vec::with_capacity(width * height / 4);
    for y in (0..height).step_by(2) {
        for x in (0..width).step_by(2) {
            let mut mean = [0.0; 3];
            for (k, share) in coding.taps().into_iter().enumerate() {
                let column = (x + k).saturating_sub(1).min(width - 1);
                for row in [y, y + 1] {
                    let pixel = at(column, row);
                    mean.iter_mut().zip(pixel).for_each(|(m, p)| *m += 0.5 * share * p);
                }
            }
            means.push(mean);
        }
    }
    for chroma in [1, 2] {
        out.extend(means.iter().map(|mean| component(chroma, *mean)));
    }
    out
}

/// RGB of I420 planes as [`from_rgb`] lays them; chroma is interpolated linearly.
pub(super) fn to_rgb(planes: &[u8], width: usize, height: usize, coding: Coding) -> Vec<u8> {
    let color = coding.color();
    let (half_width, half_height) = (width / 2, height / 2);
    let (ys, rest) = planes.split_at(width * height);
    let (us, vs) = rest.split_at(half_width * half_height);
    let near = |at: f32, count: usize| {
        let at = at.clamp(0.0, (count - 1) as f32);
        let first = at as usize;
        (first, (first + 1).min(count - 1), at - first as f32)
    };
    let mut out = Vec::with_capacity(3 * width * height);
    for y in 0..height {
        let (top, bottom, down) = near((y as f32 - 0.5) / 2.0, half_height);
        for x in 0..width {
            let (left, right, across) = near(coding.chroma_column(x), half_width);
            let sample = |plane: &[u8]| {
                let row = |y: usize| {
                    let (a, b) = (plane[y * half_width + left], plane[y * half_width + right]);
                    f32::from(a) + across * (f32::from(b) - f32::from(a))
                };
                row(top) + down * (row(bottom) - row(top))
            };
            let value = f32::from(ys[y * width + x]);
            out.extend(color.rgb([value, sample(us), sample(vs)]).map(code));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: [Coding; 2] = [Coding::Video, Coding::Jpeg];

    #[test]
    fn colors_come_back_without_a_shift() {
        for coding in BOTH {
            for color in [[170, 125, 105], [60, 110, 200], [12, 12, 12], [250, 250, 250]] {
                let rgb = color.repeat(16 * 8);
                let back = to_rgb(&from_rgb(&rgb, 16, 8, coding), 16, 8, coding);
                let gap = back.iter().zip(&rgb).map(|(a, b)| a.abs_diff(*b)).max();
                assert!(gap <= Some(2), "{coding:?} {color:?}: {:?}", &back[..3]);
            }
        }
    }

    #[test]
    fn slopes_of_color_stay_where_they_are() {
        let (width, height) = (64, 16);
        let at = |i: usize| [(2 * (i % width) + 60) as u8, 120, (200 - 2 * (i % width)) as u8];
        let rgb: Vec<u8> = (0..width * height).flat_map(at).collect();
        for coding in BOTH {
            let back = to_rgb(&from_rgb(&rgb, width, height, coding), width, height, coding);
            let inner = |i: &usize| (4..width - 4).contains(&(i / 3 % width));
            let gaps = (0..rgb.len()).filter(inner).map(|i| rgb[i].abs_diff(back[i]));
            assert!(gaps.max() <= Some(3), "{coding:?}");
        }
    }
}
