//! The sizes of the faces that a run is about.

use serde::{Deserialize, Serialize};

/// Side of the trunk of the compact networks, whatever the scale: larger faces are folded into
/// channels first, so that both scales cost nearly the same.
pub const TRUNK: usize = 16;

/// Sides of the faces at both ends of a generator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Scale {
    /// Side of LR faces, pixels: 16 or 32.
    pub lr: usize,
    /// Side of HR faces over that of LR faces: 4.
    pub factor: usize,
}

impl Default for Scale {
    fn default() -> Self {
        Self::SMALL
    }
}

impl Scale {
    /// 16x16 to 64x64.
    pub const SMALL: Self = Self { lr: 16, factor: 4 };
    /// 32x32 to 128x128.
    pub const LARGE: Self = Self { lr: 32, factor: 4 };

    /// The scale of LR faces of this side, if there is one.
    pub fn for_lr(lr: usize) -> Option<Self> {
        [Self::SMALL, Self::LARGE].into_iter().find(|scale| scale.lr == lr)
    }

    /// Side of HR faces, pixels.
    pub fn hr(self) -> usize {
        self.lr * self.factor
    }

    /// LR pixels along an edge that the compact networks fold into one place of their trunk.
    pub fn fold(self) -> i64 {
        (self.lr / TRUNK) as i64
    }

    /// True for the scales that there are.
    pub fn is_valid(self) -> bool {
        Self::for_lr(self.lr) == Some(self)
    }
}

impl std::fmt::Display for Scale {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (lr, hr) = (self.lr, self.hr());
        write!(f, "{lr}x{lr} -> {hr}x{hr}")
    }
}
