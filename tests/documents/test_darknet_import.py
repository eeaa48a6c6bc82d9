"""A Darknet file becomes the architecture that it is, or is refused with the line of the section that cannot be one."""

from __future__ import annotations

from pathlib import Path

import pytest
from darknet_files import DARKNET, Layer

from cspnas.documents.architecture_file import find_architecture, read_architecture
from cspnas.documents.darknet_import import architecture_of_cfg
from cspnas.errors import InputError
from cspnas.network.wiring import wire


def section(layer: Layer) -> str:
    """As the authors' files say it, which is not as ours do."""
    kind, *said = layer
    if kind == "conv":
        filters, size, stride, groups, slope, norm = said
        lines = ["batch_normalize=1"] * norm + [f"filters={filters}", f"size = {size}", f"stride={stride}", "pad=1"]
        lines += [f"groups={groups}"] * (groups > 1)
        return "\n".join(["[convolutional]", *lines, f"activation={'linear' if slope == 1 else 'leaky'}"])
    if kind == "shortcut":
        return f"[shortcut]\nfrom={said[0]}\nactivation={'linear' if said[1] == 1 else 'leaky'}"
    if kind == "route":
        return f"[route]\nlayers = {', '.join(map(str, said))}"
    return f"[{kind}]" + ("\nsize={}\nstride={}".format(*said) if said else "")


def cfg(name: str) -> str:
    net = "[net]\n# Training\nbatch=128\nheight=256\nwidth=256\nchannels=3\nmomentum=0.9 ; of SGD"
    return "\n\n".join([net, *map(section, DARKNET[name]), "[softmax]\ngroups=1", "[cost]\ntype=sse"]) + "\n"


@pytest.mark.parametrize("name", DARKNET)
def test_an_authors_file_is_the_reference_network_of_its_name(name: str, tmp_path: Path) -> None:
    (tmp_path / "x.cfg").write_text(cfg(name))
    found = architecture_of_cfg(tmp_path / "x.cfg")
    assert wire(found).digest() == wire(read_architecture(find_architecture(name)).architecture).digest()


@pytest.mark.parametrize("name", ["csresnext50", "darknet53"])
def test_a_file_cut_at_any_line_is_refused_or_is_whole(name: str, tmp_path: Path) -> None:
    text, path = cfg(name), tmp_path / "x.cfg"
    lines, whole = text.splitlines(keepends=True), text.index("[softmax]")
    path.write_text(text)
    digest = wire(architecture_of_cfg(path)).digest()
    for count in range(len(lines)):
        path.write_text("".join(lines[:count]))
        try:
            found = architecture_of_cfg(path)
        except InputError as error:
            assert str(path) in str(error)
            continue
        assert len("".join(lines[:count])) > whole
        assert wire(found).digest() == digest


@pytest.mark.parametrize(
    ("before", "after", "line", "said"),
    [
        ("activation=leaky", "activation=hard_mish", 9, "activation leaky,"),
        ("size = 7", "size = 9", 9, "size of 1, 3, 5, 6, 7"),
        ("filters=64", "filters=0", 9, "filters from 1 to 65,536"),
        ("filters=64", "filters=many", 11, "expected integers"),
        ("[maxpool]\nsize=2\nstride=2", "[dropout]\nprobability=.5", 17, "[dropout]"),
        ("[maxpool]\nsize=2\nstride=2", "[maxpool]\nsize=2\nstride=1", 17, "[maxpool] size=2 stride=2"),
        ("[route]\nlayers = -2", "[route]\nlayers = -1", 29, "[route] layers=-2"),
        ("from=-4", "from=-5", 65, "[shortcut] from=-4"),
        ("[net]", "[yolo]", 1, "[net] first"),
        ("channels=3", "channels", 6, "key=value"),
        ("channels=3", "channels=3\nchannels=4", 7, "each key once"),
        ("channels=3", "", 1, "channels from 1"),
        ("[softmax]", "[yolo]", None, "[softmax] at the end"),
    ],
)
def test_what_it_cannot_be_is_refused_with_its_line(
    before: str, after: str, line: int | None, said: str, tmp_path: Path
) -> None:
    (tmp_path / "x.cfg").write_text(cfg("csresnext50").replace(before, after, 1))
    with pytest.raises(InputError) as refused:
        architecture_of_cfg(tmp_path / "x.cfg")
    assert said in str(refused.value)
    if line is not None:
        assert f"x.cfg:{line}" in str(refused.value)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[net]\n", b"cspnas: architecture/1\n", b"[net]\n" * 200_000])
def test_what_is_no_file_of_darknets_is_one_line(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.cfg").write_bytes(content)
    with pytest.raises(InputError, match=r"x\.cfg"):
        architecture_of_cfg(tmp_path / "x.cfg")
    with pytest.raises(InputError, match="No such file"):
        architecture_of_cfg(tmp_path / "none.cfg")
