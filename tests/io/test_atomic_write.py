"""Files that a command writes: whole or not at all, never over what it reads, and refused before the work."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from cspnas.errors import InputError
from cspnas.io.atomic_write import check_output, put_whole, remove, temporary_name, write_whole

NOBODY = 65534  # a user with no rights


def refusal(path: Path, *, force: bool = True, inputs: tuple[Path, ...] = ()) -> str:
    with pytest.raises(InputError) as caught:
        check_output(path, force=force, inputs=inputs)
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError):
        write_whole(path, "new", force=force, inputs=inputs)
    return str(caught.value)


def test_it_is_whole_and_replaced_only_with_force(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_whole(path, "first", force=False)
    assert "--force" in refusal(path, force=False)
    assert path.read_text() == "first"
    write_whole(path, b"second", force=True)
    assert path.read_text() == "second"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("link", ["same", "symbolic", "hard", "dots"])
def test_the_file_that_is_read_is_not_replaced_even_with_force(link: str, tmp_path: Path) -> None:
    source, other = tmp_path / "best.yaml", tmp_path / "other.yaml"
    source.write_text("network")
    if link == "symbolic":
        other.symlink_to(source)
    if link == "hard":
        other.hardlink_to(source)
    path = {"same": source, "dots": tmp_path / "x" / ".." / "best.yaml"}.get(link, other)
    (tmp_path / "x").mkdir()
    assert "the file that is read" in refusal(path, inputs=(source,))
    assert source.read_text() == "network"


def test_what_cannot_be_written_is_said_in_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    before = sorted(tmp_path.iterdir())
    assert "No such file or directory" in refusal(tmp_path / "none" / "a.yaml")
    assert "Not a directory" in refusal(tmp_path / "file" / "a.yaml")
    assert "a folder" in refusal(tmp_path / "folder")
    assert "a device or a pipe" in refusal(tmp_path / "pipe")
    assert "a device or a pipe" in refusal(Path("/dev/null"))
    assert "File name too long" in refusal(tmp_path / ("a" * 300))
    assert "no file name" in refusal(Path())
    assert sorted(tmp_path.iterdir()) == before


def test_a_name_of_the_greatest_length_is_written(tmp_path: Path) -> None:
    path = tmp_path / ("a" * 255)
    write_whole(path, "x", force=False)
    assert path.read_text() == "x"


def test_a_folder_that_is_read_only() -> None:
    """As a user without rights: root may write anywhere."""
    with tempfile.TemporaryDirectory() as name:
        folder, root = Path(name), os.geteuid() == 0
        folder.chmod(0o555)
        if root:
            os.seteuid(NOBODY)
        try:
            assert "Permission denied" in refusal(folder / "a")
        finally:
            if root:
                os.seteuid(0)
            folder.chmod(0o755)


@pytest.mark.parametrize(("umask", "rights"), [(0o077, 0o600), (0o022, 0o644), (0o002, 0o664)])
def test_a_file_has_the_rights_that_the_umask_leaves(tmp_path: Path, umask: int, rights: int) -> None:
    before = os.umask(umask)
    try:
        write_whole(tmp_path / "a.txt", "words", force=False)
    finally:
        os.umask(before)
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == rights


def test_links_at_a_file_and_at_its_temporary_name_are_replaced_and_not_followed(tmp_path: Path) -> None:
    path, target = tmp_path / "a.checkpoint", tmp_path / "thesis"
    target.write_text("words")
    for link in (path, temporary_name(path)):
        link.symlink_to(target)
    put_whole(path, b"new", temporary_name(path))
    assert target.read_text() == "words" and path.read_text() == "new" and not path.is_symlink()
    assert sorted(tmp_path.iterdir()) == [path, target]


def test_nothing_is_to_be_removed_of_a_folder_that_is_a_file(tmp_path: Path) -> None:
    """As studies/NAME/checkpoints, where somebody put a file."""
    (tmp_path / "checkpoints").write_text("words")
    remove(tmp_path / "checkpoints" / "a.safetensors")
    assert (tmp_path / "checkpoints").read_text() == "words"


def test_a_link_to_nothing_is_replaced_only_with_force(tmp_path: Path) -> None:
    link = tmp_path / "front.html"
    link.symlink_to(tmp_path / "gone.html")
    assert "found a link to a file that is not there" in refusal(link, force=False)
    assert link.is_symlink()
    write_whole(link, "new", force=True)
    assert not link.is_symlink()
