//! Writes tiny ONNX files: just enough protobuf for a handful of nodes.
//!
//! [`number`] and [`bytes`] are the two kinds of protobuf field that ONNX uses; with them a test can
//! also write what no exporter would.

fn varint(out: &mut Vec<u8>, mut v: u64) {
    while v >= 0x80 {
        out.push(v as u8 | 0x80);
        v >>= 7;
    }
    out.push(v as u8);
}

/// Appends a field that holds a number.
pub fn number(out: &mut Vec<u8>, field: u64, v: u64) {
    varint(out, field << 3);
    varint(out, v);
}

/// Appends a field that holds bytes: a text or a message.
pub fn bytes(out: &mut Vec<u8>, field: u64, data: &[u8]) {
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

/// A constant tensor of 64-bit integers, as shapes are.
pub fn shape(name: &str, values: &[i64]) -> Vec<u8> {
    let mut t = Vec::new();
    number(&mut t, 1, values.len() as u64);
    number(&mut t, 2, 7);
    bytes(&mut t, 8, name.as_bytes());
    bytes(&mut t, 9, &values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>());
    t
}

/// A float tensor whose values lie in another file, from `offset` on.
pub fn external(name: &str, dims: &[u64], location: &str, offset: u64) -> Vec<u8> {
    let mut t = Vec::new();
    for dim in dims {
        number(&mut t, 1, *dim);
    }
    number(&mut t, 2, 1);
    bytes(&mut t, 8, name.as_bytes());
    let length = 4 * dims.iter().product::<u64>();
    let entries = [
        ("location", location.to_string()),
        ("offset", offset.to_string()),
        ("length", length.to_string()),
    ];
    for (key, value) in entries {
        let mut entry = Vec::new();
        bytes(&mut entry, 1, key.as_bytes());
        bytes(&mut entry, 2, value.as_bytes());
        bytes(&mut t, 13, &entry);
    }
    number(&mut t, 14, 1);
    t
}

/// A model of these parts, opset 17.
pub fn model(nodes: &[Vec<u8>], constants: &[Vec<u8>], input: &[u8], output: &[u8]) -> Vec<u8> {
    of_opset(17, nodes, constants, input, &[output])
}

/// A model of these parts in any version of ONNX's operators, with any number of outputs.
pub fn of_opset(
    version: u64,
    nodes: &[Vec<u8>],
    constants: &[Vec<u8>],
    input: &[u8],
    outputs: &[&[u8]],
) -> Vec<u8> {
    let mut graph = Vec::new();
    for n in nodes {
        bytes(&mut graph, 1, n);
    }
    bytes(&mut graph, 2, b"test");
    for c in constants {
        bytes(&mut graph, 5, c);
    }
    bytes(&mut graph, 11, input);
    for output in outputs {
        bytes(&mut graph, 12, output);
    }
    let mut opset = Vec::new();
    bytes(&mut opset, 1, b"");
    number(&mut opset, 2, version);
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

/// What a generator answers to a bright face.
#[derive(Debug, Clone, Copy)]
pub enum Poison {
    /// Numbers that are none.
    NotANumber,
    /// Numbers beyond all bounds.
    Infinite,
}

/// A generator that keeps the contract, and answers `poison` to every batch with a bright pixel
/// (0.5 of -1..=1 or more).
pub fn poisoned(poison: Poison) -> Vec<u8> {
    // Bright gives 1, else 0; 1 / (1 - bright) is 1 or infinite, bright * infinite is no number.
    let mut nodes = vec![
        node("Resize", &["input", "", "scales"], "large", &[]),
        node("ReduceMax", &["input"], "brightest", &[("keepdims", 0)]),
        node("GreaterOrEqual", &["brightest", "half"], "is_bright", &[]),
        node("Cast", &["is_bright"], "bright", &[("to", 1)]),
        node("Sub", &["one", "bright"], "dark", &[]),
        node("Div", &["one", "dark"], "factor", &[]),
    ];
    nodes.push(match poison {
        Poison::Infinite => node("Mul", &["large", "factor"], "output", &[]),
        Poison::NotANumber => node("Mul", &["dark", "factor"], "nothing", &[]),
    });
    if let Poison::NotANumber = poison {
        nodes.push(node("Mul", &["large", "nothing"], "output", &[]));
    }
    model(
        &nodes,
        &[
            constant("scales", &[4], &[1.0, 1.0, 4.0, 4.0]),
            constant("half", &[], &[0.5]),
            constant("one", &[], &[1.0]),
        ],
        &value("input", &[None, Some(3), Some(16), Some(16)]),
        &value("output", &[None, Some(3), Some(64), Some(64)]),
    )
}

/// A generator that keeps the contract, and returns infinite numbers for bright pixels (0.5 of
/// -1..=1 or more): other faces of a batch are as they should be.
pub fn infinite_where_bright() -> Vec<u8> {
    model(
        &[
            node("Resize", &["input", "", "scales"], "large", &[]),
            node("GreaterOrEqual", &["large", "half"], "is_bright", &[]),
            node("Cast", &["is_bright"], "bright", &[("to", 1)]),
            node("Sub", &["one", "bright"], "dark", &[]),
            node("Div", &["large", "dark"], "output", &[]),
        ],
        &[
            constant("scales", &[4], &[1.0, 1.0, 4.0, 4.0]),
            constant("half", &[], &[0.5]),
            constant("one", &[], &[1.0]),
        ],
        &value("input", &[None, Some(3), Some(16), Some(16)]),
        &value("output", &[None, Some(3), Some(64), Some(64)]),
    )
}

/// A detector with the inputs and outputs of CenterFace that finds nothing, and fails on every
/// picture with a bright pixel (200 of 255 or more): the brightness is an index into a table.
pub fn blinded_by_light() -> Vec<u8> {
    let mut nodes = vec![
        node("ReduceMax", &["input"], "brightest", &[("keepdims", 0)]),
        node("Div", &["brightest", "limit"], "scaled", &[]),
        node("Cast", &["scaled"], "index", &[("to", 7)]),
        node("Gather", &["table", "index"], "entry", &[]),
        node("Add", &["input", "entry"], "seen", &[]),
    ];
    let mut constants = vec![constant("limit", &[], &[200.0]), constant("table", &[1], &[0.0])];
    let mut outputs = Vec::new();
    for (name, channels) in [("heat", 1u64), ("size", 2), ("offset", 2), ("points", 10)] {
        let weights = format!("{name}_w");
        let mut conv = node("Conv", &["seen", &weights], name, &[]);
        for (attribute, values) in [("kernel_shape", [4u64, 4]), ("strides", [4, 4])] {
            let mut a = Vec::new();
            bytes(&mut a, 1, attribute.as_bytes());
            for v in values {
                number(&mut a, 8, v);
            }
            number(&mut a, 20, 7);
            bytes(&mut conv, 5, &a);
        }
        nodes.push(conv);
        let zeros = vec![0.0; channels as usize * 3 * 16];
        constants.push(constant(&weights, &[channels, 3, 4, 4], &zeros));
        outputs.push(value(name, &[None, Some(channels), None, None]));
    }
    let outputs: Vec<&[u8]> = outputs.iter().map(Vec::as_slice).collect();
    of_opset(17, &nodes, &constants, &value("input", &[None, Some(3), None, None]), &outputs)
}

/// A generator that keeps the contract and multiplies matrices: `products` in a row, of `size` x
/// `size` numbers each, in half precision if it is to be.
pub fn matrices(size: usize, products: usize, half: bool) -> Vec<u8> {
    // Products of such numbers are as large as the numbers.
    let most = (3.0 / size as f32).sqrt();
    let mut state = 1u32;
    let mut random = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        ((state >> 8) as f32 / 8_388_608.0 - 1.0) * most
    };
    let values: Vec<f32> = (0..size * size).map(|_| random()).collect();
    let dims = [size as u64, size as u64];
    let matrix =
        if half { half_constant("b", &dims, &values) } else { constant("b", &dims, &values) };
    let kind = if half { 10 } else { 1 };
    let mut nodes = vec![
        node("Resize", &["input", "", "scales"], "large", &[]),
        node("ReduceMean", &["input"], "mean", &[("keepdims", 0)]),
        node("Add", &["mean", "one"], "factor_full", &[]),
        node("Cast", &["factor_full"], "factor", &[("to", kind)]),
        // It depends on the input, so that nothing can be computed beforehand.
        node("Mul", &["b", "factor"], "x0", &[]),
    ];
    for i in 0..products {
        nodes.push(node("MatMul", &[&format!("x{i}"), "b"], &format!("x{}", i + 1), &[]));
    }
    nodes.push(node("ReduceMean", &[&format!("x{products}")], "sum", &[("keepdims", 0)]));
    nodes.push(node("Cast", &["sum"], "sum_full", &[("to", 1)]));
    nodes.push(node("Add", &["large", "sum_full"], "output", &[]));
    model(
        &nodes,
        &[constant("scales", &[4], &[1.0, 1.0, 4.0, 4.0]), constant("one", &[], &[1.0]), matrix],
        &value("input", &[None, Some(3), Some(16), Some(16)]),
        &value("output", &[None, Some(3), Some(64), Some(64)]),
    )
}

/// A constant tensor in half precision; numbers too small for it become 0.
fn half_constant(name: &str, dims: &[u64], values: &[f32]) -> Vec<u8> {
    let half = |v: &f32| {
        let bits = v.to_bits();
        let sign = (bits >> 16) as u16 & 0x8000;
        match (bits >> 23 & 0xff) as i32 - 112 {
            exponent @ 1..=30 => sign | (exponent as u16) << 10 | (bits >> 13) as u16 & 0x3ff,
            _ => sign,
        }
    };
    let mut t = Vec::new();
    for dim in dims {
        number(&mut t, 1, *dim);
    }
    number(&mut t, 2, 10);
    bytes(&mut t, 8, name.as_bytes());
    bytes(&mut t, 9, &values.iter().flat_map(|v| half(v).to_le_bytes()).collect::<Vec<_>>());
    t
}
