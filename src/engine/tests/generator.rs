//! The generator's contract, held against real ONNX files and real ONNX Runtime.

#![allow(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use facesr::enhance::generator::Device;
use facesr::enhance::ladder::Ladder;
use facesr::internals::cpu::Compositor;
use facesr::{CropSquare, Frame, FrameInfo, PixelFormat, Shape};
use facesr::{Enhancer, EnhancerOptions, Error, Generator, GeneratorOptions, ModelError};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../testkit/fixtures/models").join(name)
}

fn open(path: &Path) -> Result<Arc<Generator>, ModelError> {
    Generator::open(&GeneratorOptions::default().models(vec![path.into()]))
}

/// The error of opening `path`, which must name the file.
fn refusal(path: &Path) -> ModelError {
    let error = open(path).expect_err("this file must be refused");
    let text = error.to_string();
    assert!(text.contains(path.file_name().unwrap().to_str().unwrap()), "{text}");
    error
}

#[test]
fn files_that_break_the_contract_are_refused_with_the_reason() {
    for (file, reason) in [
        ("input-named-x.onnx", "its input is named 'x'"),
        ("output-named-y.onnx", "its output is named 'y'"),
        ("input-32.onnx", "its output has shape [-1, 3, 64, 64]"),
        ("output-32.onnx", "its output has shape [-1, 3, 32, 32]"),
        ("output-undeclared-32.onnx", "its output has shape [-1, 3, 32, 32]"),
        ("grey.onnx", "its input has shape [-1, 1, 16, 16]"),
        ("fixed-batch.onnx", "its input has shape [1, 3, 16, 16]"),
        ("integers.onnx", "its input is of type"),
        ("two-inputs.onnx", "it has 2 inputs"),
        ("other-crop.onnx", "trained on crops of scale 1.5, not 1.1"),
        ("crop-is-text.onnx", "trained on crops of scale wide"),
    ] {
        let error = refusal(&fixture(file));
        assert!(matches!(error, ModelError::Contract { .. }), "{file}: {error:?}");
        assert!(error.to_string().contains(reason), "{file}: {error}");
    }
}

#[test]
fn damaged_and_foreign_files_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let whole = std::fs::read(fixture("good-nearest.onnx")).unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let noise: Vec<u8> =
        (0..5000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    for (name, bytes) in [
        ("empty.onnx", &[][..]),
        ("noise.onnx", &noise),
        ("text.onnx", b"<html>not found</html>"),
        ("truncated.onnx", &whole[..whole.len() / 2]),
    ] {
        let error = refusal(&write(name, bytes));
        assert!(matches!(error, ModelError::Invalid { .. }), "{name}: {error:?}");
    }
    for cut in (1..whole.len()).step_by(7) {
        // Wherever it is cut, there is an error or a working generator, never a crash.
        let _ = open(&write("cut.onnx", &whole[..cut]));
    }
    assert!(matches!(refusal(&dir.path().join("gone.onnx")), ModelError::Missing { .. }));
    assert!(matches!(refusal(dir.path()), ModelError::Read { .. }));
}

#[test]
fn answers_that_are_not_numbers_are_an_error() {
    let generator = open(&fixture("not-a-number.onnx")).expect_err("log(0) is refused at load");
    assert!(generator.to_string().contains("not finite"), "{generator}");
}

#[test]
fn cuda_is_refused_in_words() {
    let options = GeneratorOptions::default().device(Device::Cuda);
    let error = Enhancer::open(&options, EnhancerOptions::default()).err().expect("no CUDA here");
    assert!(error.to_string().contains("cuda"), "{error}");
}

#[test]
fn the_same_options_share_one_generator() {
    let (a, b) = (open(&fixture("good-nearest.onnx")), open(&fixture("good-nearest.onnx")));
    assert!(Arc::ptr_eq(&a.unwrap(), &b.unwrap()));
}

#[test]
fn batches_and_threads_do_not_change_the_answer() {
    let faces: Vec<f32> =
        (0..41 * Shape::SMALL.lr_len()).map(|i| ((i * 37 % 255) as f32) / 127.5 - 1.0).collect();
    let run = |threads: usize, batch: usize| {
        let generator = Generator::open(&GeneratorOptions::default().threads(threads)).unwrap();
        let mut out = vec![f32::NAN; 41 * Shape::SMALL.hr_len()];
        for (f, o) in faces
            .chunks(batch * Shape::SMALL.lr_len())
            .zip(out.chunks_mut(batch * Shape::SMALL.hr_len()))
        {
            generator.run(f, o).unwrap();
        }
        out
    };
    let wanted = run(1, 1);
    for (threads, batch) in [(1, 41), (2, 41), (3, 7), (8, 3)] {
        assert_eq!(run(threads, batch), wanted, "{threads} threads, batches of {batch}");
    }
}

