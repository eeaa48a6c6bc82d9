"""Documents: every wrong input is one line that names file, line and key; what is written reads back the same."""

from __future__ import annotations

import random
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from random_architectures import random_architecture

from cspnas.documents import yaml_source as yaml_lines
from cspnas.documents.architecture_file import architecture_yaml, checked_value, find_architecture, read_architecture
from cspnas.documents.schema import BaselinesDocument, SearchDocument, SpaceDocument, StageDocument
from cspnas.documents.space_file import apply_set, find_space, read_space, shipped_spaces, space_schema
from cspnas.documents.yaml_source import parse_yaml
from cspnas.errors import ArchitectureError, InputError
from cspnas.network.architecture import Architecture, Csp, Stage, Stem
from cspnas.network.wiring import wire
from cspnas.space.search_space import SearchSpace
from cspnas.space.stage_choices import StageChoices
from cspnas.space.stage_resolution import dense_stage, split

GOOD = """\
family: densenet
stem: {channels: 8}
stages:
  - depth: [1, 2]
    growth_rate: 4
    split_ratio: [0.25, 0.5]
  - depth: 1
    growth_rate: [4, 8]
objectives: [accuracy, flops]
constraints: [flops <= 40M]
proxy:
  dataset: fashion-mnist-mini
  epochs: 2
search:
  sampler: nsga2
"""

