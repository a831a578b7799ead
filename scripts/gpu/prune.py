#!/usr/bin/env python3
"""Cuts ONNX Runtime's CUDA provider down to what facesr's generator runs on one generation of GPUs.

    prune.py IN.so OUT.so SM         e.g. prune.py libonnxruntime_providers_cuda.so small.so 90

Two thirds of the library are kernels, of six GPU generations, and most of these are for language
models. Nothing is moved: in each of its containers of kernels

- entries for other generations are blanked (headers stay, so that all sizes and places stay);
- a container that holds nothing but kernels of the families in UNUSED gets, for this generation, the
  library's own smallest valid image in their place. Such a kernel can then not be launched, and an error
  would say so; loading the library is as before.

What was blanked compresses to nothing. Afterwards the file is compared with the original: bytes outside
the changed ranges must be equal. The images' names are read by libzstd, which every Debian has.
"""
import ctypes
import re
import struct
import sys

MAGIC = struct.pack("<I", 0xBA55ED50)
CUBIN, ZSTD = 2, 0x8000
# Parts of mangled names: attention, mixtures of experts, matrix products of quantised weights, and the
# tiled matrix products that these are made of. Convolutions come from cuDNN, plain products from cuBLAS.
UNUSED = (b"7cutlass", b"5flash", b"3llm", b"fused_moe", b"Fused_Moe", b"AttentionKernel")


class Entry:
    """One image: kind and GPU generation, and where its header and its bytes are."""

    def __init__(self, data, at):
        self.at = at
        self.kind, _, self.header, self.size = struct.unpack_from("<HHIQ", data, at)
        if self.header < 64 or self.header > 1024:
            sys.exit(f"unknown layout of kernels at {at:#x}: header of {self.header} bytes")
        (self.packed,) = struct.unpack_from("<I", data, at + 16)
        (self.generation,) = struct.unpack_from("<I", data, at + 28)
        (self.flags,) = struct.unpack_from("<Q", data, at + 40)
        (self.unpacked,) = struct.unpack_from("<Q", data, at + 56)
        self.body = at + self.header
        self.end = self.body + self.size


def containers(data):
    at = 0
    while (at := data.find(MAGIC, at)) >= 0:
        _, version, header, size = struct.unpack_from("<IHHQ", data, at)
        end = at + header + size
        if version != 1 or header != 16 or end > len(data):  # those four bytes by chance
            at += 4
            continue
        entries, place = [], at + header
        while place < end:
            entries.append(Entry(data, place))
            place = entries[-1].end
        if place != end:
            sys.exit(f"unknown layout of kernels at {at:#x}")
        yield entries
        at = end


def image(zstd, data, entry):
    """The bytes of an image as the driver sees them."""
    if not entry.flags & ZSTD:
        return data[entry.body : entry.end]
    out = ctypes.create_string_buffer(entry.unpacked)
    source = bytes(data[entry.body : entry.body + entry.packed])
    done = zstd.ZSTD_decompress(out, ctypes.c_size_t(entry.unpacked), source, ctypes.c_size_t(len(source)))
    if done != entry.unpacked:
        sys.exit(f"the image at {entry.body:#x} does not unpack")
    return out.raw


def main():
    source, target, generation = sys.argv[1], sys.argv[2], int(sys.argv[3])
    zstd = ctypes.CDLL("libzstd.so.1")
    zstd.ZSTD_decompress.restype = ctypes.c_size_t
    with open(source, "rb") as file:
        before = file.read()
    after, changed = bytearray(before), []
    ours, smallest = [], None
    for entries in containers(before):
        own = [e for e in entries if (e.kind, e.generation) == (CUBIN, generation)]
        if not own:
            continue  # left whole
        for e in entries:
            if e not in own:
                changed.append((e.body, e.end))
        names = [set(re.findall(rb"\0\.text\.([^\0]+)", image(zstd, before, e))) for e in own]
        ours.append((own, names))
        for e, held in zip(own, names):
            if not held and e.flags & ZSTD and (smallest is None or e.packed < smallest.packed):
                smallest = e
    if not ours:
        sys.exit(f"there is no code for sm_{generation} in {source}")
    if smallest is None:
        sys.exit("there is no image without kernels to put in the place of others")
    stub = before[smallest.body : smallest.body + smallest.packed]
    kept = dropped = 0
    for own, names in ours:
        held = set().union(*names)
        unused = held and all(any(part in name for part in UNUSED) for name in held)
        for e in own:
            if not unused or e.size < len(stub) or not e.flags & ZSTD:
                kept += e.size
                continue
            dropped += e.size
            # Its packed and unpacked length become the stub's; the room it has stays.
            after[e.at + 16 : e.at + 20] = struct.pack("<I", smallest.packed)
            after[e.at + 56 : e.at + 64] = struct.pack("<Q", smallest.unpacked)
            changed += [(e.at + 16, e.at + 20), (e.at + 56, e.at + 64), (e.body, e.end)]
            after[e.body : e.end] = stub + bytes(e.size - len(stub))
    for start, end in changed:
        if after[start:end] == before[start:end] and end - start > 8:
            after[start:end] = bytes(end - start)
    with open(target, "wb") as file:
        file.write(after)
    place = 0
    for start, end in sorted(changed) + [(len(before), len(before))]:
        if before[place:start] != after[place:start]:
            sys.exit(f"{target} was changed where it should not be")
        place = end
    if len(after) != len(before):
        sys.exit(f"{target} has another size")
    print(f"sm_{generation}: {kept / 1e6:.1f} MB of kernels kept, {dropped / 1e6:.1f} MB of others dropped")


if __name__ == "__main__":
    main()
