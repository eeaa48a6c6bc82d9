"""How many trainings a cluster runs at once, and which share of a GPU each takes."""

from __future__ import annotations

from dataclasses import dataclass

from cspnas.errors import InputError
from cspnas.runners.device_memory import DeviceBudget, check_budget
from cspnas.runners.protocol import TRAINER
from cspnas.runners.ray.cluster import Node
from cspnas.study.candidates import admitted_sample
from cspnas.study.settings import Study

# What a process takes of a GPU beside tensors: CUDA's context, libraries' workspaces.
CONTEXT_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class Slots:
    """`count` trainings at once on these nodes, each with one CPU and `gpu_share` of a GPU; `evaluator` is MODULE:NAME of
    what makes an evaluator from a device (a name, so that only workers import torch).
    """

    count: int
    device: str
    gpu_share: float
    nodes: tuple[str, ...]
    evaluator: str = TRAINER

    def at_once(self, cores: int) -> int:
        """Trainings that go as fast as one alone: one a GPU, or one a core of nodes that have so many each."""
        units = self.count * self.gpu_share or cores * len(self.nodes)
        return max(1, min(self.count, round(units)))


def slots_of(nodes: list[Node], study: Study, device: str, per_gpu: int | None) -> Slots:
    """As many as the nodes hold, at most the study's `workers` where it names a number.

    Without `per_gpu` as many trainings share a GPU as the greatest predicted training memory of an admitted network
    allows, and as there are CPUs for. Raises InputError where the cluster has no such device.
    """
    with_gpu = [node for node in nodes if node.gpus]
    if device == "cuda" and not with_gpu:
        raise InputError("no GPU in the cluster", expected="at least one", where="--device", hint="use --device cpu")
    if device == "cpu" or not with_gpu:
        count = sum(node.cpus for node in nodes)
        return Slots(min(study.workers or count, count), "cpu", 0.0, tuple(node.identifier for node in nodes))
    budget = _budget(with_gpu, study)
    # Where nothing is free, the memory is not known.
    if per_gpu and budget.free:
        check_budget(per_gpu, budget, "--per-gpu")
    together = per_gpu or budget.together
    count = sum(min(node.cpus, node.gpus * together) for node in with_gpu)
    names = tuple(node.identifier for node in with_gpu)
    return Slots(min(study.workers or count, count), "cuda", _share(together), names)


def _budget(nodes: list[Node], study: Study) -> DeviceBudget:
    """Of the smallest GPU for the study's greatest training, with a CPU for each."""
    greatest = max(drawn.costs["training_memory"] for drawn in admitted_sample(study))
    free, cores = min(node.gpu_bytes for node in nodes), min(node.cpus // node.gpus for node in nodes)
    return DeviceBudget("the smallest GPU", free, CONTEXT_BYTES, int(greatest), max(1, cores))


def _share(together: int) -> float:
    """1 / `together`, rounded down to Ray's ten-thousandths, so that as many fit."""
    return int(10_000 / together) / 10_000
