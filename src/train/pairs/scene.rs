//! One scene: faces that move and turn over a background, filmed, encoded, decoded, cropped.

use super::background::Backgrounds;
use super::codec::{Codec, Decoded, through};
use super::occluder;
use super::raster::{Picture, Pose, window};
use super::recipe::{Recipe, weighted};
use crate::dataset::camera::Light;
use crate::dataset::pairs::{NewPair, ORIGINAL, Row, flag};
use crate::dataset::pictures::Stored;
use crate::dataset::resample::{self, Filter, resize};
use crate::error::{Error, Result};
use crate::rng::Rng;

/// Quality of the stored originals.
const JPEG_QUALITY: u8 = 95;
/// Moments within an open shutter at most.
const MOMENTS: usize = 6;

/// A face and its way through the scene.
struct Actor {
    /// As it is: 128x128.
    face: Picture,
    /// Blurred so that it can be drawn small.
    drawn: Picture,
    /// How much of the face is there, in the red channel, blurred alike.
    mask: Picture,
    original: u32,
    flags: u8,
    side: f32,
    place: (f32, f32),
    speed: (f32, f32),
    turn: (f32, f32),
    wave: f32,
    phases: [f32; 3],
}

/// What moves the whole picture.
type Pan = (f32, f32);

/// How much of the face is there at (u, v) of its square: an ellipse with a soft edge.
fn face_share(u: f32, v: f32) -> f32 {
    let half = ORIGINAL as f32 / 2.0;
    let r = ((u + 0.5 - half) / (0.9375 * half)).hypot((v + 0.5 - half) / half);
    ((1.08 - r) / 0.10).clamp(0.0, 1.0)
}

/// The same of each pixel.
fn ellipse() -> Picture {
    let mut mask = Picture::new(ORIGINAL, ORIGINAL);
    for y in 0..ORIGINAL {
        for x in 0..ORIGINAL {
            mask.mix(x, y, [face_share(x as f32, y as f32); 3], 1.0);
        }
    }
    mask
}

/// What the camera would have seen in a square of a frame if it were perfect: the face, sharp, in front of the scene as it
/// was drawn. A truth of the face's own picture alone would ask for what stood beside it there, where the frame shows this
/// scene: on that edge the squared error was six times that in the middle.
fn truth_in_scene(face: &Picture, pose: Pose, scene: &Picture, (x, y, side): Square) -> Picture {
    window((x, y), side, ORIGINAL, |px, py| {
        let (u, v) = pose.to_face(px, py, ORIGINAL as f32);
        let (share, face) = (1.0 - face_share(u, v), face.cubic(u, v));
        if share <= 0.0 {
            return face;
        }
        let around = scene.cubic(px - 0.5, py - 0.5);
        std::array::from_fn(|c| face[c] + share * (around[c] - face[c]))
    })
}

fn decode(stored: &Stored) -> Result<Picture> {
    let bad = |e: &dyn std::fmt::Display| Error::Data(format!("{}: {e}", stored.name));
    let rgb = image::load_from_memory(&stored.bytes).map_err(|e| bad(&e))?.into_rgb8();
    if rgb.dimensions() != (ORIGINAL as u32, ORIGINAL as u32) {
        return Err(bad(&"pairs are made of faces of 128x128"));
    }
    Ok(Picture::from_bytes(ORIGINAL, ORIGINAL, rgb.as_raw()))
}

fn light_up(picture: &mut Picture, light: &Light) {
    picture.rgb.iter_mut().for_each(|v| *v /= 255.0);
    light.apply(&mut picture.rgb);
    picture.rgb.iter_mut().for_each(|v| *v *= 255.0);
}

fn mirror(picture: &mut Picture) {
    for row in picture.rgb.chunks_exact_mut(picture.width * 3) {
        let pixels: Vec<[f32; 3]> = row.as_chunks::<3>().0.iter().rev().copied().collect();
        row.copy_from_slice(pixels.as_flattened());
    }
}

