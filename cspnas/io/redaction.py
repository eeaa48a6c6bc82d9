"""Passwords in URLs: nothing that a person reads or a table keeps may hold one."""

from __future__ import annotations

import re

_USER = re.compile(
    r"((?<![\w+.-])\w[\w+.-]*+://[^\s/@:?#]*):(?:[^\s/]*)@"
    # Up to the last @ before a slash: a password may hold one.
)
# What nobody quoted: / and # in the password, spaces in user and password; no further than to the next URL.
_UNQUOTED = re.compile(r"((?<!\w)postgres\w*+(?:\+\w+)?://[^/@:?#]*):(?:(?!://)[^@])*@(?:\S*@|[^@/]*@)*")
_KEY = r"((?:ssl)?password|passwd)=(?!\*\*\*(?:[\s&#'\":;,.)]|$))"
# In a URL a value may hold spaces and quotes: it ends at the next option, at the name of a study, or with the URL.
_END = r"(?:['\"](?=[\s.,;:)]|$)|$)"
_QUOTED = r"'[^']*'|\"[^\"]*\""
_IN_URL = re.compile(rf"(?i)(?<=[?&]){_KEY}(?:{_QUOTED}|[^&]*?)(?=&|#[\w. -]*{_END}|{_END})")
_OPTION = re.compile(rf"(?i)\b{_KEY}(?:{_QUOTED}|[^\s&#'\"]+)")


def redact(text: str) -> str:
    """`text` with `***` in the place of every password of a URL, and of every password=... option."""
    text = _UNQUOTED.sub(r"\1:***@", _USER.sub(r"\1:***@", text))
    return _OPTION.sub(r"\1=***", _IN_URL.sub(r"\1=***", text))
