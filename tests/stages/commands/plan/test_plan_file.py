"""Plans are read, checked, and refused if they ask for a forbidden action."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pandas as pd
import pyarrow as pa
import pytest
from upath import UPath

from pipeline.messages.errors import ConfigError
from stages.commands.apply.options import warning
from stages.commands.plan import plan_file as plan
from stages.commands.plan.plan_file import (
    FORMAT,
    VERSION,
    Group,
    RemovalPlan,
    checked,
    is_path,
    path_of,
    read_plan,
)
from stages.commands.plan.proposal import proposal
from stages.commands.results.tables import Results
from tests.stages.commands.apply.acting import entry, plan_for


def changes() -> Iterator[tuple[Callable[[dict[str, Any]], Any], str]]:
    yield lambda plan: plan.pop(FORMAT), "is not a plan: expected"
    yield lambda plan: plan.update({FORMAT: 2}), "is not a plan: expected"
    yield lambda plan: plan["clusters"][0].update(keep=[]), "cluster 0: every image would be removed"
    yield lambda plan: plan["clusters"][0].update(remove="x"), r"clusters\.0\.remove"
    yield lambda plan: plan["clusters"][0]["keep"][0].pop("digest"), r"clusters\.0\.keep\.0\.digest"
    yield lambda plan: plan["clusters"][1]["keep"].append(plan["clusters"][1]["remove"][0]), "expected each file in one"
    yield lambda plan: plan["clusters"][1].update(keep=plan["clusters"][0]["keep"]), "expected each file in one"
    yield lambda plan: plan["clusters"][0]["keep"][0].update(path="x.jpg"), "expected an absolute path"
    yield lambda plan: plan.update(references=[plan["clusters"][1]["remove"][0]["path"]]), "which is never touched"
    yield lambda plan: plan.update(colour="red"), "colour"
    yield lambda plan: plan["clusters"][0]["keep"][0].update(bytes="4"), r"clusters\.0\.keep\.0\.bytes"
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
    data = plan_for(photos)
    change(data)
    with pytest.raises(ConfigError, match=said) as told:
        checked(data, "plan.json")
    assert "\n" not in str(told.value)


def test_a_list_is_no_plan() -> None:
    with pytest.raises(ConfigError, match="is not a plan: expected"):
        checked([], "plan.json")


def test_a_cluster_of_no_images_asks_for_nothing() -> None:
    data = {FORMAT: VERSION, "clusters": [{"cluster": 0, "keep": [], "remove": []}]}
    assert checked(data, "plan") == RemovalPlan((Group(0, ()),))


def test_a_plan_is_read_from_its_file(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text(json.dumps(plan_for(photos)))
    found = read_plan(tmp_path / "plan.json")
    assert found == checked(plan_for(photos), "plan")
    assert found.version == RemovalPlan(()).version == VERSION
    assert [path_of(file).name for file, _ in found.removed][::2] == ["1.jpg", "y.jpg"]


@pytest.mark.parametrize(("text", "expected"), [("", False), ("/a", True), ("a", True), ("s3://bucket/a", False)])
def test_paths_on_this_machine(text: str, expected: bool) -> None:
    assert is_path(text) is expected


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
    with pytest.raises(ConfigError, match="not JSON"):
        read_plan(tmp_path / "deep.json")
    (tmp_path / "text.json").write_text("text")
    with pytest.raises(ConfigError, match="not JSON"):
        read_plan(tmp_path / "text.json")


def test_a_plan_of_no_run_asks_none_that_happens_to_be_here(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "run.json").write_text(json.dumps({"config": {"inputs": {"reference": [str(photos)]}}}))
    monkeypatch.chdir(tmp_path)
    data = plan_for(photos)
    del data["clusters"][0]["remove"][0]["mtime_ns"]
    monkeypatch.setattr(plan, "load_run", lambda folder: pytest.fail("no run is named"))
    assert checked(data, "plan").references == ()


def proposed(images: pd.DataFrame, clusters: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the clusters of the plan for a run that has found these clusters."""
    summary = {"failures": [], "clusters": {"count": 1}, "config": {"inputs": {}}}
    results = SimpleNamespace(summary=summary, images=lambda: images, clusters=lambda: clusters, folder=Path("run"))
    return list(proposal(cast(Results, results))[0]["clusters"])


def test_a_proposal_lists_clusters_by_number_with_the_first_reason_of_each() -> None:
    facts = {"bytes": 5, "mtime_ns": 7, "digest": "d", "path_bytes": None, "container": None}
    images = pd.DataFrame([{"path": path} | facts for path in ("/a", "/b", "/c", "/d")])
    rows = [(4, "/a", True, "older"), (4, "/b", False, ""), (2, "/c", True, "larger"), (2, "/d", False, "")]
    clusters = pd.DataFrame(rows, columns=["cluster", "path", "keeper", "reason"])
    clusters = clusters.assign(reference=False, dismissed=False)
    found = [(group["cluster"], group["reason"]) for group in proposed(images, clusters)]
    assert found == [(2, "larger"), (4, "older")]
    with pytest.raises(ConfigError, match="/d is in a cluster and in no other artifact"):
        proposed(images[:3], clusters)


