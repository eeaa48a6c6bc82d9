"""The data sets: what is in them, that the test images stay unopened, and what a user reads when something is wrong."""

from __future__ import annotations

import functools
import gzip
import hashlib
import http.server
import importlib.util
import io
import json
import os
import pickle
import shutil
import socket
import sys
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from image_folders import draw, draw_classes
from PIL import Image
from torchvision import datasets

from cspnas.data import datasets as data
from cspnas.data import public_datasets as data_sources
from cspnas.data import registry as data_form
from cspnas.data.image_settings import ImageSettings
from cspnas.data.known_sets import KNOWN_SETS, KnownSet
from cspnas.errors import InputError

ABOUT = json.loads((data.PACKAGED / "fashion-mnist-mini.json").read_text())
UNREACHABLE = "http://127.0.0.1:9/"
_listeners: list[list[str]] = []


def _note_open(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open":
        for heard in _listeners:
            heard.append(str(arguments[0]))


sys.addaudithook(_note_open)  # cannot be removed again, so it is added once and off by default


@pytest.fixture
def opened() -> Iterator[list[str]]:
    """The names of the files opened during the test."""
    names: list[str] = []
    _listeners.append(names)
    yield names
    _listeners.remove(names)


@pytest.fixture(scope="module")
def mini() -> data.DataSet:
    return data.load("fashion-mnist-mini")


@pytest.fixture
def packaged_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    copy = shutil.copytree(data.PACKAGED, tmp_path / "datasets")
    monkeypatch.setattr(data, "PACKAGED", copy)
    return copy


def message(call: Any, *arguments: Any, **options: Any) -> str:
    """The one line of the InputError that `call` raises."""
    with pytest.raises(InputError) as caught:
        call(*arguments, **options)
    line = str(caught.value)
    assert "\n" not in line
    return line


def rows(split: data.Split) -> set[bytes]:
    return {image.numpy().tobytes() for image in split.images}


# The packaged data set


def test_mini_has_10000_training_and_4000_validation_images_with_every_class_equal(mini: data.DataSet) -> None:
    for split, per_class in ((mini.train, 1000), (mini.validation, 400)):
        assert split.images.shape == (per_class * 10, 1, 28, 28)
        assert split.images.dtype == torch.uint8 and split.labels.dtype == torch.int64
        assert torch.bincount(split.labels).tolist() == [per_class] * 10
    assert (mini.input_shape, mini.classes, mini.class_names[9]) == ((1, 28, 28), 10, "Ankle boot")


def test_mini_test_part_has_200_images_of_each_class() -> None:
    test = data.load_test("fashion-mnist-mini")
    assert test.images.shape == (2000, 1, 28, 28)
    assert torch.bincount(test.labels).tolist() == [200] * 10


def test_mini_parts_share_no_image(mini: data.DataSet) -> None:
    train, validation, test = rows(mini.train), rows(mini.validation), rows(data.load_test("fashion-mnist-mini"))
    assert not train & validation and not train & test and not validation & test


def test_mini_mean_and_std_are_of_the_training_part_alone(mini: data.DataSet) -> None:
    pixels = mini.train.images.double() / 255
    computed = [pixels.mean().item(), pixels.std(correction=0).item()]
    assert [*mini.mean, *mini.std] == pytest.approx(computed)
    assert [*ABOUT["mean"], *ABOUT["std"]] == pytest.approx(computed)


def test_the_json_gives_the_sha256_of_each_packaged_file() -> None:
    files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in data.PACKAGED.glob("*.xz")}
    assert files == ABOUT["sha256"]


def test_the_packaged_files_stay_under_7_megabytes() -> None:
    assert sum(path.stat().st_size for path in data.PACKAGED.glob("fashion-mnist-mini*")) < 7e6


def test_loading_mini_twice_gives_one_checksum(mini: data.DataSet) -> None:
    assert data.load("fashion-mnist-mini").checksum == mini.checksum and len(mini.checksum) == 64


