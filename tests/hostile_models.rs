//! Model files that are wrong on purpose: an error with a reason, in bounded memory.
//!
//! nextest runs each test in a process of its own, so the peak of memory is that of the test.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::path::Path;

use facesr::detect::{self, DetectorKind, DetectorOptions};
use facesr::{Generator, GeneratorOptions, ModelError};
use facesr_testkit::onnx::{self, bytes, constant, external, model, node, number, shape, value};

fn lr() -> Vec<u8> {
    value("input", &[None, Some(3), Some(16), Some(16)])
}

fn hr() -> Vec<u8> {
    value("output", &[None, Some(3), Some(64), Some(64)])
}

fn scales() -> Vec<u8> {
    constant("scales", &[4], &[1.0, 1.0, 4.0, 4.0])
}

/// A generator that keeps the contract and adds the number that `nodes` make as `extra`.
fn adding(mut nodes: Vec<Vec<u8>>, mut constants: Vec<Vec<u8>>) -> Vec<u8> {
    nodes.insert(0, node("Resize", &["input", "", "scales"], "large", &[]));
    nodes.push(node("Add", &["large", "extra"], "output", &[]));
    constants.push(scales());
    model(&nodes, &constants, &lr(), &hr())
}

fn generator(path: &Path) -> Result<(), ModelError> {
    let options = GeneratorOptions::default().models(vec![path.into()]);
    Generator::open(&options).map(drop)
}

fn detector(kind: DetectorKind, path: &Path) -> Result<(), ModelError> {
    detect::open(&DetectorOptions::default().kind(kind).model(Some(path.into()))).map(drop)
}

/// Peak of this process's memory so far, MB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

/// Numbers that look random, the same for the same seed.
fn random(seed: u64) -> impl FnMut(usize) -> usize {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move |below| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as usize % below
    }
}

/// `largest` names a value; its largest element is added to all pixels.
fn with_largest(mut nodes: Vec<Vec<u8>>, largest: &str, constants: Vec<Vec<u8>>) -> Vec<u8> {
    nodes.push(node("ReduceMax", &[largest], "extra", &[("keepdims", 0)]));
    adding(nodes, constants)
}

/// A node with an attribute that holds a graph.
fn node_with_graph(op: &str, attribute: &str) -> Vec<u8> {
    let mut body = Vec::new();
    bytes(&mut body, 1, &node("Identity", &["input"], "inner", &[]));
    bytes(&mut body, 2, b"body");
    bytes(&mut body, 12, &value("inner", &[None]));
    let mut a = Vec::new();
    bytes(&mut a, 1, attribute.as_bytes());
    bytes(&mut a, 6, &body);
    number(&mut a, 20, 5);
    let mut n = node(op, &["trips", "go"], "extra", &[]);
    bytes(&mut n, 5, &a);
    n
}

#[test]
fn no_generator_allocates_without_bound() {
    let dir = tempfile::tempdir().unwrap();
    // A gigabyte more than the engine grants all models together.
    let cores = std::thread::available_parallelism().unwrap().get() as i64;
    let huge = ((2 << 30).max(cores * (512 << 20)) + (1 << 30)) / 4;
    let expand = || {
        vec![
            node("ReduceMax", &["input"], "m", &[("keepdims", 0)]),
            node("Expand", &["m", "s"], "big", &[]),
        ]
    };
    let resize = |times: f32| {
        let more = constant("more", &[4], &[1.0, 1.0, times, times]);
        with_largest(vec![node("Resize", &["input", "", "more"], "big", &[])], "big", vec![more])
    };
    let fill = |dims: &[i64]| {
        let nodes = vec![node("ConstantOfShape", &["s"], "big", &[])];
        with_largest(nodes, "big", vec![shape("s", dims)])
    };
    let claim = |dims: &[u64]| with_largest(vec![], "w", vec![constant("w", dims, &[1.0])]);
    let cases = [
        ("fill", fill(&[huge])),
        ("fill-overflow", fill(&[huge, huge])),
        ("fill-negative", fill(&[-5])),
        ("expand", with_largest(expand(), "big", vec![shape("s", &[huge])])),
        ("resize", resize(10_000.0)),
        ("resize-beyond-counting", resize(1e30)),
        ("resize-by-nothing", resize(f32::NAN)),
        ("claims-2-gigabytes", claim(&[1 << 29])),
        ("claims-terabytes", claim(&[1 << 40])),
        ("claims-overflow", claim(&[1 << 40, 1 << 40])),
        ("claims-less-than-nothing", claim(&[u64::MAX])),
    ];
    let before = peak();
    for (name, file) in cases {
        let path = dir.path().join(format!("{name}.onnx"));
        std::fs::write(&path, file).unwrap();
        let text = generator(&path).expect_err(name).to_string();
        assert!(text.contains(&format!("{name}.onnx")), "{text}");
        assert!(peak() < before + 200, "{name}: {} MB, {before} before", peak());
    }
}

