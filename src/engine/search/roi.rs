//! Where in the picture faces are looked for.

use std::fmt;
use std::str::FromStr;

use super::Window;
use crate::error::NoRectangle;
use crate::geometry::{Point, Rect};

/// Luma pixels around the roi that are searched with it, so that a face whose middle lies in it is
/// seen whole.
const MARGIN: f32 = 48.0;

/// A part of the picture: rectangles to look in, and rectangles to leave out. A face belongs to it
/// by its middle.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct RoiFilter {
    /// Where to look, luma pixels; none for everywhere.
    pub include: Rects,
    /// Where not to look, even inside.
    pub exclude: Rects,
}

impl RoiFilter {
    /// The parts of `include`, of everything if there are none, without those of `exclude`.
    pub fn new(include: Rects, exclude: Rects) -> Self {
        Self { include, exclude }
    }

    /// Whether a face with this middle belongs to it.
    pub fn contains(&self, p: Point) -> bool {
        let within = |r: &Rect| r.contains(p);
        (self.include.0.is_empty() || self.include.0.iter().any(within))
            && !self.exclude.0.iter().any(within)
    }

    /// Whether a face in `window` may belong to it.
    pub(crate) fn meets(&self, window: &Window) -> bool {
        let w = window.rect();
        let overlaps =
            |r: &Rect| w.x < r.x + r.w && r.x < w.x + w.w && w.y < r.y + r.h && r.y < w.y + w.h;
        let covers =
            |r: &Rect| r.x <= w.x && r.y <= w.y && r.x + r.w >= w.x + w.w && r.y + r.h >= w.y + w.h;
        (self.include.0.is_empty() || self.include.0.iter().any(overlaps))
            && !self.exclude.0.iter().any(covers)
    }

    /// What has to be searched of a `width` x `height` frame; `None` if that is all of it. Of a
    /// smaller part the detector sees more: it is reduced less.
    pub(crate) fn window(&self, width: u32, height: u32) -> Option<Window> {
        let first = self.include.0.first()?;
        let [mut x0, mut y0, mut x1, mut y1] =
            [first.x, first.y, first.x + first.w, first.y + first.h];
        for r in &self.include.0 {
            (x0, y0) = (x0.min(r.x), y0.min(r.y));
            (x1, y1) = (x1.max(r.x + r.w), y1.max(r.y + r.h));
        }
        // Even, for chroma that is halved; not so small that no face fits in.
        let fit = |from: f32, to: f32, limit: u32| {
            let from = ((from - MARGIN).max(0.0) as u32).min(limit.saturating_sub(1)) & !1;
            let to = ((to + MARGIN).max(0.0) as u32).min(limit).next_multiple_of(2);
            let to = to.clamp(from + 1, limit);
            (from, to - from)
        };
        let ((x, width_in), (y, height_in)) = (fit(x0, x1, width), fit(y0, y1, height));
        let whole = (x, y, width_in, height_in) == (0, 0, width, height);
        (!whole).then_some(Window { x, y, width: width_in, height: height_in })
    }
}

/// Rectangles as users write them: `x,y,w,h`, several with a semicolon between them; each in luma
/// pixels, or from 0 to 1 of the picture's width and height.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Rects(pub Vec<Rect>);

impl Rects {
    /// Whether `rect` is written from 0 to 1 of the picture's width and height: no number is above
    /// 1. As pixels that would be less than one.
    pub fn is_relative(rect: &Rect) -> bool {
        [rect.x, rect.y, rect.w, rect.h].iter().all(|v| *v <= 1.0)
    }

    /// All of them in pixels of a picture of `width` x `height`.
    pub fn in_pixels(&self, width: u32, height: u32) -> Self {
        let (w, h) = (width as f32, height as f32);
        let pixels = |r: &Rect| {
            if Self::is_relative(r) { Rect::new(r.x * w, r.y * h, r.w * w, r.h * h) } else { *r }
        };
        Self(self.0.iter().map(pixels).collect())
    }
}

impl FromStr for Rects {
    type Err = NoRectangle;

    fn from_str(s: &str) -> Result<Self, NoRectangle> {
        let one = |s: &str| {
            let numbers: Vec<f32> = s.split(',').filter_map(|n| n.trim().parse().ok()).collect();
            let count = s.split(',').count();
            match numbers[..] {
                [x, y, w, h] if count == 4 && Rect::new(x, y, w, h).is_valid() => {
                    Ok(Rect::new(x, y, w, h))
                }
                _ => Err(NoRectangle { text: s.trim().to_string() }),
            }
        };
        s.split(';').filter(|s| !s.trim().is_empty()).map(one).collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for Rects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, r) in self.0.iter().enumerate() {
            let between = if i > 0 { ";" } else { "" };
            write!(f, "{between}{},{},{},{}", r.x, r.y, r.w, r.h)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Frame, FrameInfo, PixelFormat};

