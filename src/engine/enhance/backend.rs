//! Where faces are worked on: one device that crops, generates, keeps and blends.
//!
//! The [enhancer](crate::enhance) decides, from the crops, what becomes of each face; a backend
//! carries it out. Generated faces never leave it: the enhancer only knows the number of the slot
//! where each track's last one is kept, so that on a GPU they stay in its memory.
//!
//! A backend has one generator or several, for faces of different sizes: its rungs, by
//! increasing input. A face is shown on one rung, or on two while it passes from one to the other.

use std::time::Duration;

use crate::error::Error;
use crate::frame::Picture;
use crate::geometry::CropSquare;
use crate::shape::Shape;

/// Most rungs that a backend has.
pub const MAX_RUNGS: usize = 2;

/// Most layers in a frame that a GPU works on: as many as its grids can be wide, with room to spare.
pub const MAX_LAYERS: usize = 32_768;

/// One face at the resolution of one rung.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Crop {
    /// What is cropped.
    pub square: CropSquare,
    /// The generator that it is for.
    pub rung: usize,
    /// Sides of that generator's input and output.
    pub shape: Shape,
    /// First of its numbers in [`Crops::values`].
    start: usize,
}

/// The crops of one frame, of all rungs.
#[derive(Debug, Clone, Default)]
pub struct Crops {
    list: Vec<Crop>,
    /// Of each crop `[3, lr, lr]` RGB in -1..=1, one behind the other.
    values: Vec<f32>,
    /// The same without their noise.
    denoised: Vec<f32>,
    /// Of each crop `[3, 16, 16]`: what has changed since its face was generated.
    changes: Vec<f32>,
}

/// Numbers of the change of a crop.
const CHANGE_LEN: usize = Shape::COMMON_LEN;

impl Crops {
    /// Forgets all crops.
    pub fn clear(&mut self) {
        self.list.clear();
        self.values.clear();
        self.denoised.clear();
        self.changes.clear();
    }

    /// Adds a crop, gray as yet, for the generator of this number and shape.
    pub fn push(&mut self, square: CropSquare, rung: usize, shape: Shape) {
        let start = self.values.len();
        self.list.push(Crop { square, rung, shape, start });
        self.values.resize(start + shape.lr_len(), 0.0);
        self.denoised.resize(start + shape.lr_len(), 0.0);
        self.changes.resize(self.list.len() * CHANGE_LEN, 0.0);
    }

    /// What has changed in crop `i` since its face was generated, `[3, 16, 16]`; nothing if it is
    /// generated now.
    pub fn change(&self, i: usize) -> &[f32] {
        &self.changes[i * CHANGE_LEN..][..CHANGE_LEN]
    }

    /// The same, to be written.
    pub(crate) fn change_mut(&mut self, i: usize) -> &mut [f32] {
        &mut self.changes[i * CHANGE_LEN..][..CHANGE_LEN]
    }

    /// Those of all crops.
    pub fn changes(&self) -> &[f32] {
        &self.changes
    }

    /// Sets them.
    ///
    /// # Panics
    /// If there are not as many.
    pub fn set_changes(&mut self, changes: &[f32]) {
        self.changes.copy_from_slice(changes);
    }

    /// Moves crop `i`, which is to be filled again.
    pub(crate) fn set_square(&mut self, i: usize, square: CropSquare) {
        self.list[i].square = square;
    }

    /// Number of crops.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// What is cropped.
    pub fn list(&self) -> &[Crop] {
        &self.list
    }

    /// The numbers of all crops, one behind the other.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The same, to be written.
    pub(crate) fn values_mut(&mut self) -> &mut [f32] {
        &mut self.values
    }

    /// The numbers of crop `i`, `[3, lr, lr]`: what the frame shows.
    pub fn get(&self, i: usize) -> &[f32] {
        let crop = &self.list[i];
        &self.values[crop.start..][..crop.shape.lr_len()]
    }

    /// Crop `i` without its noise, `[3, lr, lr]`: what a face is generated from. Gray before the
    /// enhancer has filled it.
    pub fn denoised(&self, i: usize) -> &[f32] {
        let crop = &self.list[i];
        &self.denoised[crop.start..][..crop.shape.lr_len()]
    }

    /// Those of all crops, one behind the other.
    pub fn all_denoised(&self) -> &[f32] {
        &self.denoised
    }

    /// Crop `i`, and where it goes without its noise.
    pub(crate) fn denoise_parts(&mut self, i: usize) -> (&[f32], &mut [f32]) {
        let crop = &self.list[i];
        let range = crop.start..crop.start + crop.shape.lr_len();
        (&self.values[range.clone()], &mut self.denoised[range])
    }

    /// Sets them.
    ///
    /// # Panics
    /// If there are not as many.
    pub fn set_denoised(&mut self, denoised: &[f32]) {
        self.denoised.copy_from_slice(denoised);
    }

