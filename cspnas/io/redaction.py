"""Passwords in URLs: nothing that a person reads or a table keeps may hold one."""

from __future__ import annotations

import re

_USER = re.compile(
    r"((?<![\w+.-])\w[\w+.-]*+://[^\s/@:?#]*):(?:[^\s/]*)@"
    # Up to the last @ before a slash: a password may hold one.
)
# What nobody quoted: / and # in the password, spaces in user and password; no further than to the next URL.
_UNQUOTED = re.compile(r"((?<!\w)postgres\w*+(?:\+\w+)?://[^/@:?#]*):(?:(?!://)[^@])*@(?:\S*@|[^@/]*@)*")
_OPTION = re.compile(r"(?i)\b((?:ssl)?password|passwd)=[^\s&#'\"]+")


def redact(text: str) -> str:
    """`text` with `***` in the place of every password of a URL, and of every password=... option."""
    return _OPTION.sub(r"\1=***", _UNQUOTED.sub(r"\1:***@", _USER.sub(r"\1:***@", text)))
