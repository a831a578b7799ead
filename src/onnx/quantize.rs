//! Makes an 8-bit model of a single-precision one.
//!
//! ONNX Runtime computes a convolution or a sum in integers where its inputs come out of
//! `DequantizeLinear` and its output goes into `QuantizeLinear`. This puts both behind every tensor
//! whose range is known, and replaces the weights of the convolutions in between: 8 bits and a
//! scale a channel, biases in 32 bits. What has no range stays in single precision. The numbers are
//! those of ONNX Runtime's own quantizer: activations are unsigned with a zero point, weights
//! signed without.

use std::collections::{HashMap, HashSet};

use super::ranges::{LEAST_SCALE, Range, Ranges};
use super::wire::{Content, Field, Fields, bytes, put_bytes, put_number};
use super::{ELEMENT_F32, OnnxError, field, graph, with_graph};

const ELEMENT_U8: u64 = 2;
const ELEMENT_I8: u64 = 3;
const ELEMENT_I32: u64 = 6;
/// `AttributeProto.AttributeType` of an integer.
const KIND_INT: u64 = 2;

/// The version of ONNX's operators since when there is a scale a channel.
const VERSION: u64 = 13;

/// Operators that mean the same in [`VERSION`] as in the versions before it that are found in files.
const SAME: [&str; 6] = ["Add", "BatchNormalization", "Conv", "ConvTranspose", "Relu", "Sigmoid"];

/// The model `file` with the tensors of `ranges`, and the convolutions between them, in 8 bits.
/// Inputs that are weights are no inputs any more.
///
/// # Errors
/// [`OnnxError`] if the bytes are no ONNX model, if it holds an operator that is not known to
/// allow this, if a tensor of `ranges` is not in it, or if weights are damaged.
pub fn quantized(file: &[u8], ranges: &Ranges) -> Result<Vec<u8>, OnnxError> {
    let graph = graph(file)?;
    let parts = Parts::read(graph)?;
    let mut made = Made::default();
    for node in &parts.nodes {
        made.node(node, &parts, &ranges.0)?;
    }
    if let Some(name) = ranges.0.keys().find(|name| !made.quantized.contains(name.as_str())) {
        return Err(OnnxError::MissingTensor { name: name.clone() });
    }

    let mut graph_out = made.nodes;
    for item in Fields(graph) {
        let item = item?;
        match (item.number, item.content) {
            (field::GRAPH_NODE, _) => {}
            (field::GRAPH_INITIALIZER, Content::Bytes(tensor)) => {
                if made.used.contains(name(tensor, field::TENSOR_NAME)?) {
                    graph_out.extend_from_slice(item.raw);
                }
            }
            (field::GRAPH_INPUT, Content::Bytes(info))
                if parts.weights.contains_key(name(info, field::VALUE_NAME)?) => {}
            _ => graph_out.extend_from_slice(item.raw),
        }
    }
    graph_out.extend_from_slice(&made.weights);

    with_graph(file, &graph_out, VERSION)
}

/// Nodes and weights of a graph.
struct Parts<'a> {
    nodes: Vec<Node<'a>>,
    /// Messages of the weights by their names.
    weights: HashMap<&'a str, &'a [u8]>,
    /// By the tensor that it takes: the node that is the only one to take it.
    takers: HashMap<&'a str, Option<usize>>,
}

struct Node<'a> {
    message: &'a [u8],
    operator: &'a str,
    inputs: Vec<&'a str>,
    outputs: Vec<&'a str>,
}

impl<'a> Parts<'a> {
    fn read(graph: &'a [u8]) -> Result<Self, OnnxError> {
        let (mut nodes, mut weights, mut takers) = (Vec::new(), HashMap::new(), HashMap::new());
        for item in Fields(graph) {
            match item? {
                Field { number: field::GRAPH_NODE, content: Content::Bytes(message), .. } => {
                    let node = Node::read(message)?;
                    for input in &node.inputs {
                        let taker = Some(nodes.len());
                        takers.entry(*input).and_modify(|known| *known = None).or_insert(taker);
                    }
                    nodes.push(node);
                }
                Field {
                    number: field::GRAPH_INITIALIZER, content: Content::Bytes(tensor), ..
                } => {
                    weights.insert(name(tensor, field::TENSOR_NAME)?, tensor);
                }
                _ => {}
            }
        }
        Ok(Self { nodes, weights, takers })
    }

    /// Whether the output of `node` is kept in 8 bits, directly or after a `Relu`.
    fn is_kept(&self, node: &Node<'_>, ranges: &HashMap<String, Range>) -> bool {
        let &[output] = node.outputs.as_slice() else { return false };
        let taker = self.takers.get(output).copied().flatten().and_then(|i| self.nodes.get(i));
        ranges.contains_key(output)
            || taker.is_some_and(|n| n.operator == "Relu" && ranges.contains_key(n.outputs[0]))
    }

