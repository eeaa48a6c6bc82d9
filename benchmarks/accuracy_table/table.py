"""The accuracy table: trained CSP-DenseNets of the shipped `densenet` space, with what made them.

    python benchmarks/accuracy_table/table.py export table    the study -> table.json.xz
    python benchmarks/accuracy_table/report.py                what the table says by itself

The study is made by the product's own search, and continued by the same command from `study.db.xz` beside this file:

    xz -dc benchmarks/accuracy_table/study.db.xz > studies/table.db
    cspnas search densenet --study table --sampler random --trials 1000 --set search.confirm=0 --set baselines.widths=0
"""

from __future__ import annotations

import argparse
import json
import lzma
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILE = Path(__file__).parent / "table.json.xz"


@dataclass(frozen=True, slots=True)
class Row:
    """One network: accuracies of its seeds (the last epoch's), and for each seed the accuracy after every epoch."""

    digest: str
    genotype: dict[str, Any]
    architecture: dict[str, Any]
    costs: dict[str, float]
    accuracies: tuple[float, ...]
    curves: tuple[tuple[float, ...], ...]
    seconds: tuple[float, ...]


def load(file: Path = FILE) -> tuple[list[Row], dict[str, Any]]:
    """(rows in the order of their first training, provenance)."""
    document = json.loads(lzma.decompress(file.read_bytes()))
    lists = ("accuracies", "seconds")
    rows = [
        Row(**{**row, **{key: tuple(row[key]) for key in lists}, "curves": tuple(map(tuple, row["curves"]))})
        for row in document["rows"]
    ]
    return rows, document["provenance"]


def export(name: str, file: Path = FILE) -> int:
    """Write every network of a study that was trained to the end; how many. Raises InputError where there is none."""
    from cspnas.storage.database import Database
    from cspnas.storage.locations import existing_place

    place = existing_place(name)
    database = Database(place.url, read_only=True)
    study = database.chosen(place.name)
    genotypes: dict[str, Any] = {}
    for suggestion in database.suggestions(study.id):
        genotypes.setdefault(str(suggestion.digest), suggestion.genotype)
    rows: dict[str, dict[str, Any]] = {}
    result: Any = {}
    for evaluation in database.evaluations(study.id):
        if evaluation["accuracy"] is None:
            continue
        result = database.result(evaluation["id"])
        digest = evaluation["digest"]
        row = rows.setdefault(
            digest,
            {
                "digest": digest,
                "genotype": genotypes[digest],
                "architecture": json.loads(evaluation["document"]),
                "costs": evaluation["costs"],
                "accuracies": [],
                "curves": [],
                "seconds": [],
            },
        )
        row["accuracies"].append(evaluation["accuracy"])
        row["curves"].append([epoch["accuracy"] for epoch in result["curve"]])
        row["seconds"].append(round(result["seconds"], 2))
    provenance = {
        "study": study.settings.values,
        "facts": study.facts.values,
        "device": result.get("device"),
        "versions": result.get("versions"),
        "trainings": sum(len(row["accuracies"]) for row in rows.values()),
    }
    text = json.dumps({"provenance": provenance, "rows": list(rows.values())}, separators=(",", ":"))
    file.write_bytes(lzma.compress(text.encode(), preset=9))
    return len(rows)


def main() -> None:
    """Parse, call, print; argparse says in one line what is wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    exporting = commands.add_parser("export", help=f"a study's trained networks into {FILE.name}")
    exporting.add_argument("study", help="NAME under studies/, FILE.db#NAME or URL#NAME")
    asked = parser.parse_args()
    from cspnas.errors import CspnasError

    try:
        print(f"{export(asked.study)} networks in {FILE}")
    except CspnasError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
