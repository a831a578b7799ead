use super::super::wire::{number, text};
use super::super::{signature, value_info};
use super::*;
use proptest::prelude::*;

fn tensor(name: &str, dims: &[u64], values: &[f32]) -> Vec<u8> {
    let mut tensor = Vec::new();
    dims.iter().for_each(|&n| put_number(&mut tensor, field::TENSOR_DIM, n));
    put_number(&mut tensor, field::TENSOR_ELEMENT, ELEMENT_F32);
    put_bytes(&mut tensor, field::TENSOR_NAME, name.as_bytes());
    let raw: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    put_bytes(&mut tensor, field::TENSOR_RAW, &raw);
    tensor
}

fn node(operator: &str, inputs: &[&str], output: &str) -> Vec<u8> {
    let mut node = Vec::new();
    inputs.iter().for_each(|i| put_bytes(&mut node, field::NODE_INPUT, i.as_bytes()));
    put_bytes(&mut node, field::NODE_OUTPUT, output.as_bytes());
    put_bytes(&mut node, field::NODE_OPERATOR, operator.as_bytes());
    node
}

/// Channels of weights and their biases: usual ones, one of zeros with a bias, and one
/// of zeros only.
const WEIGHTS: [f32; 8] = [0.5, -1.27, 3e-3, 2e-3, 1e-9, -1e-9, 0.0, 0.0];
const BIASES: [f32; 4] = [0.25, -3.0, 1000.0, 0.0];

/// Relu, a convolution with a Relu behind it, a sum of both, and a convolution that is the output.
fn model(sum: &str) -> Vec<u8> {
    let mut graph = Vec::new();
    for node in [
        node("Relu", &["x"], "a"),
        node("Conv", &["a", "w", "b"], "c"),
        node("Relu", &["c"], "d"),
        node(sum, &["a", "d"], "e"),
        node("Conv", &["e", "v"], "y"),
    ] {
        put_bytes(&mut graph, field::GRAPH_NODE, &node);
    }
    for tensor in [
        tensor("w", &[4, 2, 1, 1], &WEIGHTS),
        tensor("b", &[4], &BIASES),
        tensor("v", &[1, 4, 1, 1], &[1.0, 2.0, 3.0, 4.0]),
    ] {
        put_bytes(&mut graph, field::GRAPH_INITIALIZER, &tensor);
    }
    for name in ["x", "w", "v"] {
        put_bytes(&mut graph, field::GRAPH_INPUT, &value_info(name, Some(&[1])));
    }
    put_bytes(&mut graph, field::GRAPH_OUTPUT, &value_info("y", None));
    let mut opset = Vec::new();
    put_number(&mut opset, field::OPSET_VERSION, 9);
    let mut file = Vec::new();
    put_number(&mut file, field::MODEL_IR_VERSION, 3);
    put_bytes(&mut file, field::MODEL_GRAPH, &graph);
    put_bytes(&mut file, field::MODEL_OPSET, &opset);
    file
}

const TABLE: &str = "# a note\na,0,5.1\nd,-0.1,2.45\ne,-1,4.1\n";

fn ranges() -> Ranges {
    Ranges::parse(TABLE).unwrap()
}

/// The raw data of a weight of `file`.
fn raw<'a>(file: &'a [u8], wanted: &str) -> Option<&'a [u8]> {
    let fields = Fields(graph(file).unwrap()).map(Result::unwrap);
    let mut tensors = fields.filter_map(|item| match (item.number, item.content) {
        (field::GRAPH_INITIALIZER, Content::Bytes(tensor)) => Some(tensor),
        _ => None,
    });
    let tensor = tensors.find(|t| name(t, field::TENSOR_NAME).unwrap() == wanted)?;
    bytes(tensor, field::TENSOR_RAW).unwrap()
}

fn raw_floats(file: &[u8], wanted: &str) -> Vec<f32> {
    let (numbers, _) = raw(file, wanted).unwrap().as_chunks();
    numbers.iter().map(|b| f32::from_le_bytes(*b)).collect()
}

