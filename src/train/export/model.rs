//! The two Low-to-High generators as ONNX graphs, opset 17.

use std::path::Path;

use prost::Message;
use tch::Tensor;

use super::graph::{Attribute, Graph};
use crate::error::{Result, at};
use crate::models::consistency::Consistency;
use crate::models::layers::{BatchNorm, Conv};
use crate::models::low_to_high::{Compact, Layers, LowToHigh, Paper, PaperBlock};
use crate::scale::Scale;
use facesr_onnx::messages::ModelProto;

/// What the file says about itself.
#[derive(Debug, Clone)]
pub struct About {
    /// What it was trained on.
    pub data: String,
    /// On what terms it may be used.
    pub terms: String,
}

/// Side of the crop square over the larger side of the face box (the crop convention).
pub const CROP_SCALE: &str = "1.1";

/// Key of the metadata that holds the settings of the network as JSON.
pub const NETWORK: &str = "facesr.network";

/// Builds the model. With `half`, the network computes in fp16; input, output and what holds the
/// output to the input stay fp32.
pub fn build(net: &LowToHigh, about: &About, half: bool) -> ModelProto {
    let mut graph = Graph::new(half);
    let scale = net.scale();
    match net.layers() {
        Layers::Compact(net) => compact(&mut graph, net, scale),
        Layers::Paper(net) => paper(&mut graph, net),
    }
    let metadata = [
        ("facesr.arch", net.config().arch().to_owned()),
        ("facesr.crop_scale", CROP_SCALE.to_owned()),
        ("facesr.lr_size", scale.lr.to_string()),
        ("facesr.hr_size", scale.hr().to_string()),
        // How wide, deep and free it is: the start of another training builds the same network.
        (NETWORK, serde_json::to_string(net.config()).unwrap_or_default()),
        ("facesr.data", about.data.clone()),
        ("facesr.terms", about.terms.clone()),
    ];
    let doc = format!("facesr Low-to-High generator: RGB [-1, 1], {scale}");
    graph.finish(scale, &metadata, &doc)
}

/// Writes the model beside its place and renames it.
pub fn write(model: &ModelProto, path: &Path) -> Result<()> {
    let beside = path.with_extension("part");
    std::fs::write(&beside, model.encode_to_vec()).map_err(at(&beside))?;
    std::fs::rename(&beside, path).map_err(at(path))
}

fn conv(g: &mut Graph, name: &str, input: &str, layer: &Conv) -> String {
    let k = layer.weight.size()[2];
    let weight = g.weight(&format!("{name}.weight"), &layer.weight);
    let bias = g.weight(&format!("{name}.bias"), &layer.bias);
    let attributes =
        [("kernel_shape", Attribute::Ints(vec![k, k])), ("pads", Attribute::Ints(vec![k / 2; 4]))];
    g.node(name, "Conv", &[input, &weight, &bias], &attributes)
}

fn relu(g: &mut Graph, name: &str, input: &str) -> String {
    g.node(name, "Relu", &[input], &[])
}

/// A fixed 5x5 convolution whose border repeats the edge.
fn fixed5(g: &mut Graph, name: &str, input: &str, pads: &str, weight: &str) -> String {
    let mode = ("mode", Attribute::Word("edge"));
    let padded = g.node(&format!("{name}.pad"), "Pad", &[input, pads], &[mode]);
    let kernel = ("kernel_shape", Attribute::Ints(vec![5, 5]));
    g.node(name, "Conv", &[&padded, weight], &[kernel])
}

/// The weight [o, 3 k^2, 3, 3] of a convolution of faces whose pixels were folded k by k into
/// channels, as that of a convolution of the faces themselves: [o, 3, 3k, 3k], of stride k. One
/// operator instead of the four that folding takes.
pub(super) fn unfolded_head(weight: &Tensor, k: i64) -> Tensor {
    let outputs = weight.size()[0];
    weight.view([outputs, 3, k, k, 3, 3]).permute([0, 1, 4, 2, 5, 3]).reshape([
        outputs,
        3,
        3 * k,
        3 * k,
    ])
}

/// The way back from [`unfolded_head`].
pub(super) fn folded_head(weight: &Tensor, k: i64) -> Tensor {
    let outputs = weight.size()[0];
    weight.view([outputs, 3, 3, k, 3, k]).permute([0, 1, 3, 5, 2, 4]).reshape([
        outputs,
        3 * k * k,
        3,
        3,
    ])
}

