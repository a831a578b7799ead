//! Random numbers that can be taken up again: every draw of the training is a pure function of
//! (seed, stream, step), so a resumed run sees the same batches without any saved generator state.

/// xoshiro256++ (Blackman and Vigna, public domain), seeded by SplitMix64.
#[derive(Debug, Clone)]
pub struct Rng {
    s: [u64; 4],
    spare: Option<f32>,
}

/// Independent streams of random numbers, one for each purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub enum Stream {
    /// Starting weights.
    Init = 1,
    /// Batches and their augmentation.
    Batch = 2,
    /// The noise z of the High-to-Low generator.
    Noise = 3,
    /// Augmentation before a discriminator.
    Augment = 4,
    /// Fixed validation batches.
    Validation = 5,
    /// The noise z of a degradation laid over encoded pairs.
    Overlay = 6,
    /// Scenes of pairs that go through encoders.
    Pairs = 7,
}

fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Rng {
    /// The generator of one purpose at one step of a run.
    pub fn new(seed: u64, stream: Stream, step: u64) -> Self {
        let mut state = seed;
        let mut mixed = splitmix(&mut state) ^ (stream as u64).wrapping_mul(0xd6e8_feb8_6659_fd93);
        mixed = splitmix(&mut mixed) ^ step.wrapping_mul(0xa076_1d64_78bd_642f);
        let s = std::array::from_fn(|_| splitmix(&mut mixed));
        Self { s, spare: None }
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        let s = &mut self.s;
        let out = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
        let t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(45);
        out
    }

    /// Evenly distributed in [0, 1).
    pub fn unit(&mut self) -> f32 {
        (self.bits() >> 40) as f32 / (1u64 << 24) as f32
    }

    /// Evenly distributed in [low, high).
    pub fn range(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    /// An index below `n`; 0 when `n` is 0.
    pub fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.bits()) * n as u128) >> 64) as usize
    }

    /// A whole number in [low, high].
    pub fn whole(&mut self, low: i64, high: i64) -> i64 {
        low + self.below((high - low + 1).max(1) as usize) as i64
    }

    /// True with probability `p`.
    pub fn chance(&mut self, p: f32) -> bool {
        self.unit() < p
    }

    /// A standard normal number (Box-Muller).
    pub fn normal(&mut self) -> f32 {
        if let Some(x) = self.spare.take() {
            return x;
        }
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        let angle = std::f32::consts::TAU * self.unit();
        self.spare = Some(radius * angle.sin());
        radius * angle.cos()
    }

    /// `n` standard normal numbers.
    pub fn normals(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| self.normal()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_and_steps_differ_and_repeat() {
        let draw = |seed, stream, step| Rng::new(seed, stream, step).bits();
        assert_eq!(draw(1, Stream::Batch, 7), draw(1, Stream::Batch, 7));
        assert_ne!(draw(1, Stream::Batch, 7), draw(1, Stream::Batch, 8));
        assert_ne!(draw(1, Stream::Batch, 7), draw(1, Stream::Noise, 7));
        assert_ne!(draw(1, Stream::Batch, 7), draw(2, Stream::Batch, 7));
    }

    #[test]
    fn moments_are_right() {
        let mut rng = Rng::new(3, Stream::Noise, 0);
        let x = rng.normals(40_000);
        let mean = x.iter().sum::<f32>() / x.len() as f32;
        let var = x.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / x.len() as f32;
        assert!(mean.abs() < 0.02 && (var - 1.0).abs() < 0.03, "mean {mean}, variance {var}");
        assert!((0..1000).all(|_| rng.below(7) < 7));
        assert!((0..1000).all(|_| (-2..=2).contains(&rng.whole(-2, 2))));
    }
}
