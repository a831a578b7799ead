//! One scene: faces that move and turn over a background, filmed, encoded, decoded, cropped.

use super::background::Backgrounds;
use super::codec::{Codec, Decoded, through};
use super::occluder;
use super::raster::{Picture, Pose, truth};
use super::recipe::{Recipe, weighted};
use crate::dataset::camera::Light;
use crate::dataset::pairs::{NewPair, ORIGINAL, Row, flag};
use crate::dataset::pictures::Stored;
use crate::dataset::resample::{Filter, resize, window};
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

/// The part of the face's square that is face: an ellipse with a soft edge.
fn ellipse() -> Picture {
    let mut mask = Picture::new(ORIGINAL, ORIGINAL);
    for y in 0..ORIGINAL {
        for x in 0..ORIGINAL {
            let r = ((x as f32 - 63.5) / 60.0).hypot((y as f32 - 63.5) / 64.0);
            mask.mix(x, y, [((1.08 - r) / 0.10).clamp(0.0, 1.0); 3], 1.0);
        }
    }
    mask
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
    for t in 0..recipe.frames {
        let time = t as f32;
        let mut frame = moved(&background, camera.pan, time);
        for actor in &actors {
            actor.draw(&mut frame, time, camera.shutter, recipe.frames, camera.pan);
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
            let pose = actor.pose(age as f32, recipe.frames, camera.pan);
            let error = recipe.tracker;
            let side = pose.side * (1.0 + error.1 * rng.normal());
            let x = pose.x + error.0 * pose.side * rng.normal() - side / 2.0;
            let y = pose.y + error.0 * pose.side * rng.normal() - side / 2.0;
            let inside = x >= 0.0
                && y >= 0.0
                && x + side <= width as f32
                && y + side <= height as f32
                && side >= 4.0;
            if inside {
                let square = (x, y, side);
                out.push(pair(actor, pose, &decoded[age], square, enlargement, recipe)?);
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

fn pair(
    actor: &Actor,
    pose: Pose,
    frame: &Decoded,
    (x, y, side): (f32, f32, f32),
    enlargement: usize,
    recipe: &Recipe,
) -> Result<NewPair> {
    let (width, height) = recipe.size;
    // Only what the kernels can reach.
    let reach = 6.0 + side / 8.0;
    let from = |v: f32| (v - reach).floor().max(0.0) as usize;
    let to = |v: f32, top: usize| ((v + side + reach).ceil() as usize).min(top);
    let (x0, y0) = (from(x), from(y));
    let (x1, y1) = (to(x, width), to(y, height));
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
    let crop = |to: usize| -> Vec<u8> {
        let crop = window(&area, size, corner, square, to);
        crop.iter().map(|v| v.round().clamp(0.0, 255.0) as u8).collect()
    };
    let original = truth(&actor.face, pose, (x, y), side, ORIGINAL).to_bytes();
    let mut jpeg = Vec::new();
    let side_px = ORIGINAL as u32;
    image::codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, JPEG_QUALITY)
        .encode(&original, side_px, side_px, image::ExtendedColorType::Rgb8)
        .map_err(|e| Error::Data(format!("an original cannot be stored: {e}")))?;
    let enlarged = if enlargement > 1 { flag::ENLARGED } else { 0 };
    let row = Row {
        offset: 0,
        jpeg: 0,
        native: side,
        original: actor.original,
        frame: frame.kind,
        flags: actor.flags | enlarged,
    };
    Ok(NewPair { lr16: crop(16), lr32: crop(32), jpeg, row })
}
