"""Whether the summary's verdict holds: searches by the real driver on simulated trainings, whose true accuracies are known.

    python benchmarks/verdict.py run TRUTH NOISE SAMPLER TRAININGS SEARCHES [--confirm SHARE] [--rule NAME]
    python benchmarks/verdict.py table                      markdown from all results

Every search is of the shipped `densenet` space with its two baseline curves, on a SQLite file, with a seed of its own. TRUTH:
`model`: the regression on the accuracy table (samplers/truth.py). `rough`: the same, with an offset of each network's own
(standard deviation .3 points), which no model can foresee. `equal`: linear in log FLOPs, so that no network wins anything
at equal FLOPs.
NOISE of one training, with the standard deviation of the table's seeds: `normal`; `heavy`: Student's t with 3 degrees of
freedom; `uneven`: from 1.5 times that at the smallest networks down to .6 times at the largest.
The stated interval is compared with the true mean difference over the networks that the verdict compares. A run is kept in
benchmarks/results/verdict/ as soon as it ends; the same command goes on where it was. To judge another version of the
package, put it first on PYTHONPATH and name it with --rule (`before` in the results: commit 6a0a8b4); where it states no
interval, two standard errors are taken.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import binomtest

from cspnas.study.verdict import Verdict

sys.path.insert(0, str(Path(__file__).parent / "samplers"))
from truth import Model

from cspnas.documents.space_file import find_space, read_space
from cspnas.reports.summary import summarise
from cspnas.runners.protocol import Work
from cspnas.samplers.candidate_pool import Pool
from cspnas.samplers.cost_aware import CostAwareSampler
from cspnas.samplers.protocol import Sampler
from cspnas.samplers.registry import sampler_of
from cspnas.searching.driver import Driver
from cspnas.storage.database import Database
from cspnas.storage.open_study import load_study
from cspnas.study.candidates import Candidate, admitted_sample, reference_of
from cspnas.study.network_record import NetworkRecord
from cspnas.study.results import StudyResults
from cspnas.study.settings import Study

RESULTS = Path(__file__).parent / "results" / "verdict"
ROUGH = 0.003  # standard deviation of a network's own offset
KINDS = ("plain", "csp")


class Simulation:
    """True accuracies, and trainings with noise; the same for the same network and seed.

    All searches of the cost-aware sampler choose from the same 10,000 random candidates and mutations of their own: to draw
    the random ones anew would be most of a search's time.
    """

    def __init__(self, truth: str, noise: str) -> None:
        self.truth, self.noise, self.model = truth, noise, Model()
        self._known: dict[str, float] = {}
        self._pool: Pool | None = None

    def sampler(self, study: Study) -> Sampler:
        """The one that the study names."""
        if study.sampler != "cost-aware":
            return sampler_of(study)
        self._pool = self._pool or Pool(study)
        return CostAwareSampler(study, lambda study: self._pool or Pool(study))

    def accuracy(self, network: NetworkRecord) -> float:
        """Without noise."""
        if network.digest not in self._known:
            self._known[network.digest] = self._accuracy(network)
        return self._known[network.digest]

    def _accuracy(self, network: NetworkRecord) -> float:
        if self.truth == "equal":
            return float(0.84 + 0.01 * np.log(network.costs["flops"] / 1e6))
        drawn = Candidate(network.architecture, network.digest, network.costs, {})
        offset = ROUGH * _generator(network.digest).standard_normal() if self.truth == "rough" else 0.0
        return float(self.model.accuracies([drawn])[0]) + offset

    def train(self, network: NetworkRecord, seed: int) -> float:
        """The accuracy of one training."""
        generator, deviation = _generator(f"{network.digest}/{seed}"), self.model.deviation
        if self.noise == "heavy":
            return self.accuracy(network) + deviation * float(generator.standard_t(3)) / 3**0.5
        if self.noise == "uneven":
            deviation *= float(np.interp(np.log(network.costs["flops"]), np.log([0.4e6, 5.5e6]), [1.5, 0.6]))
        return self.accuracy(network) + deviation * float(generator.standard_normal())


def _generator(text: str) -> np.random.Generator:
    return np.random.default_rng(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big"))


def compared(results: StudyResults) -> dict[str, int]:
    """How often each network counts in the verdict, from the trainings alone: as often as it was confirmed
    (`cspnas/verdict.py`); in the package before that, once, if it is on the front in the end.
    """
    again = {n.digest: len(n.accuracies) - 1 for n in results.measured() if not n.source.startswith("baseline")}
    if not hasattr(results, "confirmed"):
        again = {n.digest: min(1, again.get(n.digest, 0)) for n in results.front()}
    return {digest: count for digest, count in again.items() if count}


def true_gain(results: StudyResults, simulation: Simulation, kind: str) -> float:
    """Mean of true accuracy minus the curve through the baselines' true accuracies at the same FLOPs."""
    curve = sorted(
        (network.costs["flops"], simulation.accuracy(network))
        for network in results.measured()
        if network.source == f"baseline:{kind}"
    )
    logs, heights = np.log([flops for flops, _ in curve]), [accuracy for _, accuracy in curve]
    above, counts = [], []
    for digest, count in compared(results).items():
        network = results.networks[digest]
        place = np.log(network.costs["flops"])
        if logs[0] <= place <= logs[-1]:
            above.append(simulation.accuracy(network) - np.interp(place, logs, heights))
            counts.append(count)
    return float(np.average(above, weights=counts))


