//! Frames a second of the whole way but decoding and detection, at 1080p.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use facesr::cuda::Cuda;
use facesr::generator::Device;
use facesr::{Enhancer, EnhancerOptions, Face, FrameInfo, GeneratorOptions, PixelFormat, Rect};

use crate::Result;
use crate::frames::{CardFrame, Noise, Owned};

/// Frames that are timed, after a tenth as many that are not.
const FRAMES: usize = 400;
/// Side of the faces' boxes, pixels.
const SIDE: f32 = 36.0;

pub(crate) fn run(cuda: Arc<Cuda>, fp16: Option<PathBuf>) -> Result<()> {
    let folder = std::env::temp_dir().join(format!("gpu-measure-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let fp32 = folder.join("fp32.onnx");
    std::fs::write(&fp32, facesr::session::read(&facesr::models::built_in_fp32())?)?;
    let done = table(&cuda, [Some(("fp32", fp32)), fp16.map(|file| ("fp16", file))]);
    std::fs::remove_dir_all(&folder)?;
    done
}

fn table(cuda: &Arc<Cuda>, models: [Option<(&str, PathBuf)>; 2]) -> Result<()> {
    println!("| 1920x1080 NV12 | faces | generator | frames/s |\n|---|---|---|---|");
    for (name, model) in models.into_iter().flatten() {
        for faces in [8, 32] {
            for on_card in [true, false] {
                let rate = rate(cuda, model.clone(), faces, on_card)?;
                let memory = if on_card { "CUDA memory" } else { "system memory" };
                println!("| {memory} | {faces} | {name} | {rate:.0} |");
            }
        }
    }
    Ok(())
}

fn rate(cuda: &Arc<Cuda>, model: PathBuf, count: usize, on_card: bool) -> Result<f64> {
    let options = GeneratorOptions {
        model: Some(model),
        device: Device::Cuda,
        ..GeneratorOptions::default()
    };
    let mut enhancer = Enhancer::open(&options, EnhancerOptions::default())?;
    let info = FrameInfo::new(PixelFormat::Nv12, 1920, 1080);
    let mut noise = Noise::new(7);
    // Several, so that no face stays as it was.
    let mut frames: Vec<Owned> = (0..4).map(|_| Owned::noise(info, 0, &mut noise)).collect();
    let on_the_card: Vec<_> =
        frames.iter().map(|frame| CardFrame::upload(cuda, frame)).collect::<Result<_>>()?;
    let faces: Vec<Face> = (0..count)
        .map(|i| {
            let (x, y) = (30.0 + 230.0 * (i % 8) as f32, 40.0 + 250.0 * (i / 8) as f32);
            Face { id: i as u64 + 1, rect: Rect::new(x, y, SIDE, SIDE), score: 1.0 }
        })
        .collect();
    let mut start = Instant::now();
    for i in 0..FRAMES + FRAMES / 10 {
        if i == FRAMES / 10 {
            start = Instant::now();
        }
        let k = i % frames.len();
        let enhanced = match on_card {
            true => enhancer.enhance_cuda(on_the_card[k].view(), &faces)?,
            false => frames[k].host(|frame| enhancer.enhance(frame, &faces))??,
        };
        if enhanced != count || !enhancer.is_on_gpu() {
            let why = enhancer.take_notice().unwrap_or_default();
            return Err(format!("{enhanced} of {count} faces were sharpened. {why}").into());
        }
    }
    Ok(FRAMES as f64 / start.elapsed().as_secs_f64())
}
