"""Too little memory is a failure of the network, not a crash of the worker that is to be tried again."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from cspnas.evaluation import Evaluator, is_out_of_memory


def fail(error: str) -> None:
    raise RuntimeError(error)


@pytest.mark.parametrize(
    ("cause", "kind"),
    [(lambda: torch.empty(2**58), "out of memory"), (lambda: fail("sizes differ"), "crashed")],
)
def test_what_torchs_own_allocator_says_is_out_of_memory(
    cause: Any, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Evaluator, "_train", lambda *arguments: cause())
    failure = Evaluator("cpu")({})["failure"]
    assert failure["kind"] == kind


def test_python_and_torch_errors_count() -> None:
    assert is_out_of_memory(MemoryError())
    assert is_out_of_memory(torch.OutOfMemoryError())
    assert not is_out_of_memory(ValueError("can't allocate memory"))
