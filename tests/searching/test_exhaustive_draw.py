"""Even draws among what is untried: everything once, nothing twice, and an end."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from cspnas.documents.space_file import read_space
from cspnas.searching import exhaustive_draw as untried
from cspnas.searching.exhaustive_draw import UntriedCandidates
from cspnas.study.candidates import admitted, candidate
from cspnas.study.settings import Study

SPACE = """
family: densenet
stem: {channels: 8, stride: 4}
stages: [{csp: [true, false], split_ratio: [0.25, 0.26, 0.5], growth_rate: [2, 4], depth: [1, 2]}]
objectives: [accuracy, flops]
constraints: ["flops <= 60k"]
"""


@pytest.fixture
def study(tmp_path: Path) -> Study:
    path = tmp_path / "small.yaml"
    path.write_text(SPACE)
    return read_space(path, {})


def digests(study: Study) -> tuple[set[str], int]:
    """Of all admitted candidates, and how many candidates there are."""
    drawn = [candidate(study, genotype) for genotype in study.space.enumerate()]
    found = [one.digest for one in drawn if admitted(study, one.costs)]
    return set(found), len(drawn)


@pytest.mark.parametrize("listed", [True, False], ids=["listed", "sampled"])
def test_every_admitted_network_is_drawn_once_and_then_none(
    study: Study, listed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not listed:
        monkeypatch.setattr(untried, "LISTED_GENOTYPES", 500)
        monkeypatch.setattr(type(study.space), "size", property(lambda self: 10**9))
    every, count = digests(study)
    assert 3 < len(every) < count  # some are rejected, some are spelt in two ways
    source, known = UntriedCandidates(study), set[str]()
    while (drawn := source.draw(known, len(known))) is not None:
        assert admitted(study, drawn.costs) and drawn.digest not in known
        known.add(drawn.digest)
    assert known == every
    monkeypatch.setattr(UntriedCandidates, "_admitted", None)  # it knows that it is at the end
    assert source.draw(known, 0) is None


def test_the_draw_is_even_over_networks_however_many_genotypes_they_have(study: Study) -> None:
    every, _ = digests(study)
    source = UntriedCandidates(study)
    draws = 150 * len(every)
    counts = Counter(drawn.digest for seed in range(draws) if (drawn := source.draw((), seed)))
    assert counts.keys() == every
    assert all(110 < count < 195 for count in counts.values())  # 150 expected, standard deviation 12
