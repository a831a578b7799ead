//! What comes before faces: bars and microphones, hands, masks, caps. It belongs to the truth: the
//! generator shall keep it, not paint a mouth on it.

use super::raster::Picture;
use crate::rng::Rng;

/// Colors of skin, from light to dark.
const SKIN: [[f32; 3]; 4] =
    [[224.0, 178.0, 152.0], [198.0, 146.0, 116.0], [150.0, 104.0, 80.0], [96.0, 64.0, 50.0]];

/// A shape in the coordinates of a face of 128x128: how far inside a place is, in pixels.
enum Shape {
    Capsule { from: (f32, f32), to: (f32, f32), radius: f32 },
    Ellipse { center: (f32, f32), radii: (f32, f32) },
}

impl Shape {
    fn depth(&self, x: f32, y: f32) -> f32 {
        match *self {
            Self::Capsule { from, to, radius } => {
                let (dx, dy) = (to.0 - from.0, to.1 - from.1);
                let length = (dx * dx + dy * dy).max(1e-6);
                let t = (((x - from.0) * dx + (y - from.1) * dy) / length).clamp(0.0, 1.0);
                radius - (x - from.0 - t * dx).hypot(y - from.1 - t * dy)
            }
            Self::Ellipse { center, radii } => {
                let r = ((x - center.0) / radii.0).hypot((y - center.1) / radii.1);
                (1.0 - r) * radii.0.min(radii.1)
            }
        }
    }
}

/// Lays one over a face of 128x128.
pub fn cover(face: &mut Picture, rng: &mut Rng) {
    let gray = rng.range(20.0, 235.0);
    let plain: [f32; 3] = std::array::from_fn(|_| (gray + 18.0 * rng.normal()).clamp(5.0, 250.0));
    let (shapes, color) = match rng.below(5) {
        0 => (vec![bar(rng)], plain),
        1 => {
            let center = (rng.range(20.0, 108.0), rng.range(20.0, 108.0));
            let radius = rng.range(8.0, 26.0);
            (vec![Shape::Ellipse { center, radii: (radius, radius) }], plain)
        }
        2 => {
            let center = (64.0, rng.range(88.0, 104.0));
            let radii = (rng.range(28.0, 44.0), rng.range(18.0, 32.0));
            (vec![Shape::Ellipse { center, radii }], plain)
        }
        3 => {
            let center = (64.0, rng.range(4.0, 22.0));
            let radii = (rng.range(46.0, 66.0), rng.range(14.0, 30.0));
            (vec![Shape::Ellipse { center, radii }], plain)
        }
        _ => (hand(rng), SKIN[rng.below(SKIN.len())].map(|v| v * rng.range(0.7, 1.1))),
    };
    let edge = rng.range(1.0, 3.0);
    let texture: Vec<f32> = (0..81).map(|_| 9.0 * rng.normal()).collect();
    for y in 0..face.height {
        for x in 0..face.width {
            let (fx, fy) = (x as f32, y as f32);
            let depth = shapes.iter().map(|s| s.depth(fx, fy)).fold(f32::MIN, f32::max);
            let share = (0.5 + depth / edge).clamp(0.0, 1.0);
            if share > 0.0 {
                let grain = grain(&texture, fx / 16.0, fy / 16.0);
                face.mix(x, y, color.map(|c| c + grain), share);
            }
        }
    }
}

/// Slow noise: bilinear between numbers on a 9x9 grid.
fn grain(grid: &[f32], x: f32, y: f32) -> f32 {
    let (x, y) = (x.clamp(0.0, 7.99), y.clamp(0.0, 7.99));
    let (i, j) = (x as usize, y as usize);
    let (fx, fy) = (x.fract(), y.fract());
    let at = |i: usize, j: usize| grid[j * 9 + i];
    let upper = at(i, j) * (1.0 - fx) + at(i + 1, j) * fx;
    let lower = at(i, j + 1) * (1.0 - fx) + at(i + 1, j + 1) * fx;
    upper * (1.0 - fy) + lower * fy
}

fn bar(rng: &mut Rng) -> Shape {
    let angle = rng.range(0.0, std::f32::consts::TAU);
    let from = (rng.range(35.0, 93.0), rng.range(35.0, 93.0));
    let to = (from.0 + 150.0 * angle.cos(), from.1 + 150.0 * angle.sin());
    Shape::Capsule { from, to, radius: rng.range(2.5, 11.0) }
}

/// A palm at the edge of the face and fingers over it.
fn hand(rng: &mut Rng) -> Vec<Shape> {
    let angle = rng.range(0.0, std::f32::consts::TAU);
    let (sin, cos) = angle.sin_cos();
    let palm = (64.0 + 62.0 * cos, 64.0 + 62.0 * sin);
    let width = rng.range(7.0, 10.0);
    let mut shapes = vec![Shape::Ellipse { center: palm, radii: (2.2 * width, 2.2 * width) }];
    let fingers = 3 + rng.below(2);
    for finger in 0..fingers {
        let aside = (finger as f32 - (fingers - 1) as f32 / 2.0) * width * 1.15;
        let from = (palm.0 - aside * sin, palm.1 + aside * cos);
        let spread = angle + std::f32::consts::PI + 0.06 * (finger as f32 - 1.5);
        let length = rng.range(34.0, 58.0);
        let to = (from.0 + length * spread.cos(), from.1 + length * spread.sin());
        shapes.push(Shape::Capsule { from, to, radius: width / 2.0 });
    }
    shapes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    #[test]
    fn covers_part_of_the_face_and_not_all_of_it() {
        for step in 0..40 {
            let mut face = Picture::from_bytes(128, 128, &[128; 128 * 128 * 3]);
            cover(&mut face, &mut Rng::new(1, Stream::Pairs, step));
            let changed =
                face.rgb.chunks_exact(3).filter(|p| p.iter().any(|v| *v != 128.0)).count();
            assert!((60..128 * 128 * 2 / 3).contains(&changed), "{step}: {changed}");
        }
    }
}
