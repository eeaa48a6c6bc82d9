"""One torch thread for every test, and the fixtures that several files share."""

from __future__ import annotations

import random

import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture
def rng() -> random.Random:
    """A generator that draws the same values in every run."""
    return random.Random(20191127)


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Torch's own generator starts each test in the same state, whatever ran before it."""
    torch.manual_seed(0)
