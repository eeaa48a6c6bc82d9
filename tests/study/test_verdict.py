"""The accuracy won at equal FLOPs and its interval: by hand, against SciPy, and in searches whose truth is known."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from driven import SPACE
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t

from cspnas.documents.space_file import read_space
from cspnas.reports.summary import StudySummary, summarise
from cspnas.reports.summary_table import sentences
from cspnas.runners.protocol import Work
from cspnas.samplers.registry import sampler_of
from cspnas.searching.driver import Driver
from cspnas.storage.database import Database
from cspnas.storage.open_study import load_study
from cspnas.study.candidates import admitted_sample, reference_of
from cspnas.study.network_record import NetworkRecord
from cspnas.study.verdict import Estimates, curve_weights, half_width, shares, verdict


def estimates(*networks: tuple[float, float, int]) -> Estimates:
    """Of (FLOPs, accuracy, trainings) each."""
    return Estimates(*(np.array(column) for column in zip(*networks, strict=True)))


CURVE = estimates((1e6, 0.80, 1), (1e8, 0.84, 2))


def test_a_verdict_worked_out_by_hand() -> None:
    """The network lies half way over log FLOPs, where the curve is at .82. In variances of one training the mean of two
    confirmations has 1/2, the curve .5²/1 + .5²/2. Student's 97.5 % point of three degrees of freedom is 3.18245.
    """
    stated = verdict(estimates((1e7, 0.85, 2)), CURVE, 0.01, 3)
    assert stated is not None
    assert (stated.gain, stated.standard_error) == (pytest.approx(0.03), pytest.approx(0.01 * 0.875**0.5))
    assert (stated.low, stated.high) == (pytest.approx(0.00023094, abs=1e-8), pytest.approx(0.05976906, abs=1e-8))
    assert (stated.members, stated.confirmations, stated.degrees_of_freedom) == (1, 2, 3)
    assert stated.distinguishable and stated.to_json()["interval_95"] == [stated.low, stated.high]
    unsure = verdict(estimates((1e7, 0.85, 2)), CURVE, 0.01, 2)
    assert unsure is not None and not unsure.distinguishable
    worse = verdict(estimates((1e7, 0.75, 2)), CURVE, 0.01, 3)
    assert worse is not None and worse.distinguishable and worse.high < 0


def test_baselines_that_several_networks_share_err_once() -> None:
    """Two networks half way: the curve's error is not averaged away, that of their confirmations is."""
    stated = verdict(estimates((1e7, 0.85, 1), (1e7, 0.81, 1)), CURVE, 0.01, 3)
    assert stated is not None and stated.gain == pytest.approx(0.01)
    assert stated.standard_error == pytest.approx(0.01 * (1 / 2 + 0.25 + 0.125) ** 0.5)


@pytest.mark.parametrize("freedom", [1, 2, 5, 30])
def test_the_interval_is_students(freedom: int) -> None:
    assert half_width(0.7, freedom) == pytest.approx(t.interval(0.95, freedom, scale=0.7)[1])


def test_only_networks_within_the_curve_are_compared() -> None:
    both = verdict(estimates((1e5, 0.1, 3), (1e6, 0.81, 1), (2e8, 0.99, 1)), CURVE, 0.01, 3)
    assert both is not None and (both.members, both.confirmations, both.gain) == (1, 1, pytest.approx(0.01))
    assert verdict(estimates((1e5, 0.1, 3)), CURVE, 0.01, 3) is None
    assert verdict(estimates((1e6, 0.8, 3)), estimates((1e6, 0.8, 1)), 0.01, 3) is None
    assert verdict(estimates((1e6, 0.8, 3)), CURVE, float("nan"), 0) is None


@given(st.lists(st.floats(1e5, 1e8), min_size=2, max_size=6, unique=True), st.lists(st.floats(1e4, 1e9), min_size=1))
def test_shares_of_the_curve_are_those_of_linear_interpolation_over_log_flops(
    curve: list[float], flops: list[float]
) -> None:
    knots, places = np.sort(curve), np.array(flops)
    heights = np.random.default_rng(0).standard_normal(len(knots))
    inside = (knots[0] <= places) & (places <= knots[-1])
    found = shares(places, knots)
    assert found[~inside].sum() == 0 and (found >= 0).all()
    expected = np.interp(np.log(places), np.log(knots), heights)
    assert found[inside] @ heights == pytest.approx(expected[inside])
    weights = curve_weights(places, np.ones(len(places)), knots)
    assert weights.sum() == pytest.approx(float(inside.any()))


def test_what_confirmations_show_may_decide_who_is_confirmed_next() -> None:
    """Two networks of equal truth are confirmed, then the better one again: the verdict has no bias, which the mean of each
    one's mean has (-.14 deviations).
    """
    random, errors, means = np.random.default_rng(0), [], []
    curve = estimates((1e6, 0.80, 10**6), (1e8, 0.80, 10**6))
    for _ in range(4000):
        second = 0.8 + 0.01 * random.standard_normal(2)
        best = int(second.argmax())
        means_of = second.copy()
        means_of[best] = (second[best] + 0.8 + 0.01 * random.standard_normal()) / 2
        stated = verdict(
            estimates(*((1e7, mean, 1 + (n == best)) for n, mean in enumerate(means_of))), curve, 0.01, 100
        )
        assert stated is not None
        errors.append(stated.gain)
        means.append(means_of.mean() - 0.8)
    error = 0.01 / 3**0.5 / 4000**0.5
    assert abs(np.mean(errors)) < 3 * error
    assert np.mean(means) < -10 * error


