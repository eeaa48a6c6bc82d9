"""What a process takes of a GPU before it trains: CUDA's context and the libraries' workspaces, measured by making one.

`python -m cspnas.runners.local.gpu_probe INDEX` prints `{"free": bytes, "process": bytes}` of that GPU.
"""

from __future__ import annotations

import json
import subprocess
import sys

from cspnas.errors import CspnasError

# -P: nothing from the working folder.
COMMAND = (sys.executable, "-P", "-m", "cspnas.runners.local.gpu_probe")
# For two processes to import torch and open the GPU.
GPU_PROBE_SECONDS = 120.0


def probe(gpu: int) -> tuple[int, int]:
    """(bytes free, bytes of one process) of a GPU. Neither process lives on. Raises CspnasError where it cannot be used."""
    command = [*COMMAND, str(gpu)]
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=GPU_PROBE_SECONDS, check=True)
        found = json.loads(run.stdout.splitlines()[-1])
        return int(found["free"]), int(found["process"])
    except (subprocess.SubprocessError, ValueError, LookupError) as error:
        told = str(getattr(error, "stderr", "") or error).strip().rpartition("\n")[2]
        raise CspnasError(f"cuda:{gpu}: the GPU cannot be used ({told}); choose another --device") from None


def _hold(gpu: int) -> None:
    """Be such a process, until stdin closes: a convolution forward and backward loads what a training loads."""
    import torch
    from torch import nn

    device = torch.device("cuda", gpu)
    layer = nn.Conv2d(8, 8, 3).to(device)
    layer(torch.ones(2, 8, 8, 8, device=device)).sum().backward()
    torch.cuda.synchronize(device)
    torch.cuda.empty_cache()
    print("ready", flush=True)
    sys.stdin.read()


def _measure(gpu: int) -> dict[str, int]:
    import torch

    command = [*COMMAND, str(gpu), "hold"]
    # This process's own context is there before and after.
    torch.cuda.mem_get_info(gpu)
    before = torch.cuda.mem_get_info(gpu)[0]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        if other.stdout.readline() != "ready\n":
            raise RuntimeError("a second process could not open it")
        process = before - torch.cuda.mem_get_info(gpu)[0]
        other.stdin.close()
    # This process's context will be free again.
    return {"free": before + process, "process": process}


if __name__ == "__main__":
    if sys.argv[2:] == ["hold"]:
        _hold(int(sys.argv[1]))
    else:
        print(json.dumps(_measure(int(sys.argv[1]))))