impl Actor {
    fn cast(
        (number, stored): &(u32, Stored),
        (side, place): (f32, (f32, f32)),
        recipe: &Recipe,
        light: &Light,
        rng: &mut Rng,
    ) -> Result<Self> {
        let mut face = decode(stored)?;
        if rng.chance(0.5) {
            mirror(&mut face);
        }
        let turned = stored.yaw.is_some_and(|yaw| yaw.abs() > recipe.turned);
        let mut flags = if turned { flag::TURNED } else { 0 };
        if rng.chance(recipe.covered) {
            occluder::cover(&mut face, rng);
            flags |= flag::COVERED;
        }
        if rng.chance(recipe.hopeless) {
            face.blur(rng.range(9.0, 20.0));
            flags |= flag::HOPELESS;
        }
        if rng.chance(0.7) {
            light_up(&mut face, light);
        } else {
            light_up(&mut face, &Light::draw(rng, recipe.light));
        }
        let (mut drawn, mut mask) = (face.clone(), ellipse());
        let sigma = (0.5 * ORIGINAL as f32 / side - 0.5).max(0.0) * 0.8;
        drawn.blur(sigma);
        mask.blur(sigma);
        let quick = if rng.chance(0.15) { 4.0 } else { 1.0 };
        let speed = 0.05 * side.powf(0.7) * quick;
        Ok(Self {
            face,
            drawn,
            mask,
            original: *number,
            flags,
            side,
            place,
            speed: (speed * rng.normal(), speed * rng.normal()),
            turn: (rng.range(-10.0, 10.0).to_radians(), rng.range(-0.8, 0.8).to_radians()),
            wave: rng.range(0.1, 0.35),
            phases: std::array::from_fn(|_| rng.range(0.0, std::f32::consts::TAU)),
        })
    }

    /// Where it is at a time, in frames.
    fn pose(&self, time: f32, frames: usize, pan: Pan) -> Pose {
        let (since, wave) = (time - frames as f32 / 2.0, self.wave * time);
        Pose {
            x: self.place.0
                + self.speed.0 * since
                + 0.05 * self.side * (wave + self.phases[1]).sin()
                + pan.0 * time,
            y: self.place.1
                + self.speed.1 * since
                + 0.03 * self.side * (2.0 * wave + self.phases[2]).sin()
                + pan.1 * time,
            side: self.side * (1.0 + 0.04 * (wave + self.phases[0]).sin()),
            angle: self.turn.0 + self.turn.1 * since,
        }
    }

    /// Draws it as it moves while the shutter is open.
    fn draw(&self, frame: &mut Picture, time: f32, shutter: f32, frames: usize, pan: Pan) {
        let way = self.speed.0.hypot(self.speed.1) * shutter;
        let moments = (way.ceil() as usize + 1).min(MOMENTS);
        let poses: Vec<Pose> = (0..moments)
            .map(|k| {
                let part = (k as f32 + 0.5) / moments as f32 - 0.5;
                self.pose(time + shutter * part, frames, pan)
            })
            .collect();
        let middle = self.pose(time, frames, pan);
        let reach = 0.75 * middle.side + 3.0 + way;
        let span = |center: f32, top: usize| {
            let from = (center - reach).floor().clamp(0.0, top as f32) as usize;
            from..((center + reach).ceil().clamp(0.0, top as f32) as usize)
        };
        let size = ORIGINAL as f32;
        for y in span(middle.y, frame.height) {
            for x in span(middle.x, frame.width) {
                let (mut color, mut share) = ([0.0; 3], 0.0);
                for pose in &poses {
                    let (u, v) = pose.to_face(x as f32 + 0.5, y as f32 + 0.5, size);
                    // Outside of the square there is no face.
                    if !(-1.0..=size).contains(&u) || !(-1.0..=size).contains(&v) {
                        continue;
                    }
                    let part = self.mask.bilinear(u, v)[0];
                    let seen = self.drawn.bilinear(u, v);
                    color.iter_mut().zip(seen).for_each(|(c, s)| *c += part * s);
                    share += part;
                }
                if share > 0.0 {
                    frame.mix(x, y, color.map(|c| c / share), share / moments as f32);
                }
            }
        }
    }
}

/// Places for faces of these sides that do not touch.
fn places(recipe: &Recipe, rng: &mut Rng) -> Vec<(f32, (f32, f32))> {
    let (w, h) = (recipe.size.0 as f32, recipe.size.1 as f32);
    let (low, high) = (recipe.native.0.ln(), recipe.native.1.ln());
    let mut sides: Vec<f32> = (0..recipe.faces).map(|_| rng.range(low, high).exp()).collect();
    sides.sort_by(|a, b| b.total_cmp(a));
    let mut taken: Vec<(f32, (f32, f32))> = Vec::new();
    for side in sides {
        for _ in 0..12 {
            let place =
                (rng.range(side * 0.5, w - side * 0.5), rng.range(side * 0.5, h - side * 0.5));
            let free = taken.iter().all(|(other, at)| {
                let apart = 0.7 * (side + other);
                (at.0 - place.0).abs() > apart || (at.1 - place.1).abs() > apart
            });
            if free {
                taken.push((side, place));
                break;
            }
        }
    }
    taken
}

