//! Enhances faces that a detector of your own has found.
//!
//! The detector here reads its boxes from the command line, as one that runs on a camera or in
//! another process would deliver them.
//!
//! ```sh
//! cargo run --release -p facesr --example custom_detector -- in.png out.png 120,80,24,30
//! ```

use facesr::detect::{Detection, Detector};
use facesr::{Enhancer, EnhancerOptions, Error, FaceEnhancer, Finder, FinderOptions, Frame};
use facesr::{FrameInfo, FrameMut, GeneratorOptions, PixelFormat, Rect};

/// A detector that returns boxes which are known beforehand.
struct KnownBoxes(Vec<Rect>);

impl Detector for KnownBoxes {
    fn name(&self) -> &'static str {
        "known-boxes"
    }

    fn detect(&mut self, _: &Frame<'_>, found: &mut Vec<Detection>) -> Result<(), Error> {
        // A box reaches from the forehead to the chin; the crop is made from it.
        found.extend(self.0.iter().map(|&rect| Detection::new(rect, 1.0)));
        Ok(())
    }
}

/// Reads `x,y,width,height`.
fn rect(text: &str) -> Option<Rect> {
    let numbers: Vec<f32> = text.split(',').map_while(|number| number.parse().ok()).collect();
    let &[x, y, w, h] = numbers.as_slice() else { return None };
    Some(Rect::new(x, y, w, h))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [input, output, boxes @ ..] = args.as_slice() else {
        return Err("usage: custom_detector IN OUT X,Y,WIDTH,HEIGHT...".into());
    };
    let boxes: Option<Vec<Rect>> = boxes.iter().map(|text| rect(text)).collect();
    let boxes = boxes.ok_or("a box is X,Y,WIDTH,HEIGHT in pixels")?;
    let mut picture = image::open(input)?.into_rgb8();
    let (width, height) = picture.dimensions();

    let finder = Finder::new(Box::new(KnownBoxes(boxes)), FinderOptions::default());
    let enhancer = Enhancer::open(&GeneratorOptions::default(), EnhancerOptions::default())?;
    let mut enhancer = FaceEnhancer::new(finder, enhancer);
    let info = FrameInfo::new(PixelFormat::Rgb, width, height);
    let pixels: &mut [u8] = &mut picture;
    let mut frame = FrameMut::new(info, [pixels], &[3 * width as usize])?;
    enhancer.enhance(&mut frame, None)?;
    println!("{} faces enhanced", enhancer.enhancer().stats().faces_enhanced);
    picture.save(output)?;
    Ok(())
}
