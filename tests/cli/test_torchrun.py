"""`torchrun -m cspnas train`: real processes, which print and write as one, end together and go on together."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from commands import draw_images
from searches import PATIENCE

from cspnas.documents.architecture_file import architecture_yaml
from cspnas.network.architecture import Architecture, Stage, Stem

EPOCHS = 20
COMMAND = (
    *(sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone", "-m", "cspnas"),
    *("train", "best.yaml", "--device", "cpu", "--checkpoint", "0.1", "--epochs", str(EPOCHS)),
)


def start(folder: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(COMMAND, cwd=folder, env=environment, text=True, **pipes)  # type: ignore[call-overload, no-any-return]


def test_when_one_dies_all_end_with_one_line_and_the_same_command_goes_on(tmp_path: Path) -> None:
    draw_images(tmp_path / "images", 120, 8)
    network = Architecture("densenet", (1, 8, 8), 2, Stem(4), (Stage(1, 2, 2, 4, False),))
    recipe = {"dataset": "folder:images", "batch_size": 32, "precision": "float32"}
    (tmp_path / "best.yaml").write_text(architecture_yaml(network, {"recipe": recipe}))
    first, kept, deadline = start(tmp_path), tmp_path / "best.safetensors.checkpoint", time.monotonic() + PATIENCE
    while not kept.exists():
        assert time.monotonic() < deadline and first.poll() is None
        time.sleep(0.01)
    children = Path(f"/proc/{first.pid}/task/{first.pid}/children").read_text().split()
    os.kill(int(children[1]), signal.SIGKILL)
    out, err = first.communicate(timeout=PATIENCE)
    told = "cspnas: best.yaml: another process of this training ended; run the same command again to go on"
    assert first.returncode and not out
    assert [line for line in err.splitlines() if line.startswith("cspnas: ")] == [told]
    assert kept.exists() and not list(tmp_path.glob("best.safetensors"))
    second = start(tmp_path)
    out, err = second.communicate(timeout=PATIENCE)
    assert second.returncode == 0, err
    assert out.splitlines()[1:] == ["weights: best.safetensors", "results: best.json"]
    assert err.count("going on from epoch ") == 1
    assert re.findall(r"^epoch (\d+)/20: ", err, re.MULTILINE) == [str(number + 1) for number in range(EPOCHS)]
    results = json.loads((tmp_path / "best.json").read_text())
    assert results["processes"] == 2 and len(results["curve"]) == EPOCHS
    assert not kept.exists() and not list(tmp_path.glob("*.lock"))