def test_a_proposal_holds_only_clusters_with_files_to_remove() -> None:
    """A cluster whose images all stay is left out."""
    facts = {"bytes": 5, "mtime_ns": 7, "digest": "d", "path_bytes": None, "container": None}
    images = pd.DataFrame([{"path": path} | facts for path in ("/a", "/b", "/c", "/d")])
    images.loc[1, "path_bytes"] = b"/b"
    rows = [(0, "/a", True, False), (0, "/b", False, False), (1, "/c", True, False), (1, "/d", False, True)]
    clusters = pd.DataFrame(rows, columns=["cluster", "path", "keeper", "reference"]).assign(
        dismissed=False, reason="more pixels"
    )
    config = {"inputs": {"a": ["/"], "reference": ["/d"]}}
    results = SimpleNamespace(
        summary={"failures": [], "clusters": {"count": 2}, "config": config},
        images=lambda: images,
        clusters=lambda: clusters,
        folder=Path("run"),
    )
    file = {"bytes": 5, "mtime_ns": 7, "digest": "d"}
    assert proposal(cast(Results, results))[0] == {
        FORMAT: VERSION,
        "run": str(Path("run").absolute()),
        "references": ["/d"],
        "clusters": [
            {
                "cluster": 0,
                "reason": "more pixels",
                "keep": [{"path": "/a"} | file],
                "remove": [{"path": "/b", "path_bytes": b"/b".hex()} | file],
            }
        ],
    }
    results.folder = UPath("memory://run")
    assert proposal(cast(Results, results))[0]["run"] == "memory://run"
    for unfinished in ({"failures": ["x"]}, {"clusters": {}}, {"clusters": {"count": None}}):
        with pytest.raises(ConfigError, match="did not finish"):
            proposal(cast(Results, SimpleNamespace(**vars(results) | {"summary": results.summary | unfinished})))


@pytest.mark.parametrize("which", ["file", "reference", "both"])
def test_a_reference_is_reached_by_links_on_either_side(which: str, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "alias").symlink_to(photos / "c")
    (tmp_path / "other").symlink_to(photos / "c")
    file = photos / "c/y.jpg" if which == "reference" else tmp_path / "alias/y.jpg"
    root = photos / "c" if which == "file" else tmp_path / "other"
    group = {"cluster": 3, "keep": [entry(photos / "a/1.jpg")], "remove": [entry(file)]}
    with pytest.raises(ConfigError, match=r"cluster 3: .* lies in the reference"):
        checked({FORMAT: VERSION, "clusters": [group], "references": [str(root)]}, "plan.json")


def test_a_reference_with_a_slash_at_its_end_and_one_that_shares_its_beginning(photos: Path) -> None:
    with pytest.raises(ConfigError, match="lies in the reference"):
        checked(plan_for(photos, references=[f"{photos}/c/"]), "plan.json")
    assert checked(plan_for(photos, references=[f"{photos}/c/y"]), "plan.json")


def test_files_without_a_time_get_it_from_the_run(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page leaves times out. A given time is kept; a file that the run does not know has no time."""
    data = plan_for(photos, run="/run")
    for group in data["clusters"]:
        for file in group["remove"]:
            file.pop("mtime_ns")
    kept = data["clusters"][1]["keep"][0]
    kept.pop("mtime_ns")
    names = [file["path"] for group in data["clusters"] for file in group["remove"]]
    table = pa.table(
        {"path": [*names[:2], data["clusters"][0]["keep"][0]["path"], kept["path"]], "mtime_ns": [1, 2, 3, 4]}
    )
    run = SimpleNamespace(tables=lambda stage, columns: [table] if stage == "scan" else [], summary={})
    monkeypatch.setattr(plan, "load_run", lambda folder: run)
    clusters = checked(data, "plan").clusters
    assert [file.mtime_ns for group in clusters for file in group.remove] == [1, 2, None]
    assert clusters[0].keep[0].mtime_ns == data["clusters"][0]["keep"][0]["mtime_ns"]
    assert clusters[1].keep[0].mtime_ns == 4
    monkeypatch.setattr(plan, "load_run", lambda folder: pytest.fail("all have their times, and companions are known"))
    monkeypatch.setattr(plan, "inputs_of", lambda run: {})
    checked(plan_for(photos, run="/run", companion_patterns=[]), "plan")


def test_references_of_a_run_on_an_object_store_count(photos: Path) -> None:
    import fsspec

    inputs = {"reference": [str(photos / "c")], "a": [str(photos), "memory://bucket"]}
    with fsspec.open("memory://bucket/run/run.json", "w") as file:
        json.dump({"config": {"inputs": inputs}}, file)
    with pytest.raises(ConfigError, match="lies in the reference"):
        checked(plan_for(photos, run="memory://bucket/run"), "plan.json")
    data = plan_for(photos, run="memory://bucket/run")
    data["clusters"].pop()
    plan = checked(data, "plan.json")
    assert str(photos) in warning(plan, photos / "moved")
    assert not warning(plan, photos.parent / "moved")
