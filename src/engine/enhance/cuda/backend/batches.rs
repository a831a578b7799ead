//! Layers of a frame in batches that one run of a generator takes.

use crate::enhance::cuda::generator::MAX_FACES;
use crate::enhance::cuda::kernels::Layer;

/// Some layers, of which `generated` are to be generated: no more than one run takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Batch {
    /// One past the last.
    pub(super) end: usize,
    pub(super) generated: usize,
}

/// Divides the layers of a frame into batches for the generator with inputs of side `lr`, in their
/// order; those of other sides lie among them.
pub(super) fn batches(layers: &[Layer], lr: i32) -> impl Iterator<Item = Batch> + use<> {
    let wanted = |layer: &Layer| layer.lr == lr && layer.generated >= 0;
    let mut list = Vec::new();
    let mut batch = Batch { end: 0, generated: 0 };
    for layer in layers {
        if wanted(layer) && batch.generated == MAX_FACES {
            list.push(batch);
            batch.generated = 0;
        }
        batch.generated += usize::from(wanted(layer));
        batch.end += 1;
    }
    if layers.iter().any(|layer| layer.lr == lr) {
        list.push(batch);
    }
    list.into_iter()
}

/// Numbers the layers of side `lr` that are to be generated within their batch.
pub(super) fn number(layers: &mut [Layer], lr: i32) {
    let mut from = 0;
    for batch in batches(layers, lr) {
        let own = layers[from..batch.end].iter_mut();
        let wanted = own.filter(|layer| layer.lr == lr && layer.generated >= 0);
        wanted.zip(0..).for_each(|(layer, next)| layer.generated = next);
        from = batch.end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A layer for each of `sides`, negative where nothing is generated.
    fn layers(sides: &[i32]) -> Vec<Layer> {
        let layer = |side: &i32| Layer {
            lr: side.abs(),
            generated: if *side > 0 { 0 } else { -1 },
            ..Layer::default()
        };
        sides.iter().map(layer).collect()
    }

    #[test]
    fn batches_hold_what_one_run_takes_and_leave_nobody_out() {
        assert_eq!(batches(&[], 16).count(), 0);
        let sides: Vec<i32> = (0..600)
            .map(|i| {
                if i % 3 == 0 {
                    -16
                } else if i % 4 == 1 {
                    32
                } else {
                    16
                }
            })
            .collect();
        let mut layers = layers(&sides);
        for lr in [16, 32] {
            let count = sides.iter().filter(|&&side| side == lr).count();
            let list: Vec<Batch> = batches(&layers, lr).collect();
            assert_eq!(list.last().unwrap().end, 600);
            assert!(list.iter().all(|b| b.generated <= MAX_FACES));
            assert_eq!(list.iter().map(|b| b.generated).sum::<usize>(), count);
            number(&mut layers, lr);
            let mut start = 0;
            for batch in batches(&layers, lr) {
                let numbers: Vec<i32> = layers[start..batch.end]
                    .iter()
                    .filter(|layer| layer.lr == lr && layer.generated >= 0)
                    .map(|layer| layer.generated)
                    .collect();
                assert_eq!(numbers, (0..batch.generated as i32).collect::<Vec<_>>());
                start = batch.end;
            }
        }
        assert_eq!(batches(&layers, 48).count(), 0);
    }
}
