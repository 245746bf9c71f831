"""Plans: read, checked, and refused where they ask for what is never done."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import ConfigError
from stages.commands.plan import FORMAT, checked, read_plan
from tests.stages.acting import plan_for


def changes() -> Iterator[tuple[Callable[[dict[str, Any]], Any], str]]:
    yield lambda plan: plan.pop(FORMAT), "is no plan: expected"
    yield lambda plan: plan.update({FORMAT: 2}), "is no plan: expected"
    yield lambda plan: plan["clusters"][0].update(keep=[]), "cluster 0: every image of it would go"
    yield lambda plan: plan["clusters"][0].update(remove="x"), r"clusters\.0\.remove"
    yield lambda plan: plan["clusters"][0]["keep"][0].pop("digest"), r"clusters\.0\.keep\.0\.digest"
    yield lambda plan: plan["clusters"][1]["keep"].append(plan["clusters"][1]["remove"][0]), "comes twice"
    yield lambda plan: plan["clusters"][1].update(keep=plan["clusters"][0]["keep"]), "comes twice"
    yield lambda plan: plan["clusters"][0]["keep"][0].update(path="x.jpg"), "expected an absolute path"
    yield lambda plan: plan.update(references=[plan["clusters"][1]["remove"][0]["path"]]), "which is never touched"
    yield lambda plan: plan.update(colour="red"), "colour"
    yield lambda plan: plan["clusters"][0]["keep"][0].update(path="/tmp/a\0b"), "expected an absolute path"
    for odd in ("/tmp/./b.jpg", "/tmp/../b.jpg", "/tmp//b.jpg", "//tmp/b.jpg", "/tmp/b/"):
        yield lambda plan, odd=odd: plan["clusters"][0]["keep"][0].update(path=odd), r"expected a path without \., \.\."
    for odd in ("", "photos", "../photos"):
        yield lambda plan, odd=odd: plan.update(references=[odd, "/"]), "references: expected absolute paths"
    yield lambda plan: plan.update(references=["/"]), "lies in the reference /, which is never touched"


@pytest.mark.parametrize(("change", "said"), list(changes()))
def test_a_plan_that_asks_for_the_wrong_is_refused(
    change: Callable[[dict[str, Any]], Any], said: str, photos: Path
) -> None:
    plan = plan_for(photos)
    change(plan)
    with pytest.raises(ConfigError, match=said) as told:
        checked(plan, "plan.json")
    assert "\n" not in str(told.value)


def test_references_of_the_run_count_even_if_the_plan_lost_them(photos: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "run.json").write_text(json.dumps({"config": {"inputs": {"reference": [str(photos / "c")]}}}))
    with pytest.raises(ConfigError, match="lies in the reference"):
        checked(plan_for(photos, run=str(run)), "plan.json")


def test_a_plan_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="can't be read"):
        read_plan(tmp_path / "none.json")
    (tmp_path / "deep.json").write_text("[" * 100_000)
    with pytest.raises(ConfigError, match="it is no JSON"):
        read_plan(tmp_path / "deep.json")
    (tmp_path / "text.json").write_text("text")
    with pytest.raises(ConfigError, match="it is no JSON"):
        read_plan(tmp_path / "text.json")


def test_a_plan_of_no_run_asks_none_that_happens_to_be_here(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "run.json").write_text(json.dumps({"config": {"inputs": {"reference": [str(photos)]}}}))
    monkeypatch.chdir(tmp_path)
    assert checked(plan_for(photos), "plan").references == ()
