"""The page's ways to decide, in a real browser: single clusters, rules, close comparison; and accessibility."""

import io
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pipeline import load_run
from tests.end_to_end.driver import LONG_AGO, Project, make_image
from tests.end_to_end.test_page import CHROMIUM, Opened, browser

pytestmark = [pytest.mark.drawn, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")]
__all__ = ["browser"]
CLUSTERS = 8
SIZE = {"width": 1400, "height": 900}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Pairs of a large and a small picture in two folders, the small ones written later."""
    project = Project(tmp_path_factory.mktemp("deciding"))
    camera, phone = project.folder / "images" / "camera", project.folder / "images" / "phone"
    for seed in range(CLUSTERS):
        make_image(camera / f"{seed}.jpg", seed, (200, 150))
        later = make_image(phone / f"{seed}.jpg", seed)
        os.utime(later, (LONG_AGO + 86400, LONG_AGO + 86400))
    for seed in range(4):
        shutil.copy2(camera / "0.jpg", camera / f"0-{seed}.jpg")
    assert project.run() == 0
    return project


@pytest.fixture
def opened(browser: Any, project: Project) -> Iterator[Opened]:
    with Opened(browser, project.run_folder / "report" / "index.html", viewport=SIZE) as opened:
        yield opened


def press(opened: Opened, *keys: str) -> None:
    for key in keys:
        opened.page.keyboard.press(key)


# ---- one by one


def test_every_cluster_is_reviewed_by_one_key_each(opened: Opened) -> None:
    opened.page.click("#open-deck")
    assert opened.page.inner_text("#deck-done") == f"0 of {CLUSTERS} reviewed"
    states = []
    for n, key in enumerate("abds1aak"):
        assert f"{n + 1} of {CLUSTERS}" in opened.page.inner_text("#deck-about")
        press(opened, key)
        states.append(opened.run(f"stateOf(deck.list[{n}])"))
    assert states == ["chosen", "chosen", "dismissed", "skipped", "chosen", "chosen", "chosen", "chosen"]
    assert opened.page.inner_text("#deck-done") == f"{CLUSTERS} of {CLUSTERS} reviewed"
    assert "last cluster" in opened.page.inner_text("#deck .said")
    going = opened.run("deck.list.map(cluster => going(cluster).length)")
    sizes = opened.run("deck.list.map(cluster => cluster.images.length)")
    assert going == [sizes[0] - 1, 0, 0, 0, *(size - 1 for size in sizes[4:])]
    press(opened, *"uuu")
    assert opened.page.inner_text("#deck-done") == f"{CLUSTERS - 3} of {CLUSTERS} reviewed"
    assert opened.run("deck.at") == CLUSTERS - 3, "where the undone decision was"
    press(opened, *"rrr", "Escape")
    assert not opened.page.is_visible("#deck")
    opened.page.select_option("#reviewed", "no")
    opened.settle()
    assert opened.run("view.found.length") == 0
    opened.page.click("#clear")
    opened.settle()
    assert opened.run("view.found.length") == CLUSTERS


@pytest.mark.slow
def test_moving_decides_nothing_and_the_place_is_kept(opened: Opened) -> None:
    opened.page.click("#open-deck")
    press(opened, "ArrowRight", "n", "j", "p", "i", "ArrowLeft", "ArrowLeft", "n", "n", "n")
    assert opened.run("deck.at") == 3
    assert opened.run("[choice.size, reviewed.size, skipped.size]") == [0, 0, 0]
    opened.until("localStorage.getItem(placeKey) === String(deck.list[3].images[0])")
    opened.page.reload()
    opened.page.click("#open-deck")
    assert opened.run("deck.at") == 3
    press(opened, "Escape")
    opened.until("view.at === 3")  # a dialog reports its end a moment later
    opened.run("go(5)")
    press(opened, "f")
    assert opened.run("deck.at") == 5, "of the cluster at hand"


@pytest.mark.slow
def test_an_image_is_marked_and_kept_and_compared(opened: Opened) -> None:
    opened.run("openDeck(0)")
    press(opened, "ArrowDown")
    second = opened.run("deck.list[0].images[1]")
    press(opened, "m")
    assert opened.page.is_visible("#compare")
    assert opened.run("compare.image") == second
    press(opened, "Escape")
    assert opened.page.is_visible("#deck")
    press(opened, "k")
    assert opened.run("keeperOf(deck.list[0])") == second
    assert opened.run("deck.at") == 1
    press(opened, "9")
    assert opened.run("deck.at") == 1, "there is no ninth image"


@pytest.mark.slow
def test_review_mode_takes_back_an_earlier_decision_of_another_kind(opened: Opened) -> None:
    opened.run("openDeck(0)")
    for key, state in (("s", "skipped"), ("d", "dismissed"), ("a", "chosen"), ("b", "chosen"), ("s", "skipped")):
        opened.run("turnTo(0)")
        press(opened, key)
        assert opened.run("stateOf(deck.list[0])") == state
    assert opened.run("past.done") == 5


# ---- rules


def rule(opened: Opened, name: str, folder: str = "") -> str:
    opened.page.click("#open-rules")
    opened.page.select_option("#rule", name)
    if folder:
        opened.page.fill("#rule-folder", folder)
    said = str(opened.page.inner_text("#rule-preview"))
    if opened.page.is_enabled("#rule-apply"):
        opened.page.click("#rule-apply")
    else:
        press(opened, "Escape")
    return said


def keepers(opened: Opened) -> list[str]:
    return [str(path) for path in opened.run("view.found.map(cluster => pathOf(keeperOf(cluster)))")]


@pytest.mark.slow
def test_a_rule_previews_its_changes_and_is_one_undo_step(opened: Opened, project: Project) -> None:
    phone = str(project.folder / "images" / "phone")
    before = keepers(opened)
    assert all("/camera/" in path for path in before)
    said = rule(opened, "prefer", phone)
    assert f"{CLUSTERS} clusters would change: {CLUSTERS} new keepers" in said
    assert all("/phone/" in path for path in keepers(opened))
    press(opened, "u")
    assert keepers(opened) == before
    assert opened.run("choice.size") == 0
    press(opened, "r")
    assert all("/phone/" in path for path in keepers(opened))
    assert rule(opened, "prefer", phone) == "this rule changes nothing here"
    rule(opened, "avoid", phone)
    assert all("/camera/" in path for path in keepers(opened))
    rule(opened, "newest")
    assert all("/phone/" in path for path in keepers(opened))
    rule(opened, "largest")
    assert all("/camera/" in path for path in keepers(opened))
    rule(opened, "all")
    assert opened.run("view.found.flatMap(going).length") == 0
    rule(opened, "clear")
    assert keepers(opened) == before
    assert opened.run("choice.size") == 0


@pytest.mark.slow
def test_a_rule_applies_to_listed_or_selected_clusters(opened: Opened, project: Project) -> None:
    phone = str(project.folder / "images" / "phone")
    opened.page.fill("#size", "3")
    opened.settle()
    assert "1 cluster would change" in rule(opened, "prefer", phone)
    assert opened.run("cut.clusters.filter(cluster => cluster.images.some(image => choice.has(image))).length") == 1
    opened.page.click("#undo")
    assert opened.run("choice.size") == 0
    opened.page.fill("#size", "2")
    opened.settle()
    opened.run("document.activeElement.blur(), go(1)")
    press(opened, "v", "j", "v")
    opened.page.click("#open-rules")
    assert opened.page.inner_text("#rule-scope") == "the 2 selected clusters"
    press(opened, "Escape")
    assert "2 clusters would change" in rule(opened, "prefer", phone)
    assert sum("/phone/" in path for path in keepers(opened)) == 2


@pytest.mark.slow
def test_skipped_clusters_are_left_alone_by_rules(opened: Opened, project: Project) -> None:
    opened.run("toggleSkip(0), toggleDismissed(1)")
    assert f"{CLUSTERS - 2} clusters would change" in rule(opened, "prefer", str(project.folder / "images" / "phone"))


# ---- filters in the address, plans


def test_filters_are_in_the_address(opened: Opened) -> None:
    opened.page.fill("#text", "phone/3")
    opened.page.select_option("#order", "path")
    opened.run("byId('tile').value = 300, byId('tile').dispatchEvent(new Event('input'))")
    opened.settle()
    address = opened.page.url
    assert "text=phone%2F3" in address
    opened.page.goto("about:blank")
    opened.page.goto(address)
    assert opened.run("view.found.length") == 1
    assert opened.page.input_value("#order") == "path"
    assert opened.page.input_value("#tile") == "300"
    assert opened.run("view.columns") == 2


@pytest.mark.slow
def test_the_threshold_is_a_logarithmic_scale(opened: Opened) -> None:
    assert opened.run("thresholdOf(400)") == opened.run("data.limit") == 200
    assert opened.run("thresholdOf(300)") == pytest.approx(20)
    assert opened.run("thresholdOf(200)") == pytest.approx(2)
    assert opened.run("thresholdOf(0)") == 0


@pytest.mark.slow
def test_ten_clusters_fit_on_a_screen(opened: Opened) -> None:
    opened.run("scrollTo(0, list.getBoundingClientRect().top + scrollY - barHeight())")
    opened.settle()
    assert opened.run("view.columns") == 4
    assert opened.run("view.columns * (innerHeight - barHeight()) / view.row") >= 10
    names = opened.run("""[...document.querySelectorAll('#rows .name')].every(each =>
        each.getBoundingClientRect().bottom <= each.closest('.card').getBoundingClientRect().bottom)""")
    assert names
    folders = set(opened.run("[...document.querySelectorAll('#rows .folder')].map(each => each.textContent)"))
    assert folders == {"…/camera/", "…/phone/"}


def test_a_plan_is_loaded_back(opened: Opened, tmp_path: Path) -> None:
    opened.run("keepAlone(0, 1), toggleStays(1, 1), toggleSkip(2)")
    file = opened.saved("#export-plan", tmp_path / "plan.json")
    wanted = json.loads(file.read_text())["clusters"]
    opened.run("travel('undo'), travel('undo'), travel('undo')")
    assert opened.run("[choice.size, skipped.size]") == [0, 0]
    with opened.page.expect_file_chooser() as chooser:
        opened.page.click("#load-plan")
    chooser.value.set_files(file)
    opened.until("choice.size > 0")
    found = {group["cluster"]: group for group in opened.run("planOf(view.found)")["clusters"]}
    for group in wanted:
        assert found[group["cluster"]]["keep"] == group["keep"]
        assert found[group["cluster"]]["remove"] == group["remove"]
    press(opened, "u")
    assert opened.run("choice.size") == 0, "one step"
    (tmp_path / "other.json").write_text("{}")
    with opened.page.expect_file_chooser() as chooser:
        opened.page.click("#load-plan")
    chooser.value.set_files(tmp_path / "other.json")
    opened.until("byId('said').textContent.includes('expected a plan')")


# ---- comparing


@pytest.mark.slow
def test_both_images_zoom_and_pan_together(opened: Opened) -> None:
    opened.run("go(1); openCompare()")
    opened.until("[...stage.querySelectorAll('img')].every(img => img.complete && img.naturalWidth)")
    box = opened.page.locator("#left .box").bounding_box()
    opened.page.mouse.move(box["x"] + box["width"] / 2 + 50, box["y"] + box["height"] / 2)
    opened.page.mouse.wheel(0, -400)
    opened.until("zoom.scale > 2")
    x, scale = opened.run("zoom.x"), opened.run("zoom.scale")
    assert x == pytest.approx(50 - 50 * scale, abs=1), "the point under the pointer stays"
    opened.page.mouse.down()
    opened.page.mouse.move(box["x"] + box["width"] / 2 + 80, box["y"] + box["height"] / 2 + 7)
    opened.page.mouse.up()
    assert opened.run("[zoom.x, zoom.y]") == pytest.approx([x + 30, 7], abs=1)
    matrices = opened.run("[...stage.querySelectorAll('img')].map(img => getComputedStyle(img).transform)")
    assert matrices[0] == matrices[1] != "none"
    press(opened, "0")
    assert opened.run("[zoom.scale, zoom.x, zoom.y]") == [1, 0, 0]
    opened.page.set_viewport_size({"width": 500, "height": 300})  # so that the picture is shown reduced
    press(opened, "f")
    assert opened.page.inner_text("#zoom-said") == "100 %"
    press(opened, "f")
    assert opened.run("zoom.scale") == 1


@pytest.mark.slow
def test_the_difference_is_amplified_and_the_curtain_moves(opened: Opened) -> None:
    opened.run("go(1); openCompare()")
    opened.until("[...stage.querySelectorAll('img')].every(img => img.complete && img.naturalWidth)")
    press(opened, "4")
    shown = []
    for _ in range(4):
        press(opened, "]")
    assert opened.page.inner_text("#gain-said") == "×32"
    shown.append(brightness(opened))
    for _ in range(6):
        press(opened, "[")
    assert opened.page.inner_text("#gain-said") == "×1"
    shown.append(brightness(opened))
    assert shown[0] > 3 * shown[1] > 0
    assert opened.page.is_visible("#left figcaption .facts")
    assert opened.page.is_visible("#right figcaption .facts")
    press(opened, "2")
    for _ in range(3):
        press(opened, "]")
    assert "65%" in opened.run("getComputedStyle(document.querySelector('#right .box')).clipPath")


def brightness(opened: Opened) -> float:
    """Return the mean brightness of the middle of the compared images, 0 to 255."""
    box = opened.page.locator("#left .box").bounding_box()
    clip = {"x": box["x"] + box["width"] / 2 - 60, "y": box["y"] + box["height"] / 2 - 60, "width": 120, "height": 120}
    picture = Image.open(io.BytesIO(opened.page.screenshot(clip=clip))).convert("L")
    return sum(value * count for value, count in enumerate(picture.histogram())) / (120 * 120)


@pytest.mark.slow
def test_a_table_marks_what_differs(opened: Opened) -> None:
    opened.run("go(1); openCompare()")
    press(opened, "m")
    rows = opened.run("""Object.fromEntries([...document.querySelectorAll('#facts tbody tr')].map(row =>
        [row.cells[0].firstChild.textContent, [row.className, row.cells[1].textContent, row.cells[2].textContent]]))""")
    assert rows["dimensions"] == ["differs", "200 × 150", "96 × 72"]
    assert rows["format"] == ["", "JPEG", "JPEG"]
    assert rows["folder"][0] == "differs"


@pytest.mark.slow
def test_a_choice_is_undone_while_comparing(opened: Opened) -> None:
    opened.run("go(1); openCompare()")
    keep = opened.page.get_by_role("switch", name="keep (x)")
    before = opened.run("keeperOf(view.found[1])")
    for key, on in (("x", "true"), ("u", "false"), ("r", "true")):
        press(opened, key)
        assert keep.get_attribute("aria-checked") == on
    press(opened, "u", "k")
    assert opened.run("keeperOf(view.found[1])") != before
    press(opened, "u")
    assert opened.run("keeperOf(view.found[1])") == before
    assert opened.page.is_visible("#compare")


# ---- why, and sets


@pytest.mark.slow
def test_every_kept_image_has_a_reason(opened: Opened, project: Project) -> None:
    reasons = dict(load_run(project.run_folder).clusters().query("keeper")[["path", "reason"]].to_numpy())
    said = opened.run(
        "view.found.map(cluster => [pathOf(keeperOf(cluster)), whyOf(cluster, keeperOf(cluster), keeperOf(cluster))])"
    )
    assert {path: why.removeprefix("keeper: ") for path, why in said} == reasons
    opened.run("keepAlone(0, 1), toggleSkip(1), toggleDismissed(2)")
    why = "view.found[{0}].images.map(image => whyOf(view.found[{0}], keeperOf(view.found[{0}]), image))"
    assert "keeper: chosen by you" in opened.run(why.format(0))
    assert set(opened.run(why.format(1))) == {"cluster skipped"}
    assert set(opened.run(why.format(2))) == {"not a duplicate"}


@pytest.mark.slow
def test_camera_data_say_which(browser: Any, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0110] = "Camera"
    exif.get_ifd(0x8825)[2] = (1.0, 2.0, 3.0)
    project = Project(tmp_path)
    plain = make_image(tmp_path / "images" / "plain.jpg", 1)
    Image.open(plain).save(tmp_path / "images" / "camera.jpg", quality=92, exif=exif)
    assert project.run() == 0
    with Opened(browser, project.run_folder / "report" / "index.html") as opened:
        assert opened.page.inner_text("#rows li.keeper .why") == "only this image has GPS and camera"


@pytest.mark.slow
def test_the_page_lists_metadata_that_the_keeper_lacks(browser: Any, tmp_path: Path) -> None:
    project = Project(tmp_path)
    large = make_image(tmp_path / "images" / "large.jpg", 1)
    exif = Image.Exif()
    exif[0x010E], exif[0x4746] = "a caption", 4
    exif.get_ifd(0x8825)[2] = (1.0, 2.0, 3.0)
    Image.open(large).resize((88, 66)).save(tmp_path / "images" / "small.jpg", quality=92, exif=exif)
    assert project.run() == 0
    with Opened(browser, project.run_folder / "report" / "index.html") as opened:
        assert opened.page.inner_text("#rows li.goes .why") == "the keeper lacks: GPS, caption, rating"
        opened.run("go(0, 1), openCompare()")
        assert "the keeper lacks: GPS, caption, rating" in opened.page.inner_text("#right figcaption")
        assert opened.run("factsRows(1).annotations") == "caption, rating"
        opened.run("keepAlone(0, 1), redraw(0)")
        assert opened.page.locator("#rows li.goes .why").count() == 0


@pytest.mark.slow
def test_a_run_of_two_sets_speaks_of_its_sets(browser: Any, tmp_path: Path) -> None:
    inputs = {"a": [{"path": str(tmp_path / "train"), "reference": True}], "b": [str(tmp_path / "test")]}
    project = Project(tmp_path, {"inputs": inputs})
    for seed in range(5):
        make_image(tmp_path / "train" / f"{seed}.jpg", seed)
    for seed in range(3, 11):
        make_image(tmp_path / "test" / f"{seed}.jpg", seed, (200, 150))
    assert project.run() == 0
    with Opened(browser, project.run_folder / "report" / "index.html") as opened:
        assert opened.page.inner_text("#leak") == "2 of 8 images of test (25 %) are in train."
        assert opened.page.title().startswith("test against train – ")
        assert (
            opened.run("[...document.querySelectorAll('#rows .badge')].map(each => each.textContent)").count("train")
            == 2
        )
        train = opened.page.locator("#rows li", has_text="reference")
        assert train.count() == 2
        assert train.get_by_role("switch").count() == 0, "an image of a reference is never offered"
        opened.run("openDeck(0)")
        press(opened, "2")
        assert opened.run("view.found.flatMap(going).some(image => data.set[image] === 0)") is False


# ---- who can use the page


@pytest.mark.slow
@pytest.mark.parametrize(("colours", "width"), [("light", 1400), ("dark", 390), ("light", 390), ("dark", 1400)])
def test_no_serious_issue_of_accessibility(browser: Any, project: Project, colours: str, width: int) -> None:
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed"
    ).Axe()
    size = {"width": width, "height": 844}
    page = project.run_folder / "report" / "index.html"
    with Opened(browser, page, viewport=size, color_scheme=colours, bypass_csp=True) as opened:
        assert opened.run("document.documentElement.scrollWidth") <= width
        for script in (
            "keepAlone(0, 1), toggleSkip(1), toggleDismissed(2)",
            "openDeck(0)",
            "deck.dialog.close(), openCompare(), byId('table-box').open = true",
            "setMode('difference')",
            "setMode('curtain')",
            "dialog.close(), byId('open-rules').click(), byId('rule').value = 'newest', drawRules()",
            "byId('rules').close(), byId('act').showModal()",
            "byId('act').close(), byId('help').showModal()",
        ):
            opened.run(f"void ({script})")
            opened.settle()
            found = axe.run(opened.page).response["violations"]
            serious = [each for each in found if each["impact"] in ("serious", "critical")]
            said = [(each["id"], [node["html"][:200] for node in each["nodes"][:3]]) for each in serious]
            assert said == [], script
            assert opened.run("document.documentElement.scrollWidth") <= width, script


@pytest.mark.slow
def test_every_control_is_reached_by_tab(opened: Opened) -> None:
    controls = "[...document.querySelectorAll('#bar :is(button, input:not([type=file]), select)')]"
    wanted = set(
        opened.run(f"{controls}.filter(each => each.checkVisibility() && !each.disabled).map(each => each.id)")
    )
    seen = set()
    for _ in range(60):
        press(opened, "Tab")
        seen.add(opened.run("document.activeElement.id"))
    assert len(wanted) >= 15
    assert wanted <= seen