# What to write in place of what, and what the message has to hold: the line and the key, and the help.
BAD: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "tab": ("  epochs: 2", "\tepochs: 2", (":13", "not valid YAML", "not tabs")),
    "bracket": ("[1, 2]", "[1, 2", (":5", "not valid YAML")),
    "control character": ("nsga2", "nsga2\x07", (":15", "not valid YAML", "U+0007")),
    "wrong tag": ("epochs: 2", "epochs: !!bool maybe", ("not valid YAML",)),
    "key that is a list": ("  epochs: 2", "  ? [a, b]\n  : 2", (":13 proxy:", "a key that is a list")),
    "duplicate key": ("  epochs: 2", "  epochs: 2\n  epochs: 3", (":14 proxy.epochs:", "twice", "line 13")),
    "unknown key": ("epochs", "epoch", (":13 proxy.epoch:", "did you mean epochs?")),
    "unknown key at the top": ("constraints", "constraint", (":10 constraint:", "did you mean constraints?")),
    "misspelt key that must be there": ("depth: 1\n", "dept: 1\n", (":7 stages.1.dept:", "did you mean depth?")),
    "key that is a number": ("  epochs: 2", "  7: 2", (":13 proxy.7:", "unknown key '7'", "known keys: dataset")),
    "missing key": ("    growth_rate: 4\n", "", (":4 stages.0:", "'growth_rate' is missing")),
    "missing top key": (
        "family: densenet\n",
        "",
        (":1 family:", "'family' is missing", "add it: one of densenet, peleenet, resnet"),
    ),
    "no value": ("epochs: 2", "epochs:", (":13 proxy.epochs:", "found nothing", "a whole number of at least 1")),
    "text for a number": ("epochs: 2", "epochs: two", (":13 proxy.epochs:", "found 'two'", "of at least 1")),
    "true for a number": ("epochs: 2", "epochs: true", (":13 proxy.epochs:", "found true", "a whole number")),
    "number for a switch": ("depth: 1\n", "depth: 1\n    csp: 1\n", (":8 stages.1.csp:", "found 1", "true or false")),
    "fraction for a whole number": ("epochs: 2", "epochs: 2.5", (":13 proxy.epochs:", "found 2.5", "a whole number")),
    "number for a mapping": ("  dataset: fashion-mnist-mini\n  epochs: 2\n", "  5\n", (":11 proxy:", "a mapping")),
    "long value": ("epochs: 2", f"epochs: {'x' * 200}", (":13 proxy.epochs:", "xxx...")),
    "ratio 0": ("[0.25, 0.5]", "0", (":6 stages.0.split_ratio:", "found 0", "a number above 0 and below 1")),
    "ratio 1": ("[0.25, 0.5]", "[0.5, 1]", (":6 stages.0.split_ratio.1:", "a number above 0 and below 1")),
    "ratio 1.5": ("[0.25, 0.5]", "1.5", (":6 stages.0.split_ratio:", "found 1.5", "a number above 0 and below 1")),
    "ratio nan": ("[0.25, 0.5]", ".nan", (":6 stages.0.split_ratio:", "found nan", "a number above 0 and below 1")),
    "depth 0": ("[1, 2]", "[0, 2]", (":4 stages.0.depth.0:", "found 0", "a whole number of at least 1")),
    "growth -4": ("growth_rate: 4", "growth_rate: -4", (":5 stages.0.growth_rate:", "found -4", "of at least 1")),
    "empty choices": ("[1, 2]", "[]", (":4 stages.0.depth:", "found []", "a list of at least 1 entry")),
    "repeated choice": ("[1, 2]", "[2, 2]", (":4 stages.0.depth:", "[2, 2]", "each choice once")),
    "no stages": ("stages:\n", "stages: []\nx:\n", (":4 x:", "unknown key 'x'", "and 1 more")),
    "unknown fusion": (
        "depth: 1\n",
        "depth: 1\n    fusion: frist\n",
        (":8 stages.1.fusion:", "one of first, last, both"),
    ),
    "no channel around": ("{channels: 8}", "{channels: 1}", (":6 stages.0.split_ratio:", "0.25 of 1 channels")),
    "unknown objective": ("[accuracy, flops]", "[accuracy, flop]", (":9 objectives:", "did you mean flops?")),
    "one objective": ("[accuracy, flops]", "[accuracy]", (":9 objectives:", "at least one cost")),
    "unknown sampler": ("nsga2", "nsga3", (":15 search.sampler:", "nsga2, tpe, gp, random", "did you mean nsga2?")),
    "unknown data set": ("fashion-mnist-mini", "cifar", (":12 proxy.dataset:", "did you mean cifar10")),
    "bad constraint": ("flops <= 40M", "flops < 40M", (":10 constraints.0:", "'flops < 40M'", "NAME<=VALUE")),
    "constraint on accuracy": ("flops <= 40M", "accuracy >= 1", (":10 constraints.0:", "'accuracy'")),
    "bad unit": ("flops <= 40M", "flops <= 40KiB", (":10 constraints.0:", "unit 'KiB'", "one of k")),
    "no channel left": (
        "growth_rate: 4",
        "growth_rate: 4\n    compression: 0.01",
        (":6 stages.0.compression:", "no channel"),
    ),
}


def message(path: Path, read: Any = read_space) -> str:
    """The message of the InputError that reading `path` raises, after the checks that hold for all of them."""
    with pytest.raises(InputError) as caught:
        read(path)
    text = str(caught.value)
    assert caught.value.exit_code == 2
    assert "\n" not in text
    assert path.name in text
    return text


@pytest.fixture
def space_file(tmp_path: Path) -> Path:
    """A small valid space."""
    path = tmp_path / "small.yaml"
    path.write_text(GOOD)
    return path


def test_a_study_has_what_its_space_file_says(space_file: Path) -> None:
    study = read_space(space_file)
    assert study.space_name == "small"
    assert study.space.input_shape == (1, 28, 28) and study.space.classes == 10
    assert study.space.stages[0].growth_rate == (4,) and study.space.stages[1].growth_rate == (4, 8)
    assert [constraint.bound for constraint in study.constraints] == [40_000_000]


