"""The public data sets of `cspnas.data.datasets`, found or downloaded: Fashion-MNIST and CIFAR, as NumPy arrays."""

from __future__ import annotations

import gzip
import http.client
import socket
import struct
import tarfile
import tempfile
import zlib
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cspnas.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LabelledImages = tuple[NDArray[np.uint8], NDArray[np.int64]]
"""Images (N, C, H, W) and their labels (N,)."""

HOLD_OUT_SEED = 20170825
# Seconds without an answer before a download fails.
TIMEOUT = 20.0
DEBIAN = Path("/usr/share/datasets/fashion-mnist")
FASHION_CLASSES = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)
DOWNLOAD_ERRORS = (OSError, RuntimeError, http.client.HTTPException, tarfile.TarError, EOFError, zlib.error)


def hold_out(part: LabelledImages) -> tuple[LabelledImages, LabelledImages]:
    """`part` as training and validation, which is `held_out`. Both keep the order of the source."""
    images, labels = part
    held = held_out(labels)
    return (images[~held], labels[~held]), (images[held], labels[held])


def held_out(labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which images of these `labels` (N,) are validation: a sixth of each class, at least one image; always the same.

    Raises ValueError if a class has one image only.
    """
    # Its stream is frozen across NumPy versions, a Generator's is not.
    random = np.random.RandomState(HOLD_OUT_SEED)
    held = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        members = random.permutation(np.flatnonzero(labels == label))
        if len(members) < 2:
            raise ValueError(f"class {label} has one image: nothing can be held out")
        held[members[: max(1, len(members) // 6)]] = True
    return held


def read_fashion_mnist(root: Path, part: str) -> tuple[LabelledImages, tuple[str, ...]]:
    """The official split `part` ("train" or "test") of Fashion-MNIST and its class names.

    Looks in `root`, then where Debian's package puts it, and downloads into `root` if neither has it.
    """
    names = [f"{'train' if part == 'train' else 't10k'}-{kind}-ubyte.gz" for kind in ("images-idx3", "labels-idx1")]
    looked = [root / "fashion-mnist", root / "FashionMNIST" / "raw", DEBIAN]
    found = next((folder for folder in looked if all((folder / name).is_file() for name in names)), None)
    if found is None:
        found = looked[1]
        try:
            _download_fashion_mnist(root, names)
        except DOWNLOAD_ERRORS as error:
            advice = f"install Debian's package dataset-fashion-mnist, or copy {' and '.join(names)} to {looked[0]}"
            raise _missing("fashion-mnist", looked, error, advice) from None
    images, labels = (_read_idx(found / name) for name in names)
    if images.shape[1:] != (28, 28) or labels.shape != images.shape[:1]:
        raise InputError(
            f"arrays {images.shape} and {labels.shape}", expected="N images and N labels", where=str(found)
        )
    return (images[:, None], labels.astype(np.int64)), FASHION_CLASSES


def _download_fashion_mnist(root: Path, names: list[str]) -> None:
    from torchvision.datasets import FashionMNIST

    # The other split stays away.
    wanted = [resource for resource in FashionMNIST.resources if resource[0] in names]
    kind: Any = type("FashionMNIST", (FashionMNIST,), {"resources": wanted})
    train = names[0].startswith("train")
    _download(lambda folder: kind(folder, train=train, download=True), root, "FashionMNIST/raw")


def _read_idx(path: Path) -> NDArray[np.uint8]:
    """The bytes of a gzipped IDX file in its own shape; gzip's checksum is what finds damage."""
    try:
        content = gzip.decompress(path.read_bytes())
        start = 4 + 4 * content[3]
        shape = struct.unpack(f">{content[3]}I", content[4:start])
        return np.frombuffer(content, np.uint8, offset=start).reshape(shape).copy()
    except (OSError, EOFError, ValueError, IndexError, struct.error, zlib.error) as error:
        raise InputError(f"a damaged file ({error})", where=str(path), hint="delete it and load again") from None


def read_cifar(name: str, root: Path, part: str) -> tuple[LabelledImages, tuple[str, ...]]:
    """The official split `part` ("train" or "test") of "cifar10" or "cifar100" and its class names.

    Looks in `root` and downloads into it. Torchvision checks the MD5 of each file before it unpickles it.
    """
    from torchvision import datasets

    base = datasets.CIFAR10 if name == "cifar10" else datasets.CIFAR100
    # Torchvision's check reads both splits; with the other list empty, `load` never opens the test file.
    kind: Any = type(base.__name__, (base,), {"test_list" if part == "train" else "train_list": []})
    try:
        found = kind(root, train=part == "train")
    # Not there, or damaged.
    except (RuntimeError, OSError):
        try:
            _download(lambda folder: kind(folder, train=part == "train", download=True), root, base.base_folder)
            found = kind(root, train=part == "train")
        except DOWNLOAD_ERRORS as error:
            advice = f"get {base.url} (MD5 {base.tgz_md5}) elsewhere and unpack it in {root}"
            raise _missing(name, [root / base.base_folder], error, advice) from None
    images = np.ascontiguousarray(found.data.transpose(0, 3, 1, 2))
    return (images, np.asarray(found.targets, dtype=np.int64)), tuple(found.classes)


def _missing(name: str, looked: list[Path], error: Exception, advice: str) -> InputError:
    where = ", ".join(map(str, looked))
    reason = f"{type(error).__name__}: {error}"
    return InputError(f"no intact {name} in {where}, and the download failed ({reason})", hint=advice)


def _download(fetch: Callable[[str], object], root: Path, inside: str) -> None:
    """Lets `fetch` download into a new folder, then moves what lies `inside` it to `root`: only whole files get there.

    Raises one of DOWNLOAD_ERRORS. Each move is atomic, so that two processes may download at once.
    """
    root.mkdir(parents=True, exist_ok=True)
    with _socket_timeout(TIMEOUT), tempfile.TemporaryDirectory(dir=root, prefix=".download-") as folder:
        fetch(folder)
        (root / inside).mkdir(parents=True, exist_ok=True)
        for file in (Path(folder) / inside).iterdir():
            file.replace(root / inside / file.name)


@contextmanager
def _socket_timeout(seconds: float) -> Iterator[None]:
    """Torchvision gives its sockets no timeout, and a silent server would hold a worker for ever."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
