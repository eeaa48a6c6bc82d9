"""Too little memory is a failure of the network, not a crash of the worker that is to be tried again."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch

from cspnas import build
from cspnas.documents.architecture_file import architecture_yaml
from cspnas.errors import TrainingError
from cspnas.network.architecture import Architecture, Stage, Stem
from cspnas.network.cost import cost_of
from cspnas.network.serialization import architecture_to
from cspnas.network.wiring import wire
from cspnas.training.evaluation import Evaluator, is_out_of_memory
from cspnas.training.recipe import Recipe

# 3 x 65536^2 x 9 weights: half a terabyte, and over 10^12 MACs.
VAST = Architecture("darknet", (1, 28, 28), 10, Stem(65536, 3), (Stage(3, None, 65536, 65536, width=65536),))


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


def test_a_network_larger_than_the_machine_is_refused_from_its_cost_and_nothing_is_allocated(tmp_path: Path) -> None:
    """Trained by a worker, by the command and built: one line with the arithmetic, in an address space of 8 GiB."""
    assert cost_of(wire(VAST)).macs > 10**12
    unit = {"architecture": architecture_to(VAST), "recipe": asdict(Recipe()), "seed": 0}
    failure = Evaluator("cpu")(unit)["failure"]
    assert failure["kind"] == "out of memory" and "for weights, gradients and optimiser" in failure["message"]
    (tmp_path / "vast.yaml").write_text(architecture_yaml(VAST))
    with pytest.raises(TrainingError, match="to train at batch 0"):
        build(tmp_path / "vast.yaml")
    command = f"ulimit -v {8 << 20}; exec {sys.executable} -m cspnas train vast.yaml"
    run = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert run.stderr.count("\n") == 1 and "vast.yaml: found a network of" in run.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["vast.yaml"]
