"""The report's page in a real browser: its content, no network requests, and choices that become valid plans."""

import io
import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline import load_run
from pipeline.cli.main import main
from stages.commands.plan.plan_file import read_plan
from stages.report.reads import DATES
from tests.end_to_end.driver import LONG_AGO, Project, make_image
from tests.end_to_end.large_page import large_page

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [pytest.mark.drawn, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")]

HOSTILE = (
    "<img src=x onerror=alert(1)>.png",
    "--yes.jpg",
    "two\nlines '\"&.png",
    "\U0001f9ca \u202egnp.png",
    "{{ 7*7 }}.png",
)
CLUSTERS = "cut.clusters.map(cluster => cluster.images.map(pathOf))"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A browser for one module only, since the browser's driver runs an event loop in this thread."""
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Make copies, turned and mirrored copies, a chain of ever paler pictures, near copies, and names that are
    attacks."""
    project = Project(tmp_path_factory.mktemp("page"), {"pairs": {"mirror": True}})
    folder = project.folder / "images"
    for seed, name in enumerate(HOSTILE):
        path = make_image(folder / f"{seed}.jpg", seed).rename(folder / name)
        shutil.copy2(path, folder / f"copy of {seed}.jpg")
    turned = make_image(folder / "upright.png", 50, (96, 96))
    (folder / "sub").mkdir()
    Image.open(turned).rotate(90).save(folder / "sub" / "turned.png")
    facing = make_image(folder / "facing.png", 51, (96, 72))
    for name, method in (("mirrored.png", "FLIP_LEFT_RIGHT"), ("fallen.png", "TRANSPOSE")):
        Image.open(facing).transpose(Image.Transpose[method]).save(folder / "sub" / name)
    make_image(folder / "chain-0.png", 60)
    pixels = np.asarray(Image.open(folder / "chain-0.png"), np.float64)
    for step in range(1, 5):
        Image.fromarray((pixels * (1 - 0.04 * step)).astype(np.uint8)).save(folder / f"chain-{step}.png")
    (folder / os_name(b"no utf-8 \xff.png")).write_bytes((folder / "chain-0.png").read_bytes())
    (folder / "broken.png").write_bytes(b"no image")
    assert project.run() == 0
    return project


def os_name(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


class Opened:
    """A page, and all errors on the page; `absent`: missing files that the page may report."""

    def __init__(self, browser: Any, path: Path, absent: str = "", **options: Any) -> None:
        self.context = browser.new_context(accept_downloads=True, **options)
        self.page = self.context.new_page()
        self.complaints: list[str] = []
        self.requests: list[str] = []

        def complain(text: str, url: str = "") -> None:
            if not absent or absent not in url:
                self.complaints.append(f"{text} {url}")

        self.page.on("console", lambda message: complain(message.text, message.location["url"]))
        self.page.on("pageerror", lambda error: complain(str(error)))
        self.page.on("dialog", lambda dialog: (complain(dialog.message), dialog.dismiss()))
        self.page.on("requestfailed", lambda request: complain("failed", request.url))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.as_uri())

    def __enter__(self) -> "Opened":
        return self

    def __exit__(self, *_: object) -> None:
        self.context.close()
        assert self.complaints == []

    def run(self, script: str) -> Any:
        return self.page.evaluate(script)

    def until(self, script: str) -> None:
        """Wait until an expression is true, by polling, since the page's policy forbids scripts made in the page."""
        for _ in range(200):
            if self.run(script):
                return
            self.page.wait_for_timeout(50)
        pytest.fail(f"never true: {script}")

    def settle(self) -> None:
        """Wait until the work for the next frame is done."""
        self.page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def saved(self, button: str, to: Path) -> Path:
        with self.page.expect_download() as download:
            self.page.click(button)
        download.value.save_as(to)
        return to


@pytest.fixture
def opened(browser: Any, project: Project) -> Iterator[Opened]:
    size = {"width": 1280, "height": 3000}
    with Opened(browser, project.run_folder / "report" / "index.html", viewport=size) as opened:
        yield opened


def clusters_of(project: Project, *overrides: str) -> set[frozenset[str]]:
    assert project.run(*overrides) == 0
    members = load_run(project.run_folder).clusters()
    return {frozenset(paths) for _, paths in members.groupby("cluster")["path"]}


def test_it_loads_without_a_word_and_from_its_folder_alone(opened: Opened, project: Project) -> None:
    keepers = "[...document.querySelectorAll('#rows li.keeper img')]"
    opened.until(f"{keepers}.every(img => img.complete && img.naturalWidth)")
    assert opened.run(f"{keepers}.length") == opened.page.locator("#rows .card").count() >= 3
    folder = (project.run_folder / "report").as_uri()
    assert {url for url in opened.requests if not url.startswith(folder)} == set()
    assert any("/images/" in url for url in opened.requests)
    assert opened.run("document.images.length") == opened.run("document.querySelectorAll('img[alt]').length")


def test_it_bears_the_name_of_the_run_and_its_inputs(opened: Opened) -> None:
    assert re.fullmatch(r"images – \d{4}-\d\d-\d\d – fast-diff", opened.page.title())
    assert opened.page.inner_text("#inputs").startswith("images · 20")
    assert opened.page.locator("h1").inner_text() == "test"


def test_names_are_text(opened: Opened) -> None:
    text = opened.run("[...document.querySelectorAll('#rows .path')].map(each => each.title).join('|')")
    for name in HOSTILE:
        assert name.replace("\n", "<U+000A>").replace("\u202e", "<U+202E>") in text
    assert opened.page.locator("#rows script, #rows iframe").count() == 0


def test_it_shows_the_clusters_of_the_run_the_keeper_first(opened: Opened, project: Project) -> None:
    members = load_run(project.run_folder).clusters()
    shown = opened.run(CLUSTERS)
    assert {frozenset(paths) for paths in shown} == clusters_of(project)
    assert {paths[0] for paths in shown} == set(members.loc[members["keeper"], "path"])
    said = opened.run("[...document.querySelectorAll('#rows li.keeper .why')].map(each => each.textContent)")
    assert said
    assert set(said) <= set(members["reason"].dropna())
    assert "1 unreadable" in opened.page.inner_text("header")


@pytest.mark.slow
@pytest.mark.parametrize("linkage", ["components", "complete"])
def test_the_slider_cuts_as_a_run_would(browser: Any, project: Project, linkage: str) -> None:
    other = Project(project.folder / linkage, {**project.config, "output": str(project.folder / linkage)})
    how = f"cluster.linkage={linkage}"
    assert other.run(how) == 0
    distances = sorted({0.0, *load_run(other.run_folder).pairs()["mse"]})
    with Opened(browser, other.run_folder / "report" / "index.html") as opened:
        for threshold in (distances[0], distances[len(distances) // 2], distances[-2]):
            opened.run(f"recut({threshold!r})")
            found = {frozenset(paths) for paths in opened.run(CLUSTERS)}
            assert found == clusters_of(
                other, how, f"cluster.threshold={threshold!r}", "plot.pairs=0", "plot.clusters=0"
            )
        opened.page.focus("#threshold")
        opened.page.keyboard.press("Home")
        opened.settle()
        assert opened.page.inner_text("#threshold-said") == "0"
        assert opened.run("view.found.length") == opened.run("cut.clusters.length") > 0


@pytest.mark.slow
def test_filters_and_orders(opened: Opened) -> None:
    def listed() -> list[list[str]]:
        opened.settle()
        return opened.run("view.found.map(cluster => cluster.images.map(image => data.name[image]))")

    opened.page.select_option("#kind", "turned")
    mirrored = ["facing.png", "fallen.png", "mirrored.png"]
    assert sorted(sorted(names) for names in listed()) == [mirrored, ["turned.png", "upright.png"]]
    opened.page.select_option("#kind", "mirrored")
    assert [sorted(names) for names in listed()] == [mirrored]
    opened.page.select_option("#kind", "file")
    assert len(listed()) == len(HOSTILE)
    opened.page.select_option("#kind", "near")
    near = listed()
    assert len(near) == 2
    assert sum(name.startswith("chain") for names in near for name in names) == 5
    opened.page.select_option("#kind", "")
    opened.page.fill("#text", "SUB/turn")
    assert len(listed()) == 1
    opened.page.fill("#text", "no such")
    assert listed() == []
    assert opened.page.is_visible("#empty")
    opened.page.fill("#text", "")
    opened.page.fill("#size", "3")
    assert all(len(names) >= 3 for names in listed())
    opened.page.fill("#size", "2")
    opened.page.fill("#most", "0")
    assert len(listed()) >= len(HOSTILE)
    opened.page.fill("#most", "")
    opened.page.select_option("#order", "far")
    listed()
    joined = opened.run("view.found.map(cluster => cluster.joined)")
    assert joined == sorted(joined, reverse=True)


@pytest.mark.slow
@pytest.mark.parametrize("cluster", ["facing", "upright"])
def test_compared_images_are_turned_and_mirrored_as_the_keeper(opened: Opened, cluster: str) -> None:
    """The test compares what the browser draws, since the page may not read pixels of files."""
    opened.run(
        f"view.at = view.found.findIndex(each => each.images.some(image => data.name[image] === '{cluster}.png'))"
    )
    said = set()
    for image in range(1, opened.run("view.found[view.at].images.length")):
        opened.run(f"view.image = {image}, openCompare()")
        opened.until("[...stage.querySelectorAll('img')].every(img => img.complete && img.naturalWidth)")
        opened.settle()
        left, right = (
            np.asarray(Image.open(io.BytesIO(opened.page.locator(f"#{side} .box").screenshot())).resize((12, 12)), int)
            for side in ("left", "right")
        )
        assert np.ptp(left[..., :3]) > 60
        assert 3 * np.abs(left - right).mean() < np.abs(left - right[:, ::-1]).mean()
        said.add(opened.run("distanceTo(compare.keeper, compare.image)").partition(" ")[2])
    assert said <= {"mirrored", "mirrored ↺90°", "mirrored ↺270°", "↺90°", "↺270°"}
    assert any("mirrored" in each for each in said) == (cluster == "facing")


@pytest.mark.slow
def test_a_button_clears_all_filters(opened: Opened) -> None:
    every = opened.run("view.found.length")
    opened.page.fill("#least", "1")
    opened.page.fill("#size", "3")
    opened.page.select_option("#kind", "turned")
    opened.page.fill("#text", "no such")
    opened.run("byId('threshold').value = 0, byId('threshold').dispatchEvent(new Event('input'))")
    opened.settle()
    assert opened.page.inner_text("#empty").startswith("No clusters match these filters.")
    opened.page.click("#clear")
    opened.settle()
    assert opened.run("view.found.length") == every > 0
    assert opened.page.is_hidden("#empty")
    assert [opened.page.input_value(f"#{name}") for name in ("text", "kind", "least", "most", "size")] == [""] * 5


def test_choices_become_a_plan_that_apply_follows(
    browser: Any, project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = tmp_path / "images"
    shutil.copytree(project.folder / "images", images)
    own = Project(tmp_path / "own", {"inputs": {"a": [str(images)]}})
    assert own.run() == 0
    with Opened(browser, own.run_folder / "report" / "index.html") as opened:
        opened.page.fill("#text", "upright")
        opened.settle()
        opened.page.click("#rows li.goes .switch")
        opened.page.click("#rows li.keeper .switch")
        chosen = opened.page.get_attribute("#rows li.keeper .path", "title")
        opened.page.click("#rows li.keeper .switch")
        assert "keeps at least one image" in opened.page.inner_text("#said")
        opened.page.fill("#text", "")
        opened.settle()
        opened.page.reload()
        path = opened.saved("#export-plan", tmp_path / "plan.json")
        assert "fast-diff apply plan.json" in opened.page.inner_text("#said")
        would = opened.page.inner_text("#going")
    plan = read_plan(path)
    assert plan.run == str(own.run_folder)
    assert any(chosen == group.keep[0].path for group in plan.clusters), "choices outlive a reload"
    assert "chosen on the page" in {group.reason for group in plan.clusters}
    assert all(file.mtime_ns is not None for file, _ in plan.removed), "the run knows the dates"
    before = {each: each.read_bytes() for each in images.rglob("*") if each.is_file()}
    assert main(["apply", str(path), "--action", "report"]) == 0
    assert f"{len(list(plan.removed)):,} files" in capsys.readouterr().out
    assert would.startswith(f"{len(list(plan.removed))} images")
    journal = tmp_path / "journal.jsonl"
    assert (
        main(
            ["apply", str(path), "--action", "move", "--to", str(tmp_path / "away"), "--yes", "--journal", str(journal)]
        )
        == 0
    )
    assert len([each for each in images.rglob("*") if each.is_file()]) == len(before) - len(list(plan.removed))
    assert main(["undo", str(journal)]) == 0
    assert {each: each.read_bytes() for each in images.rglob("*") if each.is_file()} == before


@pytest.mark.slow
def test_a_plan_holds_listed_clusters_and_no_skipped_ones(opened: Opened, tmp_path: Path) -> None:
    opened.page.select_option("#kind", "file")
    opened.settle()
    opened.page.locator("#rows .card").first.get_by_role("switch", name="skip, keep all").click()
    plan = json.loads(opened.saved("#export-plan", tmp_path / "plan.json").read_text())
    assert len(plan["clusters"]) == len(HOSTILE) - 1


@pytest.mark.slow
def test_choices_at_one_threshold_hold_at_another(opened: Opened) -> None:
    """Pictures of a chain that are skipped, dismissed or chosen in a smaller cluster are kept in the larger cluster."""
    chain = "cut.clusters.find(cluster => cluster.images.length > 4)"
    steps = opened.run(
        f"const all = {chain}.images, {{a, b, at}} = data.links; "
        "at.filter((far, n) => all.includes(a[n]) && far > 0).sort((x, y) => x - y)"
    )
    everyone = opened.run(f"{chain}.images")
    assert [opened.run(f"going({chain})"), opened.run(f"keeperOf({chain})")] == [everyone[1:], everyone[0]]
    opened.run(f"recut({steps[0]}); refresh()")
    pair = "view.found.findIndex(cluster => data.name[cluster.images.at(-1)].startsWith('chain') && cluster.joined > 0)"
    assert opened.run(f"view.found[{pair}].images.length") >= 2
    kept = opened.run(f"view.found[{pair}].images.at(-1)")
    opened.run(f"keepAlone({pair}, view.found[{pair}].images.length - 1)")
    opened.run("recut(data.limit); refresh()")
    assert opened.run(f"keeperOf({chain})") == everyone[0], "who was not looked at keeps its keeper"
    assert kept not in opened.run(f"going({chain})")
    for act in ("toggleSkip", "toggleDismissed"):
        opened.run("choice.clear(), skipped.clear(), dismissed.clear()")
        opened.run(f"recut({steps[0]}); refresh()")
        alone = opened.run(f"view.found[{pair}].images")
        opened.run(f"{act}({pair})")
        opened.run("recut(data.limit); refresh()")
        stay = set(alone) if act == "toggleSkip" or everyone[0] in alone else set()
        assert not stay & set(opened.run(f"going({chain})"))
    opened.run("choice.clear(), skipped.clear(), dismissed.clear(), remember()")


@pytest.mark.slow
def test_what_is_left_alone_is_no_question_and_what_was_taken_back_stays_so(opened: Opened) -> None:
    for act, said in (("toggleSkip(0)", "skipped"), ("toggleDismissed(0)", "not duplicates")):
        opened.run(f"choice.clear(), {act}, toggleStays(0, 1), keepAlone(0, 1)")
        assert f"this cluster is {'marked as ' if 'not' in said else ''}{said}" in opened.page.inner_text("#said")
        assert opened.run("choice.size") == 0
        opened.run(act)
    opened.run("localStorage.clear(), own.add('0 1'), recall()")
    assert opened.run("dismissed.has('0 1')"), "by the run"
    opened.run("dismissed.clear(), remember(), recall()")
    opened.run("localStorage.setItem(storageKey, JSON.stringify({dismissed: []})), recall()")
    assert opened.run("dismissed.has('0 1')"), "by the run, and this browser knows nothing of it"
    opened.run("dismissed.delete('0 1'), remember(), dismissed.clear(), recall()")
    assert not opened.run("dismissed.has('0 1')"), "taken back by the reader"
    place = opened.run("view.found.findIndex(({images}) => images.includes(0) && images.includes(1))")
    opened.run(f"forget({place})")
    assert opened.run("dismissed.has('0 1')"), "as it was proposed"
    opened.run("own.clear(), dismissed.clear(), localStorage.clear()")


@pytest.mark.slow
def test_no_duplicates_are_heeded_by_the_next_run(browser: Any, project: Project, tmp_path: Path) -> None:
    own = Project(project.folder / "dismissing", {**project.config, "output": str(tmp_path)})
    before = clusters_of(own)
    with Opened(browser, own.run_folder / "report" / "index.html") as opened:
        opened.page.locator("#rows .card").first.get_by_role("switch", name="not duplicates").click()
        first = frozenset(opened.run("view.found[0].images.map(pathOf)"))
        file = opened.saved("#export-dismissed", tmp_path / "dismissed.csv")
    assert clusters_of(own, f"cluster.dismissed=[{file}]") == before - {first}


@pytest.mark.slow
def test_scrolling_does_not_lose_typed_text(opened: Opened) -> None:
    opened.run("""() => {
        document.getElementById("text").value = "upright";
        document.getElementById("text").dispatchEvent(new Event("input", {bubbles: true}));
        dispatchEvent(new Event("scroll"));
    }""")
    opened.settle()
    assert opened.run("view.found.length") == 1


@pytest.mark.slow
def test_dates_of_files_are_shown_and_a_touched_file_draws_no_page_anew(browser: Any, tmp_path: Path) -> None:
    project = Project(tmp_path)
    folder, exif = tmp_path / "images", Image.Exif()
    exif.get_ifd(0x8769)[0x9003] = "2019:05:04 12:00:01"  # DateTimeOriginal
    Image.open(make_image(folder / "camera.jpg", 1, (192, 144))).save(folder / "camera.jpg", quality=95, exif=exif)
    os.utime(folder / "camera.jpg", (LONG_AGO, LONG_AGO))
    make_image(folder / "camera small.jpg", 1)
    make_image(folder / "later.jpg", 2, (192, 144))
    make_image(folder / "later small.jpg", 2)
    page = project.run_folder / "report" / "index.html"

    def facts() -> tuple[list[str], list[str]]:
        with Opened(browser, page, timezone_id="Asia/Tokyo") as opened:
            opened.page.select_option("#order", "newest")
            opened.settle()
            said = opened.page.locator("#rows .facts")
            titles = opened.run("[...document.querySelectorAll('#rows .facts')].map(each => each.title)")
            short = [text.split(" · ")[2] for text in said.all_inner_texts()]
            return short, [",".join(title.split(" · ")[2:-1]) for title in titles]

    assert project.run() == 0
    assert facts() == (
        ["2020-09-13", "2020-09-13", "2019-05-04", "2020-09-13"],
        [
            "written 2020-09-13 21:26:42",
            "written 2020-09-13 21:26:42",
            "taken 2019-05-04 12:00:01,written 2020-09-13 21:26:40",
            "written 2020-09-13 21:26:41",
        ],
    )
    os.utime(folder / "camera small.jpg", (LONG_AGO + 86400, LONG_AGO + 86400))
    assert project.run() == 0
    assert "plot" not in project.ran()
    short, long = facts()
    assert short == ["2019-05-04", "2020-09-14", "2020-09-13", "2020-09-13"]
    assert long[1] == "written 2020-09-14 21:26:40"
    dates = project.run_folder / "report" / DATES
    dates.write_text(dates.read_text().replace('"images":"', '"images":"of another page'))
    assert facts()[0] == ["2019-05-04", "JPEG", "JPEG", "JPEG"]
    dates.unlink()
    assert project.run() == 0
    assert facts() == (short, long)


SIDES = ("left", "top", "width", "height")


@pytest.mark.slow
def test_two_images_are_compared_closely(opened: Opened) -> None:
    opened.page.fill("#text", "upright")
    opened.settle()
    opened.run("document.activeElement.blur()")
    opened.page.keyboard.press("Enter")
    assert opened.page.is_visible("#compare")
    assert "rotate" in (opened.page.get_attribute("#right img", "style") or "")
    for key, mode in (("2", "curtain"), ("3", "blink"), ("4", "difference"), ("1", "side")):
        opened.page.keyboard.press(key)
        assert mode in (opened.page.get_attribute("#stage", "class") or "")
        boxes = opened.run("[...document.querySelectorAll('#stage img')].map(img => img.getBoundingClientRect())")
        if mode != "side":  # whatever their shapes
            assert [round(boxes[0][side]) for side in SIDES] == [round(boxes[1][side]) for side in SIDES]
    loaded = "[...document.querySelectorAll('#stage img')].every(img => img.complete && img.naturalWidth)"
    opened.until(loaded)
    opened.page.keyboard.press("k")
    assert opened.run("keeperOf(view.found[0])") == opened.run("view.found[0].images[1]")
    opened.page.keyboard.press("Escape")
    assert not opened.page.is_visible("#compare")


@pytest.mark.slow
def test_the_keyboard_walks(opened: Opened) -> None:
    columns = opened.run("view.columns")
    assert columns == 3, "of 1,280 pixels"
    for key, at in (("ArrowDown", columns), ("j", columns + 1), ("i", columns), ("ArrowUp", 0), ("j", 1)):
        opened.page.keyboard.press(key)
        assert opened.run("view.at") == at
    opened.page.keyboard.press("ArrowRight")
    assert opened.run("[view.at, view.image]") == [1, 1]
    assert opened.page.locator("#rows .card.at li.at").count() == 1
    state = "stateOf(view.found[view.at])"
    for key, then in zip(
        "xsuurrcdu", "chosen skipped chosen open chosen skipped open dismissed open".split(), strict=True
    ):
        opened.page.keyboard.press(key)
        assert opened.run(state) == then, key
    skip = opened.page.locator("#rows .card.at").get_by_role("switch", name="skip, keep all")
    assert skip.get_attribute("aria-checked") == "false"
    skip.focus()
    opened.page.keyboard.press("Enter")
    assert opened.run("document.activeElement.textContent") == "skip"
    assert opened.run("document.activeElement.getAttribute('aria-checked')") == "true"
    places = opened.run("[...document.querySelectorAll('#rows .card')].map(row => Number(row.dataset.place))")
    assert places == sorted(places)


@pytest.mark.slow
@pytest.mark.parametrize("colours", ["light", "dark"])
def test_it_fits_a_phone(browser: Any, project: Project, colours: str) -> None:
    size = {"width": 360, "height": 740}
    with Opened(browser, project.run_folder / "report" / "index.html", viewport=size, color_scheme=colours) as opened:
        assert opened.run("document.documentElement.scrollWidth") <= 360
        assert not opened.page.is_visible("#kind")
        opened.page.click("#filters summary")
        assert opened.page.is_visible("#kind")
        opened.page.click("#filters summary")
        assert opened.page.locator("#rows .card").first.bounding_box()["width"] <= 360
        assert opened.run("document.documentElement.scrollWidth") <= 360


@pytest.mark.slow
def test_fifty_thousand_clusters(browser: Any, tmp_path: Path) -> None:
    """The document holds few clusters at a time, at every scroll position, and each cluster can be reached."""
    clusters, per = 50_000, 3
    count = clusters * per
    path = large_page(tmp_path, clusters, per)
    with Opened(browser, path, absent="file:///") as opened:  # neither photographs nor charts exist
        assert opened.run("view.found.length") == clusters
        assert opened.run("document.querySelectorAll('*').length") < 2_500
        opened.page.keyboard.press("End")
        opened.until("scrollY + innerHeight >= document.documentElement.scrollHeight - 2")  # browsers scroll smoothly
        opened.run("scrollTo(0, document.getElementById('rows').offsetTop + 1e9)")
        opened.run("document.getElementById('rows').lastElementChild.scrollIntoView()")
        opened.run(f"go({clusters - 1})")
        opened.settle()
        assert f"image {count - 1:06}.jpg" in opened.page.inner_text("#rows")
        assert opened.run("document.querySelectorAll('*').length") < 2_500
        opened.page.fill("#text", "image 075000")
        opened.settle()
        assert opened.page.locator("#rows .card").count() == 1
        opened.page.fill("#text", "")
        opened.run("recut(20); refresh()")
        assert opened.run("view.found.every(cluster => cluster.images.length === 2)")
