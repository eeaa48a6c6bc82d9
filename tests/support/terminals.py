"""A command on a real pseudo-terminal, whose screen `pyte` draws: what a person would see, and when."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyte
from searches import PATIENCE


class Terminal:
    """`columns` x 30 characters; `raw` is all that was written to it, `code` the exit code once it ended."""

    def __init__(self, folder: Path, columns: int, *command: str) -> None:
        self.screen = pyte.HistoryScreen(columns, 30, history=1000)
        self._stream = pyte.ByteStream(self.screen)
        self.raw, self.code = b"", None
        self.pid, self._descriptor = pty.fork()
        if not self.pid:
            os.chdir(folder)
            os.environ["TERM"] = "xterm-256color"
            for name in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR"):
                os.environ.pop(name, None)
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
            os.execv(sys.executable, [sys.executable, *command])

    def resize(self, columns: int) -> None:
        """As if the window were dragged."""
        fcntl.ioctl(self._descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
        self.screen.resize(30, columns)

    def type(self, keys: bytes) -> None:
        """On its keyboard."""
        os.write(self._descriptor, keys)

    def modes(self) -> list[object]:
        """Of the terminal line: echo, canonical input and so on."""
        return termios.tcgetattr(self._descriptor)[:4]

    @property
    def lines(self) -> list[str]:
        """All lines, those that were scrolled away first."""
        columns = range(self.screen.columns)
        above = ["".join(line[column].data for column in columns) for line in self.screen.history.top]
        lines = [line.rstrip() for line in (*above, *self.screen.display)]
        while lines and not lines[-1]:
            lines.pop()
        return lines

    def watch(self, seen: Callable[[], bool]) -> bool:
        """Until `seen`, asked after everything that is written (True), or until the command has ended (False)."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if not select.select([self._descriptor], [], [], 0.5)[0]:
                continue
            try:
                written = os.read(self._descriptor, 1 << 16)
            except OSError:  # nobody has it open any more
                written = b""
            if not written:
                self.code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
                return False
            self.raw += written
            self._stream.feed(written)
            if seen():
                return True
        raise AssertionError("\n".join(self.lines))

    def close(self) -> None:
        """Its command is killed if it still runs."""
        if self.code is None:
            os.kill(self.pid, 9)
            os.waitpid(self.pid, 0)
        os.close(self._descriptor)


@contextmanager
def terminal(folder: Path, columns: int, *command: str) -> Iterator[Terminal]:
    """Python with these arguments on a terminal of its own."""
    opened = Terminal(folder, columns, *command)
    try:
        yield opened
    finally:
        opened.close()