/// Only the working directory and what lies below it are within ONNX Runtime's reach; not even
/// those may be read.
#[test]
fn no_model_makes_the_process_read_another_file() {
    let dir = tempfile::tempdir().unwrap();
    std::env::set_current_dir(dir.path()).unwrap();
    std::fs::write("weights.bin", vec![0; 4096]).unwrap();
    let own = dir.path().join("weights.bin");
    for (i, place) in
        ["weights.bin", "./weights.bin", own.to_str().unwrap(), "/etc/passwd", "../weights.bin", ""]
            .into_iter()
            .enumerate()
    {
        let weights = external("w", &[16], place, 0);
        // As an initializer, and as the value of a node.
        let mut attribute = Vec::new();
        bytes(&mut attribute, 1, b"value");
        bytes(&mut attribute, 5, &weights);
        number(&mut attribute, 20, 4);
        let mut inner = node("Constant", &[], "w", &[]);
        bytes(&mut inner, 5, &attribute);
        for (kind, file) in [
            ("weights", with_largest(vec![], "w", vec![weights])),
            ("node", with_largest(vec![inner], "w", vec![])),
        ] {
            let path = dir.path().join(format!("{kind}{i}.onnx"));
            std::fs::write(&path, file).unwrap();
            let error = generator(&path).expect_err(place);
            assert!(matches!(error, ModelError::Invalid { .. }), "{error:?}");
            assert!(error.to_string().contains("another file"), "{place}: {error}");
        }
    }
}

#[test]
fn loops_and_foreign_operators_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let plain = |version, op| {
        let nodes = [node(op, &["input", "", "scales"], "output", &[])];
        onnx::of_opset(version, &nodes, &[scales()], &lr(), &[&hr()])
    };
    let endless = |op| {
        let trips = shape("trips", &[i64::MAX]);
        adding(vec![node_with_graph(op, "body")], vec![trips])
    };
    let itself = adding(vec![node("Add", &["extra", "extra"], "extra", &[])], vec![]);
    for (name, file, words) in [
        ("loop", endless("Loop"), "a loop (operator Loop)"),
        ("scan", endless("Scan"), "a loop (operator Scan)"),
        ("opset-0", plain(0, "Resize"), "not a usable model"),
        ("opset-1", plain(1, "Resize"), "not a usable model"),
        ("opset-999", plain(999, "Resize"), "not a usable model"),
        ("opset-huge", plain(u64::MAX, "Resize"), "not a usable model"),
        ("operator", plain(17, "MakeFace"), "MakeFace"),
        ("itself", itself, "not a usable model"),
    ] {
        let path = dir.path().join(format!("{name}.onnx"));
        std::fs::write(&path, file).unwrap();
        let text = generator(&path).expect_err(name).to_string();
        assert!(text.contains(words), "{name}: {text}");
    }
}