#[test]
fn many_threads_use_one_generator_at_once() {
    let generator = open(&fixture("good-nearest.onnx")).unwrap();
    std::thread::scope(|scope| {
        for k in 0..6 {
            let generator = &generator;
            scope.spawn(move || {
                let face = vec![k as f32 / 10.0; Shape::SMALL.lr_len()];
                let mut out = vec![0.0; Shape::SMALL.hr_len()];
                for _ in 0..20 {
                    let done: Result<_, Error> = generator.run(&face, &mut out);
                    done.unwrap();
                    assert!(out.iter().all(|v| (v - k as f32 / 10.0).abs() < 1e-6));
                }
            });
        }
    });
}

/// Crops for a generator of `shape`, all of them parts of a real face: `[N, 3, lr, lr]`.
fn faces(shape: Shape, count: usize) -> Vec<f32> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/face.png");
    let picture = image::open(path).unwrap().to_rgb8();
    let (width, height) = picture.dimensions();
    let info = FrameInfo::new(PixelFormat::Rgb, width, height);
    let frame = Frame::new(info, &[picture.as_raw().as_slice()], &[width as usize * 3]).unwrap();
    let room = width.min(height) as f32;
    let squares: Vec<CropSquare> = (0..count)
        .map(|i| {
            let side = room * (0.5 + 0.5 * (i % 8) as f32 / 8.0);
            let x = (width as f32 - side) * (i / 8 % 4) as f32 / 3.0;
            let y = (height as f32 - side) * (i / 32) as f32;
            CropSquare { x, y, side }
        })
        .collect();
    let mut lr = vec![0.0; count * shape.lr_len()];
    Compositor::default().crop(&frame, shape, &squares, &mut lr);
    lr
}

/// Whoever exchanges one of the files that ship must exchange all (`make weights`).
#[test]
fn the_files_that_ship_hold_the_same_generator() {
    for name in ["low-to-high-compact", "low-to-high-32-compact"] {
        let path = |kind: &str| {
            let file = format!("../../models/{name}{kind}.onnx");
            Path::new(env!("CARGO_MANIFEST_DIR")).join(file)
        };
        const COUNT: usize = 64;
        let single = open(&path("")).unwrap();
        let shape = single.shape();
        let lr = faces(shape, COUNT);
        let answer = |generator: &Generator| {
            assert_eq!(generator.shape(), shape);
            let mut hr = vec![0.0; COUNT * shape.hr_len()];
            generator.run(&lr, &mut hr).unwrap();
            hr
        };
        let single = answer(&single);
        let half = answer(&open(&path("-fp16")).unwrap());
        let integers = answer(&open(&path("-int8")).unwrap());
        let gaps = |other: &[f32]| -> Vec<f32> {
            single.iter().zip(other).map(|(a, b)| (a - b).abs()).collect()
        };
        let most = gaps(&half).into_iter().fold(0.0, f32::max);
        assert!(most > 0.0 && most < 5e-3, "{name}: half precision is off by {most}");
        let gaps = gaps(&integers);
        let error = gaps.iter().map(|gap| (gap / 2.0).powi(2)).sum::<f32>() / gaps.len() as f32;
        let psnr = -10.0 * error.log10();
        assert!(psnr > 34.0, "{name}: the integers are {psnr:.1} dB from single precision");
    }
}

#[test]
fn generator_shape_is_read_from_its_file() {
    let shape = |name: &str| open(&fixture(name)).unwrap().shape();
    assert_eq!(shape("good-nearest.onnx"), Shape::SMALL);
    assert_eq!(shape("good-nearest-32.onnx"), Shape::LARGE);
}

#[test]
fn two_generators_of_one_size_are_refused() {
    let named = |names: &[&str]| {
        let generators = names.iter().map(|name| open(&fixture(name)).unwrap()).collect();
        Ladder::new(generators)
    };
    let both = named(&["good-nearest-32.onnx", "good-nearest.onnx"]).unwrap();
    assert_eq!(both.shapes(), [Shape::SMALL, Shape::LARGE]);
    let error = named(&["good-nearest.onnx", "good-nearest.onnx"]).unwrap_err().to_string();
    assert!(error.contains("name one of them"), "{error}");
    assert!(named(&[]).is_err());
}
