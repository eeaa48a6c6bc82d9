"""What is kept of a worker's log."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from cspnas.runners.worker_log import tail
from cspnas.study.failures import LOG_CHARACTERS

DIES = """
import ctypes, sys, threading, time
from cspnas.runners.worker_log import print_to
print_to(sys.argv[1])
for _ in range(40):
    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
print("about to read address 0", flush=True)
ctypes.string_at(0)
"""


def test_the_last_lines_are_kept_whole_and_none_from_before_the_start(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("before\n" + "".join(f"line {number}\n" for number in range(1000)))
    kept = tail(log).splitlines()
    assert kept[-1] == "line 999" and kept == [f"line {number}" for number in range(1000 - len(kept), 1000)]
    assert LOG_CHARACTERS - 20 < len(tail(log)) <= LOG_CHARACTERS
    assert tail(log, log.stat().st_size - len("line 998\nline 999\n")) == "line 998\nline 999"
    log.write_text("one line\n")
    assert tail(log) == "one line" and tail(log, 9) == tail(tmp_path / "none") == ""


def test_of_a_crash_the_last_words_and_the_place_are_kept_whatever_else_is_reported(tmp_path: Path) -> None:
    """A real fault in a process of many threads, whose report is several times as long as what is kept."""
    log = tmp_path / "log"
    run = subprocess.run([sys.executable, "-c", DIES, str(log)], env={"PYTHONPATH": ":".join(sys.path)}, check=False)
    assert run.returncode < 0 and log.stat().st_size > 2 * LOG_CHARACTERS
    kept = tail(log)
    assert "about to read address 0" in kept and "Segmentation fault" in kept and len(kept) <= LOG_CHARACTERS
