//! What is behind the faces: frames of films, pictures, or drawn texture.

use std::path::{Path, PathBuf};

use super::codec::decode_film;
use super::raster::Picture;
use crate::error::{Error, Result, at};
use crate::rng::Rng;

/// One frame in so many of a film is taken.
const EVERY: usize = 25;
/// Frames of a film that are taken at most.
const MOST: usize = 40;

/// Pictures of the size of a scene.
#[derive(Debug, Default)]
pub struct Backgrounds {
    pictures: Vec<Picture>,
}

impl Backgrounds {
    /// Reads films (frames of them) and pictures; folders are looked through one level deep.
    ///
    /// # Errors
    /// When one of them cannot be read.
    pub fn open(places: &[PathBuf], width: usize, height: usize) -> Result<Self> {
        let mut files = Vec::new();
        for place in places {
            if place.is_dir() {
                for entry in std::fs::read_dir(place).map_err(at(place))? {
                    files.push(entry.map_err(at(place))?.path());
                }
            } else {
                files.push(place.clone());
            }
        }
        files.sort();
        let mut pictures = Vec::new();
        for file in files {
            pictures.extend(Self::of_file(&file, width, height)?);
        }
        Ok(Self { pictures })
    }

    fn of_file(file: &Path, width: usize, height: usize) -> Result<Vec<Picture>> {
        let end = file.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
        if ["jpg", "jpeg", "png", "webp"].contains(&end.as_str()) {
            let picture = image::open(file)
                .map_err(|e| Error::Data(format!("{}: {e}", file.display())))?
                .resize_exact(width as u32, height as u32, image::imageops::FilterType::Triangle)
                .into_rgb8();
            return Ok(vec![Picture::from_bytes(width, height, picture.as_raw())]);
        }
        if !["mp4", "mkv", "avi", "mov", "ts", "webm"].contains(&end.as_str()) {
            return Ok(Vec::new());
        }
        let frames = decode_film(file, width, height, EVERY, MOST)?;
        Ok(frames.iter().map(|f| Picture::from_bytes(width, height, f)).collect())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.pictures.len()
    }

    /// True when all are drawn.
    pub fn is_empty(&self) -> bool {
        self.pictures.is_empty()
    }

    /// One of them, moved sideways and perhaps mirrored; or, one time in four and where there is none,
    /// a drawn texture.
    pub fn draw(&self, width: usize, height: usize, rng: &mut Rng) -> Picture {
        if self.pictures.is_empty() || rng.chance(0.25) {
            return texture(width, height, rng);
        }
        let source = &self.pictures[rng.below(self.pictures.len())];
        let (shift, mirror) = (rng.below(width), rng.chance(0.5));
        let mut out = Picture::new(width, height);
        for y in 0..height {
            for x in 0..width {
                let from = (x + shift) % width;
                let from = if mirror { width - 1 - from } else { from };
                let i = (y * width + from) * 3;
                out.mix(x, y, [source.rgb[i], source.rgb[i + 1], source.rgb[i + 2]], 1.0);
            }
        }
        out
    }
}

/// Noise of several sizes in a few colors, with hard edges here and there.
fn texture(width: usize, height: usize, rng: &mut Rng) -> Picture {
    let mut out = Picture::new(width, height);
    let base: [f32; 3] = std::array::from_fn(|_| rng.range(50.0, 190.0));
    out.rgb.chunks_exact_mut(3).for_each(|p| p.copy_from_slice(&base));
    for octave in 0..5 {
        let cells = 3usize << octave;
        let strength = 55.0 / (1.0 + octave as f32) * rng.range(0.5, 1.3);
        let mut grid = Picture::new(cells + 1, cells + 1);
        for pixel in grid.rgb.chunks_exact_mut(3) {
            let gray = rng.normal();
            pixel.iter_mut().for_each(|v| *v = strength * (gray + 0.3 * rng.normal()));
        }
        let hard = rng.chance(0.3);
        for y in 0..height {
            for x in 0..width {
                let u = x as f32 / width as f32 * cells as f32;
                let v = y as f32 / height as f32 * cells as f32;
                let add =
                    if hard { grid.bilinear(u.floor(), v.floor()) } else { grid.bilinear(u, v) };
                let i = (y * width + x) * 3;
                out.rgb[i..i + 3].iter_mut().zip(add).for_each(|(p, a)| *p += a);
            }
        }
    }
    out.rgb.iter_mut().for_each(|v| *v = v.clamp(0.0, 255.0));
    out
}