def test_the_checksum_that_a_search_compares_is_the_one_of_the_data(
    mini: data.DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the packaged files it is known without reading the images; of files that differ in one byte it is not."""
    assert data_form.known_data("fashion-mnist-mini") == (mini.checksum, mini.summary)
    assert data_form.packaged_sha256() in data_form.KNOWN
    copy = shutil.copytree(data.PACKAGED, tmp_path / "datasets")
    for module in (data, data_form):
        monkeypatch.setattr(module, "PACKAGED", copy)
    assert data_form.known_data("fashion-mnist-mini")[0] == mini.checksum
    with (copy / "fashion-mnist-mini.search.npy.xz").open("r+b") as file:
        file.seek(1000)
        file.write(bytes([file.read(1)[0] ^ 1]))
    for damage in (lambda: None, (copy / "fashion-mnist-mini.json").unlink):
        damage()
        with pytest.raises(InputError, match="install cspnas again"):
            data_form.known_data("fashion-mnist-mini")


def test_the_checksum_changes_with_a_pixel_a_label_or_the_split(mini: data.DataSet) -> None:
    images, labels = mini.train.images[:10].numpy(), mini.train.labels[:10].numpy()

    def checksum(images: Any, labels: Any, cut: int) -> str:
        return data._assemble("x", (images[:cut], labels[:cut]), (images[cut:], labels[cut:]), ()).checksum

    brighter, relabelled = images.copy(), labels.copy()
    brighter[9, 0, 0, 0] += 1
    relabelled[0] += 1
    cases = [(images, labels, 5), (images, labels, 6), (brighter, labels, 5), (images, relabelled, 5)]
    assert len({checksum(*case) for case in cases}) == 4


def test_load_needs_no_test_file_of_mini(packaged_copy: Path, opened: list[str]) -> None:
    (packaged_copy / "fashion-mnist-mini.test.npy.xz").unlink()
    assert data.load("fashion-mnist-mini").classes == 10
    assert any("search.npy.xz" in name for name in opened) and not any("test.npy.xz" in name for name in opened)
    assert "fashion-mnist-mini.test.npy.xz" in message(data.load_test, "fashion-mnist-mini")


def test_a_damaged_packaged_file_is_named(packaged_copy: Path) -> None:
    path = packaged_copy / "fashion-mnist-mini.search.npy.xz"
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.write_bytes(content)
    line = message(data.load, "fashion-mnist-mini")
    assert str(path) in line and ABOUT["sha256"][path.name] in line and "install cspnas again" in line


@pytest.mark.parametrize("content", ["", "{}", "[]"])
def test_a_damaged_json_is_named(content: str, packaged_copy: Path) -> None:
    path = packaged_copy / "fashion-mnist-mini.json"
    path.write_text(content)
    line = message(data.load, "fashion-mnist-mini")
    assert str(path) in line and "install cspnas again" in line


# How it was made


def maker() -> Any:
    """The script that makes the packaged data set, as a module."""
    path = Path(__file__).parents[2] / "tools" / "make_fashion_mnist_mini.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_packaged_images_and_labels_are_official_ones_of_their_own_split(mini: data.DataSet) -> None:
    """The sums of Debian's files are known; where its package is installed, they and each image are compared too."""
    assert set(ABOUT["source_sha256"]) == set(maker().SOURCES)
    if not data_sources.DEBIAN.is_dir():
        return
    for name, expected in ABOUT["source_sha256"].items():
        assert hashlib.sha256((data_sources.DEBIAN / name).read_bytes()).hexdigest() == expected
    for part, splits in (("train", (mini.train, mini.validation)), ("t10k", (data.load_test("fashion-mnist-mini"),))):
        official = {row.tobytes() for row in maker().read_rows(data_sources.DEBIAN, part)}
        for split in splits:
            labelled = torch.cat([split.labels.byte()[:, None], split.images.flatten(1)], dim=1).numpy()
            assert {row.tobytes() for row in labelled} <= official


def test_the_script_makes_the_same_disjoint_balanced_files_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_fashion_mnist(tmp_path / "source", count=250)
    script = maker()
    for name, per_class in (("TRAIN", 10), ("VALIDATION", 4), ("TEST", 2)):
        monkeypatch.setattr(script, name, per_class)
    folders = tmp_path / "first", tmp_path / "second"
    for folder in folders:
        script.make(tmp_path / "source", folder)
    first, second = ({file.name: file.read_bytes() for file in folder.iterdir()} for folder in folders)
    assert first == second and len(first) == 4
    monkeypatch.setattr(data, "PACKAGED", folders[0])
    made = data.load("fashion-mnist-mini")
    assert torch.bincount(made.train.labels).tolist() == [10] * 10
    assert torch.bincount(made.validation.labels).tolist() == [4] * 10
    assert len(rows(made.train) | rows(made.validation)) == 140
    assert torch.bincount(data.load_test("fashion-mnist-mini").labels).tolist() == [2] * 10


# Names


def test_what_a_study_assumes_of_a_known_data_set_is_so(mini: data.DataSet) -> None:
    images = len(mini.train.labels) + len(mini.validation.labels)
    assert KNOWN_SETS[mini.name] == KnownSet(mini.input_shape, mini.classes, images)


@pytest.mark.parametrize(
    ("wrong", "near"), [("cifar-10", "cifar10"), ("CIFAR100", "cifar100"), ("fmnist", "fashion-mnist")]
)
def test_an_unknown_name_gets_the_nearest_known_one(wrong: str, near: str) -> None:
    line = message(data.load, wrong)
    assert f"did you mean {near}?" in line and "folder:PATH" in line
    assert message(data.load_test, wrong) == line


@pytest.mark.parametrize("path", ["/no/such", "./x", "nope.npz", "nope.csv", "x/", "~nobody/x"])
def test_a_path_that_leads_nowhere_is_no_data_set_name(path: str) -> None:
    with pytest.raises(
        InputError, match=rf"found no folder, .npz or .csv file '{path}', expected one of .* or csv:FILE"
    ):
        data.load(path)


def test_a_path_without_its_prefix_is_told_with_it(tmp_path: Path) -> None:
    for name, kind in (("pets", "folder"), ("pets.npz", "npz"), ("pets.csv", "csv")):
        path = tmp_path / name
        path.mkdir() if kind == "folder" else path.touch()
        assert f"did you mean {kind}:{path}?" in message(data.load, str(path))
    for name in ("", "\0", "x" * 9000):
        assert f"found data set {name[:5]!r}"[:20] in message(data.load, name)


# Fashion-MNIST and CIFAR


def write_fashion_mnist(root: Path, count: int = 60) -> None:
    """Files in the official format with `count` images; pixel and label say the position."""
    root.mkdir(parents=True)
    pixels = np.repeat(np.arange(count, dtype=np.uint8), 784).tobytes()
    labels = (np.arange(count) % 10).astype(np.uint8).tobytes()
    header = count.to_bytes(4, "big")
    for part in ("train", "t10k"):
        images = b"\0\0\x08\x03" + header + (28).to_bytes(4, "big") * 2 + pixels
        (root / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(images))
        (root / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(b"\0\0\x08\x01" + header + labels))


def test_fashion_mnist_holds_out_a_sixth_of_each_class_and_opens_no_test_file(
    tmp_path: Path, opened: list[str]
) -> None:
    write_fashion_mnist(tmp_path / "fashion-mnist")
    opened.clear()
    loaded = data.load("fashion-mnist", root=tmp_path)
    assert torch.bincount(loaded.train.labels).tolist() == [5] * 10
    assert torch.bincount(loaded.validation.labels).tolist() == [1] * 10
    assert len(rows(loaded.train) | rows(loaded.validation)) == 60
    for split in (loaded.train, loaded.validation):
        assert torch.equal(split.images[:, 0, 27, 27].long() % 10, split.labels)
    assert not any("t10k" in name for name in opened)


def test_the_root_comes_from_the_environment_at_the_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_fashion_mnist(tmp_path / "fashion-mnist", count=20)
    monkeypatch.setenv("CSPNAS_DATA", str(tmp_path))
    assert len(data.load_test("fashion-mnist").labels) == 20


def test_a_cut_fashion_mnist_file_is_named(tmp_path: Path) -> None:
    write_fashion_mnist(tmp_path / "fashion-mnist")
    path = tmp_path / "fashion-mnist" / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-20])
    assert str(path) in message(data.load, "fashion-mnist", root=tmp_path)


