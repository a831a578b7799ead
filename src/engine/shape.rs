//! Sizes of a generator's input and output.

use std::fmt;

/// Sides of what a generator takes (LR, low resolution) and makes (HR, high resolution), pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Shape {
    lr: u16,
    hr: u16,
}

impl Shape {
    /// 16x16 to 64x64: for the smallest faces.
    pub const SMALL: Self = Self { lr: 16, hr: 64 };
    /// 32x32 to 128x128: for faces of which the camera saw more.
    pub const LARGE: Self = Self { lr: 32, hr: 128 };
    /// Side of the grid on which faces are compared whatever their generator, pixels.
    pub const COMMON: usize = 16;
    /// Numbers of a face on it, `[3, 16, 16]`.
    pub const COMMON_LEN: usize = 3 * Self::COMMON * Self::COMMON;
    /// Largest side of an input, pixels.
    const MAX_LR: usize = 64;
    /// Output pixels for each input pixel, across and down.
    const FACTOR: usize = 4;

    /// The shape with these sides, if a generator may have it: inputs of 16, 32, 48 or 64 pixels,
    /// outputs four times as wide.
    pub fn new(lr: usize, hr: usize) -> Option<Self> {
        let fits = lr.is_multiple_of(Self::COMMON)
            && (Self::COMMON..=Self::MAX_LR).contains(&lr)
            && hr == Self::FACTOR * lr;
        fits.then_some(Self { lr: lr as u16, hr: hr as u16 })
    }

    /// Side of an input, pixels.
    pub const fn lr(self) -> usize {
        self.lr as usize
    }

    /// Side of an output, pixels.
    pub const fn hr(self) -> usize {
        self.hr as usize
    }

    /// Numbers in one channel of an input, `[lr, lr]`.
    pub const fn lr_plane(self) -> usize {
        self.lr() * self.lr()
    }

    /// Numbers in one channel of an output, `[hr, hr]`.
    pub const fn hr_plane(self) -> usize {
        self.hr() * self.hr()
    }

    /// Numbers in an input, `[3, lr, lr]`.
    pub const fn lr_len(self) -> usize {
        3 * self.lr_plane()
    }

    /// Numbers in an output, `[3, hr, hr]`.
    pub const fn hr_len(self) -> usize {
        3 * self.hr_plane()
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{0}x{0} to {1}x{1}", self.lr, self.hr)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_multiples_of_sixteen_enlarged_four_times() {
        assert_eq!(Shape::new(16, 64), Some(Shape::SMALL));
        assert_eq!(Shape::new(32, 128), Some(Shape::LARGE));
        for (lr, hr) in [(0, 0), (8, 32), (16, 32), (24, 96), (32, 64), (80, 320), (16, 128)] {
            assert_eq!(Shape::new(lr, hr), None, "{lr} {hr}");
        }
        assert_eq!((Shape::LARGE.lr_len(), Shape::LARGE.hr_len()), (3072, 49152));
        assert_eq!(Shape::LARGE.to_string(), "32x32 to 128x128");
    }
}
