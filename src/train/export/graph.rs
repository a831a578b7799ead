//! Puts an ONNX graph together node by node.

use tch::{Device, Kind, Tensor};

use crate::scale::Scale;

use facesr_onnx::messages::{
    AttributeProto, Dimension, GraphProto, ModelProto, NodeProto, OperatorSetIdProto,
    StringStringEntryProto, TensorProto, TensorShapeProto, TypeProto, TypeProtoTensor,
    ValueInfoProto, attribute_type, data_type,
};

/// An attribute of a node.
#[derive(Debug, Clone)]
pub enum Attribute {
    /// A whole number.
    Int(i64),
    /// Whole numbers.
    Ints(Vec<i64>),
    /// A word.
    Word(&'static str),
    /// A real number.
    Float(f32),
}

/// A graph under construction. Values are named by strings, as in ONNX.
#[derive(Debug, Default)]
pub struct Graph {
    nodes: Vec<NodeProto>,
    initializers: Vec<TensorProto>,
    half: bool,
}

impl Graph {
    /// An empty graph. With `half`, [`Graph::weight`] stores fp16.
    pub fn new(half: bool) -> Self {
        Self { half, ..Self::default() }
    }

    /// Adds a node; its one output bears its name.
    pub fn node(
        &mut self,
        name: &str,
        op: &str,
        inputs: &[&str],
        attributes: &[(&str, Attribute)],
    ) -> String {
        let attribute = attributes
            .iter()
            .map(|(name, value)| {
                let mut a = AttributeProto { name: (*name).to_owned(), ..Default::default() };
                match value {
                    Attribute::Int(i) => (a.i, a.r#type) = (*i, attribute_type::INT),
                    Attribute::Ints(v) => (a.ints, a.r#type) = (v.clone(), attribute_type::INTS),
                    Attribute::Word(s) => (a.s, a.r#type) = ((*s).into(), attribute_type::STRING),
                    Attribute::Float(f) => (a.f, a.r#type) = (*f, attribute_type::FLOAT),
                }
                a
            })
            .collect();
        self.nodes.push(NodeProto {
            input: inputs.iter().map(|s| (*s).to_owned()).collect(),
            output: vec![name.to_owned()],
            name: format!("node.{name}"),
            op_type: op.to_owned(),
            attribute,
        });
        name.to_owned()
    }

    fn store(&mut self, name: &str, tensor: &Tensor, half: bool) -> String {
        let kind = if half { Kind::Half } else { Kind::Float };
        let tensor = tensor.detach().to_device(Device::Cpu).to_kind(kind).contiguous();
        let mut raw_data = vec![0u8; tensor.numel() * if half { 2 } else { 4 }];
        tensor.copy_data_u8(&mut raw_data, tensor.numel());
        self.initializers.push(TensorProto {
            dims: tensor.size(),
            data_type: if half { data_type::FLOAT16 } else { data_type::FLOAT },
            name: name.to_owned(),
            raw_data,
        });
        name.to_owned()
    }

    /// A weight of the network proper: fp16 in a half-precision graph.
    pub fn weight(&mut self, name: &str, tensor: &Tensor) -> String {
        self.store(name, tensor, self.half)
    }

    /// A constant that is fp32 in every graph.
    pub fn constant(&mut self, name: &str, tensor: &Tensor) -> String {
        self.store(name, tensor, false)
    }

    /// Whole numbers, for the inputs of shape operators.
    pub fn whole(&mut self, name: &str, values: &[i64]) -> String {
        self.initializers.push(TensorProto {
            dims: vec![values.len() as i64],
            data_type: data_type::INT64,
            name: name.to_owned(),
            raw_data: values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        });
        name.to_owned()
    }

    /// Into the arithmetic of the network proper (nothing to do in an fp32 graph).
    pub fn enter(&mut self, name: &str, value: &str) -> String {
        self.cast(name, value, data_type::FLOAT16)
    }

    /// Back to fp32.
    pub fn leave(&mut self, name: &str, value: &str) -> String {
        self.cast(name, value, data_type::FLOAT)
    }

    fn cast(&mut self, name: &str, value: &str, to: i32) -> String {
        if self.half {
            self.node(name, "Cast", &[value], &[("to", Attribute::Int(to.into()))])
        } else {
            value.to_owned()
        }
    }

    /// The finished model: `input` [n, 3, s, s] -> `output` [n, 3, 4s, 4s].
    pub fn finish(self, scale: Scale, metadata: &[(&str, String)], doc: &str) -> ModelProto {
        let value = |name: &str, side: i64| {
            let fixed = |v| Dimension { dim_value: Some(v), dim_param: None };
            let n = Dimension { dim_value: None, dim_param: Some("n".into()) };
            let shape = TensorShapeProto { dim: vec![n, fixed(3), fixed(side), fixed(side)] };
            let tensor_type =
                Some(TypeProtoTensor { elem_type: data_type::FLOAT, shape: Some(shape) });
            ValueInfoProto { name: name.to_owned(), r#type: Some(TypeProto { tensor_type }) }
        };
        ModelProto {
            ir_version: 8,
            producer_name: "facesr-train".into(),
            producer_version: env!("CARGO_PKG_VERSION").into(),
            doc_string: doc.to_owned(),
            graph: Some(GraphProto {
                node: self.nodes,
                name: "low-to-high".into(),
                initializer: self.initializers,
                input: vec![value("input", scale.lr as i64)],
                output: vec![value("output", scale.hr() as i64)],
            }),
            opset_import: vec![OperatorSetIdProto { domain: String::new(), version: 17 }],
            metadata_props: metadata
                .iter()
                .map(|(key, value)| StringStringEntryProto {
                    key: (*key).to_owned(),
                    value: value.clone(),
                })
                .collect(),
        }
    }
}
