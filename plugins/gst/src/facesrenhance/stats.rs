//! What the property `stats` of `facesrenhance` says.

use facesr::Enhancer;

/// Counts since the start, and CPU times in nanoseconds.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Stats {
    pub(super) frames: u64,
    pub(super) untouched: u64,
    pub(super) late: u64,
    pub(super) errors: u64,
    pub(super) faces_seen: u64,
    faces_enhanced: u64,
    faces_generated: u64,
    crop_ns: u64,
    generate_ns: u64,
    blend_ns: u64,
}

impl Stats {
    /// Takes over the counts of `enhancer`.
    pub(super) fn update(&mut self, enhancer: &Enhancer) {
        let now = enhancer.stats();
        self.faces_enhanced = now.faces_enhanced;
        self.faces_generated = now.faces_generated;
        self.crop_ns = now.crop.as_nanos() as u64;
        self.generate_ns = now.generate.as_nanos() as u64;
        self.blend_ns = now.blend.as_nanos() as u64;
    }

    pub(super) fn to_structure(self) -> gst::Structure {
        gst::Structure::builder("facesrenhance-stats")
            .field("frames", self.frames)
            .field("frames-untouched", self.untouched)
            .field("frames-untouched-late", self.late)
            .field("enhancement-errors", self.errors)
            .field("faces-seen", self.faces_seen)
            .field("faces-enhanced", self.faces_enhanced)
            .field("faces-generated", self.faces_generated)
            .field("crop-ns", self.crop_ns)
            .field("generate-ns", self.generate_ns)
            .field("blend-ns", self.blend_ns)
            .build()
    }
}