@pytest.mark.parametrize("name", ["fashion-mnist", "cifar10", "cifar100"])
def test_missing_data_says_where_it_was_looked_for_and_leaves_nothing(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_sources, "DEBIAN", tmp_path / "no-debian")
    monkeypatch.setattr(datasets.CIFAR10, "url", UNREACHABLE)
    monkeypatch.setattr(datasets.CIFAR100, "url", UNREACHABLE)
    monkeypatch.setattr(datasets.FashionMNIST, "mirrors", [UNREACHABLE])
    root = tmp_path / "root"
    line = message(data.load, name, root=root)
    assert f"no intact {name} in {root}" in line and "download failed" in line
    assert list(root.iterdir()) == [] and socket.getdefaulttimeout() is None


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder and the address under which a server on this machine gives its files."""
    folder = tmp_path / "served"
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield folder, f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def make_cifar(served: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small archive in CIFAR-10's format in the served folder, which torchvision is then made to expect."""
    random, contents = np.random.default_rng(0), {}
    for name in ("data_batch_1", "test_batch"):
        pixels = random.integers(0, 256, (24, 3072), dtype=np.uint8)
        contents[name] = pickle.dumps({"data": pixels, "labels": [0, 1] * 12})
    contents["batches.meta"] = pickle.dumps({"label_names": ["plane", "car"]})
    archive = served[0] / "cifar-10-python.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        for name, content in contents.items():
            entry = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    md5 = {name: hashlib.md5(content).hexdigest() for name, content in contents.items()}
    values = {
        "url": served[1] + archive.name,
        "tgz_md5": hashlib.md5(archive.read_bytes()).hexdigest(),
        "train_list": [["data_batch_1", md5["data_batch_1"]]],
        "test_list": [["test_batch", md5["test_batch"]]],
        "meta": {"filename": "batches.meta", "key": "label_names", "md5": md5["batches.meta"]},
    }
    for name, value in values.items():
        monkeypatch.setattr(datasets.CIFAR10, name, value)
    return archive


