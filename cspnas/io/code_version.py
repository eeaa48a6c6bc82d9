"""Which code made a result: the package's version, a digest of its source and, in a checkout, the commit."""

from __future__ import annotations

import hashlib
import subprocess
from functools import cache
from pathlib import Path

from cspnas.version import __version__

PACKAGE = Path(__file__).parent.parent


@cache
def code_version() -> dict[str, str]:
    """`cspnas` (version) and `source` (sha256 of every Python file of the package, in hex); in a checkout `commit`, too.

    `commit` says where to look, `source` whether files were changed since.
    """
    found = {"cspnas": __version__, "source": source_digest(PACKAGE)}
    commit = _commit(PACKAGE.parent)
    return found if commit is None else {**found, "commit": commit}


def source_digest(package: Path) -> str:
    """Over the name and the content of each Python file below a folder, in the order of their names."""
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(package).as_posix()} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def _commit(root: Path) -> str | None:
    """The commit that is checked out, None where `root` is no checkout of its own, or there is no git."""
    if not (root / ".git").exists():
        return None
    command = ["git", "-C", str(root), "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