/// The camera of a scene: what it does to each frame.
struct Camera {
    defocus: f32,
    noise: f32,
    sharpening: Option<f32>,
    shutter: f32,
    pan: Pan,
}

impl Camera {
    fn draw(recipe: &Recipe, rng: &mut Rng) -> Self {
        let moves = rng.chance(0.4);
        Self {
            defocus: rng.range(recipe.defocus.0, recipe.defocus.1),
            noise: rng.range(recipe.noise.0, recipe.noise.1),
            sharpening: rng
                .chance(recipe.sharpened)
                .then(|| rng.range(recipe.sharpening.0, recipe.sharpening.1)),
            shutter: rng.range(recipe.shutter.0, recipe.shutter.1),
            pan: if moves { (0.6 * rng.normal(), 0.6 * rng.normal()) } else { (0.0, 0.0) },
        }
    }

    /// Lens, sensor, and what the camera's own processor does.
    fn degrade(&self, frame: &mut Picture, rng: &mut Rng) {
        frame.blur(self.defocus);
        // Half of the noise of colors is coarse: sensors see each color at every second place.
        let (w, h) = (frame.width / 2 + 1, frame.height / 2 + 1);
        let mut colors = Picture::new(w, h);
        colors.rgb.iter_mut().for_each(|v| *v = 0.6 * self.noise * rng.normal());
        for y in 0..frame.height {
            for x in 0..frame.width {
                let gray = self.noise * rng.normal();
                let color = colors.bilinear(x as f32 / 2.0, y as f32 / 2.0);
                let i = (y * frame.width + x) * 3;
                frame.rgb[i..i + 3].iter_mut().zip(color).for_each(|(p, c)| *p += gray + c);
            }
        }
        if let Some(amount) = self.sharpening {
            frame.sharpen(1.0, amount);
        }
    }
}

/// A square of a frame: left, top, side.
type Square = (f32, f32, f32);

/// How a track's squares lie beside the face: alike in neighboring frames.
struct TrackError {
    /// In sides.
    place: (f32, f32),
    side: f32,
}

impl TrackError {
    fn draw(recipe: &Recipe, rng: &mut Rng) -> Self {
        let (place, side) = recipe.tracker;
        Self {
            side: 1.0 + side * rng.normal(),
            place: (place * rng.normal(), place * rng.normal()),
        }
    }

    /// The square about a face there, shifted by so many sides more.
    fn square(&self, pose: &Pose, shift: (f32, f32)) -> Square {
        let side = pose.side * self.side;
        let x = pose.x + (self.place.0 + shift.0) * pose.side - side / 2.0;
        let y = pose.y + (self.place.1 + shift.1) * pose.side - side / 2.0;
        (x, y, side)
    }
}

fn lies_inside((x, y, side): Square, (width, height): (usize, usize)) -> bool {
    let (right, bottom) = (x + side, y + side);
    x >= 0.0 && y >= 0.0 && right <= width as f32 && bottom <= height as f32 && side >= 4.0
}

/// The frames whose crops are averaged for a face of the frame `age`: from where its track began, or that one alone.
fn history(recipe: &Recipe, age: usize, rng: &mut Rng) -> std::ops::RangeInclusive<usize> {
    let begins = if rng.chance(recipe.averaged) { rng.below(age + 1) } else { age };
    begins..=age
}

/// Sides of the crops of a pair.
const SIDES: [usize; 2] = [16, 32];

/// The frames and squares that a face is cropped from, oldest first.
struct Cropping<'a> {
    decoded: &'a [Decoded],
    squares: &'a [(usize, Square)],
    /// Least share of the latest crop in their mean.
    least: f32,
    /// How often the film is enlarged first.
    enlargement: usize,
}

impl Cropping<'_> {
    /// The running mean of the crops of each of [`SIDES`], `[side, side, 3]`, from frames of this size; without motion
    /// within the face it is that of `enhance/denoise.rs`.
    fn means(&self, size: (usize, usize)) -> [Vec<u8>; 2] {
        let mut means = SIDES.map(|side| vec![0.0; side * side * 3]);
        for (k, (t, square)) in self.squares.iter().enumerate() {
            let crops = crops(&self.decoded[*t], size, *square, self.enlargement);
            // All of the first.
            let share = self.least.max(1.0 / (k + 1) as f32);
            for (mean, crop) in means.iter_mut().flatten().zip(crops.iter().flatten()) {
                *mean += share * (crop - *mean);
            }
        }
        means.map(|mean| mean.iter().map(|v| v.round().clamp(0.0, 255.0) as u8).collect())
    }
}

