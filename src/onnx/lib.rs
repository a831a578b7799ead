//! Reads, checks and rewrites ONNX files.
//!
//! Detectors run at the size of the stream. Their files declare other sizes (CenterFace 10x3x32x32,
//! YuNet-s 1x3x640x640), list each weight as an input too, which keeps ONNX Runtime from folding
//! and packing the weights, and have outputs that are not used here. [`with_fixed_input`] changes a
//! few fields of the file's protobuf message; nodes and weights are copied. [`reject_unsafe`]
//! refuses models that loop or read other files.
//!
//! Only the wire format and the field numbers of `onnx.proto` are used (stable since ONNX 1.0).
//! [`quantized`] makes an 8-bit model of a single-precision one.

mod error;
mod field;
#[cfg(feature = "messages")]
pub mod messages;
mod quantize;
mod ranges;
mod wire;

pub use error::OnnxError;
pub use quantize::quantized;
pub use ranges::Ranges;
use wire::{Content, Field, Fields, bytes, number, put_bytes, put_number, text};

/// Most inputs or outputs that are read; real files have a hundred at most.
const MAX_VALUES: usize = 10_000;

/// An input or output of the graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// Its name.
    pub name: String,
    /// Element type as `TensorProto.DataType` numbers them, 0 if it is no tensor.
    element: u64,
    /// Signature dimensions, -1 for free ones; `None` if no shape is declared.
    pub dims: Option<Vec<i64>>,
}

impl Value {
    /// Whether it is a tensor of 32-bit floats.
    pub fn is_f32(&self) -> bool {
        self.element == ELEMENT_F32
    }
}

/// What an ONNX file declares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// Inputs that are not weights.
    pub inputs: Vec<Value>,
    /// Outputs.
    pub outputs: Vec<Value>,
}

const ELEMENT_F32: u64 = 1;

/// Reads what `file` declares.
///
/// # Errors
/// [`OnnxError`] if the bytes are no ONNX model.
pub fn signature(file: &[u8]) -> Result<Signature, OnnxError> {
    let graph = graph(file)?;
    let mut weights = Vec::new();
    let (mut inputs, mut outputs) = (Vec::new(), Vec::new());
    let mut nodes = 0usize;
    for item in Fields(graph) {
        let Field { number, content, .. } = item?;
        match (number, content) {
            (field::GRAPH_NODE, Content::Bytes(_)) => nodes += 1,
            (field::GRAPH_INITIALIZER, Content::Bytes(tensor)) => {
                weights.push(text(tensor, field::TENSOR_NAME)?);
            }
            (field::GRAPH_INPUT, Content::Bytes(info)) => inputs.push(value(info)?),
            (field::GRAPH_OUTPUT, Content::Bytes(info)) => outputs.push(value(info)?),
            _ => {}
        }
        if inputs.len().max(outputs.len()) > MAX_VALUES {
            return Err(OnnxError::TooManyValues);
        }
    }
    if nodes == 0 || outputs.is_empty() {
        return Err(OnnxError::NotOnnx);
    }
    weights.sort_unstable();
    inputs.retain(|v| weights.binary_search(&v.name).is_err());
    Ok(Signature { inputs, outputs })
}

/// The same model with one input, `input`, of exactly `dims`, and the outputs `outputs` only.
///
/// # Errors
/// [`OnnxError`] if the bytes are no ONNX model.
pub fn with_fixed_input(
    file: &[u8],
    input: &str,
    dims: &[usize],
    outputs: &[String],
) -> Result<Vec<u8>, OnnxError> {
    let mut graph_out = Vec::with_capacity(file.len());
    for item in Fields(graph(file)?) {
        let item = item?;
        match (item.number, item.content) {
            // The shapes of inner values follow from the input's; those on file do not.
            (field::GRAPH_INPUT | field::GRAPH_VALUE_INFO, _) => {}
            (field::GRAPH_OUTPUT, Content::Bytes(info)) => {
                let name = text(info, field::VALUE_NAME)?;
                if outputs.contains(&name) {
                    put_bytes(&mut graph_out, field::GRAPH_OUTPUT, &value_info(&name, None));
                }
            }
            _ => graph_out.extend_from_slice(item.raw),
        }
    }
    put_bytes(&mut graph_out, field::GRAPH_INPUT, &value_info(input, Some(dims)));

    with_graph(file, &graph_out, 0)
}

