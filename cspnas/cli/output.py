"""Results on stdout for other programs: JSON and comma-separated values."""

from __future__ import annotations

import csv
import json
import sys
from typing import Any


def print_json(document: Any) -> None:
    """A document, indented."""
    print(json.dumps(document, indent=2))


def print_csv(rows: list[dict[str, Any]]) -> None:
    """A line a row under the first row's keys; nothing where there is no row."""
    if rows:
        writer = csv.DictWriter(sys.stdout, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