def search(study: Study, facts: dict[str, Any], simulation: Simulation) -> dict[str, Any]:
    """One search to its end; of each curve truth, gain, low, high, standard error (points), number of networks; or None."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        database = Database(f"sqlite:///{folder}/run.db", create=True)
        row = database.create_study("run", study.identity(), facts)
        driver = Driver(study, database, row, simulation.sampler(study), database.start_driver(row.id, {}))
        while isinstance(work := driver.suggest(), Work):
            accuracy = simulation.train(driver.results.networks[work.digest], work.unit["seed"])
            driver.finish(work, {"accuracy": accuracy, "failure": None})
        opened = load_study(database, None)
        summary = summarise(opened)
        database.close()
    found: dict[str, Any] = {"deviation": summary.seed_standard_deviation}
    found |= {"front": len(summary.front), "front_confirmed": summary.front_confirmed}
    for kind, won in summary.won_at_equal_flops.items():
        found[kind] = None if won is None else _figures(won, true_gain(opened.results, simulation, kind))
    return found


def _figures(won: Verdict, truth: float) -> list[float]:
    figures = [truth, won.gain, won.low, won.high, won.standard_error]
    return [round(100 * figure, 4) for figure in figures] + [won.members]


def run(asked: argparse.Namespace) -> None:
    """Add what is missing to the results of one configuration."""
    changes = {"search.sampler": asked.sampler, "search.trials": asked.trainings}
    if asked.confirm is not None:
        changes["search.confirm"] = asked.confirm
    study = read_space(find_space("densenet"), changes)
    facts = {"reference": reference_of(study, admitted_sample(study)).to_json(), "recipe_digest": "0" * 64}
    name = f"{asked.rule}-{asked.truth}-{asked.noise}-{asked.sampler}-{asked.trainings}-{study.confirm_share:g}"
    file = RESULTS / f"{name}.json"
    document = json.loads(file.read_text()) if file.exists() else {"runs": {}}
    document |= {"rule": asked.rule, "truth": asked.truth, "noise": asked.noise, "sampler": asked.sampler}
    document |= {"trainings": asked.trainings, "confirm": study.confirm_share, "machine": machine()}
    simulation = Simulation(asked.truth, asked.noise)
    RESULTS.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    for seed in range(asked.searches):
        if str(seed) in document["runs"]:
            continue
        document["runs"][str(seed)] = search(replace(study, seed=seed), facts, simulation)
        file.write_text(json.dumps(document) + "\n")
        if seed % 20 == 19:
            print(f"{name}: {seed + 1} of {asked.searches}, {time.monotonic() - began:.0f} s", flush=True)
    print(line(document), flush=True)


def machine() -> dict[str, Any]:
    """What the figures were made by."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    about = {"system": platform.platform(), "cores": os.cpu_count(), "python": platform.python_version()}
    return about | {"numpy": np.__version__, "commit": commit.stdout.strip()}


HEADER = (
    "| Rule | Truth | Noise | Sampler | Trainings | Confirm | Searches | Curve | Intervals that hold the truth (95 %) "
    "| True gain | Bias ± s.e. | Half width, median | Distinguishable | Compared | Front confirmed |\n"
    "|---|---|---|---|--:|--:|--:|---|---|--:|--:|--:|--:|--:|--:|"
)


def line(document: dict[str, Any]) -> str:
    """Rows of the table: one a curve."""
    rows = []
    head = " | ".join(str(document[key]) for key in ("rule", "truth", "noise", "sampler", "trainings", "confirm"))
    runs = document["runs"].values()
    confirmed = sum(one["front_confirmed"] for one in runs) / sum(one["front"] for one in runs)
    for kind in KINDS:
        figures = np.array([one[kind] for one in runs if one[kind] is not None])
        if not len(figures):
            rows.append(f"| {head} | {len(runs)} | {kind} | no verdict | | | | | | |")
            continue
        truth, gain, low, high, _, members = figures.T
        inside = (low <= truth) & (truth <= high)
        interval = binomtest(int(inside.sum()), len(inside)).proportion_ci(method="wilson")
        error = gain - truth
        rows.append(
            f"| {head} | {len(figures)} of {len(runs)} | {kind} | {100 * inside.mean():.1f} % "
            f"({100 * interval.low:.1f}-{100 * interval.high:.1f}) | {truth.mean():+.2f} "
            f"| {error.mean():+.3f} ± {error.std(ddof=1) / len(error) ** 0.5:.3f} | {np.median(high - low) / 2:.2f} "
            f"| {100 * np.mean((low > 0) | (high < 0)):.1f} % | {members.mean():.1f} | {100 * confirmed:.0f} % |"
        )
    return "\n".join(rows)


def table() -> None:
    """All results as markdown."""
    documents = [json.loads(file.read_text()) for file in sorted(RESULTS.glob("*.json"))]
    documents.sort(key=lambda d: (d["rule"] != "before", d["truth"], d["noise"], d["sampler"], d["trainings"]))
    text = "\n".join([HEADER, *map(line, documents)]) + "\n"
    (RESULTS / "verdict.md").write_text(text)
    print(text)


def arguments() -> argparse.Namespace:
    """What is to be done; argparse says in one line what is wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("table", help="markdown from all results")
    running = commands.add_parser("run", help="add what is missing to the results")
    running.add_argument("truth", choices=["model", "rough", "equal"])
    running.add_argument("noise", choices=["normal", "heavy", "uneven"])
    running.add_argument("sampler", choices=["random", "nsga2", "cost-aware"])
    running.add_argument("trainings", type=int)
    running.add_argument("searches", type=int)
    running.add_argument("--confirm", type=float, help="share of the trainings; the space's own otherwise")
    running.add_argument("--rule", default="now", help="a name for the package's version (default: now)")
    return parser.parse_args()


if __name__ == "__main__":
    options = arguments()
    if options.command == "run":
        run(options)
    else:
        table()
