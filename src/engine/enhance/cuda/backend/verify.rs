//! Holds the generators on the GPU against those on the CPU.

use super::GpuBackend;
use crate::enhance::cuda::OpenError;
use crate::enhance::ladder::Ladder;
use crate::error::{GpuError, ModelError};

/// How far a number may be from the CPU's, of a range of 2, before a generator counts as broken:
/// half precision stays within a twentieth of that.
const MAX_DIFFERENCE: f32 = 0.2;

impl GpuBackend {
    /// Holds each generator against the one of `on_cpu`, with two inputs: a binding that ONNX
    /// Runtime has copied once and for all returns the same for both.
    ///
    /// # Errors
    /// If the device fails, or [`ModelError::Device`] if a generator returns something else than
    /// on the CPU.
    pub fn verify(&mut self, on_cpu: &Ladder) -> Result<(), OpenError> {
        for (rung, shape) in self.shapes.clone().into_iter().enumerate() {
            let generator = on_cpu.generators().get(rung).filter(|g| g.shape() == shape);
            for round in 0..2 {
                let value = |i: usize| ((i * (7 + 4 * round)) % 251) as f32 / 125.0 - 1.0;
                let lr: Vec<f32> = (0..shape.lr_len()).map(value).collect();
                let mut got = vec![0f32; shape.hr_len()];
                self.run_once(rung, &lr, &mut got)?;
                let Some(generator) = generator else { continue };
                let mut wanted = vec![0f32; shape.hr_len()];
                let ran = generator.run(&lr, &mut wanted);
                let close = |(a, b): (&f32, &f32)| (a - b).abs() <= MAX_DIFFERENCE;
                if ran.is_err() || !got.iter().zip(&wanted).all(close) {
                    let other =
                        format!("it returns something else there than on the CPU ({shape})");
                    return Err(ModelError::on_device(generator.source(), "cuda", other).into());
                }
            }
        }
        Ok(())
    }

    fn run_once(&mut self, rung: usize, lr: &[f32], hr: &mut [f32]) -> Result<(), GpuError> {
        let (input, output) = self.generators[rung].buffers(1)?;
        let (to, from) = (size_of_val(lr), size_of_val(hr));
        self.staged_in.reserve(to)?;
        self.staged_out.reserve(from)?;
        self.staged_in.bytes_mut()[..to].copy_from_slice(bytemuck::cast_slice(lr));
        // SAFETY: the binding holds one face, the staging as many bytes; it is not touched before
        // `synchronize`.
        unsafe { self.driver.upload(input, self.staged_in.bytes().as_ptr(), to) }?;
        self.generators[rung].run(1)?;
        let staged = self.staged_out.bytes_mut().as_mut_ptr();
        // SAFETY: as above.
        unsafe { self.driver.download(staged, output, from) }?;
        self.driver.synchronize()?;
        bytemuck::cast_slice_mut(hr).copy_from_slice(&self.staged_out.bytes()[..from]);
        Ok(())
    }
}
