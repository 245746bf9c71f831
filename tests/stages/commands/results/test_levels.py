"""Pairs left after each filter, as text."""

import re
from collections.abc import Mapping

import pytest

from stages.commands.results import levels
from stages.commands.results.levels import LEDGER, LEVELS, Work


def made(
    ledger: Mapping[str, int], counts: Mapping[str, int], seconds: float = 2.0, devices: Mapping[str, int] | None = None
) -> Work:
    whole = dict.fromkeys(LEDGER, 0) | ledger
    found = dict.fromkeys(LEVELS, 0) | counts
    return Work(3, 0, 0, whole, whole["decided"], found, seconds, {"cpu": 3} if devices is None else devices)


PHOTOGRAPHS = made(
    {"pairs_total": 2000, "decided": 1600, "skipped_by_rule": 300, "identical": 100, "matches": 110},
    {"order": 1500, "compared": 100, "directions": 40, "sums": 20, "checked": 20},
)
FRAMES = made(
    {"pairs_total": 1600, "decided": 1600, "matches": 900},
    {"order": 10, "compared": 1590, "directions": 1500, "sums": 1400, "finer": 1300, "products": 1600, "copied": 7},
)
EVERY = made({"pairs_total": 10, "decided": 10, "matches": 10}, {"products": 16})


def said(of: Work) -> list[str]:
    return [row.name for row in levels.rows(of)]


def test_levels_that_nothing_came_to_are_left_out() -> None:
    ends = ["after directions", "after coarse sums"]
    cascade = ["to compare", "skipped by order", "comparisons", *ends]
    first = ["pairs of images", "skipped by rule", "identical"]
    assert said(PHOTOGRAPHS) == [*first, *cascade, "checked one by one", "matches"]
    assert said(FRAMES) == [first[0], *cascade, "after finer sums", "copied", "by whole products", "matches"]
    assert said(EVERY) == [first[0], "to compare", "by whole products", "matches"]


def test_without_pairs_to_compare_no_level_is_printed() -> None:
    copies = made({"pairs_total": 10, "identical": 10, "matches": 10}, {})
    assert said(copies) == ["pairs of images", "identical", "to compare", "matches"]
    assert not any(row.share for row in levels.rows(copies))
    assert levels.rate(copies) == ""


def test_shares_are_of_the_pairs_to_compare() -> None:
    shares = {row.name: row.share for row in levels.rows(PHOTOGRAPHS) if row.share}
    assert shares == {
        "to compare": "100 %",
        "skipped by order": "94 %",
        "comparisons": "6.2 %",
        "after directions": "2.5 %",
        "after coarse sums": "1.2 %",
        "checked one by one": "1.2 %",
    }
    assert [levels.share(*of) for of in ((0, 5), (1, 10**9), (3, 0), (995, 1000))] == [
        "0 %",
        "0.00000010 %",
        "",
        "100 %",
    ]


def test_the_table_says_where_and_how_fast() -> None:
    lines = list(levels.lines(PHOTOGRAPHS, "auto"))
    assert re.fullmatch(r"  pairs of images +2,000", lines[1])
    assert re.fullmatch(r"  time in tasks +2\.0 s +800 pairs a second", lines[-2])
    assert re.fullmatch(r"  computed on +cpu; no GPU found", lines[-1])


@pytest.mark.parametrize(
    ("devices", "wanted", "words"),
    [
        ({"cpu": 3}, "cpu", "cpu"),
        ({"cpu": 3}, "auto", "cpu; no GPU found"),
        ({"cpu": 1, "gpu": 2}, "auto", "cpu (1 of 3), gpu (2 of 3)"),
    ],
)
def test_devices(devices: Mapping[str, int], wanted: str, words: str) -> None:
    assert levels.computed_on(made({}, {}, devices=devices), wanted) == words


def test_a_level_with_more_pairs_than_there_are_is_explained() -> None:
    assert levels.caution(PHOTOGRAPHS) == levels.caution(FRAMES) == ""
    assert "counts each time" in levels.caution(EVERY)
    assert any("counts each time" in line for line in levels.lines(EVERY, "cpu"))


def test_facts_missing_in_the_log_are_reported_and_left_out() -> None:
    ledger = dict.fromkeys(LEDGER, 0) | {"pairs_total": 12_000, "decided": 12_000, "matches": 7}
    unknown = Work(4, 4, 12_000, ledger, 0, dict.fromkeys(LEVELS, 0), 0.0, {})
    head, *lines = levels.lines(unknown, "auto")
    assert head == "pairs left after each filter"
    assert [line.split("  ")[1] for line in lines] == [
        *("pairs of images", "to compare", "matches"),
        "the filters of 4 of 4 block pairs (12,000 pairs) are unknown and not counted: the event log has no record of "
        "them",
    ]
    assert unknown.pairs_per_second is None


def test_totals_are_of_all_block_pairs_and_shares_of_those_whose_levels_are_known() -> None:
    ledger = dict.fromkeys(LEDGER, 0) | {"pairs_total": 2_000, "decided": 2_000, "matches": 7}
    found = dict.fromkeys(LEVELS, 0) | {"compared": 500, "checked": 10}
    part = Work(4, 2, 1_000, ledger, 1_000, found, 2.0, {"cpu": 2})
    rows = {row.name: row for row in levels.rows(part)}
    assert rows["pairs of images"].pairs == 2_000
    assert rows["comparisons"].share == "50 %"
    assert part.pairs_per_second == 500


def test_no_block_pairs_say_nothing() -> None:
    nothing = Work(0, 0, 0, dict.fromkeys(LEDGER, 0), 0, dict.fromkeys(LEVELS, 0), 0.0, {})
    assert list(levels.lines(nothing, "auto")) == []
