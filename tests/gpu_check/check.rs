//! Kernels and generator on the card against the CPU.

use std::sync::Arc;

use facesr::enhance::backend::{Backend, FacePlan};
use facesr::enhance::cpu::Compositor;
use facesr::enhance::cuda::{
    BATCHES, BoundGenerator, Cuda, DevicePtr, Driver, GpuBackend, GpuError, MOST_FACES, RunFaces,
};
use facesr::enhance::generator::{HR_LEN, LR_LEN};
use facesr::frame::Picture;
use facesr::inference::model_source::{self, ModelSource};
use facesr::{Generator, GeneratorOptions};

use crate::frames::{CardFrame, Noise, OnCard, Owned};
use crate::results::compared;
use crate::{Result, is_rehearsal};

/// Random frames that the kernels are tried on.
const FRAMES: u32 = 400;

/// Largest difference of the generators' answers, in units of -1..=1: single precision rounds in
/// another order, half precision keeps eleven bits.
const SINGLE: f32 = 1e-3;
const HALF: f32 = 1e-2;

/// A generator that answers what it was told beforehand.
pub(crate) struct Foretold {
    cuda: Arc<Cuda>,
    input: OnCard,
    output: OnCard,
    answer: Vec<f32>,
}

impl Foretold {
    pub(crate) fn new(cuda: &Arc<Cuda>, answer: Vec<f32>) -> Result<Self> {
        Ok(Self {
            cuda: cuda.clone(),
            input: OnCard::new(cuda, MOST_FACES * LR_LEN * size_of::<f32>())?,
            output: OnCard::new(cuda, MOST_FACES * HR_LEN * size_of::<f32>())?,
            answer,
        })
    }
}

// SAFETY: the buffers hold as many faces as one run takes, and live as long as it.
unsafe impl RunFaces for Foretold {
    fn buffers(&self, _faces: usize) -> (DevicePtr, DevicePtr) {
        (self.input.at, self.output.at)
    }

    fn run(&mut self, faces: usize) -> std::result::Result<(), GpuError> {
        let len = size_of_val(&self.answer[..faces * HR_LEN]);
        // SAFETY: the output holds the answer of that many faces, and the answer stays as it is.
        unsafe { self.cuda.upload(self.output.at, self.answer.as_ptr().cast(), len) }
    }
}

/// Cuts and blends on random frames, of both memories in turn.
pub(crate) fn kernels(cuda: Arc<Cuda>) -> Result<()> {
    let cuda = &cuda;
    let (mut cuts, mut samples, mut different) = (0usize, 0usize, 0usize);
    for seed in 0..FRAMES {
        let mut noise = Noise::new(seed);
        let info = noise.info(200);
        let count = 1 + noise.next() as usize % 6;
        let squares = noise.squares(&info, count);
        let before = Owned::noise(info, noise.next() as usize % 9, &mut noise);
        let answer = noise.tensor(count * HR_LEN);
        let strengths: Vec<f32> = (0..count).map(|_| noise.between(0.0, 1.0)).collect();

        let mut cpu = before.clone();
        let mut cpu_low = vec![0.0; count * LR_LEN];
        cpu.host(|frame| {
            let mut canvas = Compositor::default();
            canvas.crop(&frame.as_frame(), &squares, &mut cpu_low);
            canvas.blend(frame, &squares, &cpu_low, &answer, &strengths);
        })?;

        let foretold = Foretold::new(cuda, answer)?;
        let mut backend = GpuBackend::new(cuda.clone(), Box::new(foretold))?;
        let plan = |(slot, (&square, &strength))| FacePlan {
            square,
            strength,
            slot,
            generate: true,
            keep: 0.0,
        };
        let plans: Vec<FacePlan> = squares.iter().zip(&strengths).enumerate().map(plan).collect();
        let mut gpu = before;
        let mut low = vec![0.0; count * LR_LEN];
        let mut work = |picture: &mut Picture<'_, '_>| {
            backend.crop(picture, &squares, &mut low)?;
            backend.render(picture, &low, &plans)
        };
        if seed % 2 == 0 {
            gpu.host(|frame| work(&mut Picture::Host(frame)))??;
        } else {
            let mut card = CardFrame::upload(cuda, &gpu)?;
            work(&mut Picture::Cuda(card.view()?))?;
            card.download(&mut gpu)?;
        }
        cuts += low.iter().zip(&cpu_low).filter(|(a, b)| a.to_bits() != b.to_bits()).count();
        for (a, b) in gpu.planes.iter().flatten().zip(cpu.planes.iter().flatten()) {
            samples += 1;
            different += usize::from(a != b);
        }
    }
    compared(
        (cuts, different) == (0, 0),
        &format!(
            "kernels on {FRAMES} random frames: {cuts} numbers of the cuts and {different} of \
             {samples} samples differ from the CPU's"
        ),
    )
}

/// The generator of `source` on the card against single precision on the CPU, batch by batch.
pub(crate) fn generator(cuda: &Arc<Cuda>, name: &str, source: &ModelSource) -> Result<()> {
    let limit = if name == "fp16" { HALF } else { SINGLE };
    let folder = std::env::temp_dir().join(format!("gpu-check-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let file = folder.join("reference.onnx");
    std::fs::write(&file, facesr::inference::loader::read(&model_source::built_in_fp32())?)?;
    let opened = Generator::open(&GeneratorOptions { model: Some(file), ..Default::default() });
    std::fs::remove_dir_all(&folder)?;
    let on_cpu = opened?;
    // SAFETY: the place is the device's own, and the device outlives the generator.
    let mut on_card = unsafe { BoundGenerator::open(source, cuda.place()) }?;
    let mut most = 0f32;
    for faces in BATCHES {
        if is_rehearsal(cuda) && faces > 16 {
            break;
        }
        let low = Noise::new(faces as u32).tensor(faces * LR_LEN);
        let mut wanted = vec![0.0; faces * HR_LEN];
        on_cpu.run(&low, &mut wanted)?;
        let mut got = vec![0f32; faces * HR_LEN];
        let (input, output) = on_card.buffers(faces);
        // SAFETY: both ends hold that many faces and stay as they are until `synchronize`.
        unsafe { cuda.upload(input, low.as_ptr().cast(), size_of_val(low.as_slice())) }?;
        on_card.run(faces)?;
        let len = size_of_val(got.as_slice());
        // SAFETY: as above.
        unsafe { cuda.download(got.as_mut_ptr().cast(), output, len) }?;
        cuda.synchronize()?;
        let worst = got.iter().zip(&wanted).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        most = if worst.is_finite() { most.max(worst) } else { f32::INFINITY };
    }
    compared(
        most <= limit,
        &format!(
            "generator {name} on the card: at most {most:.1e} from fp32 on the CPU, in units of \
             -1..1 (allowed {limit:.0e})"
        ),
    )
}
