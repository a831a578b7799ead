//! Generators for faces of different sizes, and which of them a face gets.
//!
//! A crop of 16x16 holds a face of sixteen pixels whole and throws half of one of thirty-two away;
//! one of 32x32 asks four times the work for a face that holds no more than sixteen. What counts is
//! the size at which the camera saw the face: enlarging a picture adds nothing to it.

use std::sync::Arc;

use super::backend::MAX_RUNGS;
use super::generator::{CONTRACT, Generator, contract_error};
use crate::error::ModelError;
use crate::inference::model_source::ModelSource;
use crate::shape::Shape;

/// A face moves up to a rung when its square has reached this share of the rung's input side...
const UP: f32 = 0.625;
/// ... and back down when it has fallen below this one: 20 and 17 pixels for an input of 32. Above
/// about 20 pixels a crop of 16x16 throws away what the camera saw; the exact limits are not measured
/// yet.
const DOWN: f32 = 0.53;

/// Generators on the CPU by increasing input, one or two.
#[derive(Debug, Clone)]
pub struct Ladder {
    rungs: Vec<Arc<Generator>>,
}

impl From<Arc<Generator>> for Ladder {
    /// One generator for all sizes.
    fn from(generator: Arc<Generator>) -> Self {
        Self { rungs: vec![generator] }
    }
}

impl Ladder {
    /// Loads `sources` with `threads` threads each.
    ///
    /// # Errors
    /// [`ModelError`] if one cannot be used, if there are too many, or if two are of one size.
    pub fn open(sources: &[ModelSource], threads: usize) -> Result<Self, ModelError> {
        let rungs = sources.iter().map(|source| Generator::open_source(source, threads));
        Self::new(rungs.collect::<Result<_, _>>()?)
    }

    /// A ladder of `generators`, in any order.
    ///
    /// # Errors
    /// [`ModelError::Contract`] if there is none or too many, or if two are of one size.
    pub fn new(mut generators: Vec<Arc<Generator>>) -> Result<Self, ModelError> {
        generators.sort_by_key(|generator| generator.shape());
        if let Some(twice) = generators.windows(2).find(|pair| pair[0].shape() == pair[1].shape()) {
            let (shape, other) = (twice[0].shape(), twice[0].source());
            let reason = format!("it is made for {shape} pixels, as is {other}; name one of them");
            return Err(contract_error(twice[1].source(), reason));
        }
        match generators.get(MAX_RUNGS) {
            Some(extra) => {
                let reason = format!("more than {MAX_RUNGS} generators cannot be used");
                Err(contract_error(extra.source(), reason))
            }
            None if generators.is_empty() => Err(ModelError::Contract {
                model: "the generator".into(),
                source: "none was named".into(),
                wanted: CONTRACT,
            }),
            None => Ok(Self { rungs: generators }),
        }
    }

    /// The generator of `rung`.
    ///
    /// # Panics
    /// If there is no such rung.
    pub fn generator(&self, rung: usize) -> &Arc<Generator> {
        &self.rungs[rung]
    }

    /// All of them.
    pub fn generators(&self) -> &[Arc<Generator>] {
        &self.rungs
    }

    /// Their shapes.
    pub fn shapes(&self) -> Vec<Shape> {
        self.rungs.iter().map(|generator| generator.shape()).collect()
    }

    /// The generator for a face whose square has `side` pixels of the camera.
    pub fn generator_for(&self, side: f32) -> &Arc<Generator> {
        &self.rungs[rung_for(&self.shapes(), side, None)]
    }

    /// Threads that share the faces of one frame.
    pub fn threads(&self) -> usize {
        self.rungs.iter().map(|generator| generator.threads()).max().unwrap_or(1)
    }
}

/// The rung of `shapes`, by increasing input, for a face whose square has `side` pixels of the
/// camera, and which is on the rung `current` if it was there before: it leaves it only when its
/// size is well beyond the limit, so that a face at the limit does not change back and forth.
pub(crate) fn rung_for(shapes: &[Shape], side: f32, current: Option<usize>) -> usize {
    let highest = |share: f32| {
        shapes.iter().skip(1).take_while(|shape| side >= share * shape.lr() as f32).count()
    };
    match current {
        Some(current) => current.clamp(highest(UP), highest(DOWN)),
        None => highest((UP + DOWN) / 2.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPES: [Shape; 2] = [Shape::SMALL, Shape::LARGE];

    #[test]
    fn rung_changes_only_well_beyond_the_limit() {
        let walk = |sides: &[f32]| {
            let mut rung = None;
            let step = |side: &f32| {
                rung = Some(rung_for(&SHAPES, *side, rung));
                rung.unwrap_or_default()
            };
            sides.iter().map(step).collect::<Vec<_>>()
        };
        assert_eq!(walk(&[8.0, 17.0, 19.9, 20.0, 60.0]), [0, 0, 0, 1, 1]);
        assert_eq!(walk(&[60.0, 20.0, 17.0, 16.9, 8.0]), [1, 1, 1, 0, 0]);
        let at_the_limit = [18.0, 19.5, 17.5, 19.0, 18.4, 19.8];
        assert_eq!(walk(&at_the_limit), [0; 6]);
    }

    #[test]
    fn one_generator_serves_all_sizes() {
        for side in [1.0, 20.0, 300.0] {
            assert_eq!(rung_for(&[Shape::LARGE], side, None), 0);
            assert_eq!(rung_for(&[Shape::SMALL], side, Some(0)), 0);
        }
    }
}