def test_the_sentences_say_the_interval_and_what_the_deviation_is_known_from(tmp_path: Path) -> None:
    stated = next(verdicts(tmp_path, trainings=12))
    few, plain = sentences(stated)[2:4]
    assert stated.seed_degrees_of_freedom == stated.confirmations == 3
    assert f"(from {stated.seed_networks} networks: too few, each ± may be far off)" in few
    enough = replace(stated, seed_networks=9, seed_degrees_of_freedom=9)
    assert "between seeds of one network (from 9 networks), " in sentences(enough)[2]
    won = stated.won_at_equal_flops["plain"]
    assert won is not None and won.members == 1 and not won.distinguishable
    gain, low, high = (f"{100 * value:+.2f}" for value in (won.gain, won.low, won.high))
    start = f"against the plain baseline at equal FLOPs: {gain} points (95 % interval {low} to {high}, 1 network)"
    assert plain == f"{start}, not distinguishable"
    sure = replace(stated, won_at_equal_flops={"plain": replace(won, low=0.01, high=0.02), "csp": None})
    told = sentences(sure)[3:]
    assert told[0] == start.replace(f"{low} to {high}", "+1.00 to +2.00")
    assert told[1].startswith(
        "against the csp baseline at equal FLOPs: no verdict: the networks that were trained again"
    )


def test_where_there_is_no_verdict_the_sentence_says_why_and_what_to_do(tmp_path: Path) -> None:
    stated = replace(next(verdicts(tmp_path, trainings=12)), won_at_equal_flops={"plain": None})
    alone = replace(stated, baselines={"plain": stated.baselines["plain"][:1]})
    assert sentences(alone)[3].endswith("(more trials, or baselines.widths of 2 or more)")
    unconfirmed = sentences(replace(stated, confirmed_networks=0))[3]
    assert unconfirmed.endswith("trained again (more trials, or a larger search.confirm)")


# Searches whose truth is known -------------------------------------------------------------------------------------

SEARCHES, DEVIATION = 60, 0.006


def true_accuracy(network: NetworkRecord) -> float:
    """Linear over log FLOPs: at equal FLOPs no network is better than a baseline, so that nothing is ever won."""
    return 0.8 + 0.01 * float(np.log(network.costs["flops"] / 1e5))


def trained(network: NetworkRecord, seed: int) -> float:
    """True accuracy, and an error of this seed's own."""
    digest = hashlib.sha256(f"{network.digest}/{seed}".encode()).digest()
    return true_accuracy(network) + DEVIATION * float(
        np.random.default_rng(int.from_bytes(digest[:8], "big")).standard_normal()
    )


def verdicts(folder: Path, trainings: int = 28) -> Iterator[StudySummary]:
    """Summaries of searches with random candidates and the real driver, each with a seed of its own."""
    (file := folder / "small.yaml").write_text(SPACE.replace("widths: 2", "widths: 4"))
    study = read_space(file, {"search.trials": trainings, "search.sampler": "random"})
    facts = {"reference": reference_of(study, admitted_sample(study, 50)).to_json(), "recipe_digest": "r" * 64}
    database = Database(f"sqlite:///{folder}/searches.db", create=True)
    for seed in range(SEARCHES):
        one = replace(study, seed=seed)
        row = database.create_study(str(seed), one.identity(), facts)
        driver = Driver(one, database, row, sampler_of(one), database.start_driver(row.id, {}))
        while isinstance(work := driver.suggest(), Work):
            accuracy = trained(driver.results.networks[work.digest], work.unit["seed"])
            driver.finish(work, {"accuracy": accuracy, "failure": None})
        yield summarise(load_study(database, str(seed)))
    database.close()


def test_the_stated_intervals_of_sixty_searches_hold_the_truth(tmp_path: Path) -> None:
    """They are of 95 %: fewer than 88 % of 60 have a probability of .7 % (binomial). Nor do the gains have a bias: that
    of the front's confirmed members against baselines of one training each was 4 to 6 of these standard errors.
    """
    stated = [summary.won_at_equal_flops for summary in verdicts(tmp_path)]
    for kind in ("plain", "csp"):
        won = [verdict for one in stated if (verdict := one[kind]) is not None]
        assert len(won) > 0.8 * SEARCHES
        low, high = np.array([(one.low, one.high) for one in won]).T
        gains = np.array([one.gain for one in won])
        assert np.mean((low <= 0) & (high >= 0)) >= 0.88
        assert np.mean([one.distinguishable for one in won]) <= 0.12
        assert abs(gains.mean()) < 3 * gains.std(ddof=1) / len(gains) ** 0.5
