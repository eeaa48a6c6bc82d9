"""A clock that stands still while its process does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

from cspnas.io.awake_clock import BEAT_SECONDS, MOST_BEAT_SECONDS, AwakeClock

SLEEPS = """
import sys, time
from cspnas.io.awake_clock import awake_clock
with awake_clock() as clock:
    begin, real = clock(), time.monotonic()
    print("ready", flush=True)
    sys.stdin.readline()
    print(clock() - begin, time.monotonic() - real)
"""


def test_of_a_pause_one_beat_counts_and_of_all_else_everything() -> None:
    now = 0.0
    clock = AwakeClock(lambda: now)
    for step in (0.5, MOST_BEAT_SECONDS, 3600.0, 0.25, 86_400.0):
        now += step
        clock()
    assert clock() == 0.5 + MOST_BEAT_SECONDS + BEAT_SECONDS + 0.25 + BEAT_SECONDS


def test_a_process_that_was_stopped_does_not_count_that_time_however_long_it_waited_before() -> None:
    """Oracle: the system's clock, and SIGSTOP."""
    command = [sys.executable, "-c", SLEEPS]
    environment = {**os.environ, "PYTHONPATH": ":".join(sys.path)}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        time.sleep(MOST_BEAT_SECONDS + 0.5)
        process.send_signal(signal.SIGSTOP)
        time.sleep(MOST_BEAT_SECONDS + 1.0)
        process.send_signal(signal.SIGCONT)
        awake, real = map(float, process.communicate("\n", timeout=60)[0].split())
    stopped = real - awake
    assert stopped > MOST_BEAT_SECONDS and awake > MOST_BEAT_SECONDS
