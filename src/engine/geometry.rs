//! Boxes around faces, and the square that is cropped for a box.
//!
//! Coordinates are luma pixels measured from the picture's left and top *edge*: pixel column `i`
//! covers `i..i + 1` and has its center at `i + 0.5`.

/// Side of the crop square over the longer side of a WIDER-style face box (forehead to chin).
///
/// Training crops are made with the same factor. The eyes are then 0.30 of the side apart and 0.09
/// of the side above the center.
pub const CROP_SCALE: f32 = 1.1;

/// A point, in luma pixels.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Point {
    /// From the left edge.
    pub x: f32,
    /// From the top edge.
    pub y: f32,
}

/// A rectangle, in luma pixels; it may reach beyond the picture.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Rect {
    /// Left edge.
    pub x: f32,
    /// Top edge.
    pub y: f32,
    /// Width, positive.
    pub w: f32,
    /// Height, positive.
    pub h: f32,
}

impl Rect {
    /// A rectangle from its left, top, width and height.
    pub const fn new(x: f32, y: f32, w: f32, h: f32) -> Self {
        Self { x, y, w, h }
    }

    /// The center.
    pub fn center(&self) -> Point {
        Point { x: self.x + self.w / 2.0, y: self.y + self.h / 2.0 }
    }

    /// Whether a point lies in it; its right and bottom edge belong to the neighbor.
    pub fn contains(&self, p: Point) -> bool {
        (self.x..self.x + self.w).contains(&p.x) && (self.y..self.y + self.h).contains(&p.y)
    }

    /// Whether all numbers are finite and the sides positive.
    pub fn is_valid(&self) -> bool {
        [self.x, self.y, self.w, self.h].iter().all(|v| v.is_finite())
            && self.w > 0.0
            && self.h > 0.0
    }

    /// The rectangle with the same center and both sides times `factor`.
    pub fn scaled(&self, factor: f32) -> Self {
        let (w, h) = (self.w * factor, self.h * factor);
        Self::new(self.x - (w - self.w) / 2.0, self.y - (h - self.h) / 2.0, w, h)
    }

    /// Intersection over union with `other`, 0 to 1.
    pub fn iou(&self, other: &Self) -> f32 {
        let w = (self.x + self.w).min(other.x + other.w) - self.x.max(other.x);
        let h = (self.y + self.h).min(other.y + other.h) - self.y.max(other.y);
        if w <= 0.0 || h <= 0.0 {
            return 0.0;
        }
        let both = w * h;
        both / (self.w * self.h + other.w * other.h - both)
    }
}

/// The square that is cropped for a face, in luma pixels.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct CropSquare {
    /// Left edge.
    pub x: f32,
    /// Top edge.
    pub y: f32,
    /// Side, positive.
    pub side: f32,
}

impl CropSquare {
    /// The crop square of a WIDER-style face box in a picture of `width` x `height`: centered on
    /// the box, side [`CROP_SCALE`] times its longer side, capped and shifted to lie in the
    /// picture. `None` if the box is no face to enhance: not finite, empty, or centered outside.
    pub fn around(face: &Rect, width: u32, height: u32) -> Option<Self> {
        let (w, h) = (width as f32, height as f32);
        let c = face.center();
        if !face.is_valid() || !(0.0..w).contains(&c.x) || !(0.0..h).contains(&c.y) {
            return None;
        }
        let side = (CROP_SCALE * face.w.max(face.h)).min(w).min(h);
        Some(Self {
            x: (c.x - side / 2.0).clamp(0.0, w - side),
            y: (c.y - side / 2.0).clamp(0.0, h - side),
            side,
        })
    }

    /// Whether it is a valid square within a picture of `width` x `height`, up to the rounding
    /// of [`around`](Self::around).
    pub fn lies_in(&self, width: u32, height: u32) -> bool {
        const ROUNDING: f32 = 0.01;
        let fits = |start: f32, size: u32| {
            start >= -ROUNDING && start + self.side <= size as f32 + ROUNDING
        };
        self.side > 0.0 && fits(self.x, width) && fits(self.y, height)
    }

    /// The same area as a rectangle.
    pub fn rect(&self) -> Rect {
        Rect::new(self.x, self.y, self.side, self.side)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crop_square_is_centered_and_capped() {
        let s = CropSquare::around(&Rect::new(40.0, 30.0, 20.0, 30.0), 200, 100).unwrap();
        assert!((s.side - 33.0).abs() < 1e-4);
        assert!((s.x + s.side / 2.0 - 50.0).abs() < 1e-4);
        assert!((s.y + s.side / 2.0 - 45.0).abs() < 1e-4);
        let edge = CropSquare::around(&Rect::new(-5.0, 80.0, 20.0, 30.0), 200, 100).unwrap();
        assert_eq!(edge.x, 0.0);
        assert!((edge.y + edge.side - 100.0).abs() < 1e-4);
        let big = CropSquare::around(&Rect::new(-50.0, -60.0, 300.0, 300.0), 200, 100).unwrap();
        assert_eq!(big, CropSquare { x: 50.0, y: 0.0, side: 100.0 });
    }

    #[test]
    fn crop_square_is_none_for_boxes_that_are_no_faces() {
        for bad in [
            Rect::new(f32::NAN, 0.0, 5.0, 5.0),
            Rect::new(0.0, 0.0, 0.0, 5.0),
            Rect::new(0.0, 0.0, -4.0, 5.0),
            Rect::new(-30.0, 0.0, 10.0, 10.0),
            Rect::new(500.0, 5.0, 10.0, 10.0),
        ] {
            assert_eq!(CropSquare::around(&bad, 100, 100), None, "{bad:?}");
        }
    }

    #[test]
    fn iou_returns_known_values() {
        let a = Rect::new(0.0, 0.0, 10.0, 10.0);
        assert_eq!(a.iou(&a), 1.0);
        assert!((a.iou(&Rect::new(5.0, 0.0, 10.0, 10.0)) - 1.0 / 3.0).abs() < 1e-6);
        assert_eq!(a.iou(&Rect::new(10.0, 0.0, 10.0, 10.0)), 0.0);
    }
}
