"""Damaged files are one line for the user, never a traceback: cut short at any byte, any bit flipped."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from cspnas.documents.architecture_file import read_architecture
from cspnas.documents.space_file import find_space, read_space
from cspnas.errors import CspnasError

FULL = os.environ.get("CSPNAS_FAULTS") == "full"
CASES = 3000 if FULL else 60
ROOT = Path(__file__).parents[2]


def damaged(whole: bytes, rng: random.Random) -> bytes:
    """Cut short, or with one to three bits flipped."""
    if rng.random() < 0.3:
        return whole[: rng.randrange(len(whole))]
    bits = bytearray(whole)
    for _ in range(rng.randint(1, 3)):
        bits[rng.randrange(len(bits))] ^= 1 << rng.randrange(8)
    return bytes(bits)


def without_comments(path: Path) -> bytes:
    """Damage to a comment is none."""
    return "\n".join(line.split(" #")[0] for line in path.read_text().splitlines() if line[:1] != "#").encode()


@pytest.mark.parametrize("name", ["densenet", "resnext"])
def test_a_damaged_space_is_refused_in_one_line_or_still_a_space(name: str, tmp_path: Path, rng: random.Random) -> None:
    _read_all(without_comments(find_space(name)), tmp_path / "space.yaml", read_space, rng)


@pytest.mark.parametrize("name", ["csppeleenet", "csresnext50"])
def test_a_damaged_architecture_is_refused_in_one_line_or_still_one(
    name: str, tmp_path: Path, rng: random.Random
) -> None:
    whole = without_comments(ROOT / "architectures" / f"{name}.yaml")
    _read_all(whole, tmp_path / "architecture.yaml", read_architecture, rng)


def _read_all(whole: bytes, path: Path, read: object, rng: random.Random) -> None:
    path.write_bytes(whole)
    assert callable(read)
    read(path)  # undamaged it can be read
    refused = 0
    for _ in range(CASES):
        path.write_bytes(damaged(whole, rng))
        try:
            read(path)
        except CspnasError as error:
            refused += 1
            assert "\n" not in str(error) and str(path.name) in str(error), str(error)
    assert refused > CASES / 2
