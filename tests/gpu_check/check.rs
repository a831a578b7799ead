//! Kernels and generator on the card against the CPU.

use std::sync::Arc;

use facesr::Shape;
use facesr::enhance::ladder::Ladder;
use facesr::frame::Picture;
use facesr::inference::ModelSource;
use facesr::internals;
use facesr::internals::backend::{Backend, BlendWeights, Crops, FaceLayer, FacePlan};
use facesr::internals::cpu::{Compositor, FaceBatch};
use facesr::internals::cuda::{
    BATCHES, BoundGenerator, Cuda, DevicePtr, Driver, GpuBackend, GpuError, MAX_FACES, RunFaces,
};

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
    shape: Shape,
    input: OnCard,
    output: OnCard,
    answer: Vec<f32>,
}

impl Foretold {
    pub(crate) fn new(cuda: &Arc<Cuda>, shape: Shape, answer: Vec<f32>) -> Result<Self> {
        Ok(Self {
            cuda: cuda.clone(),
            shape,
            input: OnCard::new(cuda, MAX_FACES * shape.lr_len() * size_of::<f32>())?,
            output: OnCard::new(cuda, MAX_FACES * shape.hr_len() * size_of::<f32>())?,
            answer,
        })
    }
}

// SAFETY: the buffers hold as many faces as one run takes, and live as long as it.
unsafe impl RunFaces for Foretold {
    fn shape(&self) -> Shape {
        self.shape
    }

    fn buffers(&mut self, _faces: usize) -> std::result::Result<(DevicePtr, DevicePtr), GpuError> {
        Ok((self.input.at, self.output.at))
    }

    fn run(&mut self, faces: usize) -> std::result::Result<(), GpuError> {
        let len = size_of_val(&self.answer[..faces * self.shape.hr_len()]);
        // SAFETY: the output holds the answer of that many faces, and the answer stays as it is.
        unsafe { self.cuda.upload(self.output.at, self.answer.as_ptr().cast(), len) }
    }
}

/// Crops and blends on random frames, of both memories in turn.
pub(crate) fn kernels(cuda: Arc<Cuda>) -> Result<()> {
    let cuda = &cuda;
    let (mut crops, mut samples, mut different) = (0usize, 0usize, 0usize);
    for seed in 0..FRAMES {
        let mut noise = Noise::new(seed);
        let info = noise.info(200);
        let count = 1 + noise.next() as usize % 6;
        let squares = noise.squares(&info, count);
        let before = Owned::noise(info, noise.next() as usize % 9, &mut noise);
        let shape = if noise.next().is_multiple_of(2) { Shape::SMALL } else { Shape::LARGE };
        let detail = (noise.next() % 3) as f32 / 2.0;
        let weights = BlendWeights { generated: 1.0 - detail / 2.0, detail };
        let answer = noise.tensor(count * shape.hr_len());
        let denoised = noise.tensor(count * shape.lr_len());
        let changes = noise.tensor(count * Shape::COMMON_LEN);
        let strengths: Vec<f32> = (0..count).map(|_| noise.between(0.0, 1.0)).collect();

        let mut cpu = before.clone();
        let mut cpu_low = vec![0.0; count * shape.lr_len()];
        cpu.host(|frame| {
            let mut canvas = Compositor::default();
            canvas.crop(&frame.as_frame(), shape, &squares, &mut cpu_low);
            let (squares, lr, hr, strengths) = (&squares, &cpu_low, &answer, &strengths);
            let (denoised, changes) = (&denoised, &changes);
            canvas.blend(
                frame,
                &FaceBatch { shape, squares, lr, denoised, changes, hr, strengths, weights },
            );
        })?;

        let foretold = Foretold::new(cuda, shape, answer)?;
        let mut backend = GpuBackend::new(cuda.clone(), vec![Box::new(foretold)])?;
        let plan = |(slot, (&square, &strength))| {
            let layer = FaceLayer { rung: 0, slot, generate: true, keep: 0.0, weights };
            FacePlan { square, strength, layer, next: None }
        };
        let plans: Vec<FacePlan> = squares.iter().zip(&strengths).enumerate().map(plan).collect();
        let mut gpu = before;
        let mut lr = Crops::default();
        squares.iter().for_each(|square| lr.push(*square, 0, shape));
        let mut work = |picture: &mut Picture<'_, '_>| {
            backend.crop(picture, &mut lr)?;
            lr.set_denoised(&denoised);
            lr.set_changes(&changes);
            backend.render(picture, &lr, &plans)
        };
        if seed % 2 == 0 {
            gpu.host(|frame| work(&mut Picture::Host(frame)))??;
        } else {
            let mut card = CardFrame::upload(cuda, &gpu)?;
            work(&mut Picture::Cuda(card.view()?))?;
            card.download(&mut gpu)?;
        }
        crops +=
            lr.values().iter().zip(&cpu_low).filter(|(a, b)| a.to_bits() != b.to_bits()).count();
        for (a, b) in gpu.planes.iter().flatten().zip(cpu.planes.iter().flatten()) {
            samples += 1;
            different += usize::from(a != b);
        }
    }
    compared(
        (crops, different) == (0, 0),
        &format!(
            "kernels on {FRAMES} random frames: {crops} numbers of the crops and {different} of \
             {samples} samples differ from the CPU's"
        ),
    )
}

/// The generator of `source` on the card against single precision on the CPU, batch by batch.
pub(crate) fn generator(cuda: &Arc<Cuda>, name: &str, source: &ModelSource) -> Result<()> {
    let limit = if name.starts_with("fp16") { HALF } else { SINGLE };
    // SAFETY: the place is the device's own, and the device outlives the generator.
    let mut on_card = unsafe { BoundGenerator::open(source, cuda.place()) }?;
    let shape = on_card.shape();
    let reference = Ladder::open(&internals::built_in_fp32(), 1)?;
    let on_cpu = reference.generators().iter().find(|generator| generator.shape() == shape);
    let on_cpu = on_cpu.ok_or_else(|| format!("no built-in generator is {shape}"))?;
    let mut most = 0f32;
    for faces in BATCHES {
        if is_rehearsal(cuda) && faces > 16 {
            break;
        }
        let lr = Noise::new(faces as u32).tensor(faces * shape.lr_len());
        let mut wanted = vec![0.0; faces * shape.hr_len()];
        on_cpu.run(&lr, &mut wanted)?;
        let mut got = vec![0f32; faces * shape.hr_len()];
        let (input, output) = on_card.buffers(faces)?;
        // SAFETY: both ends hold that many faces and stay as they are until `synchronize`.
        unsafe { cuda.upload(input, lr.as_ptr().cast(), size_of_val(lr.as_slice())) }?;
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
