//! Finding and enhancing faces in one type.

use crate::detect::{self, DetectorOptions};
use crate::enhance::generator::GeneratorOptions;
use crate::enhance::{Enhancer, EnhancerOptions};
use crate::error::{Error, ModelError};
use crate::finder::{Finder, FinderOptions, Found};
use crate::frame::{FrameMut, Timestamp};
use crate::util::setters;

/// What a [`FaceEnhancer`] is made of; the default is what the command `facesr` uses.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct FaceEnhancerOptions {
    /// Which detector, and how it works.
    pub detector: DetectorOptions,
    /// How often faces are searched, and where.
    pub finder: FinderOptions,
    /// Which generator, and the device that it runs on.
    pub generator: GeneratorOptions,
    /// Which faces are enhanced, and how much.
    pub enhancer: EnhancerOptions,
}

setters!(FaceEnhancerOptions {
    detector: DetectorOptions,
    finder: FinderOptions,
    generator: GeneratorOptions,
    enhancer: EnhancerOptions,
});

/// Finds and enhances the faces of one video stream: a [`Finder`] and an [`Enhancer`].
///
/// Streams need one each, since a face is tracked from frame to frame. They share models and
/// working memory within a process.
///
/// ```
/// use facesr::{EnhancerOptions, FaceEnhancer, FaceEnhancerOptions};
/// use facesr::{FrameInfo, FrameMut, PixelFormat, Timestamp};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let options = FaceEnhancerOptions::default()
///     .enhancer(EnhancerOptions::default().strength(0.8));
/// let mut enhancer = FaceEnhancer::open(&options)?;
///
/// // For each picture of the video:
/// let info = FrameInfo::new(PixelFormat::I420, 64, 48);
/// let (mut y, mut u, mut v) = (vec![90; 64 * 48], vec![128; 32 * 24], vec![128; 32 * 24]);
/// let planes = [y.as_mut_slice(), &mut u, &mut v];
/// let mut frame = FrameMut::new(info, planes, &[64, 32, 32])?;
/// let found = enhancer.enhance(&mut frame, Some(Timestamp::from_millis(40)))?;
/// assert!(found.faces.is_empty(), "gray has no faces");
/// # Ok(())
/// # }
/// ```
pub struct FaceEnhancer {
    finder: Finder,
    enhancer: Enhancer,
}

impl FaceEnhancer {
    /// Opens detector and generator.
    ///
    /// # Errors
    /// [`ModelError`] names the file and the remedy if one of them cannot be used, or if ONNX
    /// Runtime is missing.
    pub fn open(options: &FaceEnhancerOptions) -> Result<Self, ModelError> {
        let detector = detect::open(&options.detector)?;
        let enhancer = Enhancer::open(&options.generator, options.enhancer.clone())?;
        Ok(Self::new(Finder::new(detector, options.finder.clone()), enhancer))
    }

    /// Puts together a finder, whose detector may be your own, and an enhancer.
    pub fn new(finder: Finder, enhancer: Enhancer) -> Self {
        Self { finder, enhancer }
    }

    /// Finds the faces of the stream's next frame, which is shown at the time `at`, enhances them in
    /// place, and returns them. Without a time, 25 frames a second are assumed. Faces whose size is
    /// beyond the enhancer's limits are returned as well, and left as they are.
    ///
    /// A search that fails is an error beside the faces: tracks go on without it.
    ///
    /// # Errors
    /// What [`Enhancer::enhance`] returns. The frame is then unchanged, and the next one may be
    /// tried.
    pub fn enhance(
        &mut self,
        frame: &mut FrameMut<'_>,
        at: Option<Timestamp>,
    ) -> Result<Found<'_>, Error> {
        let found = self.finder.find(&frame.as_frame(), at);
        self.enhancer.enhance_at(frame, found.faces, at)?;
        Ok(found)
    }

    /// Forgets all faces: after a seek or when another video begins.
    pub fn reset(&mut self) {
        self.finder.reset();
        self.enhancer.reset();
    }

    /// The finder, for its options and statistics.
    pub fn finder(&mut self) -> &mut Finder {
        &mut self.finder
    }

    /// The enhancer, for its options, statistics and notices.
    pub fn enhancer(&mut self) -> &mut Enhancer {
        &mut self.enhancer
    }
}
