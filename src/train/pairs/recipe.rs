//! What scenes look like and what becomes of them.

use serde::{Deserialize, Serialize};

use super::codec::Codec;
use crate::error::{Error, Result};

/// Ranges and shares of the scenes. Lengths are in pixels of the camera.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Recipe {
    /// Size of a film.
    pub size: (usize, usize),
    /// Frames of a film.
    pub frames: usize,
    /// Faces in a scene at most.
    pub faces: usize,
    /// Sides of the faces' squares, drawn evenly by their logarithm.
    pub native: (f32, f32),
    /// Pairs of a shard.
    pub shard: usize,
    /// Share of faces with something before them.
    pub covered: f32,
    /// Share of faces that are so far out of focus that nothing can be made out.
    pub hopeless: f32,
    /// Faces turned farther than this count as turned.
    pub turned: f32,
    /// Strength of the light.
    pub light: f32,
    /// Blur of the lens, sigma.
    pub defocus: (f32, f32),
    /// Share of the time of a frame for which the shutter is open.
    pub shutter: (f32, f32),
    /// Noise of the sensor, deviation in levels of 255.
    pub noise: (f32, f32),
    /// Share of cameras that sharpen, and how much.
    pub sharpened: f32,
    /// How much they do.
    pub sharpening: (f32, f32),
    /// How often each encoder is drawn; those that are not installed are left out.
    pub codecs: Vec<(Codec, f32)>,
    /// Share of films that are encoded a second time.
    pub twice: f32,
    /// Enlargements of the film before faces are cropped, and how often each is drawn.
    pub enlargements: Vec<(usize, f32)>,
    /// Share of the faces of a frame that are taken.
    pub taken: f32,
    /// Frames that faces are taken from.
    pub ages: Vec<usize>,
    /// Deviation of the place of a square, in sides, and of its side: the tracker's error.
    pub tracker: (f32, f32),
    /// Share of faces of which the running mean of the crops so far is taken, as the engine gives it to the generator,
    /// instead of the latest crop alone.
    pub averaged: f32,
    /// Least share of the latest crop in that mean.
    pub latest: (f32, f32),
    /// Deviation of the place of a crop from that of the others in the mean, in sides: the alignment's error.
    pub alignment: f32,
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            size: (640, 360),
            frames: 12,
            faces: 36,
            native: (9.0, 90.0),
            shard: 4096,
            covered: 0.08,
            hopeless: 0.02,
            turned: 0.35,
            light: 1.15,
            defocus: (0.2, 0.8),
            shutter: (0.0, 0.6),
            noise: (0.4, 3.4),
            sharpened: 0.45,
            sharpening: (0.3, 1.3),
            codecs: vec![
                (Codec::X264, 0.6),
                (Codec::OpenH264, 0.08),
                (Codec::X265, 0.1),
                (Codec::Mpeg4, 0.1),
                (Codec::Mjpeg, 0.07),
                (Codec::Vp8, 0.05),
            ],
            twice: 0.12,
            enlargements: vec![(1, 4.0), (2, 1.0), (4, 1.0)],
            taken: 0.4,
            ages: vec![0, 3, 5, 7, 9, 11],
            tracker: (0.035, 0.045),
            averaged: 0.65,
            latest: (0.3, 0.65),
            alignment: 0.008,
        }
    }
}

impl Recipe {
    /// Refuses what cannot work.
    ///
    /// # Errors
    /// Names the setting.
    pub fn check(&self) -> Result<()> {
        let wrong = |what: &str| Err(Error::Setting(format!("recipe: {what}")));
        let (w, h) = self.size;
        if !(64..=4096).contains(&w) || !(64..=4096).contains(&h) || w % 8 != 0 || h % 2 != 0 {
            return wrong(
                "films are 64 to 4096 pixels large, the width a multiple of 8, the height even",
            );
        }
        if !(1..=500).contains(&self.frames) || self.ages.iter().any(|age| *age >= self.frames) {
            return wrong(
                "a film has 1 to 500 frames, and faces are taken from frames that it has",
            );
        }
        let (low, high) = self.native;
        if !(6.0 <= low && low < high && high <= (w.min(h) / 2) as f32) {
            return wrong("faces are 6 pixels and more, and at most half as large as the film");
        }
        if self.codecs.is_empty()
            || self.codecs.iter().any(|(_, share)| share.is_nan() || *share < 0.0)
        {
            return wrong("there must be encoders, each with a share");
        }
        let fits = |(factor, share): &(usize, f32)| (1..=8).contains(factor) && *share >= 0.0;
        if self.enlargements.is_empty() || !self.enlargements.iter().all(fits) {
            return wrong("enlargements are 1 to 8, each with a share");
        }
        if !(1..=1 << 20).contains(&self.shard) || !(1..=1000).contains(&self.faces) {
            return wrong("a shard has pairs and a scene has faces");
        }
        let shares = [
            self.covered,
            self.hopeless,
            self.sharpened,
            self.twice,
            self.taken,
            self.averaged,
            self.latest.0,
            self.latest.1,
        ];
        if shares.iter().any(|s| !(0.0..=1.0).contains(s)) || self.taken == 0.0 {
            return wrong("shares lie between 0 and 1, and some faces must be taken");
        }
        Ok(())
    }
}

/// One of several values, each as often as its weight says.
pub(super) fn weighted<T: Copy>(choices: &[(T, f32)], at: f32) -> Option<T> {
    let total: f32 = choices.iter().map(|c| c.1).sum();
    let mut left = at * total;
    for (value, weight) in choices {
        left -= weight;
        if left < 0.0 {
            return Some(*value);
        }
    }
    choices.last().map(|c| c.0)
}
