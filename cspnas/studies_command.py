"""`cspnas studies`: what lies under studies/."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from cspnas.database import Database
from cspnas.errors import CspnasError
from cspnas.library import FOLDER
from cspnas.storage import undamaged
from cspnas.summary import open_study


def listing(*, as_json: bool) -> str:
    """One line a study; a damaged file is listed with its error and hides no other."""
    rows = [row for path in sorted(FOLDER.glob("*.db")) for row in _studies_in(str(path))]
    if as_json:
        return json.dumps(rows, indent=2)
    if not rows:
        return f"no study under {FOLDER}/ yet; next: cspnas search densenet"
    return "\n".join(_line(row) for row in rows)


def _studies_in(path: str) -> list[dict[str, Any]]:
    try:
        database = Database(f"sqlite:///{path}", read_only=True)
        return [_row_or_error(database, row, path) for row in database.studies()]
    except CspnasError as error:
        return [{"file": path, "error": str(error)}]


def _row_or_error(database: Database, row: dict[str, Any], path: str) -> dict[str, Any]:
    try:
        with undamaged(path):
            return _row(database, row, path)
    except CspnasError as error:
        return {"file": path, "error": f"study {row['name']}: {error}"}


def _row(database: Database, row: dict[str, Any], path: str) -> dict[str, Any]:
    ledger = open_study(database, row["name"]).ledger
    front = ledger.front()
    return {
        "file": path,
        "study": row["name"],
        "space": row["facts"]["space"],
        "created": datetime.fromtimestamp(row["created"]).isoformat(" ", "minutes"),
        "trainings": ledger.finished,
        "front": len(front),
        "best_accuracy": front[0].accuracy if front else None,
    }


def _line(row: dict[str, Any]) -> str:
    if "error" in row:
        return f"{row['file']}: {row['error']}"
    best = f"{100 * row['best_accuracy']:.2f}%" if row["best_accuracy"] is not None else "-"
    return (
        f"{row['study']}  {row['trainings']} trainings, front {row['front']}, best {best}, space {row['space']}, "
        f"made {row['created']}, {row['file']}"
    )
