"""How fast photographs are prepared, how long a second start takes, what feeding from the prepared file costs, and memory.

    python benchmarks/preparing.py SCRATCH [--images 20000] [--large 100000]      prints JSON, and keeps it in SCRATCH

`prepare`: JPEGs of about 500 x 375 pixels to 96 x 96; `again`: the second start; `feed`: CPU time of an epoch of a network
of 10 MMACs from the file to that from memory; `memory`: of 300 steps of a training on `--large` images of 160 x 160, in a
process of its own. Each part is done once for a SCRATCH: the same command goes on where it was stopped. SCRATCH is yours
to delete.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from cspnas.data.datasets import DataSet, Split, load
from cspnas.data.image_settings import ImageSettings
from cspnas.network.architecture import Architecture, Stage, Stem
from cspnas.network.wiring import wire
from cspnas.training.batches import InMemoryBatches
from cspnas.training.module import NetworkModule
from cspnas.training.recipe import Recipe
from cspnas.training.train import TrainingState, train_network

DRAWN, CLASSES = 300, 10
SIZE = ImageSettings((96, 96))
LARGE = (3, 160, 160)
RECIPE = Recipe(epochs=1, batch_size=64, precision="float32")
# Of the training whose memory is measured.
LARGE_BATCH, LARGE_STEPS = 128, 300


def network_of(shape: tuple[int, int, int]) -> Architecture:
    """About 10 MMACs at 96 x 96."""
    stages = (Stage(3, 10, 10, 32, False), Stage(3, 14, 14, 64, False))
    return Architecture("densenet", shape, CLASSES, Stem(12, stride=4), stages)


def photographs(folder: Path, count: int) -> None:
    """JPEGs with edges, gradients and noise: DRAWN different ones, of which each copy differs in a few pixels."""
    random = np.random.RandomState(0)
    base = []
    for _ in range(DRAWN):
        width, height = random.randint(450, 550), random.randint(340, 410)
        coarse = Image.fromarray(random.randint(0, 256, (9, 12, 3)).astype(np.uint8))
        smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC)).astype(np.int16)
        base.append((smooth + random.randint(-12, 13, smooth.shape)).clip(0, 255).astype(np.uint8))
    for number in range(count):
        file = folder / f"class{number % CLASSES}" / f"{number:06}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        pixels = base[number % DRAWN].copy()
        pixels[:4, :64] = number * 37 % 256
        pixels[4:8, :64] = number // 256
        Image.fromarray(pixels).save(file, quality=88)


def timed(work: Callable[[], Any]) -> tuple[float, float, Any]:
    """Wall and CPU seconds, those of ended child processes too, and what `work` gives."""
    before, start = os.times(), time.perf_counter()
    found = work()
    after = os.times()
    return time.perf_counter() - start, sum(after[:4]) - sum(before[:4]), found


def prepare(scratch: Path, count: int) -> dict[str, Any]:
    """Images a second, of wall time and of the CPU time of one core."""
    if len(list((scratch / "images").glob("*/*.jpg"))) != count:
        shutil.rmtree(scratch / "images", ignore_errors=True)
        photographs(scratch / "images", count)
    wall, cpu, _ = timed(lambda: load(f"folder:{scratch / 'images'}", SIZE))
    return {"images": count, "per_second": count / wall, "per_cpu_second": count / cpu, "load": os.getloadavg()}


def again(scratch: Path) -> dict[str, Any]:
    """Seconds of a second start."""
    runs = [timed(lambda: load(f"folder:{scratch / 'images'}", SIZE)) for _ in range(3)]
    return {"wall_seconds": min(run[0] for run in runs), "cpu_seconds": min(run[1] for run in runs)}


def feed(scratch: Path) -> dict[str, Any]:
    """CPU seconds of an epoch from the file and from memory, in turns."""
    whole = load(f"folder:{scratch / 'images'}", SIZE)
    mapped = replace(whole, train=_first(whole.train, 2048), validation=_first(whole.validation, 64))
    kept = replace(mapped, train=_copied(mapped.train), validation=_copied(mapped.validation), file=None)
    spent = {"file": [], "memory": []}  # type: dict[str, list[float]]
    for _ in range(3):
        for name, data in (("file", mapped), ("memory", kept)):
            spent[name].append(timed(lambda data=data: _train(data))[1])  # type: ignore[misc]
    found = {name: min(seconds) for name, seconds in spent.items()}
    return {**found, "share": found["file"] / found["memory"] - 1}


def memory(scratch: Path, count: int) -> dict[str, Any]:
    """MiB that an epoch on `count` images takes, which are random and written piece by piece."""
    command = [sys.executable, __file__, str(scratch), "--large", str(count), "--inside"]
    try:
        return dict(json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout))
    finally:
        (scratch / "large.safetensors").unlink(missing_ok=True)


def inside(scratch: Path, count: int) -> dict[str, Any]:
    """The process whose memory is measured."""
    from threading import Event, Thread

    data, done, most = _large(scratch / "large.safetensors", count), Event(), dict[str, int]()

    def watch() -> None:
        while not done.wait(0.2):
            for line in Path("/proc/self/status").read_text().splitlines():
                if line.startswith(("RssAnon", "RssFile", "VmRSS")):
                    name, value = line.split()[0].rstrip(":"), int(line.split()[1]) // 1024
                    most[name] = max(most.get(name, 0), value)

    watcher = Thread(target=watch)
    watcher.start()
    tiny = Architecture("densenet", LARGE, CLASSES, Stem(4, stride=4), (Stage(1, 4, 4, 8, True),))
    batches = InMemoryBatches(data, torch.device("cpu"))
    wall = timed(lambda: _some_steps(NetworkModule(wire(tiny)), batches))[0]
    done.set()
    watcher.join()
    return {"images": count, "gigabytes": data.train.images.nbytes / 1e9, "wall_seconds": wall, "most_mib": most}


class _EnoughError(Exception):
    """The steps were made."""


def _some_steps(network: NetworkModule, batches: InMemoryBatches) -> None:
    def enough(standing: TrainingState) -> None:
        if standing.step == LARGE_STEPS:
            raise _EnoughError

    with suppress(_EnoughError):
        train_network(network, batches, replace(RECIPE, batch_size=LARGE_BATCH), 0, on_batch=enough)


def _large(target: Path, count: int) -> DataSet:
    from cspnas.data.prepared_file import PreparedLayout, open_prepared

    layout, random = PreparedLayout(4096, (count, 64), LARGE), np.random.RandomState(0)
    with target.open("wb") as new:
        new.write(layout.header({}))
        new.write((np.arange(count + 64) % CLASSES).astype("<i8").tobytes())
        piece = random.randint(0, 256, 64 * layout.image_bytes).astype(np.uint8).tobytes()
        for start in range(0, count + 64, 64):
            new.write(piece[: layout.image_bytes * min(64, count + 64 - start)])
    file = open_prepared(target)
    assert file is not None
    parts = [
        Split(torch.from_numpy(file.images(part)), torch.from_numpy(file.labels(part)))
        for part in ("train", "validation")
    ]
    return DataSet("large", parts[0], parts[1], (0.5,) * 3, (0.3,) * 3, tuple("0123456789"), "0", file=file)


def _first(split: Split, count: int) -> Split:
    return Split(split.images[:count], split.labels[:count])


def _copied(split: Split) -> Split:
    return Split(split.images.clone(), split.labels.clone())


def _train(data: DataSet) -> None:
    batches = InMemoryBatches(data, torch.device("cpu"))
    train_network(NetworkModule(wire(network_of(data.input_shape))), batches, RECIPE, 0)


def main() -> None:
    """Do what is not in SCRATCH yet."""
    parser = argparse.ArgumentParser()
    parser.add_argument("scratch", type=Path)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--large", type=int, default=100_000)
    parser.add_argument("--inside", action="store_true")
    said = parser.parse_args()
    if said.inside:
        print(json.dumps(inside(said.scratch, said.large)))
        return
    os.environ["CSPNAS_DATA"] = str(said.scratch / "cache")
    said.scratch.mkdir(parents=True, exist_ok=True)
    results = said.scratch / "preparing.json"
    found = json.loads(results.read_text()) if results.exists() else {}
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "prepare": lambda: prepare(said.scratch, said.images),
        "again": lambda: again(said.scratch),
        "feed": lambda: feed(said.scratch),
        "memory": lambda: memory(said.scratch, said.large),
    }
    for name, part in parts.items():
        if name not in found:
            found[name] = part()
            results.write_text(json.dumps(found, indent=2))
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