def test_cifar_is_downloaded_once_and_split_without_its_test_file(
    served: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opened: list[str]
) -> None:
    archive, root = make_cifar(served, monkeypatch), tmp_path / "root"
    first = data.load("cifar10", root=root)
    archive.unlink()
    opened.clear()
    again = data.load("cifar10", root=root)
    assert not any("test_batch" in name for name in opened)
    assert again.checksum == first.checksum and again.class_names == ("plane", "car")
    assert again.train.images.shape == (20, 3, 32, 32) and torch.bincount(again.validation.labels).tolist() == [2, 2]
    assert len(again.mean) == len(again.std) == 3
    assert data.load_test("cifar10", root=root).images.shape == (24, 3, 32, 32)


def test_a_changed_cifar_file_is_never_unpickled(
    served: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive, root = make_cifar(served, monkeypatch), tmp_path / "root"
    data.load("cifar10", root=root)
    archive.unlink()
    (root / "cifar-10-batches-py" / "data_batch_1").write_bytes(
        b"cos\nsystem\n(S'touch " + os.fsencode(root) + b"/x'\ntR."
    )
    assert "no intact cifar10" in message(data.load, "cifar10", root=root)
    assert not (root / "x").exists()


def test_a_download_with_a_wrong_md5_is_not_kept(
    served: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_cifar(served, monkeypatch)
    monkeypatch.setattr(datasets.CIFAR10, "tgz_md5", "0" * 32)
    assert "corrupted" in message(data.load, "cifar10", root=tmp_path / "root")
    assert list((tmp_path / "root").iterdir()) == []


def test_fashion_mnist_is_downloaded_without_its_other_split(
    served: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_fashion_mnist(served[0] / "files")
    files = sorted((served[0] / "files").iterdir())
    resources = [(file.name, hashlib.md5(file.read_bytes()).hexdigest()) for file in files]
    monkeypatch.setattr(data_sources, "DEBIAN", tmp_path / "no-debian")
    monkeypatch.setattr(datasets.FashionMNIST, "mirrors", [served[1] + "files/"])
    monkeypatch.setattr(datasets.FashionMNIST, "resources", resources)
    root = tmp_path / "root"
    assert len(data.load("fashion-mnist", root=root).train.labels) == 50
    assert not list(root.rglob("*t10k*"))
    shutil.rmtree(served[0])
    assert len(data.load("fashion-mnist", root=root).validation.labels) == 10


# Folders of images


def test_a_folder_of_classes_has_a_sixth_of_each_class_held_out(tmp_path: Path) -> None:
    loaded = data.load(f"folder:{draw_classes(tmp_path)}")
    assert loaded.input_shape == (1, 6, 8) and loaded.class_names == ("cat", "dog")
    assert torch.bincount(loaded.train.labels).tolist() == [10, 10]
    assert torch.bincount(loaded.validation.labels).tolist() == [2, 2]
    assert len(rows(loaded.train) | rows(loaded.validation)) == 24
    assert torch.equal(loaded.train.images[:, 0, 0, 0] >= 100, loaded.train.labels == 1)
    assert data.load(f"folder:{tmp_path}").checksum == loaded.checksum


@pytest.mark.parametrize("validation", ["val", "validation"])
def test_a_validation_folder_is_taken_whole_and_the_test_folder_stays_unopened(
    validation: str, tmp_path: Path, opened: list[str]
) -> None:
    for part, count in (("train", 3), (validation, 2), ("test", 1)):
        draw_classes(tmp_path / part, count, mode="RGB")
    opened.clear()
    loaded = data.load(f"folder:{tmp_path}")
    assert not any(str(tmp_path / "test") in name for name in opened)
    assert loaded.input_shape == (3, 6, 8)
    assert (len(loaded.train.labels), len(loaded.validation.labels)) == (6, 4)
    assert data.load_test(f"folder:{tmp_path}").labels.tolist() == [0, 1]


def test_a_test_folder_beside_the_classes_is_no_class(tmp_path: Path) -> None:
    draw_classes(draw_classes(tmp_path) / "test", 1)
    assert data.load(f"folder:{tmp_path}").class_names == ("cat", "dog")


def test_one_colour_image_makes_all_images_rgb(tmp_path: Path) -> None:
    draw(draw_classes(tmp_path) / "dog" / "colour.png", mode="RGB")
    assert data.load(f"folder:{tmp_path}").input_shape == (3, 6, 8)


def test_the_first_image_of_another_size_is_named_with_both_sizes(tmp_path: Path) -> None:
    odd = draw_classes(tmp_path) / "dog" / "03.png"
    draw(odd, size=(9, 6))
    line = message(data.load, f"folder:{tmp_path}")
    assert str(odd) in line and "9 x 6" in line and "8 x 6" in line


def test_a_validation_image_of_another_size_is_named(tmp_path: Path) -> None:
    draw_classes(tmp_path / "train")
    draw(tmp_path / "val" / "cat" / "odd.png", size=(4, 4))
    assert "odd.png" in message(data.load, f"folder:{tmp_path}")


def test_an_unreadable_image_is_named(tmp_path: Path) -> None:
    broken = draw_classes(tmp_path) / "cat" / "05.png"
    for content in (b"no image", broken.read_bytes()[:50]):
        broken.write_bytes(content)
        line = message(data.load, f"folder:{tmp_path}")
        assert str(broken) in line and "cannot be read" in line


def test_of_16_bits_the_upper_eight_are_read(tmp_path: Path) -> None:
    draw_classes(tmp_path)
    Image.new("I;16", (8, 6), 40000).save(tmp_path / "cat" / "deep.png")
    found = data.load(f"folder:{tmp_path}")
    images = torch.cat([found.train.images, found.validation.images])
    assert found.input_shape == (1, 6, 8)
    assert (images == 40000 // 256).all((1, 2, 3)).sum() == 1


def test_a_folder_that_cannot_be_a_data_set_is_explained(tmp_path: Path) -> None:
    assert "no such folder" in message(data.load, f"folder:{tmp_path / 'absent'}")
    assert "no path" in message(data.load, "folder:")
    assert "no images" in message(data.load, f"folder:{tmp_path}")
    draw(tmp_path / "cat" / "1.png")
    assert "one class only ('cat')" in message(data.load, f"folder:{tmp_path}")
    (tmp_path / "dog").mkdir()
    assert f"{tmp_path / 'dog'}: found no images" in message(data.load, f"folder:{tmp_path}")
    draw(tmp_path / "dog" / "1.png")
    assert "one image in the class 'cat'" in message(data.load, f"folder:{tmp_path}")
    assert "no test images, expected a folder PATH/test/CLASS" in message(data.load_test, f"folder:{tmp_path}")


def test_a_validation_class_unknown_to_training_is_named(tmp_path: Path) -> None:
    draw_classes(tmp_path / "train")
    draw(tmp_path / "val" / "horse" / "1.png")
    assert "'horse'" in message(data.load, f"folder:{tmp_path}")


def test_two_validation_folders_are_refused(tmp_path: Path) -> None:
    for part in ("train", "val", "validation"):
        draw_classes(tmp_path / part, 2)
    assert "both `val` and `validation`" in message(data.load, f"folder:{tmp_path}")


def test_images_without_any_contrast_are_refused_rather_than_divided_by_zero(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        for index in range(2):
            draw(tmp_path / name / f"{index}.png", value=7)
    assert "one colour in all training pixels" in message(data.load, f"folder:{tmp_path}")


def test_a_channel_that_is_never_used_has_a_deviation_of_one(tmp_path: Path) -> None:
    loaded = data.load(f"folder:{draw_classes(tmp_path, mode='RGB')}")
    assert loaded.std[0] > 0 and loaded.std[1:] == (1.0, 1.0) and loaded.mean[1:] == (0.0, 0.0)


def test_images_of_a_known_data_set_are_not_resized_in_silence() -> None:
    assert data.load("fashion-mnist-mini", ImageSettings((28, 28))).input_shape == (1, 28, 28)
    with pytest.raises(InputError, match=r"found image_size 32 x 32 for data set fashion-mnist-mini.*its own 28 x 28"):
        data.load("fashion-mnist-mini", ImageSettings((32, 32)))