@pytest.mark.parametrize("name", BAD)
def test_wrong_value_is_one_line_with_its_place(space_file: Path, name: str) -> None:
    old, new, parts = BAD[name]
    assert GOOD.count(old) == 1 or name == "unknown key at the top"
    space_file.write_text(GOOD.replace(old, new))
    text = message(space_file)
    assert [part for part in parts if part not in text] == [], text


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "empty file"),
        (b" \n\n", "empty file"),
        (b"# nothing\n", "no content"),
        (b"- a\n- b\n", ":1: found a list, expected a mapping of keys"),
        (b"\n\nhello\n", ":3: found 'hello', expected a mapping of keys"),
        (b"family: \xff\n", "not UTF-8"),
        (b"[" * 5000, "nested too deeply"),
        (b"a: &a [*a]\n", "nested too deeply"),
        (b"a: 1\n---\nb: 2\n", ":2"),
        (b"!!python/object/apply:os.system ['true']\n", ":1"),
    ],
)
def test_file_that_is_no_space(space_file: Path, content: bytes, expected: str) -> None:
    space_file.write_bytes(content)
    assert expected in message(space_file)


def test_space_and_architecture_are_told_apart() -> None:
    space, architecture = find_space("resnet"), find_architecture("resnet50")
    assert "found 'architecture/1'" in message(architecture).replace("cspnas: ", "")
    assert "read by cspnas cost" in message(architecture)
    assert "a search space is read by cspnas space" in message(space, read_architecture)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    assert "no such file" in message(tmp_path / "none.yaml")
    assert "a folder" in message(tmp_path)


def test_aliases_of_aliases_are_refused(space_file: Path) -> None:
    rows = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    rows += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    space_file.write_text("\n".join(rows))
    assert "more than 100000 values" in message(space_file)


@pytest.mark.parametrize("number", ["9" * 101, "0x" + "f" * 9000, "-" + "7" * 400, "!!int '" + "1" * 5000 + "'"])
@pytest.mark.parametrize("key", ["classes", "family", "recipe", "depth", "source"])
def test_whole_number_that_no_figure_has(tmp_path: Path, network: Architecture, number: str, key: str) -> None:
    """Python neither prints an integer of 4,300 digits nor makes a float of one of 400; in hex it reads both."""
    path, line = tmp_path / "network.yaml", ""
    text = written(network, source="x", recipe={"learning_rate": 0.1})
    for old in ("classes: 10", "family: densenet", "learning_rate: 0.1", "depth: 2", "source: x"):
        if old.split(":")[0] == key or (key == "recipe" and "rate" in old):
            line = f":{text[: text.index(old)].count(chr(10)) + 1} "
            text = text.replace(old, f"{old.split(':')[0]}: {number}", 1)
    path.write_text(text)
    assert line in message(path, read_architecture)
    assert re.search(r"a whole number of [0-9,]+ digits, expected at most 100", message(path, read_architecture))


def test_number_of_whole_digits_for_a_key(space_file: Path) -> None:
    space_file.write_text(f"? 0x{'f' * 9000}\n: 5\n")
    assert ":1: found a whole number of 9,002 digits" in message(space_file)


def test_alias_is_a_copy_that_an_override_changes_alone() -> None:
    data, _ = parse_yaml("- &stage {depth: [1]}\n- *stage\n", "x")
    data[0]["depth"].append(2)
    assert data[1] == {"depth": [1]}


def test_more_poolings_than_the_resolution_bears(space_file: Path) -> None:
    stage = "  - {depth: 1, growth_rate: 4, csp: false}\n"
    space_file.write_text(f"family: densenet\nstages:\n{stage * 8}")
    text = message(space_file)
    assert ":7 stages.4 (stage5.pool):" in text and "fewer poolings" in text  # 28, 14, 7, 3, 1: the fifth finds 1x1