    /// What is cropped, with the numbers to be written.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (CropSquare, Shape, &mut [f32])> {
        let mut rest = self.values.as_mut_slice();
        self.list.iter().map(move |crop| {
            let (own, others) = std::mem::take(&mut rest).split_at_mut(crop.shape.lr_len());
            rest = others;
            (crop.square, crop.shape, own)
        })
    }
}

/// What a shown face is made of: `generated` shares of the generated face, `detail` shares of the
/// frame as it is and, for the rest up to 1, of the frame as far as the crop holds it. Where the
/// two are more than 1 together that rest is taken away: what the frame has above the crop's
/// resolution is then added to the generated face.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BlendWeights {
    /// Share of the generated face, 0..=1; usually 1.
    pub generated: f32,
    /// Share of the frame's own samples, 0..=1: with 1 beside a whole generated face all that the
    /// crop could not hold is added to it, with 0 none.
    pub detail: f32,
}

impl Default for BlendWeights {
    /// The generated face alone.
    fn default() -> Self {
        Self { generated: 1.0, detail: 0.0 }
    }
}

/// A face on one rung.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FaceLayer {
    /// The generator.
    pub rung: usize,
    /// Where the track's last face of this rung is kept and this one will be. No two faces of a
    /// frame share a slot of a rung.
    pub slot: usize,
    /// Whether to generate it; if not, what is kept is shown again.
    pub generate: bool,
    /// Share of the kept face in a generated one, 0..1; 0 where nothing of use is kept.
    pub keep: f32,
    /// What is shown of it.
    pub weights: BlendWeights,
}

/// What becomes of one face after it was cropped.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FacePlan {
    /// The square it was cropped from, and is blended into.
    pub square: CropSquare,
    /// Weight of the result over the frame in the middle of the feather, 0..=1.
    pub strength: f32,
    /// The face on the rung that it is shown on or passes from.
    pub layer: FaceLayer,
    /// The face on the rung that it passes to, and how much of that is shown, 0..=1.
    pub next: Option<(FaceLayer, f32)>,
}

impl FacePlan {
    /// Its layers, in the order of its crops.
    pub(crate) fn layers(&self) -> impl Iterator<Item = &FaceLayer> {
        std::iter::once(&self.layer).chain(self.next.as_ref().map(|(layer, _)| layer))
    }

    /// Number of its layers, and the share of the second.
    pub(crate) fn mixture(&self) -> (usize, f32) {
        self.next.map_or((1, 0.0), |(_, weight)| (2, weight))
    }
}

/// CPU time of [`Backend::render`], over all threads, and what did not come out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RenderTimes {
    /// Running the generator of each rung.
    pub generate: [Duration; MAX_RUNGS],
    /// Steadying and blending.
    pub blend: Duration,
    /// Numbers of the plans, ascending, whose generated face held numbers that are not finite.
    pub not_finite: Vec<usize>,
}

/// Crops, generates, keeps and blends the faces of one stream.
pub trait Backend: Send {
    /// Name of the device, for messages.
    fn name(&self) -> &str;

    /// Shapes of its generators, by increasing input; 1 to [`MAX_RUNGS`].
    fn shapes(&self) -> &[Shape];

    /// Fills `crops`, and returns the CPU time that took, over all threads. A square that does not
    /// [lie in](CropSquare::lies_in) the frame gives gray.
    ///
    /// # Errors
    /// If the device fails, or cannot reach the frame.
    fn crop(&mut self, picture: &Picture<'_, '_>, crops: &mut Crops) -> Result<Duration, Error>;

    /// Generates what is to be, mixes it with what is kept, keeps the result and blends it into
    /// the frame, in the order of `plans`: where faces overlap, the later lies on top. `crops` are
    /// what [`crop`](Self::crop) has filled from the same frame, and denoised: one for each layer of
    /// each plan, in their order.
    ///
    /// A face whose generator does not return finite numbers is left as it is in the frame, and
    /// what is kept in its slots is lost.
    ///
    /// # Errors
    /// If the generator or the device fails. A frame in system memory is then untouched; what is
    /// kept in the slots of `plans` is lost.
    fn render(
        &mut self,
        picture: &mut Picture<'_, '_>,
        crops: &Crops,
        plans: &[FacePlan],
    ) -> Result<RenderTimes, Error>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crops_of_several_shapes_lie_one_behind_the_other() {
        let square = CropSquare { x: 0.0, y: 0.0, side: 8.0 };
        let mut crops = Crops::default();
        for (rung, shape) in [(0, Shape::SMALL), (1, Shape::LARGE), (0, Shape::SMALL)] {
            crops.push(square, rung, shape);
        }
        for (i, (_, shape, values)) in crops.iter_mut().enumerate() {
            assert_eq!(values.len(), shape.lr_len());
            values.fill(i as f32);
        }
        for (i, crop) in crops.list().iter().enumerate() {
            assert_eq!(crops.get(i), vec![i as f32; crop.shape.lr_len()]);
        }
        assert_eq!(crops.values().len(), 2 * 768 + 3072);
        crops.clear();
        assert!(crops.is_empty());
    }
}
