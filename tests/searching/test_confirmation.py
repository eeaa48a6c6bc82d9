"""Which network is trained again: by turns the front's and the baselines', the same one after a restart."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from time import process_time
from typing import Any

import numpy as np
import pytest
from driven import SPACE, Run, Start, train

from cspnas.errors import FailureKind
from cspnas.objectives.objectives import exact_names
from cspnas.objectives.pareto import HypervolumeReference
from cspnas.runners.protocol import Work
from cspnas.searching.confirmation import of_baselines, to_confirm
from cspnas.study.evaluation import Evaluation
from cspnas.study.network_record import NetworkRecord
from cspnas.study.results import StudyResults, StudyRows
from cspnas.study.states import State

REFERENCE = HypervolumeReference(("accuracy", "flops"), 0.1, (0.0, 1.0), (1.0, 1e9))


class Told:
    """A results, told of trainings."""

    def __init__(self) -> None:
        self.results, self.count = StudyResults(REFERENCE, StudyRows([], {}, None), 1), 0

    def train(self, digest: str, flops: float, *accuracies: float | None, source: str = "s") -> NetworkRecord:
        """A network's next trainings; None: under way."""
        known = self.results.networks.get(digest)
        repeat = len(known.evaluations) if known else 0
        for accuracy in accuracies:
            self.count += 1
            state = State.IN_FLIGHT if accuracy is None else State.TRAINED
            measured = {} if accuracy is None else {"accuracy": accuracy}
            costs = {**dict.fromkeys(exact_names(), 1.0), "flops": flops}
            evaluation = Evaluation(self.count, digest, 0, repeat, state, measured=measured)
            self.results.add(NetworkRecord(digest, "{}", costs, source), evaluation, None)
            repeat += 1
        return self.results.networks[digest]

    def baseline(self, kind: str, flops: float, *accuracies: float | None) -> NetworkRecord:
        """One of a curve."""
        return self.train(f"{kind}{flops:g}", flops, *accuracies, source=f"baseline:{kind}")


def curve(told: Told) -> list[NetworkRecord]:
    """Four plain baselines, a factor of ten apart."""
    return [told.baseline("plain", flops, 0.5) for flops in (1e3, 1e4, 1e5, 1e6)]


def test_turns_go_to_the_front_and_to_a_baseline_beside_what_was_confirmed() -> None:
    told = Told()
    _, left, right, _ = curve(told)
    found = told.train("a", 10**4.3, 0.8)
    assert of_baselines(told.results) is None  # nothing is confirmed yet: no baseline has a part in a verdict
    assert to_confirm(told.results) is found
    told.train("a", 10**4.3, None)
    assert to_confirm(told.results) is left  # .7 of the curve's height there
    told.baseline("plain", 1e4, 0.5)
    assert to_confirm(told.results) is told.results.networks["plain1000"]  # the cheapest is on the front, `a` under way
    assert of_baselines(told.results) is left  # .7² / 6 is more than the right one's .3² / 2
    told.baseline("plain", 1e4, 0.5)
    assert of_baselines(told.results) is right  # .7² / 12 is less


def test_the_baseline_is_the_one_that_lowers_the_variance_most() -> None:
    """By brute force: the variance of the verdict with one training more of each baseline."""
    random = np.random.default_rng(0)
    for _ in range(30):
        told = Told()
        baselines = curve(told) + [told.baseline("csp", flops, 0.5) for flops in (2e3, 5e4, 3e5)]
        places = 10 ** random.uniform(3, 6, 4)
        counts = random.integers(1, 3, 4)
        for number, (flops, count) in enumerate(zip(places, counts, strict=True)):
            told.train(str(number), float(flops), *[0.8] * (1 + int(count)))
        for network in random.choice(np.array(baselines, object), 3):
            told.train(network.digest, network.costs["flops"], 0.5, source=network.source)
        trained = {network.digest: len(network.evaluations) for network in baselines}

        def variance(of: dict[str, int], told: Told = told, places: Any = places, counts: Any = counts) -> float:
            total = 0.0
            for members in told.results.curves().values():
                logs = np.log([network.costs["flops"] for network in members])
                inside = (logs[0] <= np.log(places)) & (np.log(places) <= logs[-1])
                for place, network in enumerate(members):
                    heights = np.interp(np.log(places[inside]), logs, np.eye(len(members))[place])
                    weight = np.average(heights, weights=counts[inside]) if inside.any() else 0.0
                    total += weight**2 / of[network.digest]
            return total

        best = of_baselines(told.results)
        assert best is not None
        after = {digest: variance({**trained, digest: trained[digest] + 1}) for digest in trained}
        assert after[best.digest] == pytest.approx(min(after.values()))