@pytest.mark.parametrize(
    ("stem", "expected"),
    [
        ("{channels: 4, kind: pelee, kernel: 5}", "kernel 5 in a stem of kind pelee, where it has no effect"),
        (
            "{channels: 4, stride: 4, pool: 2}",
            "a pool of 2x2 on a map of 1x1 (stage2 of a network with stem 3x3/4-4+max2)",
        ),
    ],
)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_stem_that_no_network_can_have(space_file: Path, stem: str, expected: str, place: int) -> None:
    """Wherever it stands among stems that do. The second leaves 3x3 of 28x28, the first stage 1x1."""
    stems = [f"{{channels: {width}}}" for width in (8, 16)]
    stems.insert(place, stem)
    stage = "  - {depth: 1, growth_rate: 4}\n"
    listed = "".join(f"  - {one}\n" for one in stems)
    space_file.write_text(f"family: densenet\nstem:\n{listed}stages:\n{stage * 4}")
    text = message(space_file)
    assert re.search(rf":{3 + place} stem.{place}(.kernel)?: ", text) and expected in text


@pytest.mark.parametrize("family", ["resnext", "darknet"])
@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 2**32))
def test_groups_are_refused_where_no_network_can_have_them(
    tmp_path_factory: pytest.TempPathFactory, family: str, seed: int
) -> None:
    """Against every genotype decoded, the ones with these groups among them."""
    rng = random.Random(seed)
    keys = {
        "width": rng.sample((4, 6, 9, 12, 16), rng.randint(1, 2)),
        "groups": rng.sample((1, 2, 3, 4, 5), rng.randint(1, 3)),
        "csp": rng.choice(([True], [False], [True, False])),
        "split_ratio": rng.sample((0.25, 0.5, 0.75), rng.randint(1, 2)),
        "bottleneck_ratio": rng.sample((0.25, 0.5, 1.0), rng.randint(1, 2)),
        "fusion": ["both"],
        "depth": [1],
    }
    stage = StageChoices(split=("project",), taps=("last",), **{key: tuple(values) for key, values in keys.items()})
    space = SearchSpace(family, (1, 28, 28), 10, (Stem(8),), ("relu",), (stage,))
    valid = set()
    for genotype in space.enumerate():
        try:
            valid.add(space.decode(genotype).stages[0].groups)
        except ArchitectureError:
            continue
    path = tmp_path_factory.mktemp("space") / "s.yaml"
    path.write_text(yaml.safe_dump({"family": family, "stem": {"channels": 8}, "stages": [keys]}))
    if valid == set(keys["groups"]):
        read_space(path)
    else:
        refused = next(groups for groups in keys["groups"] if groups not in valid)
        assert f"stages.0.groups: found {refused} groups for bottlenecks of " in message(path)


def test_space_without_any_network(space_file: Path) -> None:
    """Fusion last routes 7 of 8 channels around, and the output has 4: no choice can be built."""
    stage = "{depth: 1, growth_rate: 1, csp: true, split_ratio: 0.875, fusion: last}"
    space_file.write_text(f"family: densenet\nstem: {{channels: 8}}\nstages:\n  - {stage}\n")
    text = message(space_file)
    assert ":4 stages.0 (stage1):" in text and "fusion last" in text


@settings(deadline=None)
@given(st.integers(1, 400), st.floats(0.001, 0.999))
def test_ratio_that_fits_a_width_fits_every_greater_one(width: int, ratio: float) -> None:
    """What lets the greatest reachable width decide."""
    try:
        split(width, ratio)
    except ArchitectureError:
        return
    split(width + 1, ratio)


def test_overrides_and_their_flags(space_file: Path) -> None:
    changes = {"proxy.epochs": 3, "stages.0.depth": [2, 3], "constraints": ["params <= 1k"], "search.trials": 7}
    study = read_space(space_file, changes)
    assert study.recipe.epochs == 3 and study.space.stages[0].depth == (2, 3) and study.trials == 7
    assert [constraint.text for constraint in study.constraints] == ["params<=1k"]


