"""Messages go where they belong."""

import pytest

from pipeline.messages.say import say_on_stderr


def test_a_complaint_never_goes_to_standard_output(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    say_on_stderr("one\ntwo")
    assert capsys.readouterr() == ("", "fast-diff: one\\ntwo\n")
    monkeypatch.setattr("sys.stderr", None)
    say_on_stderr("lost")
    assert capsys.readouterr().out == ""
