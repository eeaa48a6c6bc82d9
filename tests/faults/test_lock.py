"""A search whose lock file somebody deletes: the next one takes the study over, and its rows stay sound."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

from commands import searching

TRIALS = 5


def test_the_second_search_goes_on_and_the_first_one_ends_in_one_line(tmp_path: Path) -> None:
    with searching(tmp_path) as make:
        words = ("--trials", str(TRIALS), "--workers", "1")
        first = make(*words)
        first.until(f"[1/{TRIALS}]")
        (tmp_path / "studies" / "tiny.db.lock").unlink()
        second = make(*words)
        _, error = first.communicate(180)
        assert first.returncode == 2 and "Traceback" not in error
        assert "found another search that has taken this study over" in error.splitlines()[-1]
        _, error = second.communicate(180)
        assert second.returncode == 0, error
    alone = shutil.copy(tmp_path / "studies" / "tiny.db", tmp_path / "alone.db")
    with sqlite3.connect(alone) as connection:
        states = connection.execute("SELECT state, accuracy IS NULL FROM cspnas_evaluations").fetchall()
        trials = connection.execute("SELECT count(*) FROM trials").fetchone()[0]
    connection.close()
    assert states == [("trained", 0)] * TRIALS and trials >= TRIALS - 1  # one trial a network, one may be trained twice