/// The first layer of the compact form.
fn compact_head(g: &mut Graph, input: &str, layer: &Conv, k: i64) -> String {
    if k == 1 {
        return conv(g, "head", input, layer);
    }
    let weight = g.weight("head.weight", &unfolded_head(&layer.weight, k));
    let bias = g.weight("head.bias", &layer.bias);
    let attributes = [
        ("kernel_shape", Attribute::Ints(vec![3 * k, 3 * k])),
        ("strides", Attribute::Ints(vec![k, k])),
        ("pads", Attribute::Ints(vec![k; 4])),
    ];
    g.node("head", "Conv", &[input, &weight, &bias], &attributes)
}

fn depth_to_space(g: &mut Graph, name: &str, input: &str, block: i64) -> String {
    let shuffle = [("blocksize", Attribute::Int(block)), ("mode", Attribute::Word("CRD"))];
    g.node(name, "DepthToSpace", &[input], &shuffle)
}

/// The part of a difference beyond a ball, as in [`crate::models::consistency`].
fn beyond(g: &mut Graph, name: &str, input: &str, radius: f64, one: &str, tiny: &str) -> String {
    let radius = g.constant(&format!("{name}.radius"), &Tensor::from(radius as f32));
    let square = g.node(&format!("{name}.square"), "Mul", &[input, input], &[]);
    let axes = [("axes", Attribute::Ints(vec![1, 2, 3])), ("keepdims", Attribute::Int(1))];
    let power = g.node(&format!("{name}.mean"), "ReduceMean", &[&square], &axes);
    let power = g.node(&format!("{name}.power"), "Add", &[&power, tiny], &[]);
    let rms = g.node(&format!("{name}.rms"), "Sqrt", &[&power], &[]);
    let ratio = g.node(&format!("{name}.ratio"), "Div", &[&radius, &rms], &[]);
    let share = g.node(&format!("{name}.beyond"), "Sub", &[one, &ratio], &[]);
    let share = relu(g, &format!("{name}.share"), &share);
    g.node(&format!("{name}.back"), "Mul", &[input, &share], &[])
}

fn compact(g: &mut Graph, net: &Compact, scale: Scale) {
    let k = scale.fold();
    let x = g.enter("input.half", "input");
    let head = compact_head(g, &x, &net.head, k);
    let mut x = head.clone();
    for (i, block) in net.blocks.iter().enumerate() {
        let first = conv(g, &format!("blocks.{i}.first"), &x, &block.first);
        let first = relu(g, &format!("blocks.{i}.relu"), &first);
        let second = conv(g, &format!("blocks.{i}.second"), &first, &block.second);
        x = g.node(&format!("blocks.{i}.sum"), "Add", &[&x, &second], &[]);
    }
    let x = g.node("body", "Add", &[&x, &head], &[]);
    let detail = conv(g, "last", &x, &net.last);
    let detail = if k > 1 { depth_to_space(g, "unfolded", &detail, k) } else { detail };
    let detail = g.leave("detail", &detail);

    // crate::models::consistency, operator for operator.
    let fixed = &net.consistency;
    let pads = g.whole("consistency.pads", &[0, 0, 2, 2, 0, 0, 2, 2]);
    let enlarge = g.constant("consistency.enlarge", &fixed.enlarge);
    let base = fixed5(g, "base", "input", &pads, &enlarge);
    let mut guess = g.node("guess", "Add", &[&base, &detail], &[]);
    if let Some(slack) = fixed.slack.fine {
        let back = difference_beyond(g, &guess, fixed, slack, &pads);
        let back = fixed5(g, "back.large", &back, &pads, &enlarge);
        guess = g.node("sum", "Add", &[&guess, &back], &[]);
    }
    let large = depth_to_space(g, "large", &guess, 4);
    let low = g.constant("clip.low", &Tensor::from(-1f32));
    let high = g.constant("clip.high", &Tensor::from(1f32));
    g.node("output", "Clip", &[&large, &low, &high], &[]);
}

