"""The way of a library's owner, in the browser alone: from a run to a clean-up that is undone, byte for byte.

`FAST_DIFF_LIBRARY=20000 pytest -s -m slow tests/end_to_end/test_journey.py` walks through a library of 20,000 images,
and prints the seconds of each step."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.library import BACKUP, CAMERA, Library, library
from tests.end_to_end.reviewing import served
from tests.end_to_end.test_page import CHROMIUM, browser
from tests.end_to_end.test_review_page import Window

pytest.importorskip("starlette", reason="starlette is not installed")
pytest.importorskip("uvicorn", reason="uvicorn is not installed")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.drawn,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
    pytest.mark.skipif(shutil.which("exiftool") is None, reason="exiftool is not installed"),
]
__all__ = ["browser"]

IMAGES = int(os.environ.get("FAST_DIFF_LIBRARY", "1200"))
MOST = 60
"""Clicks and key presses that one backup folder may cost."""
COUNT = """
globalThis.efforts = 0;
for (const kind of ["pointerdown", "keydown"]) addEventListener(kind, event => { efforts += event.isTrusted; }, true);
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Library, Path]]:
    """Make the library, and the folder of its run."""
    folder = tmp_path_factory.mktemp("journey")
    found = library(folder / "Library", IMAGES)
    began = time.monotonic()
    command = [sys.executable, "-m", "pipeline.cli.main", "run", "Library"]
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    print(f"\n{IMAGES:,} images: run {time.monotonic() - began:.1f} s", end="")
    yield found, folder / "outputs" / "Library"
    shutil.rmtree(folder)


class Reader(Window):
    """A reader who clicks; each step is timed, and clicks and key presses are counted by the page."""

    def __init__(self, context: Any, server: Any) -> None:
        context.add_init_script(COUNT)
        self.began = time.monotonic()
        super().__init__(context, server)
        self.page.set_default_timeout(120_000)
        self.step("open")

    @property
    def efforts(self) -> int:
        return int(self.run("efforts"))

    def step(self, name: str) -> None:
        print(f", {name} {time.monotonic() - self.began:.1f} s", end="")
        self.began = time.monotonic()

    def choose(self, selector: str, value: str) -> None:
        """Choose from a list by the keyboard."""
        place = self.run(
            f"[...document.querySelector('{selector} ').options].findIndex(each => each.value === '{value}')"
        )
        now = self.run(f"document.querySelector('{selector}').selectedIndex")
        self.page.focus(selector)
        for _ in range(abs(place - now)):
            self.page.keyboard.press("ArrowDown" if place > now else "ArrowUp")
        assert self.page.input_value(selector) == value

    def finish(self, job: str) -> Any:
        """Wait for the end of a job, and return what it did."""
        until = time.monotonic() + 600
        while not self.run(f"server.work?.name === '{job}' && server.work.ended"):
            assert time.monotonic() < until, self.run("server.work")
            self.page.wait_for_timeout(20)
        work = self.run("server.work")
        assert work["error"] == "", work
        self.step(job)
        return work

    def clean_up(self) -> Any:
        """Do the dry run and apply; return what the two said."""
        self.page.click("#dry-run")
        dry = self.finish("dry run")
        self.until("!byId('act-apply').disabled")
        self.page.click("#act-apply")
        done = self.finish("apply")
        same = ("files", "bytes", "companions", "sidecars", "left_alone")
        assert [dry["outcome"][name] for name in same] == [done["outcome"][name] for name in same]
        return done

    def take_back(self) -> None:
        """Undo the clean-up, then the decision."""
        self.began = time.monotonic()
        self.page.click("#journals button:enabled")
        self.finish("undo")
        self.page.keyboard.press("Escape")
        self.page.keyboard.press("u")
        self.until("choice.size === 0")


@pytest.fixture
def reader(
    made: tuple[Library, Path], browser: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Reader]:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    with served(made[1]) as server:
        yield Reader(context, server)
    context.close()


def kept_somewhere(found: Library) -> None:
    """The original or the duplicate of each planted pair is still in the library."""
    assert [pair for pair in found.copies.items() if not any(path.exists() for path in pair)] == []


def test_a_backup_folder_is_removed_and_restored(made: tuple[Library, Path], reader: Reader) -> None:
    found, page = made[0], reader.page
    before = found.files()
    cell = page.locator(f"[data-cell][title*='{CAMERA}'][title*='{BACKUP}']")
    assert cell.inner_text() == "100 % · 100 %"
    page.click("nav >> text=Folders")
    cell.click()
    reader.until(f"view.found.length === {len(found.backup)}")
    page.click(f"text={BACKUP} goes")
    reader.step("choose")
    page.click("#open-act")
    reader.choose("#action", "trash")
    page.click("#merge")
    done = reader.clean_up()
    assert done["outcome"]["left_alone"] == {}
    assert done["outcome"]["files"] == len(found.backup)
    assert done["outcome"]["sidecars"] == len(found.said_once)
    folder = found.folder / BACKUP
    assert any(
        f"{len(found.backup):,} of {len(found.backup):,} images of {folder.parent} " in line for line in done["details"]
    )
    assert not folder.exists() or not list(folder.iterdir()), "image and companions went together"
    assert found.orphans() == []
    kept_somewhere(found)
    assert {name for name in before.keys() - found.files().keys() if not name.startswith(BACKUP)} == set()
    for copy in found.said_once:
        assert b"only in the backup" in (found.folder / CAMERA / f"{copy.name}.xmp").read_bytes()
    reader.take_back()
    assert found.files() == before
    assert reader.efforts < MOST
    print(f", {reader.efforts} clicks and key presses")
    assert reader.complaints == []


def test_all_duplicates_are_removed_by_rules_and_restored(made: tuple[Library, Path], reader: Reader) -> None:
    """Without merging, an image whose companion would be lost is kept."""
    found, page = made[0], reader.page
    before = found.files()
    page.click("#open-rules")
    reader.choose("#rule", "avoid")
    page.fill("#rule-folder", str(found.folder / "Backup 2015"))
    page.click("#rule-apply")
    reader.saved()
    reader.step("rule")
    page.click("#open-act")
    reader.choose("#action", "trash")
    done = reader.clean_up()
    assert done["outcome"]["files"] == len(found.copies) - len(found.said_once)
    assert set(done["outcome"]["left_alone"].values()) == {len(found.said_once)}
    assert all(path.exists() for path in found.said_once)
    assert found.orphans() == []
    kept_somewhere(found)
    reader.take_back()
    assert found.files() == before
    assert reader.efforts < MOST
    print(f", {reader.efforts} clicks and key presses")
    assert reader.complaints == []
