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

/// The picture with another size in its header, and the header's checksum.
fn claiming(mut png: Vec<u8>, width: u32, height: u32) -> Vec<u8> {
    png[16..20].copy_from_slice(&width.to_be_bytes());
    png[20..24].copy_from_slice(&height.to_be_bytes());
    let crc = png[12..29].iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |c, _| c >> 1 ^ (0xedb8_8320 & (c & 1).wrapping_neg()))
    });
    png[29..33].copy_from_slice(&(!crc).to_be_bytes());
    png
}

/// Some bytes that claim to be a picture of gigabytes are refused before memory is asked for: with
/// a limit of a gigabyte of address space, running out of it would end the program.
#[test]
fn sizes_beyond_reason_are_refused() {
    let (dir, file) = scratch();
    gradient(16, 16).save(file("small.png")).unwrap();
    let png = std::fs::read(file("small.png")).unwrap();
    gradient(16, 16).save(file("small.jpg")).unwrap();
    let mut jpeg = std::fs::read(file("small.jpg")).unwrap();
    let frame = jpeg.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    jpeg[frame + 5..frame + 9].fill(0xff);
    std::fs::write(file("claims.jpg"), jpeg).unwrap();
    let claims =
        [(40_000, 16), (16, 40_000), (30_000, 30_000), (i32::MAX as u32, 1), (u32::MAX, 9)];
    let mut cases = vec![("claims.jpg".to_string(), 1, "too many")];
    for (i, (width, height)) in claims.into_iter().enumerate() {
        let name = format!("claims{i}.png");
        std::fs::write(file(&name), claiming(png.clone(), width, height)).unwrap();
        // More than a PNG may have is no PNG.
        cases.push((name, 1, if width >= i32::MAX as u32 { "no PNG" } else { "too many" }));
    }
    // Within the limits by itself, beyond them enlarged.
    std::fs::write(file("large.png"), claiming(png, 9_000, 9_000)).unwrap();
    cases.push(("large.png".into(), 2, "2 times 9000x9000"));
    cases.push(("large.png".into(), 4, "4 times 9000x9000"));
    let before = crate::names(dir.path());
    for (name, scale, words) in cases {
        let (input, output) = (file(&name), file("out.png"));
        let scale = format!("--scale={scale}");
        let options: &[&str] = if scale == "--scale=1" { &[] } else { &[&scale] };
        let ended = std::process::Command::new("sh")
            .args(["-c", "ulimit -v 1048576; exec \"$0\" \"$@\""])
            .args([env!("CARGO_BIN_EXE_facesr"), "image"])
            .args(options)
            .args([input.as_os_str(), "-o".as_ref(), output.as_os_str()])
            .output()
            .unwrap();
        assert_eq!(ended.status.code(), Some(1), "{name}: {}", said(&ended));
        assert!(said(&ended).contains(words), "{name}: {}", said(&ended));
        assert_eq!(crate::names(dir.path()), before, "{name}");
    }
}
