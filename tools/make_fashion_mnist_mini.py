"""Makes the packaged data set `fashion-mnist-mini` from Debian's package `dataset-fashion-mnist`.

    python tools/make_fashion_mnist_mini.py [--source FOLDER] [--destination FOLDER]

10,000 training and 4,000 validation images come from the official training split, 2,000 test images from the official
test split. Each part holds the same number of images of each class. The same source gives the same files.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import json
import lzma
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
NAME = "fashion-mnist-mini"
SEED = 20170825
TRAIN, VALIDATION, TEST = 1000, 400, 200  # images per class
CLASSES = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"]
SOURCES = [f"{part}-{kind}-ubyte.gz" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")]
LICENSE_LINE = "MIT, Copyright 2017 Zalando SE, https://tech.zalando.com"
PROVENANCE = (
    "A class-balanced random part of Fashion-MNIST (https://github.com/zalandoresearch/fashion-mnist, as packaged in "
    "Debian's dataset-fashion-mnist): train and validation from its 60,000 training images, test from its 10,000 test "
    "images; made by tools/make_fashion_mnist_mini.py"
)
MIT = """\
Fashion-MNIST
Copyright (c) 2017 Zalando SE, https://tech.zalando.com

The MIT License (MIT)

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
documentation files (the "Software"), to deal in the Software without restriction, including without limitation the
rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit
persons to whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR
OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""


def read_rows(source: Path, part: str) -> Bytes:
    """The official split `part` ("train" or "t10k") as an (N, 785) array: the label, then 28 x 28 pixels."""
    labels = gzip.decompress((source / f"{part}-labels-idx1-ubyte.gz").read_bytes())[8:]
    pixels = gzip.decompress((source / f"{part}-images-idx3-ubyte.gz").read_bytes())[16:]
    columns = [np.frombuffer(labels, np.uint8)[:, None], np.frombuffer(pixels, np.uint8).reshape(-1, 784)]
    return np.concatenate(columns, axis=1)


def draw(labels: Bytes, sizes: list[int]) -> list[NDArray[np.int64]]:
    """Disjoint index lists, one a size, with `size` images of each class, each in the order of the source."""
    random = np.random.RandomState(SEED)  # its stream is frozen across NumPy versions, a Generator's is not
    shuffled = [random.permutation(np.flatnonzero(labels == label)) for label in range(len(CLASSES))]
    ends = np.cumsum(sizes)
    return [
        np.sort(np.concatenate([s[end - size : end] for s in shuffled])) for size, end in zip(sizes, ends, strict=True)
    ]


def pack(rows: Bytes) -> bytes:
    """The array as an xz-compressed .npy file."""
    buffer = io.BytesIO()
    np.save(buffer, rows, allow_pickle=False)
    return lzma.compress(buffer.getvalue(), preset=9 | lzma.PRESET_EXTREME)


def describe(source: Path, train: Bytes, outputs: dict[str, bytes]) -> dict[str, Any]:
    """What the JSON file says. `mean` and `std` are of the training pixels scaled to [0, 1]."""
    pixels = train[:, 1:] / 255.0
    return {
        "name": NAME,
        "provenance": PROVENANCE,
        "license": LICENSE_LINE,
        "seed": SEED,
        "counts": {"train": TRAIN * 10, "validation": VALIDATION * 10, "test": TEST * 10},
        "shape": [1, 28, 28],
        "class_names": CLASSES,
        "mean": [float(pixels.mean())],
        "std": [float(pixels.std())],
        "source_sha256": {name: hashlib.sha256((source / name).read_bytes()).hexdigest() for name in SOURCES},
        "sha256": {name: hashlib.sha256(content).hexdigest() for name, content in outputs.items()},
    }


def make(source: Path, destination: Path) -> dict[str, int]:
    """Writes the four files and returns their sizes in bytes."""
    official, official_test = read_rows(source, "train"), read_rows(source, "t10k")
    train, validation = draw(official[:, 0], [TRAIN, VALIDATION])
    (test,) = draw(official_test[:, 0], [TEST])
    outputs = {
        f"{NAME}.search.npy.xz": pack(official[np.concatenate([train, validation])]),
        f"{NAME}.test.npy.xz": pack(official_test[test]),
    }
    about = json.dumps(describe(source, official[train], outputs), indent=2) + "\n"
    files = {**outputs, f"{NAME}.json": about.encode(), f"{NAME}.LICENSE": MIT.encode()}
    destination.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (destination / name).write_bytes(content)
    return {name: len(content) for name, content in files.items()}


def main() -> None:
    """The command line."""
    here = Path(__file__).resolve().parent.parent
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path, default=Path("/usr/share/datasets/fashion-mnist"))
    parser.add_argument("--destination", type=Path, default=here / "cspnas" / "data" / "packaged")
    arguments = parser.parse_args()
    for name, size in make(arguments.source, arguments.destination).items():
        print(f"{size:>10,} bytes  {arguments.destination / name}")


if __name__ == "__main__":
    main()