@pytest.mark.parametrize(
    ("key", "value", "flag", "expected"),
    [
        ("proxy.epochs", 0, "--epochs", "--epochs: found 0, expected a whole number of at least 1"),
        ("constraints", ["flops<=4Q"], "--constraint", "--constraint: found unit 'Q'"),
        ("proxy.epoch", 3, None, "--set proxy.epoch: unknown key 'epoch'; did you mean epochs?"),
        ("prox.epochs", 3, None, "--set prox.epochs: unknown key 'prox'; did you mean proxy?"),
        ("stages.7.depth", 1, None, "--set stages.7.depth: found stages.7, expected stages.0 to stages.1: "),
        ("stages.0.split_ratio", 1, None, "--set stages.0.split_ratio: found 1"),
    ],
)
def test_wrong_override_names_its_flag(space_file: Path, key: str, value: Any, flag: str | None, expected: str) -> None:
    with pytest.raises(InputError) as caught:
        read_space(space_file, {key: value}, {key: flag} if flag else None)
    assert str(caught.value).startswith(expected)


@pytest.mark.parametrize("value", ["1:30", "1:30.5", "12:00:00"])
def test_a_time_of_day_is_no_number(value: str) -> None:
    assert apply_set(f"proxy.epochs={value}") == ("proxy.epochs", value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(("0", 0), ("-12", -12), ("0x1F", 31), ("0b11", 3), ("1_000", 1000)),
        *(("1.5", 1.5), (".5", 0.5), ("-1.", -1.0), ("1e3", 1000.0), ("1.5e-3", 0.0015), ("-.inf", float("-inf"))),
        *(("1.2.3", "1.2.3"), ("1a", "1a"), (".", ".")),
        *(("010", "010"), ("-012", "-012"), ("00", "00")),  # 8, or 10? YAML's versions differ
    ],
)
def test_a_number_of_set_keeps_its_type(text: str, value: Any) -> None:
    found = apply_set(f"a={text}")[1]
    assert found == value and type(found) is type(value)


