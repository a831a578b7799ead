//! Writes tiny ONNX files: just enough protobuf for a handful of nodes.

fn varint(out: &mut Vec<u8>, mut v: u64) {
    while v >= 0x80 {
        out.push(v as u8 | 0x80);
        v >>= 7;
    }
    out.push(v as u8);
}

fn number(out: &mut Vec<u8>, field: u64, v: u64) {
    varint(out, field << 3);
    varint(out, v);
}

fn bytes(out: &mut Vec<u8>, field: u64, data: &[u8]) {
    varint(out, field << 3 | 2);
    varint(out, data.len() as u64);
    out.extend_from_slice(data);
}

/// A float tensor's name and shape; `None` is the free dimension N.
pub fn value(name: &str, dims: &[Option<u64>]) -> Vec<u8> {
    let mut shape = Vec::new();
    for dim in dims {
        let mut d = Vec::new();
        match dim {
            Some(n) => number(&mut d, 1, *n),
            None => bytes(&mut d, 2, b"N"),
        }
        bytes(&mut shape, 1, &d);
    }
    let mut tensor = Vec::new();
    number(&mut tensor, 1, 1);
    bytes(&mut tensor, 2, &shape);
    let mut kind = Vec::new();
    bytes(&mut kind, 1, &tensor);
    let mut info = Vec::new();
    bytes(&mut info, 1, name.as_bytes());
    bytes(&mut info, 2, &kind);
    info
}

/// A node; `ints` are its integer attributes.
pub fn node(op: &str, inputs: &[&str], output: &str, ints: &[(&str, u64)]) -> Vec<u8> {
    let mut n = Vec::new();
    for input in inputs {
        bytes(&mut n, 1, input.as_bytes());
    }
    bytes(&mut n, 2, output.as_bytes());
    bytes(&mut n, 4, op.as_bytes());
    for (name, v) in ints {
        let mut a = Vec::new();
        bytes(&mut a, 1, name.as_bytes());
        number(&mut a, 3, *v);
        number(&mut a, 20, 2);
        bytes(&mut n, 5, &a);
    }
    n
}

/// A constant float tensor; no dims for a scalar.
pub fn constant(name: &str, dims: &[u64], values: &[f32]) -> Vec<u8> {
    let mut t = Vec::new();
    for dim in dims {
        number(&mut t, 1, *dim);
    }
    number(&mut t, 2, 1);
    bytes(&mut t, 8, name.as_bytes());
    bytes(&mut t, 9, &values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>());
    t
}

/// A model of these parts, opset 17.
pub fn model(nodes: &[Vec<u8>], constants: &[Vec<u8>], input: &[u8], output: &[u8]) -> Vec<u8> {
    let mut graph = Vec::new();
    for n in nodes {
        bytes(&mut graph, 1, n);
    }
    bytes(&mut graph, 2, b"test");
    for c in constants {
        bytes(&mut graph, 5, c);
    }
    bytes(&mut graph, 11, input);
    bytes(&mut graph, 12, output);
    let mut opset = Vec::new();
    bytes(&mut opset, 1, b"");
    number(&mut opset, 2, 17);
    let mut m = Vec::new();
    number(&mut m, 1, 8);
    bytes(&mut m, 7, &graph);
    bytes(&mut m, 8, &opset);
    m
}

/// Enlarges `side` x `side` faces four times, by repeating pixels.
pub fn enlarger(side: u64) -> Vec<u8> {
    model(
        &[node("Resize", &["input", "", "scales"], "output", &[])],
        &[constant("scales", &[4], &[1.0, 1.0, 4.0, 4.0])],
        &value("input", &[None, Some(3), Some(side), Some(side)]),
        &value("output", &[None, Some(3), Some(4 * side), Some(4 * side)]),
    )
}

/// A generator that keeps the contract, and fails on every batch with a bright pixel (0.5 of
/// -1..=1 or more): the brightness is an index into a table of one entry.
pub fn afraid_of_light() -> Vec<u8> {
    model(
        &[
            node("Resize", &["input", "", "scales"], "large", &[]),
            node("ReduceMax", &["input"], "brightest", &[("keepdims", 0)]),
            node("Mul", &["brightest", "two"], "scaled", &[]),
            node("Cast", &["scaled"], "index", &[("to", 7)]),
            node("Gather", &["table", "index"], "entry", &[]),
            node("Add", &["large", "entry"], "output", &[]),
        ],
        &[
            constant("scales", &[4], &[1.0, 1.0, 4.0, 4.0]),
            constant("two", &[], &[2.0]),
            constant("table", &[1], &[0.0]),
        ],
        &value("input", &[None, Some(3), Some(16), Some(16)]),
        &value("output", &[None, Some(3), Some(64), Some(64)]),
    )
}
