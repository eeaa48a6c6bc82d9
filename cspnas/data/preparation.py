"""Makes a prepared file of a folder of images: in as many processes as there are processors, whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from threading import Lock
from typing import IO

import numpy as np

from cspnas.data.image_arrays import ImageArrays
from cspnas.data.image_settings import Resize
from cspnas.data.listed_images import ListedImages, Unreadable
from cspnas.data.pixel_statistics import pixel_statistics
from cspnas.data.prepared_file import PARTS, PreparedLayout, open_prepared
from cspnas.data.preparing_worker import PreparationJob, Prepared, encode_job, prepare_images, told_lines
from cspnas.data.summary import DataSummary
from cspnas.errors import InputError
from cspnas.io.import_path import import_path
from cspnas.io.machine import usable_cpus
from cspnas.io.quantities import format_quantity
from cspnas.io.steps import Step

# At most so many images are prepared in this process: others take a second to start.
ALONE = 256
# Bytes of the header for what is known only when all pixels are there.
ROOM = 4096


def write_prepared(images: ListedImages, resize: Resize, target: Path, step: Step) -> Unreadable:
    """Make `target`, or, without it, say which files are unreadable. Raises OSError, for instance for a full disk."""
    files = [*images.train, *images.validation]
    layout = _layout((len(images.train), len(images.validation)), images.form.shape, images.class_names, images.skipped)
    _check_room(layout, target.parent)
    with new_file(target) as new:
        _reserve(new, layout.file_bytes)
        os.pwrite(new.fileno(), np.array([file.label for file in files], "<i8").tobytes(), layout.labels_at)
        rows = [(row, str(file.path)) for row, file in enumerate(files)]
        size = (images.form.shape[1], images.form.shape[2])
        job = PreparationJob(new.name, layout.images_at, size, images.form.grey, resize, rows)
        unreadable = _run(job, step)
        if not unreadable:
            _finish(new, layout, images.class_names, images.skipped, images.enlarged, step)
            Path(new.name).replace(target)
    return unreadable


def store_prepared(images: ImageArrays, target: Path, step: Step) -> None:
    """Make `target` of images that are in memory. Raises OSError."""
    train, validation, names = images.train, images.validation, images.class_names
    (count, *shape), labels = train[0].shape, np.concatenate([train[1], validation[1]])
    layout = _layout((count, len(validation[0])), (shape[0], shape[1], shape[2]), names, {})
    _check_room(layout, target.parent)
    with new_file(target) as new:
        _reserve(new, layout.file_bytes)
        os.pwrite(new.fileno(), labels.astype("<i8").tobytes(), layout.labels_at)
        new.seek(layout.images_at)
        for pixels, _ in (train, validation):
            new.write(np.ascontiguousarray(pixels).data)
        new.flush()
        _finish(new, layout, names, {}, images.enlarged, step)
        Path(new.name).replace(target)


def _layout(
    counts: tuple[int, int], shape: tuple[int, int, int], class_names: tuple[str, ...], skipped: Mapping[str, int]
) -> PreparedLayout:
    room = ROOM + 2 * len(json.dumps([class_names, skipped]))
    return PreparedLayout(-(-room // 8) * 8, counts, shape)


def _finish(
    new: IO[bytes],
    layout: PreparedLayout,
    class_names: tuple[str, ...],
    skipped: Mapping[str, int],
    enlarged: int,
    step: Step,
) -> None:
    """Write what all pixels say into the header."""
    step("checking the prepared images")
    os.pwrite(new.fileno(), layout.header({}), 0)
    file = open_prepared(Path(new.name))
    assert file is not None, "its header was written a line above"
    parts = [(file.images(part), file.labels(part)) for part in PARTS]
    found = pixel_statistics(parts[0], parts[1], file.mapping)
    summary = DataSummary(*layout.counts, layout.shape, class_names, found.in_both, dict(skipped), enlarged)
    about = {"mean": found.mean, "std": found.std, "checksum": found.checksum, "summary": asdict(summary)}
    os.pwrite(new.fileno(), layout.header(about), 0)
    os.fsync(new.fileno())


def _run(job: PreparationJob, step: Step) -> Unreadable:
    """Do the job in as many processes as there are cores; the unreadable files."""
    total, unreadable, done, lock = len(job.files), Unreadable(), 0, Lock()

    def tell(told: Prepared) -> None:
        nonlocal done
        with lock:
            done += told.done
            unreadable.extend(told.unreadable)
            step(f"preparing {total:,} images", done / max(1, total))

    step(f"preparing {total:,} images")
    count = 1 if total <= ALONE else usable_cpus()
    if count == 1:
        prepare_images(job, tell)
        return unreadable
    shares = [replace(job, files=job.files[number::count]) for number in range(count)]
    with ThreadPoolExecutor(count) as threads, ExitStack() as stack:
        processes = [stack.enter_context(_process()) for _ in shares]
        for process in processes:
            stack.callback(process.kill)
        list(threads.map(_hear, processes, shares, [tell] * count))
    return sorted(unreadable)


def _process() -> subprocess.Popen[bytes]:
    code = f"import sys; sys.path[:] = {import_path()!r}; from cspnas.data.preparing_worker import main; main()"
    return subprocess.Popen([sys.executable, "-P", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def _hear(process: subprocess.Popen[bytes], job: PreparationJob, tell: Callable[[Prepared], None]) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    with suppress(BrokenPipeError), process.stdin as stdin:
        stdin.write(encode_job(job))
    told = 0
    for one in told_lines(process.stdout):
        told += one.done
        tell(one)
    if process.wait() or told < len(job.files):
        raise InputError(
            f"a process that prepares images ended with code {process.returncode}, {told:,} of {len(job.files):,} done",
            hint="what it said stands above; free memory or disk space, and run the command again",
        )


def _check_room(layout: PreparedLayout, folder: Path) -> None:
    """Raises InputError, with the arithmetic, where the disk has no room for the images."""
    free, (channels, height, width) = shutil.disk_usage(folder).free, layout.shape
    if layout.file_bytes > free:
        needed = format_quantity(layout.image_bytes * sum(layout.counts), "bytes")
        raise InputError(
            f"{sum(layout.counts):,} images x {height} x {width} pixels x {channels} channels = {needed}",
            expected=f"at most the {format_quantity(free, 'bytes')} that are free in {folder}",
            hint="make the images smaller (image_size: 96), or name another folder in CSPNAS_DATA",
        )


def _reserve(file: IO[bytes], size: int) -> None:
    """A disk that is too full says so now, and not in the middle."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, size)
    else:
        file.truncate(size)


@contextmanager
def new_file(path: Path) -> Iterator[IO[bytes]]:
    """A new file beside `path`, deleted at the end unless it was renamed."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".preparing-", delete=False) as file:
        try:
            yield file
        finally:
            Path(file.name).unlink(missing_ok=True)
