"""Messages go where they belong."""

import io

import pytest

from pipeline.messages.say import answer_paged, page, say, say_on_stderr


def test_a_pipe_gets_each_message_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(pipe))
    say("one", "two")
    assert pipe.getvalue() == b"one\ntwo\n"
    monkeypatch.setattr("sys.stdout", None)
    say("lost")


def test_errors_never_go_to_standard_output(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    say_on_stderr("one\ntwo")
    assert capsys.readouterr() == ("", "fast-diff: one\\ntwo\n")
    monkeypatch.setattr("sys.stderr", None)
    say_on_stderr("lost")
    assert capsys.readouterr().out == ""


def test_long_output_on_a_terminal_goes_through_a_pager(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    paged: list[str] = []
    monkeypatch.setattr("click.echo_via_pager", paged.extend)
    page(f"{number}\n" for number in range(30))
    assert capsys.readouterr().out.count("\\n\n") == 30, "no terminal, no pager"
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("LINES", "24")
    page(map(str, range(23)))
    assert capsys.readouterr().out.split() == list(map(str, range(23)))
    page([])
    assert not paged
    page(f"{number}\n" for number in range(24))
    assert paged == [f"{number}\\n\n" for number in range(24)]
    assert answer_paged(True, [1], ()) == 0
    assert capsys.readouterr().out == "[1]\n"
