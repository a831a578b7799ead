//! Tracks faces through a sequence of pictures, such as the frames of a video, and prints where
//! each face is. A face keeps its number from picture to picture.
//!
//! ```sh
//! ffmpeg -i video.mp4 frame%04d.png
//! cargo run --release -p facesr --example track_faces -- frame*.png
//! ```

use std::error::Error;

use facesr::detect::{self, DetectorOptions};
use facesr::{Finder, FinderOptions, Frame, FrameInfo, PixelFormat};

fn main() -> Result<(), Box<dyn Error>> {
    let paths: Vec<String> = std::env::args().skip(1).collect();
    if paths.is_empty() {
        return Err("usage: track_faces PICTURE...".into());
    }
    let detector = detect::open(&DetectorOptions::default())?;
    let mut finder = Finder::new(detector, FinderOptions::default());
    for path in paths {
        let picture = image::open(&path)?.into_rgb8();
        let (width, height) = picture.dimensions();
        let info = FrameInfo::new(PixelFormat::Rgb, width, height);
        let frame = Frame::new(info, &[&picture], &[3 * width as usize])?;
        // With the frames' times, `Some(Timestamp)`, any frame rate is tracked as it should be.
        let found = finder.find(&frame, None);
        if let Some(error) = found.error {
            eprintln!("{path}: {error}");
        }
        for face in found.faces {
            let center = face.rect.center();
            println!("{path}: face {} at {:.1},{:.1}", face.id, center.x, center.y);
        }
    }
    println!("{} faces in all", finder.stats().tracks);
    Ok(())
}