    fn rects(s: &str) -> Rects {
        s.parse().unwrap()
    }

    #[test]
    fn rectangles_are_read_and_written() {
        assert_eq!(rects(""), Rects::default());
        let two = rects("0,0,100,50; 200,10,32.5,40;");
        assert_eq!(two.0[1], Rect::new(200.0, 10.0, 32.5, 40.0));
        assert_eq!(two.to_string(), "0,0,100,50;200,10,32.5,40");
        for bad in
            ["1,2,3", "1,2,3,4,5", "a,b,c,d", "0,0,0,5", "0,0,-1,5", "1,2,x,3,4", "0,0,nan,1"]
        {
            let error = bad.parse::<Rects>().unwrap_err().to_string();
            assert!(error.contains(bad) && error.contains("x,y,width,height"), "{error}");
        }
    }

    #[test]
    fn rectangles_up_to_1_are_relative_to_the_picture() {
        let both = rects("0.5,0,0.5,1;10,20,30,40;0,0,1,1").in_pixels(640, 360);
        assert_eq!(both, rects("320,0,320,360;10,20,30,40;0,0,640,360"));
        // Half a picture that begins a little outside.
        assert_eq!(rects("-0.25,0,0.5,1").in_pixels(640, 360), rects("-160,0,320,360"));
    }

    #[test]
    fn a_face_belongs_by_its_middle() {
        let roi =
            RoiFilter { include: rects("0,0,100,100;300,0,50,50"), exclude: rects("40,40,20,20") };
        let contains = |x, y| roi.contains(Point { x, y });
        assert!(contains(10.0, 10.0) && contains(310.0, 20.0));
        assert!(!contains(50.0, 50.0) && !contains(200.0, 20.0));
        let all_but = RoiFilter { exclude: rects("0,0,10,10"), ..RoiFilter::default() };
        assert!(all_but.contains(Point { x: 50.0, y: 5.0 }));
        assert_eq!(all_but.window(640, 480), None);
    }

    #[test]
    fn the_window_lies_in_the_frame_and_shows_its_pixels() {
        let roi = |s: &str| RoiFilter { include: rects(s), ..RoiFilter::default() };
        assert_eq!(
            roi("101,201,50,60;400,300,20,20").window(1920, 1080),
            Some(Window { x: 52, y: 152, width: 416, height: 216 })
        );
        assert_eq!(roi("0,0,1920,1080").window(1920, 1080), None);
        for s in ["5000,5000,10,10", "-500,-500,10,10", "1919,1079,1,1"] {
            let window = roi(s).window(1920, 1080).unwrap();
            assert!(window.width > 0 && window.x + window.width <= 1920, "{window:?}");
            assert!(window.height > 0 && window.y + window.height <= 1080, "{window:?}");
        }
        for format in PixelFormat::ALL {
            let info = FrameInfo::new(format, 33, 17);
            let (mut planes, mut strides) = (Vec::new(), Vec::new());
            for i in 0..format.plane_count() {
                let (row, rows) = format.plane_size(i, 33, 17);
                planes.push((0..(row + 3) * rows).map(|n| (n * 7 + i) as u8).collect());
                strides.push(row + 3);
            }
            let slices: Vec<&[u8]> = planes.iter().map(Vec::<u8>::as_slice).collect();
            let frame = Frame::new(info, &slices, &strides).unwrap();
            let part = Window { x: 4, y: 2, width: 29, height: 15 }.of(&frame).unwrap();
            for i in 0..3 {
                let (a, b) = (frame.component(i), part.component(i));
                let (dx, dy) = (4 >> a.hsub, 2 >> a.vsub);
                for y in 0..b.height {
                    for x in 0..b.width {
                        let whole = a.data[(y + dy) * a.stride + (x + dx) * a.step];
                        assert_eq!(b.data[y * b.stride + x * b.step], whole, "{format:?}");
                    }
                }
            }
        }
        let data = [0u8; 64];
        let frame = Frame::new(FrameInfo::new(PixelFormat::Gray8, 8, 8), &[&data], &[8]).unwrap();
        assert!(Window { x: 4, y: 0, width: 6, height: 8 }.of(&frame).is_none());
    }
}