def test_a_file_too_long_to_be_a_space_is_refused_before_it_is_parsed(
    space_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def parse(*arguments: Any) -> None:
        raise AssertionError("it parses")

    monkeypatch.setattr(yaml_lines, "parse_yaml", parse)
    space_file.write_bytes(b"a: 1\n" * 200_001)
    with pytest.raises(InputError, match=r"more than 1,000,000 bytes"):
        read_space(space_file)


def test_set_splits_at_its_first_equals_sign_and_reads_yaml() -> None:
    assert apply_set("proxy.epochs=3") == ("proxy.epochs", 3)
    assert apply_set(" stages.0.depth = [2, 3]") == ("stages.0.depth", [2, 3])
    assert apply_set("proxy.dataset=folder:a=b") == ("proxy.dataset", "folder:a=b")
    assert apply_set("proxy.learning_rate=1e-3") == ("proxy.learning_rate", 0.001)
    for text in ("proxy.epochs", "=3", "proxy.epochs=", "a=[", "a='"):
        with pytest.raises(InputError, match="--set"):
            apply_set(text)


def test_a_space_is_found_by_path_or_shipped_name(space_file: Path) -> None:
    assert find_space(str(space_file)) == space_file
    assert find_space("densenet") == find_space("densenet.yaml")
    assert "densenet" in shipped_spaces()
    with pytest.raises(InputError, match=r"densenet.*did you mean densenet\?"):
        find_space("densnet")
    with pytest.raises(InputError, match="SPACE"):
        find_space("x" * 5000)


def test_shipped_space_has_the_documented_defaults() -> None:
    path = find_space("densenet")
    read_space(path)
    data = yaml.safe_load(path.read_text())
    assert data["search"] == SearchDocument().model_dump()
    assert data["baselines"] == BaselinesDocument().model_dump()
    assert data["objectives"] == SpaceDocument.model_fields["objectives"].default
    for stage in data["stages"]:
        for key in ("csp", "split_ratio", "fusion"):
            assert stage[key] == StageDocument.model_fields[key].default


def test_schema_describes_every_key_and_allows_single_values() -> None:
    schema = space_schema()
    assert schema["title"] and schema["$schema"].startswith("https://json-schema.org/")
    for kind in (schema, *schema["$defs"].values()):
        assert kind["description"]
        assert [key for key, value in kind["properties"].items() if not value.get("description")] == []
    depth = schema["$defs"]["StageDocument"]["properties"]["depth"]
    assert {alternative["type"] for alternative in depth["anyOf"]} == {"integer", "array"}
    assert schema["$defs"]["BaselinesDocument"]["properties"]["split_ratio"]["exclusiveMaximum"] == 1


# Architecture files -------------------------------------------------------------------------------------------------


def written(architecture: Architecture, **extra: Any) -> str:
    """The file of `architecture` with its digest."""
    return architecture_yaml(architecture, {"digest": wire(architecture).digest(), **extra})


@pytest.fixture
def network() -> Architecture:
    """Two stages, one of them CSP."""
    genes: dict[str, Any] = {"depth": 2, "growth_rate": 12, "bottleneck_ratio": 2, "compression": 0.5}
    first = dense_stage(8, pool=True, split_ratio=0.5, fusion="both", **genes)
    stages = (first, dense_stage(first.out, pool=False, **genes))
    return Architecture("densenet", (1, 28, 28), 10, Stem(8), stages, "silu")


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32))
def test_architecture_reads_back_the_same(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    path = tmp_path_factory.mktemp("architecture") / "network.yaml"
    architecture = random_architecture(random.Random(seed))
    for text in (written(architecture), architecture_yaml(architecture, {})):
        path.write_text(text)
        assert read_architecture(path).architecture == architecture


def test_extra_reads_back_the_same(tmp_path: Path, network: Architecture) -> None:
    path = tmp_path / "network.yaml"
    extra = {"measured": {"accuracy": 1e-5, "seeds": 3}, "made_by": {"commit": "12e4567", "day": "2024-01-01"}}
    text = written(network, **extra)
    path.write_text(text)
    document = read_architecture(path).document
    assert {key: document[key] for key in extra} == extra
    assert text.startswith("cspnas: architecture/1\n") and "input_shape: [1, 28, 28]\n" in text


def test_file_cut_short_is_never_another_network(tmp_path: Path, network: Architecture) -> None:
    path = tmp_path / "network.yaml"
    content = written(network, measured={"accuracy": 0.5}, made_by={"study": "größer"}).encode()
    whole = 0
    for length in range(len(content)):
        path.write_bytes(content[:length])
        try:
            assert read_architecture(path).architecture == network
            whole += 1
        except InputError as error:
            assert "\n" not in str(error)
    assert 0 < whole < len(content) / 2


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("architecture/1", "architecture/2", ":1 cspnas: found architecture/2, a newer schema"),
        ("architecture/1", "study/1", "not a cspnas architecture file"),
        ("cspnas: architecture/1\n", "", "no key 'cspnas'"),
        ("kernel: 3", "kernel: 5", ":2 digest: found a network with digest"),
        ("kernel: 3", "kernel: 4", "stem.kernel: found 4, expected one of 1, 3, 5, 6, 7"),
        ("part1: 4", "part1: 3", "stages.0 (stage1): found part1 3 and part2 4"),
        ("classes: 10", "classes: 0", "classes: found 0, expected a whole number of at least 1 and at most 10000000"),
        ("classes: 10", "classes: 010", "classes: found '010', expected a whole number of at least 1"),
        ("classes: 10", "classes: 10000001", "classes: found 10000001, expected a whole number of at least 1"),
        ("[1, 28, 28]", "[28, 28]", "input_shape: found [28, 28], expected a list of 3 entries"),
        (
            "[1, 28, 28]",
            "[1, 1, 1]",
            "input_shape: found images of 1 x 1, expected at least 2 x 2; in stage1 they leave a pool",
        ),
        ("fusion: both", "fusion: none", "stages.0.csp.fusion: found 'none', expected one of first, last, both"),
        ("part2: 4", "part3: 4", "stages.0.csp.part3: unknown key 'part3' (and 1 more); did you mean part"),
    ],
)
def test_an_architecture_that_cannot_be_is_refused_with_the_reason(
    tmp_path: Path, network: Architecture, old: str, new: str, expected: str
) -> None:
    path = tmp_path / "network.yaml"
    path.write_text(written(network).replace(old, new, 1))
    assert expected in message(path, read_architecture)


