//! Writes what this machine makes of fixed input, so that two kinds of processors can be compared.
//!
//! ```sh
//! cargo run --release -p facesr --example measure_answers -- OUT PICTURE MODEL...
//! ```
//!
//! `OUT/canvas.bin` holds crops and blended frames of noise in every pixel format: the same bits
//! everywhere. For each MODEL, a generator, `OUT/NAME.bin` holds its answers (32-bit floats, -1 to
//! 1) to crops of PICTURE. `scripts/arm64-check.sh` compares them.

use std::error::Error;
use std::path::{Path, PathBuf};

use facesr::enhance::generator::GeneratorOptions;
use facesr::internals::backend::BlendWeights;
use facesr::internals::cpu::{Compositor, FaceBatch};
use facesr::{CropSquare, Frame, FrameInfo, FrameMut, Generator, PixelFormat, Shape};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(out), Some(picture)) = (args.next(), args.next()) else {
        return Err("usage: measure_answers OUT PICTURE MODEL...".into());
    };
    std::fs::create_dir_all(&out)?;
    std::fs::write(out.join("canvas.bin"), canvas()?)?;
    for model in args {
        let answers = answers(&model, &picture)?;
        let bytes: Vec<u8> = answers.iter().flat_map(|v| v.to_le_bytes()).collect();
        std::fs::write(
            out.join(model.file_stem().unwrap_or_default()).with_extension("bin"),
            bytes,
        )?;
    }
    Ok(())
}

/// Pseudorandom numbers, the same everywhere.
struct Noise(u32);

impl Noise {
    fn byte(&mut self) -> u8 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 24) as u8
    }

    fn level(&mut self) -> f32 {
        f32::from(self.byte()) / 127.5 - 1.0
    }
}

/// Crops and blended planes of frames of noise.
fn canvas() -> Result<Vec<u8>, Box<dyn Error>> {
    let (width, height) = (150, 110);
    let squares = [
        CropSquare { x: 10.3, y: 8.8, side: 17.5 },
        CropSquare { x: 60.0, y: 30.0, side: 64.0 },
        CropSquare { x: -9.7, y: 70.2, side: 41.9 },
        CropSquare { x: 120.1, y: 81.6, side: 90.3 },
    ];
    let mut noise = Noise(7);
    let mut written = Vec::new();
    for format in PixelFormat::ALL {
        let info = FrameInfo::new(format, width, height);
        for shape in [Shape::SMALL, Shape::LARGE] {
            let (mut planes, mut strides) = (Vec::new(), Vec::new());
            for plane in 0..format.plane_count() {
                let (row, rows) = format.plane_size(plane, width, height);
                planes.push((0..row * rows).map(|_| noise.byte()).collect::<Vec<u8>>());
                strides.push(row);
            }
            let mut lr = vec![0.0; squares.len() * shape.lr_len()];
            let borrowed: Vec<&[u8]> = planes.iter().map(Vec::as_slice).collect();
            Compositor::default().crop(
                &Frame::new(info, &borrowed, &strides)?,
                shape,
                &squares,
                &mut lr,
            );
            written.extend(lr.iter().flat_map(|v| v.to_le_bytes()));
            let hr: Vec<f32> = (0..squares.len() * shape.hr_len()).map(|_| noise.level()).collect();
            let faces = FaceBatch {
                shape,
                squares: &squares,
                lr: &lr,
                denoised: &lr,
                changes: &vec![0.0; squares.len() * Shape::COMMON_LEN],
                hr: &hr,
                strengths: &[1.0, 0.7, 0.4, 1.0],
                weights: BlendWeights { generated: 0.8, detail: 0.3 },
            };
            let borrowed = planes.iter_mut().map(Vec::as_mut_slice);
            Compositor::default().blend(&mut FrameMut::new(info, borrowed, &strides)?, &faces);
            written.extend(planes.into_iter().flatten());
        }
    }
    Ok(written)
}

/// What the generator in `model` makes of crops of the picture.
fn answers(model: &Path, picture: &Path) -> Result<Vec<f32>, Box<dyn Error>> {
    let generator =
        Generator::open(&GeneratorOptions::default().models(vec![model.to_owned()]).threads(1))?;
    let shape = generator.shape();
    let picture = image::open(picture)?.into_rgb8();
    let (width, height) = picture.dimensions();
    let stride = 3 * width as usize;
    let frame =
        Frame::new(FrameInfo::new(PixelFormat::Rgb, width, height), &[&picture], &[stride])?;
    let side = width.min(height) as f32;
    let squares: Vec<CropSquare> = (0..4)
        .map(|k| k as f32)
        .map(|k| CropSquare {
            x: side * 0.04 * k,
            y: side * 0.03 * k,
            side: side * (1.0 - 0.1 * k),
        })
        .collect();
    let mut lr = vec![0.0; squares.len() * shape.lr_len()];
    Compositor::default().crop(&frame, shape, &squares, &mut lr);
    let mut hr = vec![0.0; squares.len() * shape.hr_len()];
    generator.run(&lr, &mut hr)?;
    Ok(hr)
}
