"""Decodes images and writes them into their rows of a prepared file; the whole of a process that prepares."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from cspnas.data.image_files import image_fault, read_pixels
from cspnas.data.image_settings import Resize
from cspnas.errors import InputError

# Images from one telling of the progress to the next.
TOLD_EVERY = 16


@dataclass(frozen=True, slots=True)
class PreparationJob:
    """`files`: (row, path) of each image; row 0 begins at byte `images_at` of the file `target`.

    Each is made `size` (height, width) in pixels as `resize` says, in one channel where it is `grey`, else in three.
    """

    target: str
    images_at: int
    size: tuple[int, int]
    grey: bool
    resize: Resize
    files: list[tuple[int, str]]


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a process tells: so many images are `done` since it told before, and these (path, reason) were unreadable."""

    done: int
    unreadable: list[tuple[str, str]]


def prepare_images(job: PreparationJob, tell: Callable[[Prepared], None]) -> None:
    """Do the `job`. Raises OSError where `target` cannot be written."""
    image_bytes = (1 if job.grey else 3) * job.size[0] * job.size[1]
    descriptor = os.open(job.target, os.O_WRONLY)
    try:
        done, unreadable = 0, list[tuple[str, str]]()
        for row, path in job.files:
            try:
                pixels = read_pixels(Path(path), grey=job.grey, size=job.size, resize=job.resize)
                os.pwrite(descriptor, pixels.transpose(2, 0, 1).tobytes(), job.images_at + row * image_bytes)
            except InputError as error:
                unreadable.append((path, image_fault(error)))
            done += 1
            if done == TOLD_EVERY:
                tell(Prepared(done, unreadable))
                done, unreadable = 0, []
        tell(Prepared(done, unreadable))
    finally:
        os.close(descriptor)


def encode_job(job: PreparationJob) -> bytes:
    """For the standard input of a process."""
    return json.dumps(asdict(job)).encode()


def told_lines(stream: IO[bytes]) -> Iterator[Prepared]:
    """What a process says on its standard output."""
    for line in stream:
        yield Prepared(**json.loads(line))


def main() -> None:
    """One job from standard input, told line by line on standard output."""
    job = json.load(sys.stdin.buffer)
    job |= {"size": tuple(job["size"]), "files": [tuple(file) for file in job["files"]]}

    def tell(told: Prepared) -> None:
        sys.stdout.write(f"{json.dumps(asdict(told))}\n")
        sys.stdout.flush()

    prepare_images(PreparationJob(**job), tell)