/// What is given back of the difference between the input and the guess shrunk back.
fn difference_beyond(
    g: &mut Graph,
    guess: &str,
    fixed: &Consistency,
    slack: f64,
    pads: &str,
) -> String {
    let smooth = g.constant("consistency.smooth", &fixed.smooth);
    let mean = g.constant("consistency.mean", &fixed.mean);
    let one = g.constant("consistency.one", &Tensor::from(1f32));
    let tiny = g.constant("consistency.tiny", &Tensor::from(1e-8f32));
    let kernel = ("kernel_shape", Attribute::Ints(vec![1, 1]));
    let shrunk = g.node("shrunk", "Conv", &[guess, &mean], &[kernel]);
    let d = g.node("difference", "Sub", &["input", &shrunk], &[]);
    let coarse = fixed5(g, "coarse", &d, pads, &smooth);
    let fine = g.node("fine", "Sub", &[&d, &coarse], &[]);
    let fine = beyond(g, "fine", &fine, slack, &one, &tiny);
    let coarse = match fixed.slack.coarse {
        radius if radius > 0.0 => beyond(g, "coarse.ball", &coarse, radius, &one, &tiny),
        _ => coarse,
    };
    g.node("back", "Add", &[&coarse, &fine], &[])
}

/// Batch normalization of a finished network: one multiplication, one addition.
fn norm_relu(g: &mut Graph, name: &str, input: &str, layer: &BatchNorm) -> String {
    let c = layer.mean.size()[0];
    let scale = &layer.weight / (&layer.var + BatchNorm::EPS).sqrt();
    let shift = &layer.bias - &layer.mean * &scale;
    let scale = g.weight(&format!("{name}.scale"), &scale.view([1, c, 1, 1]));
    let shift = g.weight(&format!("{name}.shift"), &shift.view([1, c, 1, 1]));
    let scaled = g.node(&format!("{name}.scaled"), "Mul", &[input, &scale], &[]);
    let shifted = g.node(&format!("{name}.shifted"), "Add", &[&scaled, &shift], &[]);
    relu(g, &format!("{name}.relu"), &shifted)
}

fn paper_block(g: &mut Graph, name: &str, input: &str, block: &PaperBlock) -> String {
    let x = norm_relu(g, &format!("{name}.norm1"), input, &block.norm1);
    let x = conv(g, &format!("{name}.conv1"), &x, &block.conv1);
    let x = norm_relu(g, &format!("{name}.norm2"), &x, &block.norm2);
    let x = conv(g, &format!("{name}.conv2"), &x, &block.conv2);
    g.node(&format!("{name}.sum"), "Add", &[input, &x], &[])
}

fn double(g: &mut Graph, name: &str, input: &str) -> String {
    let scales = g.constant(&format!("{name}.scales"), &Tensor::from_slice(&[1f32, 1.0, 2.0, 2.0]));
    let attributes = [
        ("mode", Attribute::Word("linear")),
        ("coordinate_transformation_mode", Attribute::Word("half_pixel")),
    ];
    g.node(name, "Resize", &[input, "", &scales], &attributes)
}

fn paper(g: &mut Graph, net: &Paper) {
    let x = g.enter("input.half", "input");
    let head = conv(g, "head", &x, &net.head);
    let mut x = head.clone();
    for (i, block) in net.blocks16.iter().enumerate() {
        x = paper_block(g, &format!("blocks16.{i}"), &x, block);
    }
    let x = g.node("sum16", "Add", &[&x, &head], &[]);
    let x = double(g, "at32", &x);
    let x = norm_relu(g, "norm32", &x, &net.norm32);
    let mut x = conv(g, "to32", &x, &net.to32);
    let skip = conv(g, "skip32", &x, &net.skip32);
    for (i, block) in net.blocks32.iter().enumerate() {
        x = paper_block(g, &format!("blocks32.{i}"), &x, block);
    }
    let x = g.node("sum32", "Add", &[&x, &skip], &[]);
    let x = double(g, "at64", &x);
    let x = conv(g, "to64", &x, &net.to64);
    let x = relu(g, "to64.relu", &x);
    let x = conv(g, "mix64", &x, &net.mix64);
    let x = relu(g, "mix64.relu", &x);
    let x = conv(g, "last", &x, &net.last);
    let x = g.leave("last.full", &x);
    g.node("output", "Tanh", &[&x], &[]);
}