/// The model `file` with another graph, whose weights need be no inputs, and the version of the
/// operators raised to `version` if it is lower.
fn with_graph(file: &[u8], graph: &[u8], version: u64) -> Result<Vec<u8>, OnnxError> {
    let mut out = Vec::with_capacity(graph.len() + 256);
    for item in Fields(file) {
        let item = item?;
        match (item.number, item.content) {
            (field::MODEL_GRAPH, _) => put_bytes(&mut out, field::MODEL_GRAPH, graph),
            // Weights that are no inputs need version 4.
            (field::MODEL_IR_VERSION, Content::Number(version)) => {
                put_number(&mut out, field::MODEL_IR_VERSION, version.max(4));
            }
            (field::MODEL_OPSET, Content::Bytes(opset))
                if text(opset, field::OPSET_DOMAIN)?.is_empty() =>
            {
                let version = number(opset, field::OPSET_VERSION)?.unwrap_or(0).max(version);
                let mut opset = Vec::new();
                put_number(&mut opset, field::OPSET_VERSION, version);
                put_bytes(&mut out, field::MODEL_OPSET, &opset);
            }
            _ => out.extend_from_slice(item.raw),
        }
    }
    Ok(out)
}

/// Refuses a model that keeps weights in other files, so that no model file can make this process
/// open another, and one with a loop, which might never end.
///
/// # Errors
/// [`OnnxError`] says which; also if the bytes are no ONNX model.
pub fn reject_unsafe(file: &[u8]) -> Result<(), OnnxError> {
    graph(file)?;
    for item in Fields(file) {
        let Field { number, content: Content::Bytes(message), .. } = item? else { continue };
        match number {
            field::MODEL_GRAPH => check_graph(message, MAX_DEPTH)?,
            field::MODEL_FUNCTION => {
                each(message, &[field::FUNCTION_NODE], |node| check_node(node, MAX_DEPTH))?;
                // Values that its nodes refer to.
                each(message, &[field::FUNCTION_ATTRIBUTE], |a| check_attribute(a, "", 0))?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// Branches within branches are followed so far.
const MAX_DEPTH: u32 = 8;

fn check_graph(graph: &[u8], depth: u32) -> Result<(), OnnxError> {
    each(graph, &[field::GRAPH_INITIALIZER], check_tensor)?;
    each(graph, &[field::GRAPH_SPARSE], check_sparse)?;
    each(graph, &[field::GRAPH_NODE], |node| check_node(node, depth))
}

fn check_node(node: &[u8], depth: u32) -> Result<(), OnnxError> {
    let operator = text(node, field::NODE_OPERATOR)?;
    each(node, &[field::NODE_ATTRIBUTE], |a| check_attribute(a, &operator, depth))
}

fn check_attribute(attribute: &[u8], operator: &str, depth: u32) -> Result<(), OnnxError> {
    each(attribute, &[field::ATTRIBUTE_TENSOR, field::ATTRIBUTE_TENSORS], check_tensor)?;
    each(attribute, &[field::ATTRIBUTE_SPARSE, field::ATTRIBUTE_SPARSES], check_sparse)?;
    each(attribute, &[field::ATTRIBUTE_GRAPH, field::ATTRIBUTE_GRAPHS], |graph| {
        if operator != "If" || depth == 0 {
            return Err(OnnxError::Loop { operator: operator.into() });
        }
        check_graph(graph, depth - 1)
    })
}

/// A sparse tensor is two tensors, values and indices.
fn check_sparse(tensor: &[u8]) -> Result<(), OnnxError> {
    each(tensor, &[1, 2], check_tensor)
}

fn check_tensor(tensor: &[u8]) -> Result<(), OnnxError> {
    let elsewhere = number(tensor, field::TENSOR_LOCATION)?.is_some_and(|place| place != 0)
        || bytes(tensor, field::TENSOR_EXTERNAL)?.is_some();
    if !elsewhere {
        return Ok(());
    }
    let name = text(tensor, field::TENSOR_NAME)?;
    Err(OnnxError::ExternalWeights { name })
}

/// Calls `f` with each message in `message` that one of `fields` holds.
fn each(
    message: &[u8],
    fields: &[u64],
    mut f: impl FnMut(&[u8]) -> Result<(), OnnxError>,
) -> Result<(), OnnxError> {
    for item in Fields(message) {
        match item? {
            Field { number, content: Content::Bytes(inner), .. } if fields.contains(&number) => {
                f(inner)?;
            }
            _ => {}
        }
    }
    Ok(())
}

fn graph(file: &[u8]) -> Result<&[u8], OnnxError> {
    let mut found = None;
    for item in Fields(file) {
        if let Field { number: field::MODEL_GRAPH, content: Content::Bytes(graph), .. } = item? {
            // Protobuf would merge them; here only one would be read.
            if found.replace(graph).is_some() {
                return Err(OnnxError::SeveralGraphs);
            }
        }
    }
    found.ok_or(OnnxError::NotOnnx)
}

fn value(info: &[u8]) -> Result<Value, OnnxError> {
    let mut value = Value { name: text(info, field::VALUE_NAME)?, element: 0, dims: None };
    let Some(kind) = bytes(info, field::VALUE_TYPE)? else { return Ok(value) };
    let Some(tensor) = bytes(kind, field::TYPE_TENSOR)? else { return Ok(value) };
    value.element = number(tensor, field::TENSOR_TYPE_ELEMENT)?.unwrap_or(0);
    if let Some(shape) = bytes(tensor, field::TENSOR_TYPE_SHAPE)? {
        let mut dims = Vec::new();
        for item in Fields(shape) {
            if let Field { number: field::SHAPE_DIM, content: Content::Bytes(dim), .. } = item? {
                let size = number(dim, field::DIM_VALUE)?;
                dims.push(size.and_then(|n| i64::try_from(n).ok()).unwrap_or(-1));
            }
        }
        value.dims = Some(dims);
    }
    Ok(value)
}

fn value_info(name: &str, dims: Option<&[usize]>) -> Vec<u8> {
    let mut tensor = Vec::new();
    put_number(&mut tensor, field::TENSOR_TYPE_ELEMENT, ELEMENT_F32);
    if let Some(dims) = dims {
        let mut shape = Vec::new();
        for &n in dims {
            let mut dim = Vec::new();
            put_number(&mut dim, field::DIM_VALUE, n as u64);
            put_bytes(&mut shape, field::SHAPE_DIM, &dim);
        }
        put_bytes(&mut tensor, field::TENSOR_TYPE_SHAPE, &shape);
    }
    let mut kind = Vec::new();
    put_bytes(&mut kind, field::TYPE_TENSOR, &tensor);
    let mut info = Vec::new();
    put_bytes(&mut info, field::VALUE_NAME, name.as_bytes());
    put_bytes(&mut info, field::VALUE_TYPE, &kind);
    info
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Two inputs, one of them a weight; outputs `a` and `b`; IR version 3.
    fn model() -> Vec<u8> {
        let mut weight = Vec::new();
        put_bytes(&mut weight, field::TENSOR_NAME, b"w");
        let mut graph = Vec::new();
        put_bytes(&mut graph, field::GRAPH_NODE, b"");
        put_bytes(&mut graph, field::GRAPH_INITIALIZER, &weight);
        put_bytes(&mut graph, field::GRAPH_INPUT, &value_info("x", Some(&[10, 3, 32, 300])));
        put_bytes(&mut graph, field::GRAPH_INPUT, &value_info("w", Some(&[5])));
        put_bytes(&mut graph, field::GRAPH_VALUE_INFO, &value_info("inner", Some(&[5])));
        put_bytes(&mut graph, field::GRAPH_OUTPUT, &value_info("a", None));
        put_bytes(&mut graph, field::GRAPH_OUTPUT, &value_info("b", Some(&[1])));
        let mut file = Vec::new();
        put_number(&mut file, field::MODEL_IR_VERSION, 3);
        put_bytes(&mut file, field::MODEL_GRAPH, &graph);
        put_bytes(&mut file, 8, b"\x10\x0b");
        file
    }

    #[test]
    fn weights_are_no_inputs() {
        let declared = signature(&model()).unwrap();
        assert_eq!(declared.inputs.len(), 1);
        assert_eq!(declared.inputs[0].name, "x");
        assert_eq!(declared.inputs[0].dims, Some(vec![10, 3, 32, 300]));
        assert!(declared.inputs[0].is_f32());
        let names: Vec<_> = declared.outputs.iter().map(|o| o.name.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
    }

    #[test]
    fn with_fixed_input_keeps_only_the_named_input_and_outputs() {
        let file = with_fixed_input(&model(), "x", &[1, 3, 544, 960], &["b".into()]).unwrap();
        let declared = signature(&file).unwrap();
        assert_eq!(declared.inputs.len(), 1);
        assert_eq!(declared.inputs[0].dims, Some(vec![1, 3, 544, 960]));
        assert_eq!(declared.outputs.len(), 1);
        assert_eq!((&*declared.outputs[0].name, &declared.outputs[0].dims), ("b", &None));
        assert_eq!(number(&file, field::MODEL_IR_VERSION).unwrap(), Some(4));
    }

    #[test]
    fn every_cut_is_noticed_or_harmless() {
        let file = model();
        for n in 0..file.len() {
            // A cut after the graph leaves a model without its opset, which ONNX Runtime refuses.
            let result = signature(&file[..n]);
            assert!(result.is_err() || n >= file.len() - 4, "{n}: {result:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = signature(&bytes);
            let _ = reject_unsafe(&bytes);
            let _ = with_fixed_input(&bytes, "x", &[1], &[]);
        }

        #[test]
        fn no_damage_panics(place in 0usize..200, value in any::<u8>()) {
            let mut file = model();
            let place = place % file.len();
            file[place] = value;
            let _ = signature(&file);
            let _ = reject_unsafe(&file);
            let _ = with_fixed_input(&file, "x", &[1], &["a".into()]);
        }
    }
}