    fn values(&self, name: &str) -> Result<(Vec<u64>, Vec<f32>), OnnxError> {
        let tensor = self.weights.get(name);
        let tensor = tensor.ok_or_else(|| OnnxError::MissingWeights { name: name.into() })?;
        floats(tensor).ok_or_else(|| OnnxError::DamagedWeights { name: name.into() })
    }
}

impl<'a> Node<'a> {
    fn read(message: &'a [u8]) -> Result<Self, OnnxError> {
        let operator = name(message, field::NODE_OPERATOR)?;
        if !SAME.contains(&operator) {
            return Err(OnnxError::NoQuantizedForm { operator: operator.into() });
        }
        let (mut inputs, mut outputs) = (Vec::new(), Vec::new());
        for item in Fields(message) {
            match item? {
                Field { number: field::NODE_INPUT, content: Content::Bytes(b), .. } => {
                    inputs.push(utf8(b)?);
                }
                Field { number: field::NODE_OUTPUT, content: Content::Bytes(b), .. } => {
                    outputs.push(utf8(b)?);
                }
                _ => {}
            }
        }
        if inputs.is_empty() || outputs.is_empty() {
            return Err(OnnxError::NotOnnx);
        }
        Ok(Self { message, operator, inputs, outputs })
    }
}

/// What the new graph holds.
#[derive(Default)]
struct Made<'a> {
    /// Fields of nodes.
    nodes: Vec<u8>,
    /// Fields of weights that were not there before.
    weights: Vec<u8>,
    /// What the nodes take.
    used: HashSet<&'a str>,
    /// Tensors that are in 8 bits.
    quantized: HashSet<&'a str>,
}

impl<'a> Made<'a> {
    fn node(
        &mut self,
        node: &Node<'a>,
        parts: &Parts<'a>,
        ranges: &HashMap<String, Range>,
    ) -> Result<(), OnnxError> {
        let mut inputs: Vec<String> = Vec::with_capacity(node.inputs.len());
        let taken = ranges.get(node.inputs[0]).filter(|_| self.quantized.contains(node.inputs[0]));
        match (node.operator, taken) {
            ("Conv", Some(range)) if parts.is_kept(node, ranges) => {
                inputs.push(back(node.inputs[0]));
                inputs.extend(self.convolution(node, parts, range.scale())?);
            }
            _ => {
                for &input in &node.inputs {
                    self.used.insert(input);
                    let is_back = self.quantized.contains(input);
                    inputs.push(if is_back { back(input) } else { input.into() });
                }
            }
        }
        let mut message = Vec::new();
        for input in &inputs {
            put_bytes(&mut message, field::NODE_INPUT, input.as_bytes());
        }
        for item in Fields(node.message) {
            let item = item?;
            if item.number != field::NODE_INPUT {
                message.extend_from_slice(item.raw);
            }
        }
        put_bytes(&mut self.nodes, field::GRAPH_NODE, &message);
        for &output in &node.outputs {
            if let Some(range) = ranges.get(output) {
                self.around(output, *range);
            }
        }
        Ok(())
    }

    /// Quantises the tensor `name` and back.
    fn around(&mut self, name: &'a str, range: Range) {
        let (code, scale, zero) = (of(name, "code"), of(name, "scale"), of(name, "zero"));
        self.weight(&scale, &[], ELEMENT_F32, &range.scale().to_le_bytes());
        self.weight(&zero, &[], ELEMENT_U8, &[range.zero()]);
        self.linear("QuantizeLinear", &[name, &scale, &zero], &code, None);
        self.linear("DequantizeLinear", &[&code, &scale, &zero], &back(name), None);
        self.quantized.insert(name);
    }

    /// Writes weights and bias of a convolution in integers, and says what they are called. A step
    /// of what it takes is worth `step`.
    fn convolution(
        &mut self,
        node: &Node<'_>,
        parts: &Parts<'_>,
        step: f32,
    ) -> Result<Vec<String>, OnnxError> {
        let &[_, weights, ref bias @ ..] = node.inputs.as_slice() else {
            return Err(OnnxError::NotOnnx);
        };
        let (dims, values) = parts.values(weights)?;
        let channels = dims[0] as usize;
        let biases = match bias {
            [] => None,
            [name, ..] => Some(parts.values(name)?.1),
        };
        if biases.as_ref().is_some_and(|biases| biases.len() != channels) {
            return Err(OnnxError::BiasMismatch { name: weights.into() });
        }

        let (mut codes, mut scales) = (Vec::with_capacity(values.len()), Vec::new());
        let (mut bias_codes, mut bias_scales) = (Vec::new(), Vec::new());
        for (i, channel) in values.chunks_exact(values.len() / channels).enumerate() {
            let largest = channel.iter().fold(0f32, |most, v| most.max(v.abs()));
            let bias = biases.as_ref().map_or(0.0, |biases| biases[i]);
            // A bias counts in steps of both scales, and has to do with 32 bits.
            let fits = bias.abs() / (1 << 30) as f32 / step;
            let scale = (largest / 127.0).max(fits).max(LEAST_SCALE);
            codes.extend(channel.iter().map(|v| (v / scale).round_ties_even() as i8 as u8));
            scales.extend(scale.to_le_bytes());
            bias_codes.extend(((bias / (step * scale)).round_ties_even() as i32).to_le_bytes());
            bias_scales.extend((step * scale).to_le_bytes());
        }
        let output = node.outputs[0];
        let mut names = vec![of(output, "weight")];
        self.back_by_channel(&names[0], &dims, ELEMENT_I8, &codes, &scales);
        if biases.is_some() {
            names.push(of(output, "bias"));
            self.back_by_channel(&names[1], &dims[..1], ELEMENT_I32, &bias_codes, &bias_scales);
        }
        Ok(names)
    }