#[test]
fn weights_and_ranges_come_back() {
    let file = quantized(&model("Add"), &ranges()).unwrap();
    let step = raw_floats(&file, "a/scale")[0];
    assert!((step - 0.02).abs() < 1e-6);
    assert_eq!((raw(&file, "a/zero"), raw(&file, "d/zero")), (Some(&[0][..]), Some(&[10][..])));
    assert_eq!(raw(&file, "e/zero"), Some(&[50][..]));

    let scales = raw_floats(&file, "c/weight/scale");
    for (i, code) in raw(&file, "c/weight/code").unwrap().iter().enumerate() {
        let (value, scale) = (f32::from(*code as i8) * scales[i / 2], scales[i / 2]);
        assert!((value - WEIGHTS[i]).abs() <= scale * 0.501, "{i}: {value}");
    }
    // As fine as 8 bits can be, unless the bias needs more than 32 bits then.
    assert!((scales[0] - 0.01).abs() < 1e-6 && (scales[1] - 3e-3 / 127.0).abs() < 1e-9);
    let (codes, scales) = (raw(&file, "c/bias/code").unwrap(), raw_floats(&file, "c/bias/scale"));
    for (i, code) in codes.as_chunks().0.iter().enumerate() {
        let value = i32::from_le_bytes(*code) as f32 * scales[i];
        assert!((value - BIASES[i]).abs() <= scales[i] + BIASES[i].abs() * 1e-6, "{i}: {value}");
    }
}

#[test]
fn only_what_lies_between_ranges_is_in_8_bits() {
    let file = quantized(&model("Add"), &ranges()).unwrap();
    // Replaced, and kept in single precision because its output has no range.
    assert!(raw(&file, "w").is_none() && raw(&file, "b").is_none());
    assert!(raw(&file, "v").is_some() && raw(&file, "y/weight/code").is_none());
    let declared = signature(&file).unwrap();
    assert_eq!(declared.inputs.iter().map(|v| &*v.name).collect::<Vec<_>>(), ["x"]);
    let nodes: Vec<Vec<String>> = Fields(graph(&file).unwrap())
        .filter_map(|item| match item.unwrap() {
            Field { number: field::GRAPH_NODE, content: Content::Bytes(node), .. } => Some(node),
            _ => None,
        })
        .map(|node| {
            let is_end = |n| n == field::NODE_INPUT || n == field::NODE_OPERATOR;
            let texts = Fields(node).map(Result::unwrap).filter(|item| is_end(item.number));
            texts.map(|item| text(item.raw, item.number).unwrap()).collect()
        })
        .collect();
    let has = |node: &[&str]| nodes.iter().any(|n| n == node);
    assert!(has(&["a/back", "c/weight", "c/bias", "Conv"]) && has(&["e/back", "v", "Conv"]));
    assert!(has(&["a/back", "d/back", "Add"]) && has(&["c", "Relu"]) && has(&["x", "Relu"]));
    let opset = bytes(&file, field::MODEL_OPSET).unwrap().unwrap();
    assert_eq!(number(opset, field::OPSET_VERSION), Ok(Some(VERSION)));
    assert_eq!(number(&file, field::MODEL_IR_VERSION), Ok(Some(4)));
}

#[test]
fn what_does_not_fit_is_refused() {
    let refused =
        |file: &[u8], table: &str| quantized(file, &Ranges::parse(table).unwrap()).unwrap_err();
    assert!(refused(&model("Softmax"), TABLE).to_string().contains("Softmax"));
    assert!(refused(&model("Add"), "gone,0,1").to_string().contains("gone"));
    // A range for an input, which nothing puts into 8 bits.
    assert!(refused(&model("Add"), "x,0,1").to_string().contains("'x'"));
    let whole = model("Add");
    let place = whole.windows(4).position(|w| w == 0.25f32.to_le_bytes()).unwrap();
    let mut damaged = whole.clone();
    damaged[place..place + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    assert!(refused(&damaged, TABLE).to_string().contains("'b'"));
}

proptest! {
    #[test]
    fn no_damage_panics(place in any::<prop::sample::Index>(), value in any::<u8>(), cut in any::<bool>()) {
        let mut file = model("Add");
        let place = place.index(file.len());
        file[place] = value;
        if cut {
            file.truncate(place);
        }
        if let (Ok(made), Ok(before)) = (quantized(&file, &ranges()), signature(&file)) {
            prop_assert_eq!(signature(&made).map(|d| d.outputs), Ok(before.outputs));
        }
    }
}