def test_digest_cut_by_hand_is_told_from_another_network(tmp_path: Path, network: Architecture) -> None:
    path, digest = tmp_path / "network.yaml", wire(network).digest()
    path.write_text(written(network).replace(digest, digest[:12]))
    assert f"digest: found a network with digest {digest[:12]}, expected all 64 digits" in message(
        path, read_architecture
    )


def test_digest_line_removed_accepts_the_change(tmp_path: Path, network: Architecture) -> None:
    path = tmp_path / "network.yaml"
    path.write_text(architecture_yaml(network, {}).replace("kernel: 3", "kernel: 5"))
    assert read_architecture(path).architecture.stem.kernel == 5


BUILT = Architecture("densenet", (3, 32, 32), 10, Stem(8), (Stage(2, 4, 8, 8),), activation="leaky_relu")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"stages": (Stage(2, 4.5, 8, 8),)}, "cost stages.0.growth_rate: found 4.5, expected a whole number"),  # type: ignore[arg-type]
        ({"stages": (Stage(True, 4, 8, 8),)}, "cost stages.0.depth: found true, expected a whole number"),
        ({"stages": (Stage(2, 4, 8, "8"),)}, "cost stages.0.out: found '8', expected a whole number"),  # type: ignore[arg-type]
        ({"stages": (Stage(2, 4, 8, float("nan")),)}, "cost stages.0.out: found nan"),  # type: ignore[arg-type]
        ({"stages": (Stage(2, 4, 8, 8, csp=Csp("both", 0, 8, 4)),)}, "cost stages.0.csp.part1: found 0"),
        ({"stages": ()}, "cost stages: found [], expected a list of at least 1 entry"),
        ({"stages": None}, "cost stages: found nothing, expected a list"),
        ({"stages": (None,)}, "cost stages: found nothing, expected a mapping"),
        ({"stem": Stem(True)}, "cost stem.channels: found true, expected a whole number"),
        ({"stem": object()}, "cost stem: found "),
        ({"input_shape": (3, 32)}, "cost input_shape: found [3, 32], expected a list of 3 entries"),
        ({"input_shape": (3, 32, 32, 1)}, "cost input_shape: found [3, 32, 32, 1], expected a list of 3 entries"),
        ({"classes": 1.5}, "cost classes: found 1.5, expected a whole number"),
        ({"negative_slope": float("nan")}, "cost negative_slope: found nan, expected a number of at least 0"),
        ({"family": 3}, "cost family: found 3, expected text"),
    ],
)
def test_a_value_built_in_python_that_no_file_could_hold_names_its_field(change: dict[str, Any], expected: str) -> None:
    with pytest.raises(InputError) as caught:
        checked_value(replace(BUILT, **change), "cost")
    assert expected in str(caught.value) and "more)" not in str(caught.value)


def test_a_sound_value_built_in_python_is_taken_with_plain_numbers_in_it() -> None:
    assert checked_value(BUILT, "cost") == BUILT
    stage = replace(BUILT.stages[0], depth=np.int64(2))
    found = checked_value(replace(BUILT, input_shape=[3, 32, 32], stages=[stage]), "cost")  # type: ignore[arg-type]
    assert found == BUILT and type(found.stages[0].depth) is int
