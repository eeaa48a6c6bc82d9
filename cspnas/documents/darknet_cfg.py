"""Darknet's .cfg files as sections with their lines."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cspnas.errors import InputError

LARGEST_CFG = 2**20


@dataclass(frozen=True, slots=True)
class CfgSection:
    """A section: its `kind`, the `line` that it begins in, and its texts by key, with their lines."""

    kind: str
    line: int
    options: Mapping[str, tuple[str, int]]
    path: Path

    @property
    def place(self) -> str:
        """File and line."""
        return f"{self.path}:{self.line}"

    def text(self, key: str, default: str) -> str:
        """What it says under `key`."""
        return self.options.get(key, (default, 0))[0]

    def numbers(self, key: str) -> list[int]:
        """The integers under `key`, none where it says none. Raises InputError for what is none."""
        text, line = self.options.get(key, ("", self.line))
        words = [word.strip() for word in text.split(",")] if text else []
        if not all(re.fullmatch(r"-?[0-9]{1,9}", word) for word in words):
            raise InputError(repr(text), expected="integers", where=f"{self.path}:{line} {key}")
        return [int(word) for word in words]

    def number(self, key: str, default: int) -> int:
        """The integer under `key`. Raises InputError for what is none."""
        found = self.numbers(key) or [default]
        if len(found) != 1:
            raise InputError(
                self.text(key, ""), expected="one integer", where=f"{self.path}:{self.options[key][1]} {key}"
            )
        return found[0]


def read_sections(path: Path) -> list[CfgSection]:
    """Of a file, [net] first. Raises InputError for a file that cannot be read or is none of Darknet's."""
    try:
        with path.open("rb") as file:
            text = file.read(LARGEST_CFG + 1).decode()
    except UnicodeDecodeError:
        raise InputError("bytes that are no text", expected="a Darknet .cfg", where=str(path)) from None
    except OSError as error:
        raise InputError(f"{error.strerror}", expected="a Darknet .cfg", where=str(path)) from None
    if len(text) > LARGEST_CFG:
        raise InputError(f"more than {LARGEST_CFG:,} bytes", expected="a Darknet .cfg", where=str(path))
    sections: list[CfgSection] = []
    options: dict[str, tuple[str, int]] = {}
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.split("#")[0].split(";")[0].strip()
        if match := re.fullmatch(r"\[(\w+)\]", line):
            options = {}
            sections.append(CfgSection(match[1], number, options, path))
        elif line:
            key, sign, value = (part.strip() for part in line.partition("="))
            if not sections or not sign or not key:
                expected = "key=value" if sections else "[net]"
                raise InputError(repr(line[:60]), expected=expected, where=f"{path}:{number}")
            if key in options:
                raise InputError(f"{key} again", expected="each key once in a section", where=f"{path}:{number}")
            options[key] = (value, number)
    if not sections or sections[0].kind not in ("net", "network"):
        found = f"[{sections[0].kind}]" if sections else "no section"
        raise InputError(
            found, expected="[net] first, as in a Darknet .cfg", where=f"{path}:{sections[0].line if sections else 1}"
        )
    return sections
