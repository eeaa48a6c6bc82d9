"""Results on stdout for other programs: JSON and comma-separated values."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def print_json(document: Any) -> None:
    """A document, indented."""
    print(json.dumps(document, indent=2))


def print_csv(rows: Sequence[DataclassInstance]) -> None:
    """A line a row under the names of its fields; nothing where there is no row."""
    if rows:
        writer = csv.DictWriter(sys.stdout, [field.name for field in fields(rows[0])], lineterminator="\n")
        writer.writeheader()
        writer.writerows(map(asdict, rows))
