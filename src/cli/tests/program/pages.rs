//! `--report` and `--gallery`: what people look at.

use std::path::Path;

use base64::Engine;
use facesr_testkit::browser::Browser;
use serde_json::Value;

use crate::{enhance, facesr, names, said, scratch, small_carphone};

/// The data of a page.
fn data(page: &str) -> Value {
    let start = r#"<script type="application/json" id="data">"#;
    let (_, rest) = page.split_once(start).unwrap();
    serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap()
}

/// A picture of a page, as bytes.
fn picture(url: &Value) -> Vec<u8> {
    let (_, text) = url.as_str().unwrap().split_once(";base64,").unwrap();
    base64::engine::general_purpose::STANDARD.decode(text).unwrap()
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// The sum of differences of two pictures of one size, by sample.
fn difference(a: &image::RgbImage, b: &image::RgbImage) -> f64 {
    assert_eq!(a.dimensions(), b.dimensions());
    let sum: u64 = a.iter().zip(b.iter()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    sum as f64 / a.len() as f64
}

#[test]
fn page_and_gallery_show_what_was_there() {
    let (dir, file) = scratch();
    // A face of 17 pixels: all of it is generated, by the network for the smallest.
    small_carphone(&file("in.mp4"), 44, 40);
    let (page, gallery) = (file("page.html"), file("faces"));
    let options =
        ["--scale=2", "--report", page.to_str().unwrap(), "--gallery", gallery.to_str().unwrap()];
    enhance(&file("in.mp4"), &file("out.mp4"), &options);
    assert_eq!(names(dir.path()), ["faces", "in.mp4", "out.mp4", "page.html"]);

    let text = std::fs::read_to_string(&page).unwrap();
    assert!(text.contains("never evidence"));
    assert!(!text.contains("http://") && !text.contains("https://"), "it loads from elsewhere");
    let data = data(&text);
    assert!(data["report"]["frames"].as_u64() >= Some(40));
    assert_eq!(data["report"]["properties"]["max-face-size"], 200.0);
    let moments = data["moments"].as_array().unwrap();
    assert!((1..=4).contains(&moments.len()));
    let shown = |url: &Value| image::load_from_memory(&picture(url)).unwrap().into_rgb8();
    let [before, after] = ["before", "after"].map(|key| shown(&moments[0][key]));
    assert_eq!(before.dimensions(), (88, 72));
    let changed = difference(&before, &after);
    assert!(changed > 0.5, "before and after differ by {changed}");
    assert!(!data["timeline"].as_array().unwrap().is_empty());

    let faces = data["faces"].as_array().unwrap();
    assert!(!faces.is_empty(), "{data:#}");
    for face in faces {
        let number = |value: &Value| value.as_f64().unwrap();
        assert!(number(&face["box"]["w"]) > 8.0 && number(&face["box"]["x"]) < 44.0, "{face:#}");
        let track = format!("track-{:04}", face["track"].as_u64().unwrap());
        let about = json(&gallery.join(format!("{track}.json")));
        assert_eq!(about["box"], face["box"]);
        assert_eq!(about["time_s"], face["time_s"]);
        assert!(about["note"].as_str().unwrap().contains("never evidence"));
        let read = |key: &str| {
            let name = about["pictures"][key].as_str().unwrap();
            image::open(gallery.join(name)).unwrap().into_rgb8()
        };
        // What its generator got: which of the two that is depends on the size of the face.
        assert!([(16, 16), (32, 32)].contains(&read("input").dimensions()));
        // The network's answer is no enlargement of what it got, and the frame shows it.
        assert!(difference(&read("bicubic"), &read("enhanced")) > 1.0);
        assert!(difference(&read("before"), &read("after")) > 1.0);
        // Nothing is touched outside of the face: the corner is what it was.
        let (a, b) = (read("before"), read("after"));
        assert_eq!(a.get_pixel(0, 0), b.get_pixel(0, 0));
    }
    let files = names(&gallery);
    assert_eq!(files.len(), 6 * files.iter().filter(|name| name.ends_with(".json")).count());
}

#[test]
fn what_is_there_is_not_overwritten() {
    let (_dir, file) = scratch();
    small_carphone(&file("in.mp4"), 88, 3);
    std::fs::write(file("page.html"), "mine").unwrap();
    std::fs::create_dir(file("faces")).unwrap();
    std::fs::write(file("faces/track-0001.json"), "mine").unwrap();
    for (option, path) in [("--report", "page.html"), ("--gallery", "faces")] {
        let ended = facesr()
            .args([Path::new("enhance"), &file("in.mp4"), Path::new("--no-encode")])
            .args([Path::new(option), &file(path)])
            .output()
            .unwrap();
        assert_eq!(ended.status.code(), Some(2), "{}", said(&ended));
        assert!(said(&ended).contains("--force"), "{}", said(&ended));
    }
    assert_eq!(std::fs::read_to_string(file("page.html")).unwrap(), "mine");
}

#[test]
fn browser_shows_the_page_and_obeys_keys() {
    let (dir, file) = scratch();
    small_carphone(&file("in.mp4"), 88, 40);
    let page = file("page.html");
    let options = ["--scale=2", "--report", page.to_str().unwrap()];
    enhance(&file("in.mp4"), &file("out.mp4"), &options);

    let mut browser = Browser::start(dir.path(), (1200, 900));
    // Kept, to be looked at.
    let shots = Path::new(env!("CARGO_TARGET_TMPDIR")).join("page");
    std::fs::create_dir_all(&shots).unwrap();
    let screenshot = |browser: &mut Browser, name: &str| {
        let png = base64::engine::general_purpose::STANDARD.decode(browser.screenshot()).unwrap();
        std::fs::write(shots.join(name), png).unwrap();
    };
    browser.prefer("light");
    browser.open(&page);
    assert_eq!(browser.value("document.title"), "in.mp4 – facesr");
    let loaded = "[...document.images].filter(i => i.src).every(i => i.complete && i.naturalWidth)";
    assert_eq!(browser.value(loaded), true);
    let says_none = "document.getElementById('none').checkVisibility()";
    assert_eq!(browser.value(says_none), false);
    screenshot(&mut browser, "light.png");

    // The slider, by keys and by the mouse.
    let cover = "getComputedStyle(document.querySelector('.cover')).clipPath";
    let at_first = browser.value(cover);
    let mut tabs = 0;
    while browser.value("document.activeElement.id") != "slider" {
        browser.press("Tab");
        tabs += 1;
        assert!(tabs < 5, "the slider cannot be reached by keys");
    }
    for _ in 0..10 {
        browser.press("ArrowRight");
    }
    assert_eq!(browser.value("document.getElementById('slider').value"), "60");
    let moved = browser.value(cover);
    assert_ne!(moved, at_first);
    let stage = "JSON.stringify(document.getElementById('stage').getBoundingClientRect())";
    let stage = browser.value(stage);
    let stage: Value = serde_json::from_str(stage.as_str().unwrap()).unwrap();
    let place = |share: f64| {
        let n = |key: &str| stage[key].as_f64().unwrap();
        (n("x") + share * n("width"), n("y") + n("height") / 2.0)
    };
    browser.drag(place(0.6), place(0.25));
    let value = browser.value("Number(document.getElementById('slider').value)");
    assert!((value.as_f64().unwrap() - 25.0).abs() <= 3.0, "dragged to 25, it is at {value}");
    assert_ne!(browser.value(cover), moved);

    // The gallery opens, turns its pages and closes, by keys alone.
    let focused = "document.activeElement.closest('#grid') !== null";
    let mut tabs = 0;
    while browser.value(focused) != true {
        browser.press("Tab");
        tabs += 1;
        assert!(tabs < 12, "the gallery cannot be reached by keys");
    }
    let is_open = "document.getElementById('dialog').open";
    assert_eq!(browser.value(is_open), false);
    browser.press("Enter");
    assert_eq!(browser.value(is_open), true);
    let shown = "document.getElementById('d-enhanced').naturalWidth";
    assert_eq!(browser.value(&format!("new Promise(r => setTimeout(() => r({shown}), 200))")), 128);
    browser.prefer("dark");
    screenshot(&mut browser, "dark-face.png");
    browser.press("ArrowRight");
    browser.press("Escape");
    assert_eq!(browser.value(is_open), false);
    let dark = browser.value("getComputedStyle(document.body).backgroundColor");
    browser.prefer("light");
    assert_ne!(browser.value("getComputedStyle(document.body).backgroundColor"), dark);
    browser.prefer("dark");
    browser.value("document.getElementById('time').scrollIntoView()");
    screenshot(&mut browser, "dark.png");

    // Nothing sticks out at the width of a phone.
    let metrics = serde_json::json!({
        "width": 380, "height": 800, "deviceScaleFactor": 1, "mobile": true,
    });
    browser.call("Emulation.setDeviceMetricsOverride", metrics);
    browser.value("scrollTo(0, 0)");
    assert_eq!(browser.value("document.documentElement.scrollWidth <= 380"), true);
    screenshot(&mut browser, "narrow.png");

    // A video without a face says so.
    let page = file("none.html");
    let options = ["--detector=none", "--report", page.to_str().unwrap()];
    enhance(&file("in.mp4"), &file("none.mp4"), &options);
    browser.open(&page);
    assert_eq!(browser.value(says_none), true);

    assert!(browser.complaints().is_empty(), "{:?}", browser.complaints());
    let outside = |url: &&String| !url.starts_with("file://") && !url.starts_with("data:");
    assert_eq!(browser.requests().iter().find(outside), None);
}
