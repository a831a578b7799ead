//! Frames a second of the whole way but decoding and detection, at 1080p.

use std::sync::Arc;
use std::time::Instant;

use facesr::enhance::generator::Device;
use facesr::geometry::CROP_SCALE;
use facesr::inference::ModelSource;
use facesr::internals::cuda::Cuda;
use facesr::{Enhancer, EnhancerOptions, Face, FrameInfo, GeneratorOptions, PixelFormat, Rect};

use crate::frames::{CardFrame, Noise, Owned};
use crate::results::figure;
use crate::stages::{SIDE, canvas_work, generator_work, squares};
use crate::{Result, is_rehearsal};

/// Frames that are timed, after a tenth as many that are not.
const FRAMES: usize = 1000;

pub(crate) fn run(cuda: &Arc<Cuda>, name: &str, source: &ModelSource) -> Result<()> {
    let folder = std::env::temp_dir().join(format!("gpu-check-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let model = folder.join("generator.onnx");
    std::fs::write(&model, facesr::internals::read_model(source)?)?;
    let options = GeneratorOptions::default().models(vec![model]).device(Device::Cuda);
    let done = [8, 32].into_iter().try_for_each(|faces| {
        for on_card in [true, false] {
            let memory = if on_card { "CUDA memory" } else { "system memory" };
            let row = format!("{memory}, {name}, frames/s");
            figure(&row, faces, rate(cuda, &options, faces, on_card)?);
            canvas_work(&row, faces, true, true);
            generator_work(&row, faces, name);
        }
        Ok(())
    });
    std::fs::remove_dir_all(&folder)?;
    done
}

fn rate(cuda: &Arc<Cuda>, options: &GeneratorOptions, count: usize, on_card: bool) -> Result<f64> {
    let timed = if is_rehearsal(cuda) { 4 } else { FRAMES };
    // Every face of every frame is generated.
    let every = EnhancerOptions::default().reuse(0.0);
    let mut enhancer = Enhancer::open(options, every)?;
    let info = FrameInfo::new(PixelFormat::Nv12, 1920, 1080);
    let mut noise = Noise::new(7);
    // Several, so that no face stays as it was.
    let mut frames: Vec<Owned> = (0..4).map(|_| Owned::noise(info, 0, &mut noise)).collect();
    let mut on_the_card: Vec<_> =
        frames.iter().map(|frame| CardFrame::upload(cuda, frame)).collect::<Result<_>>()?;
    let box_side = SIDE / CROP_SCALE;
    let faces: Vec<Face> = (1u64..)
        .zip(squares(count))
        .map(|(id, square)| {
            let rect = Rect::new(square.x, square.y, box_side, box_side);
            Face::new(id, rect, 1.0)
        })
        .collect();
    let mut start = Instant::now();
    for i in 0..timed + timed / 10 {
        if i == timed / 10 {
            start = Instant::now();
        }
        let k = i % frames.len();
        let enhanced = match on_card {
            true => enhancer.enhance_cuda(on_the_card[k].view()?, &faces)?,
            false => frames[k].host(|frame| enhancer.enhance(frame, &faces))??,
        };
        if enhanced != count || !enhancer.is_on_gpu() {
            let why = enhancer.take_notice().unwrap_or_default();
            return Err(format!("{enhanced} of {count} faces were sharpened. {why}").into());
        }
    }
    Ok(timed as f64 / start.elapsed().as_secs_f64())
}
