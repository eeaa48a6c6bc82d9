"""Results that could not reach the database, kept on disk until they can: one JSON file each, whole or not there."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from cspnas.errors import FailureKind, StorageError
from cspnas.io.atomic_write import put_whole
from cspnas.io.remedies import remedy
from cspnas.io.standard_streams import tell
from cspnas.storage.database import Database
from cspnas.storage.transactions import Row
from cspnas.study.evaluation import end_of
from cspnas.study.failures import validated_result
from cspnas.study.states import State
from cspnas.study.study_record import StudyRecord
from cspnas.training.payload import EvaluationKey, ResultPayload

FORMAT = "cspnas-spool/1"
KEY = ("digest", "recipe_digest", "seed", "fidelity")


class Spool:
    """The folder of one study's results. Several searches of the study may use it at once."""

    def __init__(self, folder: Path, study: StudyRecord) -> None:
        self.folder = folder
        self._study = {"name": study.name, "created": study.created}

    def put(self, key: EvaluationKey, driver_id: int, result: ResultPayload) -> Path:
        """Keep the result of the evaluation `key`; the file. Raises StorageError where the disk does not take it."""
        entry = {"study": self._study, "key": dict(key), "driver_id": driver_id, "result": dict(result)}
        text = json.dumps({"format": FORMAT, "sha256": _checksum(entry), "entry": entry})
        path = self.folder / f"{key['digest'][:12]}-{key['seed']}-{driver_id}.json"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            put_whole(path, text.encode(), path.with_name(f".{path.name}.{os.getpid()}"))
        except OSError as error:
            raise StorageError(
                f"{path}: a result cannot be kept there either ({error.strerror}); {remedy(error)}"
            ) from None
        return path

    def left(self) -> list[tuple[Path, Row]]:
        """What is to be recorded in this study, oldest first. A damaged file is set aside with a line on stderr."""
        found = []
        for path in sorted(self.folder.glob("*.json"), key=_changed):
            try:
                entry = _read(path)
            # Another search recorded it meanwhile.
            except FileNotFoundError:
                continue
            except (OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
                _set_aside(path, error)
                continue
            if entry["study"] == self._study:
                found.append((path, entry))
        return found


def record_left(spool: Spool, database: Database, study_id: int) -> int:
    """Record what an earlier search could not; how many results. What has a result already is not counted twice."""
    left = spool.left()
    for path, entry in left:
        with database.step(study_id):
            row = database.evaluation(study_id, entry["key"])
            if row is not None and row["state"] == State.IN_FLIGHT:
                database.finish(row["id"], end_of(entry["result"], State.TRAINED), None)
            elif row is not None:
                database.keep_late(row["id"], entry["driver_id"], entry["result"])
        path.unlink(missing_ok=True)
    return len(left)


def _checksum(entry: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(entry, sort_keys=True).encode()).hexdigest()


def _read(path: Path) -> Row:
    """The entry of a file. Raises ValueError, TypeError or LookupError for one that is not what was written."""
    if not stat.S_ISREG(path.stat().st_mode):
        # Reading a pipe or a device would never end.
        raise ValueError("it is no file")
    document = json.loads(path.read_bytes().decode("utf-8"))
    if document["format"] != FORMAT:
        raise ValueError(f"format {document['format']!r}")
    entry: Row = document["entry"]
    if _checksum(entry) != document["sha256"]:
        raise ValueError("its checksum does not agree")
    _check(entry)
    return entry


def _check(entry: Row) -> None:
    """Raises ValueError, TypeError, LookupError or AttributeError for an entry that `put` cannot have kept."""
    key, result = entry["key"], entry["result"]
    kinds = {"digest": str, "recipe_digest": str, "seed": int, "fidelity": int}
    wrong = [name for name in KEY if type(key[name]) is not kinds[name]]
    if wrong or type(entry["driver_id"]) is not int:
        raise ValueError(f"{(*wrong, 'driver_id')[0]} of another type")
    if validated_result(result) != {"accuracy": None, **result}:
        raise ValueError(f"accuracy {result.get('accuracy')!r}")
    if result.get("failure"):
        FailureKind(result["failure"]["kind"])


def _set_aside(path: Path, error: Exception) -> None:
    aside = path.with_suffix(".damaged")
    reason = " ".join(str(error).split())[:100]
    tell(
        f"note: {path}: found a damaged result ({reason}), expected one that was kept whole; it is not recorded, its "
        f"training is done again; see {aside.name}"
    )
    with suppress(OSError):
        path.rename(aside)


def _changed(path: Path) -> tuple[float, str]:
    try:
        return path.stat().st_mtime, path.name
    except OSError:
        return 0.0, path.name
