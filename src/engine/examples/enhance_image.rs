//! Enhances the faces of one picture.
//!
//! ```sh
//! cargo run --release -p facesr --example enhance_image -- in.png out.png
//! ```

use std::error::Error;

use facesr::{FaceEnhancer, FaceEnhancerOptions, FrameInfo, FrameMut, PixelFormat};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(input), Some(output)) = (args.next(), args.next()) else {
        return Err("usage: enhance_image IN OUT".into());
    };
    let mut picture = image::open(&input)?.into_rgb8();
    let (width, height) = picture.dimensions();

    let mut enhancer = FaceEnhancer::open(&FaceEnhancerOptions::default())?;
    let info = FrameInfo::new(PixelFormat::Rgb, width, height);
    let pixels: &mut [u8] = &mut picture;
    let mut frame = FrameMut::new(info, [pixels], &[3 * width as usize])?;
    for face in enhancer.enhance(&mut frame, None)?.faces {
        let (rect, score) = (face.rect, face.score);
        println!("{:.0}x{:.0} at {:.0},{:.0}, score {score:.2}", rect.w, rect.h, rect.x, rect.y);
    }
    println!("{} faces enhanced", enhancer.enhancer().stats().faces_enhanced);
    picture.save(&output)?;
    Ok(())
}
