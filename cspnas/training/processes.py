"""The processes that train one network together, as `torchrun` starts them; one alone where it did not.

Each takes its part of every batch. Gradients, losses and the running statistics of batch norm are means over all of them,
so that each holds the same network after every step.
"""

from __future__ import annotations

import os
import signal
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from cspnas.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import Tensor, nn

_T = TypeVar("_T")
# Set by torchrun.
LAUNCHED = "TORCHELASTIC_RUN_ID"
# Seconds between two looks whether the first process is ready. It may be long: a signal has to be heard meanwhile.
LOOK_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Processes:
    """This process is number `rank` of `count`, and number `local_rank` of the `local_count` on its machine."""

    rank: int = 0
    count: int = 1
    local_rank: int = 0
    local_count: int = 1

    @property
    def first(self) -> bool:
        """Whether it is the one that prints and writes."""
        return self.rank == 0

    def check_batch(self, batch_size: int, where: str) -> None:
        """Raises InputError where a batch has no two images for each process: batch norm has no deviation of one value."""
        if self.count > 1 and batch_size < 2 * self.count:
            raise InputError(
                f"batch_size {batch_size} for {self.count} processes",
                expected=f"at least {2 * self.count}, two images for each",
                where=where,
                hint="start fewer with torchrun --nproc-per-node, or raise recipe.batch_size in the file",
            )

    def choose_gpu(self, gpus: list[int]) -> int:
        """Its own of `gpus`. Raises InputError where processes of this machine outnumber them."""
        if self.local_count > len(gpus):
            raise InputError(
                f"{self.local_count} processes on this machine",
                expected=f"at most {len(gpus)}, one for each GPU of --device",
                where="torchrun --nproc-per-node",
                hint="lower it, or add --device cpu",
            )
        return gpus[self.local_rank]

    def share(self, batch: Tensor) -> Tensor:
        """Its part of `batch`, indices (N,). A last batch of too few images for all is every process's as a whole."""
        return batch.tensor_split(self.count)[self.rank] if len(batch) >= 2 * self.count else batch

    def weight(self, own: int, batch: int) -> float:
        """Of the mean loss of its `own` images, so that the mean over all processes is that of the whole `batch`."""
        return self.count * own / batch if own < batch else 1.0

    def own_generator(self, generator: torch.Generator, step: int) -> torch.Generator:
        """For the changes of its own images in a step of an epoch; the `generator` is in one state in all processes.

        That one is left as it is, so that it gives the order of images that one process alone would have.
        """
        if self.count == 1:
            return generator
        import torch

        same = torch.Generator()
        same.set_state(generator.get_state())
        seed = int(torch.randint(2**62, (), generator=same))
        return torch.Generator().manual_seed(seed + step * self.count + self.rank)

    def parallel(self, network: nn.Module) -> nn.Module:
        """`network` with gradients that are means over all processes, weighted as `weight` says."""
        if self.count == 1:
            return network
        from torch.nn.parallel import DistributedDataParallel

        with warnings.catch_warnings():
            # The argument is called `forward_sync_buffers` in the newest torch, and not before.
            warnings.simplefilter("ignore", FutureWarning)
            return DistributedDataParallel(network, broadcast_buffers=False)

    def agree(self, network: nn.Module, loss: float, ends: bool) -> tuple[float, bool]:
        """The mean of all `loss`, and whether any process `ends`; running statistics of batch norm become their means."""
        if self.count == 1:
            return loss, ends
        import torch

        statistics = [buffer for buffer in network.buffers() if buffer.is_floating_point()]
        told = torch.tensor([loss, float(ends)], device=next(network.parameters()).device)
        told, *means = self._sum([told, *statistics])
        for buffer, mean in zip(statistics, means, strict=True):
            buffer.copy_(mean / self.count)
        return float(told[0]) / self.count, bool(told[1])

    def gather(
        self, correct: NDArray[np.bool_], losses: float, total: int, batch_size: int, cut: bool, device: torch.device
    ) -> tuple[NDArray[np.bool_], float, bool]:
        """The booleans of all `total` images, of which this process has every `count`-th batch; the sum of all `losses`, and
        whether any process was `cut` short.
        """
        if self.count == 1:
            return correct, losses, cut
        import torch

        everything = torch.zeros(total)
        if not cut:
            own = torch.arange(total).split(batch_size)[self.rank :: self.count]
            everything[torch.cat([torch.arange(0), *own])] = torch.from_numpy(correct).float()
        found, (all_losses, cuts) = self._sum(
            [everything.to(device), torch.tensor([losses, float(cut)], device=device)]
        )
        return found.bool().cpu().numpy(), float(all_losses), bool(cuts)

    def after_first(self, what: str, work: Callable[[], _T]) -> _T:
        """The result of `work`, which the first process does before the others: they find the files that it made."""
        if not self.first:
            _wait_for(f"cspnas/{what}")
        found = work()
        if self.first and self.count > 1:
            _store().set(f"cspnas/{what}", "done")
        return found

    def as_first(self, what: str, work: Callable[[], str]) -> str:
        """What `work` gives in the first process, in all of them."""
        if self.count == 1:
            return work()
        if self.first:
            _store().set(f"cspnas/{what}", work())
        return str(_wait_for(f"cspnas/{what}").decode())

    def _sum(self, tensors: list[Tensor]) -> list[Tensor]:
        """Of each over all processes, in one exchange."""
        import torch
        import torch.distributed as dist

        flat = torch.cat([tensor.detach().flatten().float() for tensor in tensors])
        dist.all_reduce(flat)
        pieces = flat.split([tensor.numel() for tensor in tensors])
        return [piece.view_as(tensor) for piece, tensor in zip(pieces, tensors, strict=True)]


ONE_PROCESS = Processes()


def launched() -> Processes:
    """This process among those that torchrun started."""
    if LAUNCHED not in os.environ:
        return ONE_PROCESS
    return Processes(*(int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")))


def tells_the_end() -> bool:
    """Whether this process is the one to tell why all of them end: the first that met the reason. Call it once, at the end.

    torchrun ends the others with a signal: from here on it interrupts nothing.
    """
    processes = launched()
    if processes.count == 1:
        return True
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        return bool(_store().add("cspnas/told", 1) == 1)
    # torchrun itself is gone.
    except RuntimeError:
        return processes.first


@contextmanager
def connected(processes: Processes, device: torch.device) -> Iterator[None]:
    """In this block the processes can exchange tensors on the kind of `device`."""
    if processes.count == 1:
        yield
        return
    import torch.distributed as dist

    if device.type == "cuda":
        import torch

        torch.cuda.set_device(device)
    backend = "nccl" if device.type == "cuda" else "gloo"
    dist.init_process_group(backend, store=_store(), rank=processes.rank, world_size=processes.count)
    yield
    # Not after an error: it would wait for processes that are gone.
    dist.destroy_process_group()


def is_lost(error: BaseException) -> bool:
    """Whether an exchange failed because another process is gone; that of gloo says so by a plain RuntimeError."""
    import torch.distributed as dist

    signs = ("gloo", "NCCL", "Connection closed", "Connection reset")
    return isinstance(error, dist.DistError) or (
        isinstance(error, RuntimeError) and any(sign in str(error) for sign in signs)
    )


@cache
def _store() -> Any:
    """torchrun's own, which outlives each process."""
    from torch.distributed.rendezvous import rendezvous

    store, _, _ = next(rendezvous("env://"))
    return store


def _wait_for(key: str) -> bytes:
    while not _store().check([key]):
        time.sleep(LOOK_SECONDS)
    return bytes(_store().get(key))