/// What is checked is what ONNX Runtime reads: two readers of one file must not see two models.
#[test]
fn generator_is_refused_if_its_graph_hides_from_the_check() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("hidden.onnx");
    let good = onnx::enlarger(16);
    // Field 1, two bytes, then the tag of the graph.
    assert_eq!(good[2], 0x3a);
    // An empty graph for a reader of 64-bit tags; the true one for a reader that keeps 32 bits.
    let hidden = [&good[..2], &[0x3a, 0, 0xba, 0x80, 0x80, 0x80, 0x10], &good[3..]].concat();
    std::fs::write(&path, hidden).unwrap();
    let error = generator(&path).expect_err("a tag of more than 32 bits");
    assert!(error.to_string().contains("no ONNX file"), "{error}");

    // The mark of ONNX Runtime's own format makes no difference: the file is read as ONNX.
    let reason = |mark: &[u8; 4]| {
        std::fs::write(&path, [&[8, 0, 0x12, 4][..], mark, &[0x3a, 0]].concat()).unwrap();
        generator(&path).expect_err("no model").to_string()
    };
    assert_eq!(reason(b"ORTM"), reason(b"none"));
}

/// Cut anywhere, or with a few bytes changed: an error or a working model, never a crash.
#[test]
fn damage_is_an_error_or_harmless() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("damaged.onnx");
    let before = peak();
    let mut refused = 0;
    let mut open = |file: &[u8]| {
        std::fs::write(&path, file).unwrap();
        refused += usize::from(generator(&path).is_err());
        for kind in [DetectorKind::Auto, DetectorKind::CenterFace, DetectorKind::YuNet] {
            refused += usize::from(detector(kind, &path).is_err());
        }
    };
    let mut cases = 0;
    for whole in [onnx::enlarger(16), onnx::blinded_by_light()] {
        for cut in (1..whole.len()).step_by(whole.len() / 40) {
            open(&whole[..cut]);
            cases += 1;
        }
        for seed in 0..150 {
            let mut random = random(seed + 1);
            let mut file = whole.clone();
            for _ in 0..1 + seed % 5 {
                // Shapes and names lie at the ends; in between are zeros.
                let end = file.len();
                let place = if random(2) == 0 { random(end) } else { random(end.min(600)) };
                file[place] = random(256) as u8;
            }
            open(&file);
            cases += 1;
        }
    }
    assert!(refused > cases, "{refused} of {}", 4 * cases);
    assert!(peak() < before + 400, "{} MB", peak());
}

#[test]
fn seetaface_is_the_one_known_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("seeta.bin");
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models");
    let good = std::fs::read(models.join("seeta_fd_frontal_v1.0.bin")).unwrap();
    std::fs::write(&path, &good).unwrap();
    detector(DetectorKind::SeetaFace, &path).unwrap();
    detector(DetectorKind::Auto, &path).unwrap();
    let mut random = random(7);
    let mut bad: Vec<Vec<u8>> = (0..20)
        .map(|_| {
            let mut file = good.clone();
            file[random(good.len())] ^= 1 << random(8);
            file
        })
        .collect();
    bad.extend([good[..good.len() - 1].to_vec(), [&good[..], &[0]].concat(), good[..9].to_vec()]);
    for file in bad {
        std::fs::write(&path, file).unwrap();
        let error = detector(DetectorKind::SeetaFace, &path).expect_err("another hash");
        assert!(error.to_string().contains("another SHA-256"), "{error}");
        detector(DetectorKind::Auto, &path).expect_err("no known model");
    }
}

/// A name may lead anywhere: only regular files are read.
#[test]
fn names_that_are_no_files() {
    for name in ["/dev/zero", "/dev/full", "/proc/self", "/dev/stdin", "/proc/self/mem"] {
        for error in [
            generator(Path::new(name)).expect_err(name),
            detector(DetectorKind::Auto, Path::new(name)).expect_err(name),
        ] {
            assert!(error.to_string().contains(name), "{error}");
        }
    }
    assert!(peak() < 300, "{} MB", peak());
}