    /// The tensor `name` out of its codes and the scales of its channels.
    fn back_by_channel(
        &mut self,
        name: &str,
        dims: &[u64],
        element: u64,
        codes: &[u8],
        scales: &[u8],
    ) {
        let (code, scale) = (of(name, "code"), of(name, "scale"));
        self.weight(&code, dims, element, codes);
        self.weight(&scale, &dims[..1], ELEMENT_F32, scales);
        self.linear("DequantizeLinear", &[&code, &scale], name, Some(0));
    }

    /// A node `QuantizeLinear` or `DequantizeLinear`.
    fn linear(&mut self, operator: &str, inputs: &[&str], output: &str, axis: Option<u64>) {
        let mut node = Vec::new();
        for input in inputs {
            put_bytes(&mut node, field::NODE_INPUT, input.as_bytes());
        }
        put_bytes(&mut node, field::NODE_OUTPUT, output.as_bytes());
        put_bytes(&mut node, field::NODE_OPERATOR, operator.as_bytes());
        if let Some(axis) = axis {
            let mut attribute = Vec::new();
            put_bytes(&mut attribute, field::ATTRIBUTE_NAME, b"axis");
            put_number(&mut attribute, field::ATTRIBUTE_INT, axis);
            put_number(&mut attribute, field::ATTRIBUTE_KIND, KIND_INT);
            put_bytes(&mut node, field::NODE_ATTRIBUTE, &attribute);
        }
        put_bytes(&mut self.nodes, field::GRAPH_NODE, &node);
    }

    fn weight(&mut self, name: &str, dims: &[u64], element: u64, raw: &[u8]) {
        let mut tensor = Vec::new();
        for &n in dims {
            put_number(&mut tensor, field::TENSOR_DIM, n);
        }
        put_number(&mut tensor, field::TENSOR_ELEMENT, element);
        put_bytes(&mut tensor, field::TENSOR_NAME, name.as_bytes());
        put_bytes(&mut tensor, field::TENSOR_RAW, raw);
        put_bytes(&mut self.weights, field::GRAPH_INITIALIZER, &tensor);
    }
}

/// The name of what belongs to the tensor `name`; no exporter gives such names.
fn of(name: &str, what: &str) -> String {
    format!("{name}/{what}")
}

/// The name of a tensor after 8 bits.
fn back(name: &str) -> String {
    of(name, "back")
}

/// Dimensions, at least one, and values of a tensor of 32-bit floats, at least one and all of them
/// finite.
fn floats(tensor: &[u8]) -> Option<(Vec<u64>, Vec<f32>)> {
    let (mut dims, mut element, mut data) = (Vec::new(), 0, None);
    for item in Fields(tensor) {
        match item.ok()? {
            Field { number: field::TENSOR_DIM, content: Content::Number(n), .. } => dims.push(n),
            Field { number: field::TENSOR_ELEMENT, content: Content::Number(n), .. } => element = n,
            // A list of floats is packed as raw data is.
            Field {
                number: field::TENSOR_FLOATS | field::TENSOR_RAW,
                content: Content::Bytes(bytes),
                ..
            } if data.replace(bytes).is_none() => {}
            Field { number: field::TENSOR_FLOATS | field::TENSOR_RAW, .. } => return None,
            _ => {}
        }
    }
    let (numbers, rest) = data?.as_chunks();
    let count = dims.iter().try_fold(1u64, |count, &n| count.checked_mul(n))?;
    let values: Vec<f32> = numbers.iter().map(|b| f32::from_le_bytes(*b)).collect();
    let is_whole = element == ELEMENT_F32
        && rest.is_empty()
        && !dims.is_empty()
        && count == values.len() as u64
        && count > 0;
    (is_whole && values.iter().all(|v| v.is_finite())).then_some((dims, values))
}

fn name(message: &[u8], wanted: u64) -> Result<&str, OnnxError> {
    utf8(bytes(message, wanted)?.unwrap_or_default())
}

fn utf8(bytes: &[u8]) -> Result<&str, OnnxError> {
    std::str::from_utf8(bytes).map_err(|_| OnnxError::NotOnnx)
}

#[cfg(test)]
mod tests;
