//! The soft ellipse under which a face is composited into the frame.

/// Share of the ellipse's radius within which the face has full weight. The crop square is a tenth
/// wider than the face box, so the slope covers hair, ears and background.
const PLATEAU: f32 = 0.72;

/// Weight at (u, v), each -1..=1 across the square: 1 in the middle, 0 from the inscribed ellipse
/// outwards, without an edge in between (smoothstep in the squared radius).
#[inline]
pub(crate) fn weight(u: f32, v: f32) -> f32 {
    const START: f32 = PLATEAU * PLATEAU;
    let t = ((1.0 - u * u - v * v) / (1.0 - START)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

/// The weights of a square of `side` x `side` pixels.
pub(crate) fn grid(side: usize) -> Vec<f32> {
    let at = |i: usize| (i as f32 + 0.5) / side as f32 * 2.0 - 1.0;
    (0..side * side).map(|i| weight(at(i % side), at(i / side))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weight_is_full_in_the_middle_and_zero_at_the_rim() {
        assert_eq!(weight(0.0, 0.0), 1.0);
        assert_eq!(weight(0.5, -0.5), 1.0);
        for (u, v) in [(1.0, 0.0), (0.0, -1.0), (0.8, 0.8), (-1.0, 1.0)] {
            assert_eq!(weight(u, v), 0.0);
        }
        let slope: Vec<f32> = (0..100).map(|i| weight(i as f32 / 100.0, 0.0)).collect();
        assert!(slope.windows(2).all(|w| w[0] >= w[1] && w[0] - w[1] < 0.06));
    }
}
