"""Trains networks of the accuracy table's study again, with the product's own driver, runner and database.

    python benchmarks/accuracy_table/seeds.py sqlite:///studies/table.db#table [NETWORKS [SEEDS]]    default 100, 3

The networks are a stratified choice: 60 in 100 from the fifth that lies nearest the front, 25 from the next three tenths, 15
from the rest, so that both the ranking near the front and that of the whole space are known. All get their second seed, then
all their third; what is there already counts, and the same command continues.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from cspnas.documents.space_file import find_space, read_space
from cspnas.objectives.pareto import HypervolumeReference, losses, non_dominated
from cspnas.runners.factory import open_runner
from cspnas.runners.protocol import Done, RunnerOptions, Wait, Work
from cspnas.runners.run_loop import run_loop
from cspnas.samplers.registry import sampler_of
from cspnas.searching.driver import Driver
from cspnas.storage.locations import StudyLocation
from cspnas.storage.study_creation import known_row, opened
from cspnas.study.network_record import NetworkRecord
from cspnas.study.suggestion import CONFIRM, Suggestion

STRATA = ((0.2, 0.6), (0.5, 0.85), (1.0, 1.0))  # up to this share of the networks, this share of the choice


class Repeating(Driver):
    """Instead of new networks: those of the choice with fewer than `seeds` trainings."""

    count, seeds = 100, 3

    def _suggest(self) -> Work | Wait | Done:
        work = self._again()
        if work is not None:
            self.database.restart(work.evaluation_id, work.attempt, self.driver_id, work.micro_batch)
            return work
        chosen = choice(list(self.results.networks.values()), self.results.reference, self.count)
        for network in sorted(chosen, key=lambda one: len(one.evaluations)):
            if len(network.evaluations) < self.seeds:
                started = self._start(Suggestion(self._number, CONFIRM, {}), network, len(network.evaluations))
                if started is not None:
                    return started
        return Wait() if self.results.in_flight else Done(f"{len(chosen)} networks have {self.seeds} seeds")


def choice(networks: list[NetworkRecord], reference: HypervolumeReference, count: int) -> list[NetworkRecord]:
    """By first seeds alone, so that it stays the same while more come; evenly spaced in each stratum."""
    known = [one for one in networks if one.evaluations[0].accuracy is not None]
    first = [[one.evaluations[0].accuracy, *(one.costs[c] for c in reference.objectives[1:])] for one in known]
    ranked = [known[n] for n in by_layers(losses(np.array(first), reference))]
    found: list[NetworkRecord] = []
    low = taken = 0
    for share, part in STRATA:
        high, upto = round(share * len(ranked)), round(part * count)
        places = np.linspace(low, high - 1, min(upto - taken, high - low)).round().astype(int)
        found += [ranked[place] for place in places]
        low, taken = high, upto
    return found


def by_layers(loss: np.ndarray) -> list[int]:
    """Indices: the front, the front of the rest, and so on; the most accurate first in each."""
    left, found = np.arange(len(loss)), list[int]()
    while len(left):
        front = non_dominated(loss[left])
        found += sorted(left[front].tolist(), key=lambda n: (loss[n, 0], n))
        left = left[~front]
    return found


def main() -> None:
    """Open the study, train, say what was trained."""
    url, _, name = sys.argv[1].partition("#")
    Repeating.count, Repeating.seeds = [int(v) for v in sys.argv[2:4]] + [100, 3][len(sys.argv[2:4]) :]
    place = StudyLocation(url, name)
    settings = {"search.confirm": 0.0, "baselines.widths": 0, "search.sampler": "random"}
    study = read_space(find_space("densenet"), settings)
    row = known_row(study, place)
    assert row is not None, f"no study {name} in {url}"
    assert row.facts.reference.objectives[0] == "accuracy"

    def on_event(kind: str, work: Any, detail: Any) -> None:
        if kind == "finished":
            shown = f"{detail['accuracy']:.4f}" if detail.get("accuracy") is not None else detail["failure"]["message"]
            print(f"{work.digest[:12]} seed {work.unit['seed']}: {shown}", flush=True)

    with (
        open_runner(RunnerOptions(), study, Path(place.folder)) as runner,
        opened(study, place, row.facts) as (database, row),
    ):
        study = replace(study, recipe=replace(study.recipe, precision=row.facts.precision))
        driver = Repeating(study, database, row, sampler_of(study), database.start_driver(row.id, {}))
        print(run_loop(runner, driver, on_event))
        database.end_driver(driver.driver_id)


if __name__ == "__main__":
    main()
