//! `facesr image`.

use image::{DynamicImage, ImageBuffer, Luma, Rgb, Rgba};
use serde_json::Value;

use crate::{run, said, scratch};

fn gradient(width: u32, height: u32) -> DynamicImage {
    let pixel = |x: u32, y: u32| Rgb([(x * 3) as u8, (y * 5) as u8, (x + y) as u8]);
    DynamicImage::ImageRgb8(ImageBuffer::from_fn(width, height, pixel))
}

#[test]
fn without_faces_pixels_and_alpha_stay() {
    let (_dir, file) = scratch();
    let rgba = ImageBuffer::from_fn(60, 40, |x, y| Rgba([x as u8, y as u8, 9, (x * y) as u8]));
    let grey = ImageBuffer::from_fn(61, 43, |x, y| Luma([(x * y) as u8]));
    let pictures =
        [gradient(80, 60), DynamicImage::ImageRgba8(rgba), DynamicImage::ImageLuma8(grey)];
    for (i, picture) in pictures.iter().enumerate() {
        let [input, output] = ["in", "out"].map(|name| file(&format!("{name}{i}.png")));
        picture.save(&input).unwrap();
        let ended = run(&["image".as_ref(), input.as_os_str(), "-o".as_ref(), output.as_os_str()]);
        assert!(ended.status.success(), "{}", said(&ended));
        assert_eq!(&image::open(&output).unwrap(), picture);
    }
}

#[test]
fn scale_compare_and_report() {
    let (_dir, file) = scratch();
    gradient(80, 60).save(file("in.png")).unwrap();
    let (input, output) = (file("in.png"), file("out.jpg"));
    let ended = run(&[
        "image".as_ref(),
        input.as_os_str(),
        "-o".as_ref(),
        output.as_os_str(),
        "--scale=2".as_ref(),
        "--compare".as_ref(),
        "--json=-".as_ref(),
        "-q".as_ref(),
    ]);
    assert!(ended.status.success() && said(&ended).is_empty(), "{}", said(&ended));
    let picture = image::open(&output).unwrap();
    assert_eq!((picture.width(), picture.height()), (322, 120));
    let report: Value = serde_json::from_slice(&ended.stdout).unwrap();
    assert_eq!((&report["width"], &report["height"]), (&160.into(), &120.into()));
    assert!(report["faces"].is_array() && report["faces_enhanced"].is_u64());
}

#[test]
fn failures_are_sentences() {
    let (dir, file) = scratch();
    std::fs::write(file("noise.png"), b"no picture").unwrap();
    gradient(8, 8).save(file("in.png")).unwrap();
    for (input, output, code, words) in [
        ("noise.png", "out.png", 1, "no PNG or JPEG"),
        ("none.png", "out.png", 1, "no such file"),
        ("in.png", "out.gif", 2, ".png or something.jpg"),
        ("in.png", "in.png", 2, "the input itself"),
    ] {
        let (input, output) = (file(input), file(output));
        let ended = run(&["image".as_ref(), input.as_os_str(), "-o".as_ref(), output.as_os_str()]);
        assert_eq!(ended.status.code(), Some(code), "{}", said(&ended));
        assert!(said(&ended).contains(words), "{}", said(&ended));
    }
    assert_eq!(crate::names(dir.path()), ["in.png", "noise.png"]);
}
