"""The page of `fast-diff review` in a real browser saves decisions, acts on files, and reports failures."""

import contextlib
import functools
import http.server
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.driver import Kept, Project, make_image
from tests.end_to_end.reviewing import Served, served
from tests.end_to_end.test_page import CHROMIUM, browser
from tests.stages.decoding.test_annotations import listed, xmp

pytest.importorskip("starlette", reason="starlette is not installed")
pytest.importorskip("uvicorn", reason="uvicorn is not installed")
pytestmark = [pytest.mark.drawn, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")]
__all__ = ["browser"]
CLUSTERS = 6


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    project = Project(tmp_path_factory.mktemp("page") / "project")
    for seed in range(CLUSTERS):
        make_image(project.folder / "images" / f"{seed}.{'tiff' if seed == 0 else 'jpg'}", seed, (200, 150))
        make_image(project.folder / "images" / f"{seed} small.jpg", seed)
    return Kept.finished(project)


@pytest.fixture
def own(kept: Kept) -> Project:
    return kept.again()


class Window:
    """A window of a reader's browser, opened at the printed address."""

    def __init__(self, context: Any, server: Served) -> None:
        self.page, self.server = context.new_page(), server
        self.complaints: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(f"{message.text} {message.location['url']}"))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(server.url)
        self.page.wait_for_url(f"http://{server.host}{server.prefix}")
        self.until("byId('saved').textContent === 'saved'")

    def run(self, script: str) -> Any:
        return self.page.evaluate(script)

    def until(self, script: str) -> None:
        for _ in range(300):
            if self.run(script):
                return
            self.page.wait_for_timeout(30)
        pytest.fail(f"never true: {script}")

    def saved(self) -> None:
        self.until("byId('saved').textContent === 'saved' && !server.busy && !server.waiting.length")


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def attacker(folder: Path) -> Iterator[str]:
    """A server of other pages on another port."""
    (folder / "pages").mkdir()
    (folder / "pages" / "index.html").write_text("<!doctype html><title>elsewhere</title><body>")
    handler = functools.partial(Quiet, directory=str(folder / "pages"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as other:
        thread = threading.Thread(target=other.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{other.server_port}/"
        finally:
            other.shutdown()
            thread.join()


@pytest.fixture
def context(browser: Any) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    yield context
    context.close()


def files(project: Project) -> dict[str, bytes]:
    folder = project.folder / "images"
    return {path.name: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_the_page_loads_without_a_word_and_shows_its_pictures(own: Project, context: Any) -> None:
    with served(own.run_folder) as server:
        window = Window(context, server)
        window.until("[...document.querySelectorAll('#rows img')].every(img => img.complete && img.naturalWidth)")
        assert "secret" not in window.page.url
        assert window.run("document.cookie") == "", "no script reads the cookie"
        tiff = window.run("view.found.findIndex(({images}) => images.some(image => data.name[image] === '0.tiff'))")
        window.run(f"go({tiff}); openCompare()")
        window.until("[...stage.querySelectorAll('img')].every(img => img.complete && img.naturalWidth)")
        assert window.run("Math.max(...[...stage.querySelectorAll('img')].map(img => img.naturalWidth))") == 200
        window.page.keyboard.press("m")
        window.until("byId('facts').textContent.includes('subsampling')")
        assert window.complaints == []


@pytest.mark.slow
def test_decisions_are_saved_and_another_window_and_browser_see_them(own: Project, context: Any, browser: Any) -> None:
    with served(own.run_folder) as server:
        one, two = Window(context, server), Window(context, server)
        one.page.keyboard.press("s")
        one.saved()
        two.page.bring_to_front()
        two.until("isSkipped(view.found[0])")
        two.run("go(1)")
        two.page.keyboard.press("d")
        two.saved()
        other = browser.new_context()
        third = Window(other, server)
        assert third.run("[isSkipped(view.found[0]), isDismissed(view.found[1])]") == [True, True]
        third.page.keyboard.press("u")
        third.until("!isDismissed(view.found[1])")
        other.close()
        one.page.bring_to_front()
        one.until("!isDismissed(view.found[1])")
        one.page.keyboard.press("u")
        one.until("!isSkipped(view.found[0])")
        one.page.keyboard.press("r")
        one.until("isSkipped(view.found[0])")
        assert one.complaints == two.complaints == third.complaints == []


@pytest.mark.slow
def test_a_review_continues_after_kill_9(own: Project, context: Any, browser: Any) -> None:
    with served(own.run_folder) as server:
        window = Window(context, server)
        window.page.click("#open-deck")
        for key in "abd":
            window.page.keyboard.press(key)
        window.saved()
        window.until("byId('deck-done').textContent.startsWith('3 of')")
        window.page.wait_for_timeout(700)  # until the place is sent
        before = window.run("view.found.map(stateOf)")
        server.kill()
        window.page.keyboard.press("s")
        window.until("byId('saved').textContent === 'not saved'")
        assert "does not answer" in window.page.inner_text("#deck .said")
    context.clear_cookies()
    with served(own.run_folder) as server:
        other = browser.new_context()
        window = Window(other, server)
        assert window.run("view.found.map(stateOf)") == before
        window.page.click("#open-deck")
        assert window.page.inner_text("#deck-done") == f"3 of {CLUSTERS} reviewed"
        assert window.run("deck.at") == 3
        other.close()


@pytest.mark.slow
def test_dry_run_apply_and_undo_on_the_page(own: Project, context: Any, tmp_path: Path) -> None:
    before = files(own)
    with served(own.run_folder) as server:
        window = Window(context, server)
        page = window.page
        page.keyboard.press("s")
        page.click("#open-act")
        assert f"{CLUSTERS - 1} images" in page.inner_text("#act-scope")
        page.click("#dry-run")
        window.until("byId('act-said').textContent.includes('expected a folder')")
        page.fill("#move-to", str(tmp_path / "away"))
        assert page.is_disabled("#act-apply")
        page.click("#dry-run")
        window.until("!byId('act-apply').disabled")
        assert "would be moved" in page.inner_text("#act-lines")
        assert files(own) == before
        page.fill("#move-to", str(tmp_path / "elsewhere"))
        page.click("#dry-run")
        window.until("!byId('act-apply').disabled")
        assert page.inner_text("#act-apply") == f"move to a folder: {CLUSTERS - 1} files"
        page.click("#act-apply")
        window.until("server.work.name === 'apply' && server.work.ended")
        assert len(files(own)) == CLUSTERS + 1
        assert (tmp_path / "elsewhere").is_dir()
        assert not (tmp_path / "away").exists()
        assert page.is_disabled("#act-apply")
        window.until("gone.size === 5")
        assert window.run("view.found.map(stateOf).filter(state => state === 'acted').length") == CLUSTERS - 1
        page.click("#journals button")
        window.until("server.work.name === 'undo' && server.work.ended")
        window.until("gone.size === 0")
        assert files(own) == before
        assert page.is_disabled("#journals button")
        assert [each for each in window.complaints if "400" not in each] == []


@pytest.mark.slow
def test_the_choice_of_companions_and_metadata(own: Project, context: Any, tmp_path: Path) -> None:
    sidecar = own.folder / "images" / "1 small.xmp"
    sidecar.write_text("no XMP, and a companion")
    assert own.run() == 0
    with served(own.run_folder) as server:
        window = Window(context, server)
        page = window.page
        page.focus("#open-act")
        page.keyboard.press("Enter")
        seen = []
        for _ in range(5):
            seen.append(window.run("document.activeElement.id"))
            page.keyboard.press("Tab")
        assert seen == ["action", "move-to", "companions", "merge", "dry-run"]
        page.select_option("#action", "trash")
        assert page.is_disabled("#act-apply")

        def dry(choice: str) -> str:
            page.select_option("#companions", choice)
            assert page.is_disabled("#act-apply"), "the dry run was of another choice"
            page.click("#dry-run")
            window.until("!byId('act-apply').disabled")
            return str(page.inner_text("#act-lines"))

        assert "no companion of this kind; with --companions leave, only the image is removed" in dry("with")
        assert page.inner_text("#act-apply") == f"move to the trash: {CLUSTERS - 1} files"
        assert "the image has companions, and --companions is refuse" in dry("refuse")
        assert f"{CLUSTERS} of {2 * CLUSTERS} images of " in dry("leave")
        page.select_option("#companions", "with")
        assert window.run("whyUnmergeable() === server.unmergeable"), "thumbnails of other sizes are other files"

        def merging(change: str) -> Any:
            """Return the switch's state directly after a change: the server's next answer may undo the change."""
            return window.run(f"({change}, drawAct(), [byId('merge').disabled, byId('merge-about').textContent])")

        missing = "exiftool is not installed"
        assert merging(f"server.unmergeable = '{missing}'") == [True, missing]
        assert merging("server.unmergeable = '', data.digest.fill('same')")[0] is False, (
            "an image that goes had a sidecar"
        )
        disabled, why = merging("server.unmergeable = '', server.sidecars.clear()")
        assert disabled
        assert why.startswith("nothing to merge")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("exiftool") is None, reason="exiftool is not installed")
def test_metadata_are_merged_on_the_page(own: Project, context: Any, tmp_path: Path) -> None:
    (own.folder / "images" / "1 small.xmp").write_bytes(xmp(listed("dc:subject", "harbour")))
    assert own.run() == 0
    before = files(own)
    with served(own.run_folder) as server:
        window = Window(context, server)
        page = window.page
        page.click("#open-act")
        page.fill("#move-to", str(tmp_path / "away"))
        page.focus("#merge")
        page.keyboard.press("Space")
        page.click("#dry-run")
        window.until("!byId('act-apply').disabled")
        said = page.inner_text("#act-apply")
        assert said == f"move to a folder: {CLUSTERS} files, 1 companion, metadata into 1 sidecar"
        assert "would be merged  keywords into " in page.inner_text("#act-lines")
        page.click("#act-apply")
        window.until("server.work.name === 'apply' && server.work.ended")
        assert (own.folder / "images" / "1.jpg.xmp").exists()
        window.until("byId('journals').textContent.includes('move, ')")
        page.click("#journals button")
        window.until("server.work.name === 'undo' && server.work.ended")
        assert files(own) == before
        assert window.complaints == []


@pytest.mark.slow
def test_a_window_that_shows_another_state_cannot_act(own: Project, context: Any, tmp_path: Path) -> None:
    before = files(own)
    with served(own.run_folder) as server:
        window = Window(context, server)
        window.page.click("#open-act")
        window.page.fill("#move-to", str(tmp_path / "away"))
        window.page.click("#dry-run")
        window.until("!byId('act-apply').disabled")
        window.run("clearTimeout(server.timer)")  # this window sees nothing of what follows
        assert server.decide(["choice", 0, False], ["choice", 1, True]).status == 200
        window.run("applyPlan()")
        window.until("byId('act-said').textContent.includes('have changed since the dry run')")
        assert files(own) == before


@pytest.mark.slow
def test_a_page_elsewhere_reaches_nothing(own: Project, context: Any, tmp_path: Path) -> None:
    """Pages of another port of this machine, which browsers count to the same site."""
    with served(own.run_folder) as server, attacker(tmp_path) as origin:
        Window(context, server)
        page = context.new_page()
        page.goto(origin)
        base = f"http://{server.host}{server.prefix}"
        found = page.evaluate(
            """async ([base, mark]) => {
                const image = new Image();
                const shown = await new Promise(done => {
                    image.onload = () => done("shown"), image.onerror = () => done("refused");
                    image.src = `${base}original/0?of=${mark}`;
                });
                const asked = [];
                for (const how of [{}, {method: "POST", mode: "no-cors", body: "{}"}, {method: "POST",
                    headers: {"content-type": "application/json"}, body: JSON.stringify({mark, revision: 0,
                    actions: [{does: "do", label: "evil", set: [["choice", 0, false]]}]})}]) {
                    asked.push(await fetch(`${base}decide`, {credentials: "include", ...how})
                        .then(answer => answer.type, () => "refused"));
                }
                return [shown, ...asked];
            }""",
            [base, server.mark],
        )
        assert found == ["refused", "refused", "refused", "refused"]
        page.evaluate(
            """base => new Promise(done => {
                const frame = document.createElement("iframe");
                frame.onload = done;
                frame.src = base;
                document.body.append(frame);
            })""",
            base,
        )
        assert "fast-diff" not in page.frames[1].content()
        assert server.state()["revision"] == 0


@pytest.mark.slow
def test_names_that_try_to_be_more_stay_text(context: Any, tmp_path: Path) -> None:
    project = Project(tmp_path)
    for name in ("<img src=x onerror=alert(1)>.jpg", "</script><script>alert(1)</script>.jpg".replace("/", "∕")):
        make_image(tmp_path / "images" / name, 1)
        make_image(tmp_path / "images" / f"large {name}", 1, (200, 150))
    assert project.run() == 0
    with served(project.run_folder) as server:
        window = Window(context, server)
        window.run("openDeck(0)")
        assert window.run("document.querySelectorAll('#rows script, #deck-images script').length") == 0
        assert window.complaints == []


@pytest.mark.slow
def test_a_backup_folder_is_removed_and_restored_in_few_clicks(
    context: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The way from the report to an undone clean-up takes few clicks for any number of images."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    project = Project(tmp_path / "project")
    for seed in range(30):
        made = make_image(project.folder / "images" / f"Pictures {seed % 3}" / f"{seed}.jpg", seed, (200, 150))
        if seed < 20:
            copied = make_image(project.folder / "images" / "Backup" / made.parent.name / f"{seed} small.jpg", seed)
            assert copied.read_bytes() != made.read_bytes()
    assert project.run() == 0
    before = files(project)
    kept = {path: data for path, data in before.items() if "small" not in path}
    with served(project.run_folder) as server:
        window = Window(context, server)
        page = window.page
        window.run("""window.presses = 0; for (const kind of ["click", "keydown", "change"])
            document.addEventListener(kind, event => { window.presses += event.isTrusted; }, true)""")
        for number in range(3):
            page.locator("[data-cell]", has_text="100 %").nth(number).click()
            window.until("!byId('sharing').hidden")
            page.click("#sharing button:has-text('Backup')")
        window.saved()
        page.click("#sharing-close")
        page.click("#open-act")
        page.select_option("#action", "trash")
        page.click("#dry-run")
        window.until("!byId('act-apply').disabled")
        page.click("#act-apply")
        window.until("server.work.name === 'apply' && server.work.ended")
        assert files(project) == kept
        page.click("#journals button")
        window.until("server.work.name === 'undo' && server.work.ended")
        assert files(project) == before
        assert 0 < window.run("presses") < 20
