#!/usr/bin/env python3
"""The ranges of CenterFace's tensors, for its 8-bit twin, which the engine makes when it opens the model.

    python3 calibrate.py CENTERFACE.onnx TABLE.csv BIKES BUNNY CARPHONE ASTRONAUT.png

BIKES, BUNNY and CARPHONE are folders with the frames of a clip as PNG. Clips are seen as they are; the persons
of the last two pictures also as crowds of small faces. Written is where all but a few of a hundred thousand values lie
of what the backbone's convolutions and sums answer (after Relu where one follows). Left out, so in single
precision, are its first two convolutions, and all that follows it: they are quickly computed, and lose most.
"""
import argparse
import os
import pathlib
import tempfile

# ONNX Runtime sends usage data unless it is told not to, before it is loaded.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod
from onnxruntime.quantization.calibrate import create_calibrator
from PIL import Image, ImageEnhance, ImageOps

# The network halves its input five times.
MULTIPLE = 32
# Crowds, pixels.
WIDTH, HEIGHT = 960, 544
# Longer sides of the faces of one crowd each, pixels.
FACES = (8, 12, 16, 24, 34, 48, 80)
# Brightness and contrast of persons in crowds.
LIGHTS = ((1.0, 1.0), (0.5, 0.8), (1.4, 1.0), (0.9, 0.5), (1.0, 1.5))
# Head and shoulders (left, top, right, bottom) and the face's longer side, pixels.
ASTRONAUT = ((100, 0, 350, 250), 110)
CARPHONE = ((10, 0, 154, 144), 64)
# The first and the last tensor in 8 bits.
FIRST, LAST = "369", "507"
# Percent of the values that lie in a tensor's range.
SHARE = 99.998
# Significant digits, so that machines whose last bits differ write the same.
DIGITS = 4


def frames(folder, step):
    names = sorted(pathlib.Path(folder).glob("*.png"))
    if not names:
        raise SystemExit(f"{folder} holds no frames")
    return [Image.open(name).convert("RGB") for name in names[::step]]


def scaled(picture, factor):
    return picture.resize([max(1, round(n * factor)) for n in picture.size], Image.Resampling.BICUBIC)


def crowd(ground, persons, side):
    """-> ground with persons all over it, whose faces are of this side, in several lights"""
    picture = ground.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
    persons = [scaled(person.crop(box), side / face) for person, (box, face) in persons]
    cell = max(person.width for person in persons)
    places = [(x, y) for y in range(0, HEIGHT - cell + 1, cell) for x in range(0, WIDTH - cell + 1, cell)]
    for i, place in enumerate(places):
        if i % 7 == 3:
            continue  # Some of the ground stays.
        brightness, contrast = LIGHTS[i % len(LIGHTS)]
        person = ImageEnhance.Brightness(persons[i % len(persons)]).enhance(brightness)
        person = ImageEnhance.Contrast(person).enhance(contrast)
        picture.paste(ImageOps.mirror(person) if i // 2 % 2 else person, place)
    return picture


def pictures(bikes, bunny, carphone, astronaut):
    bikes, bunny, carphone = frames(bikes, 25), frames(bunny, 33), frames(carphone, 60)
    astronaut = Image.open(astronaut).convert("RGB")
    yield from bikes
    yield from (scaled(frame, 0.75) for frame in bunny)
    # As tiles of large frames are.
    yield from (frame.crop((320 * i, 180, 320 * i + 640, 720)) for i, frame in enumerate(bunny[:3]))
    yield from (scaled(astronaut, factor) for factor in (0.5, 1.0))
    yield from (scaled(frame, 2.0) for frame in carphone)
    persons = [(astronaut, ASTRONAUT), *((frame, CARPHONE) for frame in carphone)]
    for i, side in enumerate(FACES):
        yield crowd((bikes + bunny)[i * 3 % len(bikes + bunny)], persons, side)


class Reader(CalibrationDataReader):
    """One picture: what is read at once is kept in memory, with all that the network makes of it."""

    def __init__(self, name, picture):
        pixels = np.asarray(picture, dtype=np.float32)
        # The engine, too, fills up with black to the right and below.
        pixels = np.pad(pixels, [(0, -n % MULTIPLE) for n in pixels.shape[:2]] + [(0, 0)])
        self.feeds = iter([{name: pixels.transpose(2, 0, 1)[None]}])

    def get_next(self):
        return next(self.feeds, None)


def chosen(graph):
    """-> names of the tensors that are to be in 8 bits, in the graph's order"""
    takers = {}
    for node in graph.node:
        for name in node.input:
            takers.setdefault(name, []).append(node)
    names = []
    for node in graph.node:
        if node.op_type in ("Conv", "Add"):
            after = takers[node.output[0]]
            alone = [n.op_type for n in after] == ["Relu"]
            names.append(after[0].output[0] if alone else node.output[0])
        if node.output[0] == LAST:
            break
    return names[names.index(FIRST) :]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("table")
    parser.add_argument("pictures", nargs=4)
    args = parser.parse_args()
    model = onnx.load(args.model)
    # Its file lists the weights as inputs, too, and one size.
    weights = {weight.name for weight in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    for value in [*model.graph.input, *model.graph.output]:
        for i in (2, 3):
            value.type.tensor_type.shape.dim[i].dim_param = f"{value.name}_{i}"
        value.type.tensor_type.shape.dim[0].dim_value = 1
    with tempfile.TemporaryDirectory() as folder:
        free, augmented = os.path.join(folder, "free.onnx"), os.path.join(folder, "augmented.onnx")
        onnx.save(model, free)
        calibrator = create_calibrator(
            free,
            op_types_to_calibrate=["Conv", "Add", "Relu"],
            augmented_model_path=augmented,
            calibrate_method=CalibrationMethod.Percentile,
            extra_options={"percentile": SHARE, "symmetric": False, "num_bins": 8192},
        )
        for picture in pictures(*args.pictures):
            calibrator.collect_data(Reader(model.graph.input[0].name, picture))
        ranges = calibrator.compute_data()
    with open(args.table, "w", encoding="ascii") as table:
        table.write("# tensor,least,largest of CenterFace over pictures; scripts/calibrate.sh makes it and says which\n")
        for name in chosen(model.graph):
            low, high = (np.asarray(value).item() for value in ranges[name].range_value)
            table.write(f"{name},{low:.{DIGITS}g},{high:.{DIGITS}g}\n")


if __name__ == "__main__":
    main()