/// Makes the pairs of one scene.
///
/// # Errors
/// When a face does not decode or an encoder fails.
pub fn pairs(
    faces: &[(u32, Stored)],
    backgrounds: &Backgrounds,
    codecs: &[(Codec, f32)],
    recipe: &Recipe,
    rng: &mut Rng,
) -> Result<Vec<NewPair>> {
    let (width, height) = recipe.size;
    let light = Light::draw(rng, recipe.light);
    let mut background = backgrounds.draw(width, height, rng);
    light_up(&mut background, &Light::draw(rng, recipe.light));
    let actors = places(recipe, rng)
        .into_iter()
        .map(|place| Actor::cast(&faces[rng.below(faces.len())], place, recipe, &light, rng))
        .collect::<Result<Vec<Actor>>>()?;
    let camera = Camera::draw(recipe, rng);
    let mut film = Vec::with_capacity(recipe.frames);
    // Those that faces are taken from, as they were before the camera.
    let mut scenes = std::collections::BTreeMap::new();
    for t in 0..recipe.frames {
        let time = t as f32;
        let mut frame = moved(&background, camera.pan, time);
        for actor in &actors {
            actor.draw(&mut frame, time, camera.shutter, recipe.frames, camera.pan);
        }
        if recipe.ages.contains(&t) {
            scenes.insert(t, frame.clone());
        }
        camera.degrade(&mut frame, rng);
        film.push(frame.to_bytes());
    }
    let codec = |rng: &mut Rng| {
        let at = rng.unit();
        weighted(codecs, at)
            .ok_or_else(|| Error::Setting("no encoder of the recipe is there".into()))
    };
    let first = codec(rng)?;
    let mut decoded = through(&film, width, height, first, rng)?;
    if rng.chance(recipe.twice) {
        let second = codec(rng)?;
        let frames: Vec<Vec<u8>> = decoded.into_iter().map(|d| d.rgb).collect();
        decoded = through(&frames, width, height, second, rng)?;
    }
    if decoded.len() < recipe.frames {
        // Which frames are missing is not known, so no truth would fit.
        return Ok(Vec::new());
    }
    let enlargement = weighted(&recipe.enlargements, rng.unit()).unwrap_or(1);
    let mut out = Vec::new();
    for &age in &recipe.ages {
        for actor in &actors {
            if !rng.chance(recipe.taken) {
                continue;
            }
            let error = TrackError::draw(recipe, rng);
            let squares = history(recipe, age, rng)
                .map(|t| {
                    let pose = actor.pose(t as f32, recipe.frames, camera.pan);
                    let off = if t == age { 0.0 } else { recipe.alignment };
                    (t, error.square(&pose, (off * rng.normal(), off * rng.normal())))
                })
                .filter(|(_, square)| lies_inside(*square, recipe.size))
                .collect::<Vec<_>>();
            if let Some(&(_, square)) = squares.last().filter(|(t, _)| *t == age) {
                let least = rng.range(recipe.latest.0, recipe.latest.1);
                let cropping =
                    Cropping { decoded: &decoded, squares: &squares, least, enlargement };
                let pose = actor.pose(age as f32, recipe.frames, camera.pan);
                let original = truth_in_scene(&actor.face, pose, &scenes[&age], square);
                let lr = cropping.means(recipe.size);
                let frame = decoded[age].kind;
                out.push(pair(actor, &original, lr, (square.2, frame, enlargement > 1))?);
            }
        }
    }
    Ok(out)
}

/// The background moved by the camera's pan.
fn moved(background: &Picture, pan: Pan, time: f32) -> Picture {
    if pan == (0.0, 0.0) {
        return background.clone();
    }
    let mut out = Picture::new(background.width, background.height);
    for y in 0..out.height {
        for x in 0..out.width {
            let from = (x as f32 - pan.0 * time, y as f32 - pan.1 * time);
            out.mix(x, y, background.bilinear(from.0, from.1), 1.0);
        }
    }
    out
}

