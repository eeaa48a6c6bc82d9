"""Whatever stands in a path, a name, a file or a flag: one printable line, exit code 2."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cspnas.cli.app import main

# Escape sequences, line ends, a bell, marks of direction, markup of rich and a very long word, among ordinary text.
NASTY = st.lists(
    st.sampled_from(
        [
            "\x1b]0;title\x07",
            "\x1b[2J",
            "\r",
            "\n",
            "\x07",
            "\u202e",
            "\u2066",
            "\x9b31m",
            "[/]",
            "[red]",
            ":smile:",
            "x" * 5000,
        ]
    )
    | st.text(alphabet=st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=8),
    min_size=1,
    max_size=4,
).map("".join)
LONG = "9" * 100_000
SPACE = {
    "family": "densenet",
    "stages": [{"growth_rate": [2, 4], "depth": [1, 2]}],
    "proxy": {"dataset": "fashion-mnist-mini"},
}


def _refused(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str) -> str:
    """The one line of a command that is refused."""
    monkeypatch.setattr(sys, "argv", ["cspnas", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    out, err = capsys.readouterr()
    assert (end.value.code, out) == (2, ""), (arguments, err)
    assert err.endswith("\n") and err[:-1].isprintable(), ascii(err)
    assert len(err) < 2100
    return err


def _commands(text: str, folder: Path) -> list[list[str]]:
    """Commands that are wrong for `text` in one place each."""
    nasty_key, nasty_value = folder / "key.yaml", folder / "value.yaml"
    nasty_key.write_text(yaml.safe_dump({**SPACE, f"{text}?": 1}, allow_unicode=True), "utf-8")
    nasty_value.write_text(yaml.safe_dump({**SPACE, "family": f"{text}?"}, allow_unicode=True), "utf-8")
    plain = folder / "plain.yaml"
    plain.write_text(yaml.safe_dump(SPACE))
    return [
        ["space", f"./no/{text}.yaml"],
        ["cost", f"./no/{text}.yaml"],
        ["front", f"./no/{text}.db"],
        ["search", str(plain), f"--study=/{text}"],
        ["space", str(nasty_key)],
        ["space", str(nasty_value)],
        ["cost", str(nasty_value)],
        ["space", str(plain), f"--set=no.{text}=1"],
        ["space", str(plain), f"--set=family=?{text}"],
        ["space", str(plain), f"--constraint=?{text}"],
        ["export", f"./no/{text}.db", "-o", str(folder / "out.yaml"), f"--where=?{text}"],
        ["search", str(plain), f"--time=?{text}"],
        [f"?{text}"],
    ]


@given(text=NASTY)
@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_input_reaches_the_terminal_as_a_command_to_it(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for arguments in _commands(text, tmp_path):
        _refused(capsys, monkeypatch, *arguments)
    assert not (tmp_path / "studies").exists() and not (tmp_path / "out.yaml").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["search", "densenet", "--time", LONG],
        ["space", "densenet", "--constraint", f"flops<={LONG}"],
        ["front", LONG],
        ["space", LONG],
        ["search", "densenet", "--set", f"proxy.dataset={LONG}"],
        ["export", "study", "-o", "out.yaml", "--where", f"flops<={LONG}"],
    ],
)
def test_an_argument_of_100_000_characters_is_refused_by_its_length(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    line = _refused(capsys, monkeypatch, *arguments)
    assert " characters, expected at most 10,000" in line


@pytest.mark.parametrize(
    "changed",
    [{"constraints": [f"flops <= {LONG}"]}, {"objectives": ["accuracy", "a" * 100_000]}, {"b" * 100_000: 1}],
)
def test_a_file_with_a_text_of_100_000_characters_is_refused(
    changed: dict, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once: the test's time limit is that of the suite, in which a comparison of all pairs of characters ends it."""
    (tmp_path / "long.yaml").write_text(yaml.safe_dump({**SPACE, **changed}, width=10**6))
    monkeypatch.chdir(tmp_path)
    _refused(capsys, monkeypatch, "space", "long.yaml")
