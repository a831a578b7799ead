//! Where faces are worked on: one device that cuts, generates, keeps and blends.
//!
//! The [enhancer](crate::enhance) decides, from the cuts, what becomes of each face; a backend
//! carries it out. Generated faces never leave it: the enhancer only knows the number of the place
//! where each track's last one is kept, so that on a GPU they stay in its memory.

use std::time::Duration;

use crate::error::Error;
use crate::frame::Picture;
use crate::geometry::CropSquare;

/// What becomes of one face after it was cut.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FacePlan {
    /// The square it was cut from, and is blended into.
    pub square: CropSquare,
    /// Weight in the middle of the feather, 0..=1.
    pub strength: f32,
    /// Where the track's last face is kept and this one will be. No two faces of a frame share one.
    pub slot: usize,
    /// Whether to generate it; if not, what is kept is shown again.
    pub generate: bool,
    /// Share of the kept face in a generated one, 0..1; 0 where nothing of use is kept.
    pub keep: f32,
}

/// CPU time of [`Backend::render`], over all threads.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RenderTimes {
    /// Running the generator.
    pub generate: Duration,
    /// Steadying and blending.
    pub blend: Duration,
    /// Numbers of the plans whose generated face held numbers that are not finite. The frame is
    /// untouched there, and the slot keeps what it held.
    pub not_finite: Vec<usize>,
}

/// Cuts, generates, keeps and blends the faces of one stream.
pub trait Backend: Send {
    /// Name of the device, for messages.
    fn name(&self) -> &str;

    /// Cuts each of `squares` into `lr`: `[N, 3, 16, 16]` RGB in -1..=1, and answers the CPU time
    /// that took, over all threads. A square that does not [lie in](CropSquare::lies_in) the frame
    /// gives grey.
    ///
    /// # Errors
    /// If the device fails, or cannot reach the frame.
    fn crop(
        &mut self,
        picture: &Picture<'_, '_>,
        squares: &[CropSquare],
        lr: &mut [f32],
    ) -> Result<Duration, Error>;

    /// Generates what is to be, mixes it with what is kept, keeps the result and blends it into
    /// the frame, in the order of `plans`: where faces overlap, the later lies on top. `lr` is
    /// what [`crop`](Self::crop) answered for the same squares of the same frame.
    ///
    /// # Errors
    /// If the generator or the device fails. A frame in system memory is then untouched; what is
    /// kept at the places of `plans` is lost.
    fn render(
        &mut self,
        picture: &mut Picture<'_, '_>,
        lr: &[f32],
        plans: &[FacePlan],
    ) -> Result<RenderTimes, Error>;
}
