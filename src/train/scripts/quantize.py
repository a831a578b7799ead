#!/usr/bin/env python3
"""Static INT8 (QDQ) variant of an exported generator: u8 activations, s8 weights per channel.

    python3 quantize.py IN.onnx OUT.onnx --data FOLDER [--faces 512]

Calibrated on real LR faces: FOLDER/lr-faces.tar, or lr-faces-32.tar for a generator of 32x32 faces. Only the convolutions of the network proper
are quantized (and the sums between them, so that a block stays in INT8); what holds the output to
the input ("consistency", fp32) is left alone, and corrects part of the rounding. Prints the loss
against the fp32 file. Needs: pip install onnx==1.22.0 onnxruntime==1.31.1 numpy pillow
"""
import argparse
import io
import os
import sys
import tarfile
import tempfile

# ONNX Runtime sends usage data unless it is told not to, before it is loaded.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import numpy as np
import onnx
import onnxruntime as ort
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from PIL import Image


def faces(folder, side, count):
    """-> count faces spread over the archive, float32 [n, 3, side, side] in [-1, 1]"""
    with tarfile.open(os.path.join(folder, "lr-faces.tar" if side == 16 else f"lr-faces-{side}.tar")) as tar:
        members = [m for m in tar.getmembers() if m.name.endswith(".png")]
        members = members[:: max(1, len(members) // count)][:count]
        pictures = [np.asarray(Image.open(io.BytesIO(tar.extractfile(m).read())).convert("RGB")) for m in members]
    return np.stack(pictures).transpose(0, 3, 1, 2).astype(np.float32) / 127.5 - 1


class Reader(CalibrationDataReader):
    def __init__(self, x, batch=32):
        self.batches = iter([{"input": x[i : i + batch]} for i in range(0, len(x), batch)])

    def get_next(self):
        return next(self.batches, None)


def run(path, x):
    return ort.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, {"input": x})[0]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("source")
    parser.add_argument("target")
    parser.add_argument("--data", required=True)
    parser.add_argument("--faces", type=int, default=512)
    args = parser.parse_args()
    model = onnx.load(args.source)
    side = model.graph.input[0].type.tensor_type.shape.dim[3].dim_value
    x = faces(args.data, side, args.faces)
    meta = {p.key: p.value for p in model.metadata_props}
    # The network proper: blocks.*, body, last. The rest is what holds the output to the input, and the head, which reads the
    # picture itself: in 8 bits it cost 9 dB of the 32x32 net (39.2 instead of 48.3, worst face 28.5 instead of 44.0) and
    # has less than a hundredth of the arithmetic.
    proper = ("node.blocks", "node.body", "node.last")
    chosen = [n.name for n in model.graph.node if n.op_type in ("Conv", "Add") and n.name.startswith(proper)]
    if not chosen:
        sys.exit(f"{args.source}: not a compact generator of facesr-train")
    with tempfile.TemporaryDirectory() as folder:
        ready = os.path.join(folder, "ready.onnx")
        quant_pre_process(args.source, ready, skip_symbolic_shape=True)
        quantize_static(
            ready, args.target, Reader(x), quant_format=QuantFormat.QDQ, per_channel=True,
            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, nodes_to_quantize=chosen,
            # One activation of a hundred thousand is clipped: ranges up to the outermost one cost the 32x32 net 3 dB, and 4 dB
            # in its worst face.
            calibrate_method=CalibrationMethod.Percentile,
            extra_options={"ActivationSymmetric": False, "WeightSymmetric": True, "CalibPercentile": 99.999},
        )
    quantized = onnx.load(args.target)
    onnx.helper.set_model_props(quantized, {**meta, "facesr.quantization": "static QDQ, u8 activations, s8 weights per channel"})
    onnx.save(quantized, args.target)
    check = faces(args.data, side, 3002)[1::7]
    a, b = run(args.source, check), run(args.target, check)
    gap = (a - b) / 2
    mse = (gap ** 2).mean((1, 2, 3))
    print(f"{args.target}: {os.path.getsize(args.target)} bytes; against fp32 on {len(check)} faces: "
          f"PSNR {float((-10 * np.log10(mse)).mean()):.1f} dB, worst {float(-10 * np.log10(mse.max())):.1f} dB, "
          f"mean absolute {float(np.abs(gap).mean() * 255):.2f} of 255")


if __name__ == "__main__":
    main()
