"""The accuracy table: trained CSP-DenseNets of the shipped `densenet` space, with what made them.

    python benchmarks/accuracy_table/table.py export sqlite:///studies/table.db#table    study -> table.json.xz
    python benchmarks/accuracy_table/table.py report                                     what the table says by itself

The study is made by the product's own search, and continued by the same command:

    cspnas search densenet --study table --sampler random --trials 1000 --set search.confirm=0 --set baselines.widths=0
"""

from __future__ import annotations

import json
import lzma
import sys
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


def export(url: str, name: str, file: Path = FILE) -> int:
    """Write every network of a study that was trained to the end; how many."""
    from cspnas.database import Database

    database = Database(url, read_only=True)
    study = database.study(name)
    assert study is not None, f"no study {name} in {url}"
    genotypes: dict[str, Any] = {}
    for suggestion in database.suggestions(study["id"]):
        genotypes.setdefault(suggestion["digest"], suggestion["genotype"])
    rows: dict[str, dict[str, Any]] = {}
    result: dict[str, Any] = {}
    for evaluation in database.evaluations(study["id"]):
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
        "study": study["identity"],
        "facts": study["facts"],
        "device": result.get("device"),
        "versions": result.get("versions"),
        "trainings": sum(len(row["accuracies"]) for row in rows.values()),
    }
    text = json.dumps({"provenance": provenance, "rows": list(rows.values())}, separators=(",", ":"))
    file.write_bytes(lzma.compress(text.encode(), preset=9))
    return len(rows)


def main() -> None:
    """Parse, call, print."""
    if sys.argv[1] == "export":
        url, _, name = sys.argv[2].partition("#")
        print(f"{export(url, name)} networks in {FILE}")
    else:
        from report import report

        print(json.dumps(report(*load()), indent=2))


if __name__ == "__main__":
    main()