/// Crops a square of a frame that is enlarged first, to each of [`SIDES`].
fn crops(
    frame: &Decoded,
    (width, height): (usize, usize),
    (x, y, side): Square,
    enlargement: usize,
) -> [Vec<f32>; 2] {
    // Only what the kernels can reach.
    let reach = 6.0 + side / 8.0;
    let from = |v: f32| (v - reach).floor().max(0.0) as usize;
    let until = |v: f32, top: usize| ((v + side + reach).ceil() as usize).min(top);
    let (x0, y0) = (from(x), from(y));
    let (x1, y1) = (until(x, width), until(y, height));
    let mut area = Vec::with_capacity((x1 - x0) * (y1 - y0) * 3);
    for row in y0..y1 {
        let row = &frame.rgb[(row * width + x0) * 3..(row * width + x1) * 3];
        area.extend(row.iter().map(|v| f32::from(*v)));
    }
    let mut size = (x1 - x0, y1 - y0);
    let mut corner = (x - x0 as f32, y - y0 as f32);
    let mut square = side;
    if enlargement > 1 {
        let large = (size.0 * enlargement, size.1 * enlargement);
        area = resize(&area, size.0, size.1, large.0, large.1, Filter::Bicubic);
        // The enlarged film has 8 bits, too.
        area.iter_mut().for_each(|v| *v = v.round().clamp(0.0, 255.0));
        let factor = enlargement as f32;
        (size, corner, square) = (large, (corner.0 * factor, corner.1 * factor), side * factor);
    }
    SIDES.map(|to| resample::window(&area, size, corner, square, to))
}

/// A pair of a face of `native` pixels in a frame of that kind, of a film that was enlarged or not.
fn pair(
    actor: &Actor,
    original: &Picture,
    [lr16, lr32]: [Vec<u8>; 2],
    (native, frame, is_enlarged): (f32, u8, bool),
) -> Result<NewPair> {
    let mut jpeg = Vec::new();
    let side_px = ORIGINAL as u32;
    image::codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, JPEG_QUALITY)
        .encode(&original.to_bytes(), side_px, side_px, image::ExtendedColorType::Rgb8)
        .map_err(|e| Error::Data(format!("an original cannot be stored: {e}")))?;
    let enlarged = if is_enlarged { flag::ENLARGED } else { 0 };
    let row = Row {
        offset: 0,
        jpeg: 0,
        native,
        original: actor.original,
        frame,
        flags: actor.flags | enlarged,
    };
    Ok(NewPair { lr16, lr32, jpeg, row })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    /// What the noise of a gray film leaves in a crop, root mean square levels.
    fn noise_left(frames: usize, least: f32) -> f32 {
        let (mut rng, size) = (Rng::new(1, Stream::Pairs, 0), (64, 64));
        let decoded: Vec<Decoded> = (0..frames)
            .map(|_| {
                let noise = |_| (128.0 + 12.0 * rng.normal()) as u8;
                Decoded { rgb: (0..size.0 * size.1 * 3).map(noise).collect(), kind: 0 }
            })
            .collect();
        let squares: Vec<_> = (0..frames).map(|t| (t, (20.0, 20.0, 16.0))).collect();
        let cropping = Cropping { decoded: &decoded, squares: &squares, least, enlargement: 1 };
        let [mean, _] = cropping.means(size);
        let squares: f32 = mean.iter().map(|v| (f32::from(*v) - 127.5).powi(2)).sum();
        (squares / mean.len() as f32).sqrt()
    }

    #[test]
    fn truth_is_the_face_within_its_edge_and_the_scene_around_it() {
        let face = Picture::from_bytes(ORIGINAL, ORIGINAL, &[200; ORIGINAL * ORIGINAL * 3]);
        let scene = Picture::from_bytes(64, 64, &[40; 64 * 64 * 3]);
        let pose = Pose { x: 32.0, y: 32.0, side: 20.0, angle: 0.0 };
        let truth = truth_in_scene(&face, pose, &scene, (20.0, 20.0, 24.0));
        let at = |x: usize, y: usize| truth.rgb[(y * ORIGINAL + x) * 3];
        assert!((at(64, 64) - 200.0).abs() < 0.1 && (at(64, 20) - 200.0).abs() < 0.1);
        assert!((at(2, 2) - 40.0).abs() < 0.1 && (at(126, 64) - 40.0).abs() < 0.1);
    }

    #[test]
    fn mean_of_crops_has_less_noise() {
        let (one, three, twelve) = (noise_left(1, 0.3), noise_left(3, 0.3), noise_left(12, 0.3));
        // Of a running mean with a share s of the latest crop, s / (2 - s) of the squares are left.
        assert!((three / one - (1.0f32 / 3.0).sqrt()).abs() < 0.06, "{one} {three}");
        assert!((twelve / one - (0.3f32 / 1.7).sqrt()).abs() < 0.06, "{one} {twelve}");
    }
}
