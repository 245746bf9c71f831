"""`fast-diff status` and the report's page show the pairs left after each filter of real runs."""

import json
import math
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli.main import main
from stages.commands.run import work
from tests.end_to_end.driver import Kept, Project, make_image, make_images

pytestmark = pytest.mark.drawn


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """Return a run over forty images, compared once."""
    return Kept.of(tmp_path_factory.mktemp("levels"), 40)


@pytest.fixture
def project(finished: Kept) -> Project:
    return finished.again()


def told(project: Project, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """Return the levels that `fast-diff status --json` prints."""
    capsys.readouterr()
    assert main(["status", "--json", str(project.yaml)]) == 0
    return dict(json.loads(capsys.readouterr().out)["pairs"]["levels"])


def page(project: Project) -> Path:
    return project.run_folder / "report" / "work.html"


def test_status_sums_all_block_pairs(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    levels = told(project, capsys)
    record = project.record()["ledger"]
    assert (levels["unknown"], levels["unknown_pairs"]) == (0, 0)
    assert levels["block_pairs"] == len(list((project.run_folder / "pairs").glob("*.parquet")))
    assert levels["pairs_total"] == 40 * 39 // 2
    assert {name: levels[name] for name in record} == record
    assert levels["compared"] >= levels["directions"] >= levels["sums"] >= levels["checked"] > 0
    assert sum(levels["devices"].values()) == levels["block_pairs"]
    events = [event for event in project.events() if event.get("stage") == "pairs"]
    assert levels["seconds"] == pytest.approx(sum(event["seconds"] for event in events), abs=1e-3)
    assert main(["status", str(project.yaml)]) == 0
    assert "pairs left after each filter" in capsys.readouterr().out


def test_a_second_run_knows_them_still_and_draws_nothing_anew(
    project: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before, content = told(project, capsys), page(project).read_bytes()

    def drawn(*_: object, **__: object) -> bytes:
        raise AssertionError("drawn again")

    monkeypatch.setattr(work, "_page", drawn)
    assert project.run() == 0
    assert project.ran() == {}
    assert told(project, capsys) == before
    assert page(project).read_bytes() == content


@pytest.mark.slow
def test_a_new_image_adds_to_known_matches(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    before = told(project, capsys)
    make_image(project.folder / "images" / "new.jpg", 1234)
    assert project.run() == 0
    after = told(project, capsys)
    assert after["unknown"] == 0
    assert after["pairs_total"] == 41 * 40 // 2
    assert after["block_pairs"] >= before["block_pairs"]
    assert f"{41 * 40 // 2:,}" in page(project).read_text()


def test_bars_have_a_logarithmic_scale(project: Project) -> None:
    text = page(project).read_text()
    cells = re.findall(r'<td class="number">([\d,]+)</td><td><svg', text)
    pairs = [int(cell.replace(",", "")) for cell in cells]
    widths = [float(width) for width in re.findall(r'<rect[^>]* width="([\d.]+)"', text)]
    assert pairs[0] == 40 * 39 // 2
    expected = [100 * math.log(max(1, count)) / math.log(pairs[0]) for count in pairs]
    assert widths[: len(pairs)] == pytest.approx(expected, abs=1e-3)


def test_without_the_log_levels_are_reported_as_unknown(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    (project.run_folder / ".events.jsonl").unlink()
    levels = told(project, capsys)
    assert levels["unknown"] == levels["block_pairs"] > 0
    assert levels["unknown_pairs"] == 40 * 39 // 2
    known = page(project).read_bytes()
    assert project.run() == 0
    assert page(project).read_bytes() == known, "it is still true"
    page(project).unlink()
    assert project.run() == 0
    text = page(project).read_text()
    assert "are unknown" in text
    assert "There was no pair" not in text


def test_before_the_first_run_there_is_nothing_to_tell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = Project(tmp_path)
    make_images(tmp_path / "images", 3)
    assert told(project, capsys)["block_pairs"] == 0
    assert main(["status", str(project.yaml)]) == 0
    assert "how the work" not in capsys.readouterr().out


def test_the_page_leads_to_the_report_and_back(project: Project) -> None:
    report = (page(project).parent / "index.html").read_text()
    assert 'href="work.html"' in report
    assert 'href="index.html"' in page(project).read_text()
    assert "DOCTYPE" in report.upper()


def test_a_page_that_cannot_be_written_harms_nothing(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_image(project.folder / "images" / "new.jpg", 1234)
    really = os.replace

    def full(source: object, target: object, **more: object) -> None:
        if Path(str(target)).name == page(project).name:
            raise OSError(28, "No space left on device")
        really(source, target, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "replace", full)
    assert project.run() == 0
    assert "No space left on device" in capsys.readouterr().err + json.dumps(project.record())
    monkeypatch.undo()
    assert project.run() == 0
    assert f"{41 * 40 // 2:,}" in page(project).read_text()


@pytest.mark.slow
def test_a_failed_run_leaves_the_page_of_the_last_good_one(project: Project) -> None:
    content = page(project).read_bytes()
    done = subprocess.run(
        project.command("pairs.metric=tests.end_to_end.test_levels:failing", "pairs.threshold=3"),
        capture_output=True,
        text=True,
        timeout=120,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 1, done.stderr
    assert page(project).read_bytes() == content


def failing(images: object, image: object) -> None:
    """Raise an error, as a broken metric does."""
    raise ValueError("no distance")
