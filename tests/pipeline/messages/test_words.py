"""Plurals agree with their numbers."""

from pipeline.messages.words import counted, verb


def test_nouns_and_verbs_agree() -> None:
    assert [counted(count, "file") for count in (0, 1, 2, 2_000)] == ["0 files", "1 file", "2 files", "2,000 files"]
    assert [counted(count, "match", "matches") for count in (1, 2)] == ["1 match", "2 matches"]
    assert [verb(count, "is", "are") for count in (0, 1, 2)] == ["are", "is", "are"]