def test_a_baseline_under_way_or_quarantined_is_passed_over() -> None:
    told = Told()
    _, left, right, _ = curve(told)
    told.train("a", 10**4.4, 0.8, 0.8)
    assert of_baselines(told.results) is left
    told.baseline("plain", 1e4, None)
    assert of_baselines(told.results) is right
    right.evaluations[0] = replace(right.evaluations[0], failure_kind=FailureKind.CRASHED)
    assert of_baselines(told.results) is None


def test_without_baselines_every_confirmation_is_the_fronts(start: Start) -> None:
    run = start(SPACE.replace("widths: 2", "widths: 0"), trials=24)
    run.go()
    again = Counter(row["digest"] for row in run.evaluations if row["repeat"])
    assert sum(again.values()) == 6


def test_half_of_the_confirmations_are_of_baselines(start: Start) -> None:
    run = start(SPACE.replace("widths: 2", "widths: 4"), trials=32)
    run.go()
    sources = {row["evaluation_id"]: row["source"] for row in run.suggestions if row["evaluation_id"]}
    first = {row["digest"]: sources[row["id"]] for row in run.evaluations if not row["repeat"]}
    again = [first[row["digest"]].split(":")[0] for row in run.evaluations if row["repeat"]]
    assert len(again) == 8 and again.count("baseline") >= 4


def confirmations(run: Run) -> list[tuple[str, int]]:
    return [(row["digest"], row["seed"]) for row in run.evaluations if row["repeat"]]


@pytest.mark.parametrize("finishes", [25, 27, 29])
def test_a_search_that_goes_on_confirms_what_one_that_was_not_stopped_confirms(start: Start, finishes: int) -> None:
    text = SPACE.replace("widths: 2", "widths: 4")
    whole, parts = start(text, trials=32), start(text, trials=32)
    whole.go()
    parts.go(finishes=finishes, leave=True)
    parts.go()
    assert confirmations(whole) == confirmations(parts)


def test_no_network_is_trained_twice_at_once(start: Start) -> None:
    run = start(SPACE.replace("widths: 2", "widths: 3"), trials=30, confirm_share=0.5)
    driver, flight, seen = run.driver(), list[Work](), 0
    while True:
        while len(flight) < 6 and isinstance(work := driver.suggest(), Work):
            assert work.digest not in {other.digest for other in flight}
            seen += len(driver.results.networks[work.digest].evaluations) > 1
            flight.append(work)
        if not flight:
            break
        work = flight.pop(seen % len(flight))
        driver.finish(work, train(work))
    assert seen == 15


def test_the_choice_of_a_baseline_takes_about_a_millisecond_with_ten_thousand_networks() -> None:
    """A quarter of them confirmed. CPU time, and the best of several tries, for the machine may be busy."""
    told, random = Told(), np.random.default_rng(0)
    curve(told)
    for number, flops in enumerate(10 ** random.uniform(3, 6, 10_000)):
        told.train(str(number), float(flops), *[0.6 + 0.1 * random.random()] * (1 + (number % 4 == 0)))
    times = []
    for _ in range(20):
        began = process_time()
        assert of_baselines(told.results) is not None
        times.append(process_time() - began)
    assert min(times) < 0.004
