"""A study survives the end of its process at any byte, and is never mistaken for another one."""

from __future__ import annotations

from pathlib import Path

import pytest

from actors.study_file import StudyFile, TrialKey
from actors.trials import TrialFigures
from runtime.errors import InvalidInput

ONE, TWO = TrialKey(0, 0, 1), TrialKey(1, 2, 3)
FIGURES = TrialFigures(trades=5, wins=3, net=12.5, fees=1.0, sharpe=None, max_drawdown_percent=-0.1)


def filled(path: Path) -> bytes:
    study = StudyFile(path, "abc")
    study.add({ONE: FIGURES})
    study.add({TWO: TrialFigures(invalid="no")})
    study.close()
    return path.read_bytes()


def test_what_was_added_is_there_when_it_is_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "study.jsonl"
    filled(path)
    again = StudyFile(path, "abc")
    again.close()

    assert again.found == {ONE: FIGURES, TWO: TrialFigures(invalid="no")}


def test_cut_off_at_any_byte_it_keeps_whole_lines_and_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "study.jsonl"
    content = filled(path)
    for length in range(len(content) + 1):
        path.write_bytes(content[:length])
        torn = StudyFile(path, "abc")
        whole = max(0, content[:length].count(b"\n") - 1)
        assert len(torn.found) == whole
        torn.add({ONE: FIGURES, TWO: TrialFigures(invalid="no")})
        torn.close()
        again = StudyFile(path, "abc")
        again.close()
        assert again.found == {ONE: FIGURES, TWO: TrialFigures(invalid="no")}


def test_another_study_and_what_is_none_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "study.jsonl"
    filled(path)
    with pytest.raises(InvalidInput, match="holds another study"):
        StudyFile(path, "xyz")
    path.write_text("hello\n", encoding="utf-8")
    with pytest.raises(InvalidInput, match="is no study"):
        StudyFile(path, "abc")
    with pytest.raises(InvalidInput, match="cannot be used"):
        StudyFile(tmp_path, "abc")
