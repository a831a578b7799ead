#!/usr/bin/env python3
"""Makes models/standin-bicubic-x4.onnx: bicubic enlargement dressed as a generator.

The stand-in keeps the generator contract (see models/README.md) and has learnt nothing: it shows
that the whole way runs until trained weights take its place. Needs only the package onnx:

    python3 -m venv /tmp/onnx && /tmp/onnx/bin/pip install onnx==1.17.0
    /tmp/onnx/bin/python models/make_standin.py

The same package gives the same bytes.
"""

from pathlib import Path

import onnx
from onnx import TensorProto, helper

SIDE_IN, SIDE_OUT = 16, 64
METADATA = {
    "facesr.arch": "standin-bicubic",
    "facesr.crop_scale": "1.1",
    "facesr.data": "none",
    "facesr.terms": "MIT OR Apache-2.0",
}


def model() -> onnx.ModelProto:
    constants = [
        helper.make_tensor("scales", TensorProto.FLOAT, [4], [1.0, 1.0, 4.0, 4.0]),
        helper.make_tensor("least", TensorProto.FLOAT, [], [-1.0]),
        helper.make_tensor("most", TensorProto.FLOAT, [], [1.0]),
    ]
    nodes = [
        # Pillow's BICUBIC: a = -0.5, pixel centers at .5, weights outside the picture left out.
        helper.make_node(
            "Resize",
            ["input", "", "scales"],
            ["enlarged"],
            mode="cubic",
            cubic_coeff_a=-0.5,
            coordinate_transformation_mode="half_pixel",
            exclude_outside=1,
        ),
        helper.make_node("Clip", ["enlarged", "least", "most"], ["output"]),
    ]

    def face(name: str, side: int) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 3, side, side])

    graph = helper.make_graph(
        nodes,
        "standin-bicubic-x4",
        [face("input", SIDE_IN)],
        [face("output", SIDE_OUT)],
        constants,
        doc_string="Bicubic enlargement: a stand-in, nothing learnt.",
    )
    made = helper.make_model(
        graph,
        producer_name="facesr",
        ir_version=8,
        opset_imports=[helper.make_opsetid("", 17)],
    )
    helper.set_model_props(made, METADATA)
    onnx.checker.check_model(made, full_check=True)
    return made


if __name__ == "__main__":
    path = Path(__file__).with_name("standin-bicubic-x4.onnx")
    path.write_bytes(model().SerializeToString(deterministic=True))
    print(f"{path}: {path.stat().st_size} bytes")
