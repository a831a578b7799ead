//! What the card itself can do: bandwidth of copies, rate of matrix products. The limits of all else
//! are worked out from these.

use std::sync::Arc;

use facesr::inference::ModelSource;
use facesr::internals::cuda::{BATCHES, BoundGenerator, Cuda, Driver, GpuError, RunFaces};
use facesr_testkit::onnx;

use crate::frames::OnCard;
use crate::results::{Outcome, rate};
use crate::{Result, is_rehearsal};

/// Rate of copies on the card, bytes read and bytes written a second, both counted.
pub(crate) const COPY: &str = "copy";

/// Rate of matrix products in that precision: multiplications and additions a second.
pub(crate) fn matrix(name: &str) -> String {
    format!("matrix {name}")
}

pub(crate) fn run(cuda: &Arc<Cuda>) -> Result<()> {
    // What fails here must not keep the rest from being measured.
    let done = [copies(cuda), links(cuda), products(cuda, "fp32"), products(cuda, "fp16")];
    done.into_iter().collect()
}

/// Runs `work` a few times unmeasured and then `rounds` times; seconds a round.
pub(crate) fn seconds(
    cuda: &Cuda,
    rounds: usize,
    mut work: impl FnMut() -> std::result::Result<(), GpuError>,
) -> Result<f64> {
    for _ in 0..rounds.div_ceil(10) {
        work()?;
    }
    let start = cuda.mark()?;
    for _ in 0..rounds {
        work()?;
    }
    let end = cuda.mark()?;
    Ok(cuda.between(&start, &end)?.as_secs_f64() / rounds as f64)
}

fn copies(cuda: &Arc<Cuda>) -> Result<()> {
    let len: usize = if is_rehearsal(cuda) { 1 << 20 } else { 1 << 30 };
    let (from, to) = (OnCard::new(cuda, len)?, OnCard::new(cuda, len)?);
    // SAFETY: both hold that much.
    let seconds = seconds(cuda, 20, || unsafe { cuda.copy(to.at, from.at, len) })?;
    let bytes = 2.0 * len as f64 / seconds;
    rate(COPY, bytes);
    Outcome::Card.say(&format!("copies on the card {:.0} GB/s (read and written)", bytes / 1e9));
    Ok(())
}

/// Between system memory and the card, from and to memory that the card reads by itself.
fn links(cuda: &Arc<Cuda>) -> Result<()> {
    let len: usize = if is_rehearsal(cuda) { 1 << 20 } else { 64 << 20 };
    let memory = OnCard::new(cuda, len)?;
    let pinned = cuda.allocate_host(len)?;
    // SAFETY: both hold that much, and nobody else touches them.
    let up = seconds(cuda, 20, || unsafe { cuda.upload(memory.at, pinned.as_ptr(), len) });
    // SAFETY: as above.
    let down = seconds(cuda, 20, || unsafe { cuda.download(pinned.as_ptr(), memory.at, len) });
    let waited = cuda.synchronize();
    // SAFETY: ours, and no copy is under way.
    unsafe { cuda.free_host(pinned, len) };
    waited?;
    let gigabytes = |seconds: f64| len as f64 / seconds / 1e9;
    Outcome::Card.say(&format!(
        "to the card {:.1} GB/s, back {:.1} GB/s",
        gigabytes(up?),
        gigabytes(down?)
    ));
    Ok(())
}

fn products(cuda: &Arc<Cuda>, name: &str) -> Result<()> {
    let (size, products, rounds) = if is_rehearsal(cuda) { (32, 2, 2) } else { (4096, 16, 10) };
    let folder = std::env::temp_dir().join(format!("gpu-check-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let file = folder.join("matrices.onnx");
    std::fs::write(&file, onnx::matrices(size, products, name == "fp16"))?;
    // SAFETY: the place is the device's own, and the device outlives the generator.
    let opened = unsafe { BoundGenerator::open(&ModelSource::File(file), cuda.place()) };
    std::fs::remove_dir_all(&folder)?;
    let mut generator = opened?;
    let seconds = seconds(cuda, rounds, || generator.run(BATCHES[0]))?;
    let operations = 2.0 * (size as f64).powi(3) * products as f64 / seconds;
    rate(&matrix(name), operations);
    Outcome::Card.say(&format!(
        "matrix products in {name} {:.0} TFLOP/s ({size} x {size}, cuBLAS)",
        operations / 1e12
    ));
    Ok(())
}
