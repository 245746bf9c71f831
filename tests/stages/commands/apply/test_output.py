"""A progress bar of files on a terminal, and no output elsewhere."""

from __future__ import annotations

import sys

import pytest

from stages.commands.apply.output import with_bar
from stages.commands.apply.tally import Tally

LINES = ["moved  a", "moved  b", "moved  c"]


def test_a_bar_counts_the_files_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    tally = Tally(total=3)
    assert list(with_bar(iter(LINES), lambda: tally.total)) == LINES
    found = capsys.readouterr()
    assert "3/3" in found.err
    assert found.out == ""


def test_elsewhere_there_is_no_bar(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(with_bar(iter(LINES), lambda: 3)) == LINES
    assert capsys.readouterr().err == ""
