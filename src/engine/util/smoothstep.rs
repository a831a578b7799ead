//! A step without corners.

/// Where `value` lies between `from` and `to`, 0..=1, without a corner at either.
pub(crate) fn smoothstep(value: f32, from: f32, to: f32) -> f32 {
    let t = ((value - from) / (to - from).max(1e-3)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}
