"""`fast-diff review` as a server, by plain HTTP: pages, saved decisions and refused requests."""

import asyncio
import http.client
import json
import os
import random
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from PIL import Image, ImageCms

from pipeline.cli.main import main
from tests.end_to_end.driver import Kept, Project, make_image
from tests.end_to_end.reviewing import Served, served
from tests.stages.decoding.test_annotations import listed, xmp

pytest.importorskip("starlette", reason="starlette is not installed")
pytest.importorskip("uvicorn", reason="uvicorn is not installed")
CLUSTERS = 6


def furnish(project: Project) -> None:
    """Make pairs of one picture at two qualities; one pair is TIFF, which browsers do not show."""
    for seed in range(CLUSTERS):
        suffix = "tiff" if seed == 0 else "jpg"
        make_image(project.folder / "images" / f"{seed}.{suffix}", seed, (200, 150))
        make_image(project.folder / "images" / f"{seed} small.jpg", seed)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project(tmp_path_factory.mktemp("review"))
    furnish(project)
    assert project.run() == 0
    return project


@pytest.fixture(scope="module")
def one(made: Project) -> Iterator[Served]:
    """Return a server for requests that change nothing."""
    with served(made.run_folder) as server:
        yield server


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    project = Project(tmp_path_factory.mktemp("own") / "project")
    furnish(project)
    return Kept.finished(project)


@pytest.fixture
def own(kept: Kept) -> Project:
    """Return a run that the test may change."""
    return kept.again()


def files(project: Project) -> dict[str, bytes]:
    folder = project.folder / "images"
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


# ---- what is served


def test_the_address_sets_a_strict_cookie_and_the_page_has_a_strict_policy(one: Served) -> None:
    entered = one.raw("GET", f"{one.prefix}?secret={one.secret}", {"Host": one.host})
    assert entered.status == 200
    cookie = entered.headers["set-cookie"]
    assert cookie.startswith(f"fast-diff={one.secret};")
    assert {"HttpOnly", f"Path={one.prefix}", "SameSite=strict"} <= set(cookie.split("; "))
    page = one.get()
    policy = page.headers["content-security-policy"]
    assert page.status == 200
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "file:" not in policy
    assert page.data.count(b"Content-Security-Policy") == 0, "the header holds the policy"
    for answer in (entered, page, one.get("state"), one.get("no-such-file")):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.slow
def test_images_are_served_by_number(one: Served) -> None:
    for number, row in enumerate(one.rows):
        for kind in ("preview", "original"):
            answer = one.image(kind, number)
            assert answer.status == 200
            if row["path"].endswith(".jpg") and kind == "original":
                assert answer.data == Path(row["path"]).read_bytes()
        name = one.image("facts", number).json
        assert name["GPS"] == "no"
        assert name["file"] == ""
    tiff = next(number for number, row in enumerate(one.rows) if row["format"] == "TIFF")
    assert one.image("original", tiff).data.startswith(b"\x89PNG")
    for name in ("histogram.svg", "histogram-dark.svg", "work.html", "pairs/closest-00001.jpg", "dates.js"):
        assert one.get(name).status == 200, name


@pytest.mark.slow
def test_facts_name_lens_profile_and_companions(own: Project) -> None:
    path = own.folder / "images" / "1.jpg"
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA434] = "50mm\n<b>"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.open(path).save(path, quality=92, exif=exif, icc_profile=profile)
    path.with_suffix(".xmp").write_text("")
    assert own.run() == 0
    with served(own.run_folder) as server:
        number = next(n for n, row in enumerate(server.rows) if row["path"] == str(path))
        facts = server.image("facts", number).json
        assert (facts["lens"], facts["ICC"], facts["companions"]) == ("50mm <b>", "sRGB built-in", "1.xmp")


def test_a_file_that_has_changed_is_not_served(own: Project, tmp_path: Path) -> None:
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    with served(own.run_folder) as server:
        path = Path(server.rows[0]["path"])
        path.unlink()
        path.symlink_to(tmp_path / "secret.jpg")
        answer = server.image("original", 0)
        assert answer.status == 404
        assert b"secret" not in answer.data
        assert server.image("facts", 0).json["file"] == "gone or changed since the run"
        assert server.image("preview", 0).status == 200, "of the report"


def test_only_loopback_listens(one: Served) -> None:
    doors = [each.laddr for each in psutil.Process(one.process.pid).net_connections("inet") if each.status == "LISTEN"]
    assert [(door.ip, door.port) for door in doors] == [("127.0.0.1", one.port)]


# ---- attacks


def test_requests_without_the_secret_are_refused(one: Served) -> None:
    for cookie in ({}, {"Cookie": "fast-diff="}, {"Cookie": "fast-diff=wrong"}, {"Cookie": "other=" + one.secret}):
        for path in ("", f"state?of={one.mark}", f"original/0?of={one.mark}", "dates.js", "?secret=wrong"):
            answer = one.raw("GET", one.prefix + path, {"Host": one.host, **cookie})
            assert answer.status == 403
            assert one.secret.encode() not in answer.data
    assert one.raw("GET", "/", one.headers).status == 404, "not below the prefix"


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "", "[::1]:{port}"]
)
def test_a_forged_host_is_refused(one: Served, host: str) -> None:
    headers = one.headers | {"Host": host.format(port=one.port)}
    assert one.raw("GET", one.prefix, headers).status == 421
    assert one.raw("GET", f"{one.prefix}?secret={one.secret}", headers).status == 421


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1", "http://127.0.0.1:1", None])
def test_another_origin_cannot_act(one: Served, origin: str | None) -> None:
    headers = one.headers | {"Content-Type": "application/json"} | ({"Origin": origin} if origin else {})
    body = json.dumps({"mark": one.mark, "revision": 0, "actions": []}).encode()
    for path in ("decide", "plan", "apply", "undo", "stop", "move"):
        assert one.raw("POST", one.prefix + path, headers, body).status == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_another_page_cannot_read(one: Served, site: str) -> None:
    for path in ("", f"original/0?of={one.mark}", f"state?of={one.mark}"):
        assert one.raw("GET", one.prefix + path, one.headers | {"Sec-Fetch-Site": site}).status == 403


def test_other_methods_and_forms_are_refused(one: Served) -> None:
    same = one.headers | {"Origin": f"http://{one.host}"}
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        assert one.raw("POST", f"{one.prefix}decide", same | {"Content-Type": kind}, b"{}").status == 415
    for method in ("PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"):
        assert one.raw(method, f"{one.prefix}decide", same).status == 405


@pytest.mark.parametrize(
    "path",
    [
        "../../run.json",
        "..%2f..%2frun.json",
        "%2e%2e/%2e%2e/run.json",
        "....//run.json",
        "/etc/passwd",
        "preview/../../run.json",
        "preview/0%2f..%2f..%2frun.json",
        "original/-1",
        "original/99999",
        "original/0x1",
        "original/1e1",
        "facts/1e999",
        "original/1.0",
        "original/٣",
        "facts/99999",
        "pairs/../index.html",
        "index.html",
        "review/decisions.jsonl",
        "images/0.jpg",
        "histogram.svg%00.html",
        "..\\..\\run.json",
    ],
)
def test_nothing_is_served_by_path(one: Served, path: str) -> None:
    quoted = path if path.isascii() else path.replace("٣", "%D9%A3")
    answer = one.raw("GET", f"{one.prefix}{quoted}?of={one.mark}", one.headers)
    assert answer.status == 404
    assert b'"config"' not in answer.data


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"1", b"[" * 100_000, b"\xff", b"null"])
def test_other_bodies_are_refused(one: Served, body: bytes) -> None:
    headers = one.headers | {"Origin": f"http://{one.host}", "Content-Type": "application/json"}
    assert one.raw("POST", f"{one.prefix}decide", headers, body).status == 400


def test_numbers_of_any_length_are_refused(one: Served) -> None:
    digits = "9" * 5000
    assert one.image("original", digits).status in (400, 404)
    assert one.get(f"state?of={one.mark}&since={digits}").status == 400
    assert one.raw("GET", f"{one.prefix}original/{'9' * 60_000}", one.headers).status in (400, 404, 431)


def test_hostile_changes_are_refused(one: Served) -> None:
    for change in (
        ["choice", -1, True],
        ["choice", 10**9, True],
        ["choice", "0", True],
        ["choice", True, True],
        ["choice", 0, "yes"],
        ["choice", 0],
        ["no kind", 0, True],
        ["dismissed", "0", True],
        ["dismissed", "0 99999", True],
        ["dismissed", "0 1 2", True],
        ["dismissed", 0, True],
        "choice",
        None,
    ):
        assert one.decide(change).status == 400, change
    assert one.post("decide", revision=0, actions="all").status == 400
    assert one.post("move", image=-1).status == 400
    assert one.state()["all"] == []


def test_a_plan_removes_only_what_the_run_allows(one: Served, tmp_path: Path) -> None:
    (first, second), (third, fourth) = list(one.clusters.values())[:2]
    for groups in (
        [{"keep": [], "remove": [first, second]}],
        [{"keep": [first], "remove": [first]}],
        [{"keep": [first], "remove": [fourth]}],
        [{"keep": [first], "remove": [second]}, {"keep": [second], "remove": [first]}],
        [{"keep": ["/etc/hosts"], "remove": ["/etc/passwd"]}],
        [{"keep": [first], "remove": [-1]}],
        "all",
        [None],
    ):
        assert one.prepare("move", tmp_path / "away", clusters=groups).status == 400, groups
    assert one.prepare("format").status == 400
    for folder in ("", "away", "../away", "\0", str(Path(one.rows[third]["path"]).parent), one.rows[0]["path"]):
        answer = one.prepare("move", folder)
        assert answer.status == 400, folder
        assert answer.json["error"]


def test_an_image_of_a_reference_is_never_removed(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    project = Project(tmp_path, {"inputs": {"a": [{"path": str(folder / "master"), "reference": True}, str(folder)]}})
    make_image(folder / "master" / "small.jpg", 1)
    make_image(folder / "large.jpg", 1, (200, 150))
    assert project.run() == 0
    with served(project.run_folder) as server:
        master, large = (
            next(n for n, r in enumerate(server.rows) if each in r["path"]) for each in ("master", "large")
        )
        assert server.prepare("trash", clusters=[{"keep": [large], "remove": [master]}]).status == 400
        assert server.prepare("report", clusters=[{"keep": [master], "remove": [large]}]).status == 200


def test_a_large_request_is_refused(one: Served) -> None:
    headers = one.headers | {"Origin": f"http://{one.host}", "Content-Type": "application/json"}
    try:
        status = one.raw("POST", f"{one.prefix}decide", headers, b" " * (65 << 20)).status
    except OSError:  # the server answers and closes before it has all
        status = 413
    assert status == 413
    assert one.state()["revision"] == 0


# ---- decisions


@pytest.mark.slow
def test_decisions_outlive_the_server_and_a_run(own: Project) -> None:
    with served(own.run_folder) as server:
        (first, second), (third, fourth) = list(server.clusters.values())[:2]
        changes = [["choice", first, False], ["choice", second, True], ["dismissed", f"{third} {fourth}", True]]
        assert server.decide(*changes, ["skipped", third, True], ["reviewed", third, True]).status == 200
        assert server.post("move", image=third).status == 200
        code, said = server.end()
        assert (code, "Traceback" in said) == (0, False), said
        paths = [server.rows[n]["path"] for n in (first, second, third, fourth)]
    make_image(own.folder / "images" / "0 again.jpg", 0, (900, 700))  # changes every number
    make_image(own.folder / "images" / "new.jpg", 77)
    assert own.run() == 0
    with served(own.run_folder) as server:
        state = server.state()
        number = {row["path"]: n for n, row in enumerate(server.rows)}
        a, b, c, d = (number[path] for path in paths)
        found = {(kind, key): value for kind, key, value in state["all"]}
        assert found == {
            ("choice", a): False,
            ("choice", b): True,
            ("dismissed", f"{min(c, d)} {max(c, d)}"): True,
            ("skipped", c): True,
            ("reviewed", c): True,
        }
        assert state["at"] == c
        assert state["undo"] == "choose"
        undone = server.travel("undo", state["revision"])
        assert undone.status == 200
        assert server.state()["all"] == []
        assert server.travel("redo", undone.json["revision"]).status == 200
        assert {(kind, key): value for kind, key, value in server.state()["all"]} == found


@pytest.mark.slow
def test_a_run_during_a_review_brings_another_page(own: Project) -> None:
    with served(own.run_folder) as server:
        assert server.decide(["choice", 0, True]).status == 200
        make_image(own.folder / "images" / "0 again.jpg", 0, (900, 700))
        assert own.run() == 0
        assert server.get(f"state?of={server.mark}").status == 409
        assert server.decide(["choice", 1, True]).status == 409
        assert server.image("original", 0).status == 409
        page = server.get()
        assert page.status == 200
        assert b"0 again.jpg" in page.data


@pytest.mark.slow
def test_dismissals_are_saved_for_the_next_run(own: Project) -> None:
    with served(own.run_folder) as server:
        first, second = next(iter(server.clusters.values()))
        assert server.decide(["dismissed", f"{first} {second}", True]).status == 200
        file = own.run_folder / "review" / "dismissed.csv"
        assert server.rows[first]["digest"] in file.read_text()
        paths = {server.rows[n]["path"] for n in (first, second)}
    assert own.run(f"cluster.dismissed=[{file}]") == 0
    with served(own.run_folder) as server:
        assert len(server.clusters) == CLUSTERS - 1
        assert not paths & {row["path"] for row in server.rows}
        (first, second), *_ = server.clusters.values()
        assert server.decide(["dismissed", f"{first} {second}", True]).status == 200
        assert len(file.read_text().splitlines()) == 3, "pairs that are on the page no more stay"


@pytest.mark.slow
def test_two_windows(own: Project) -> None:
    with served(own.run_folder) as server:
        assert server.decide(["choice", 0, True], label="first").json["revision"] == 1
        assert server.decide(["choice", 1, False], label="second").status == 200, "a choice is not stale"
        assert server.state(1)["changes"] == [["choice", 1, False]]
        assert server.travel("undo", 1).status == 409, "this window does not show what would be undone"
        assert len(server.state()["all"]) == 2
        assert server.prepare("trash", revision=1).status == 409
        assert server.travel("undo", 2).json["changes"] == [["choice", 1, None]]
        assert server.state()["redo"] == "second"


@pytest.mark.slow
def test_undo_and_redo_without_end(own: Project) -> None:
    with served(own.run_folder) as server:
        for n in range(30):
            assert server.decide(["choice", n % 4, n % 3 == 0], label=str(n)).status == 200
        for n in reversed(range(30)):
            state = server.state()
            assert state["undo"] == str(n)
            assert server.travel("undo", state["revision"]).status == 200
        assert server.state()["all"] == []
        assert server.travel("undo", server.state()["revision"]).json["changes"] == []
        for _ in range(30):
            assert server.travel("redo", server.state()["revision"]).status == 200
        assert server.state()["undo"] == "29"
        assert len(server.state()["all"]) == 4


@pytest.mark.slow
def test_a_second_server_is_refused(own: Project, capsys: pytest.CaptureFixture[str]) -> None:
    with served(own.run_folder):
        assert main(["review", str(own.run_folder), "--no-browser"]) == 2
        assert "another `fast-diff review` serves this run" in capsys.readouterr().err


@pytest.mark.slow
def test_a_thousand_requests_at_a_time(own: Project) -> None:
    with served(own.run_folder) as server:
        headers = server.headers | {"Origin": f"http://{server.host}", "Content-Type": "application/json"}

        async def one(number: int) -> int:
            change = ["choice", number % len(server.rows), number % 2 == 0]
            actions = [{"does": "do", "label": str(number), "set": [change]}]
            body = json.dumps({"mark": server.mark, "revision": 0, "actions": actions}).encode()
            lines = [f"POST {server.prefix}decide HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
            head = "\r\n".join([*lines, f"Content-Length: {len(body)}", "Connection: close", "", ""])
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(head.encode() + body)
            status = int((await reader.readline()).split()[1])
            await reader.read()
            writer.close()
            return status

        async def every() -> list[int]:
            return await asyncio.gather(*map(one, range(1000)))

        assert set(asyncio.run(every())) == {200}
        assert server.state()["revision"] == 1000
        written = (own.run_folder / "review" / "decisions.jsonl").read_text().splitlines()
        assert sum('"step"' in line for line in written) == 1000


@pytest.mark.quick(1)
@pytest.mark.parametrize("seed", range(8))
def test_a_killed_server_loses_no_saved_decision(own: Project, seed: int) -> None:
    saved: list[tuple[int, bool]] = []
    rng = random.Random(seed)
    with served(own.run_folder) as server:

        def reader() -> None:
            for n in range(100_000):
                number, value = rng.randrange(len(server.rows)), n % 2 == 0
                try:
                    if server.decide(["choice", number, value]).status != 200:
                        return
                except (OSError, http.client.HTTPException):  # also an answer that breaks off
                    return
                saved.append((number, value))

        thread = threading.Thread(target=reader)
        thread.start()
        while len(saved) < 3 and thread.is_alive():
            time.sleep(0.01)
        time.sleep(0.3 * rng.random())
        server.kill()
        thread.join()
    assert saved
    file = own.run_folder / "review" / "decisions.jsonl"
    if seed % 2:  # as a power cut may leave the file
        with file.open("ab") as opened:
            opened.write(b'{"step": ["torn", [["choi')
    steps = [json.loads(line)["step"] for line in file.read_text().splitlines() if line.startswith('{"step":["')]
    assert len(steps) in (len(saved), len(saved) + 1), "an answer may have been lost"
    with served(own.run_folder) as server:
        found = {key: value for kind, key, value in server.state()["all"] if kind == "choice"}
        if len(steps) == len(saved):
            assert found == dict(saved)
        else:
            assert found.keys() >= dict(saved).keys()
        assert server.decide(["choice", 0, True]).status == 200


# ---- acts


def test_dry_run_apply_and_undo(own: Project, tmp_path: Path) -> None:
    before = files(own)
    with served(own.run_folder) as server:
        prepared = server.prepare("move", tmp_path / "away")
        assert prepared.status == 200
        dry = server.ended()
        assert (dry["name"], dry["outcome"]["files"]) == ("dry run", CLUSTERS)
        assert files(own) == before
        assert server.post("apply", digest=prepared.json["digest"]).status == 200
        done = server.ended()
        assert (done["name"], done["outcome"]["files"], done["error"]) == ("apply", CLUSTERS, "")
        assert len(files(own)) == CLUSTERS
        state = server.state()
        assert sorted(state["gone"]) == sorted(n for group in server.proposal() for n in group["remove"])
        (journal,) = state["journals"]
        assert (journal["action"], journal["away"]) == ("move", CLUSTERS)
        assert (own.run_folder / "review" / journal["name"]).with_suffix(".json").exists()
        assert server.post("undo", journal=journal["name"], digest=journal["digest"]).status == 200
        assert server.ended()["name"] == "undo"
        assert files(own) == before
        assert server.state()["gone"] == []
        assert server.post("undo", journal=journal["name"], digest=journal["digest"]).status == 409, "replayed"


@pytest.mark.slow
def test_companions_are_removed_and_restored_with_their_image(own: Project, tmp_path: Path) -> None:
    """A companion that changes after the dry run stays, with its image."""
    with served(own.run_folder) as server:
        rows, groups = server.rows, server.proposal()
    going = [Path(rows[group["remove"][0]]["path"]) for group in groups]
    for path in [Path(rows[groups[0]["keep"][0]]["path"]), *going[:2]]:
        path.with_suffix(".xmp").write_text(path.name)
    assert own.run() == 0
    before = files(own)
    with served(own.run_folder) as server:
        first, second = (str(path) for path in going[:2])

        def dry() -> dict[str, Any]:
            prepared = server.prepare("move", tmp_path / "away").json
            return server.ended() | {"plan": prepared["digest"]}

        found = dry()
        assert any(f"would be moved  {first} and 1 companion  (kept: " in line for line in found["lines"])
        (left,) = (line for line in found["lines"] if line.startswith(f"left alone  {second} ("))
        assert "no companion of this kind" in left
        assert found["outcome"]["companions"] == 1
        Path(first).with_suffix(".xmp").write_text("an edit")
        assert server.post("apply", digest=found["plan"]).status == 200
        assert "a companion was changed after the plan" in server.ended()["outcome"]["left_alone"]
        assert Path(first).exists()
        assert server.post("apply", digest=dry()["plan"]).status == 200
        assert server.ended()["outcome"]["companions"] == 1
        assert not Path(first).with_suffix(".xmp").exists()
        for journal in server.state()["journals"]:
            if journal["away"]:
                assert server.post("undo", journal=journal["name"], digest=journal["digest"]).status == 200
                server.ended()
        assert files(own) == before | {
            str(Path(first).with_suffix(".xmp").relative_to(own.folder / "images")): b"an edit"
        }


@pytest.mark.slow
def test_companions_stay_or_keep_their_image(own: Project, tmp_path: Path) -> None:
    with served(own.run_folder) as server:
        rows, groups = server.rows, server.proposal()
    going = Path(rows[groups[0]["remove"][0]]["path"])
    going.with_suffix(".xmp").write_text("of an image that goes")
    assert own.run() == 0
    before = files(own)
    with served(own.run_folder) as server:
        digests = set()
        for companions, done in (("with", CLUSTERS - 1), ("refuse", CLUSTERS - 1), ("leave", CLUSTERS)):
            prepared = server.prepare("move", tmp_path / "away", companions=companions)
            digests.add(prepared.json["digest"])
            assert server.ended()["outcome"]["files"] == done, companions
        assert len(digests) == 3, "the plan's digest names the choice, too"
        assert server.prepare("move", tmp_path / "away", companions="both").status == 400
        assert server.post("apply", digest=min(digests - {prepared.json["digest"]})).status == 409
        assert server.post("apply", digest=prepared.json["digest"]).status == 200
        assert server.ended()["outcome"]["companions"] == 0
        assert going.with_suffix(".xmp").exists()
        assert not going.exists()
        (journal,) = server.state()["journals"]
        assert server.post("undo", journal=journal["name"], digest=journal["digest"]).status == 200
        server.ended()
        assert files(own) == before


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("exiftool") is None, reason="exiftool is not installed")
@pytest.mark.parametrize("action", ["move", "trash"])
def test_metadata_are_merged_and_taken_back(
    action: str, own: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    with served(own.run_folder) as server:
        rows, groups = server.rows, server.proposal()
    stays, goes = (Path(rows[groups[0][name][0]]["path"]) for name in ("keep", "remove"))
    goes.with_suffix(".xmp").write_bytes(xmp(listed("dc:subject", "harbour")))
    assert own.run() == 0
    before = files(own)
    with served(own.run_folder) as server:
        assert server.state()["unmergeable"] == ""
        assert server.state()["sidecars"] == [groups[0]["remove"][0]]
        to = tmp_path / "away" if action == "move" else ""
        assert server.prepare(action, to, merge_metadata="yes").status == 400
        prepared = server.prepare(action, to, merge_metadata=True)
        dry = server.ended()
        assert (dry["outcome"]["merging"], dry["outcome"]["sidecars"], dry["done"]) == (True, 1, CLUSTERS)
        assert any(line.startswith("would be merged  keywords into ") for line in dry["lines"])
        assert dry["summary"][1].endswith("1 sidecar would be written; 0 conflicts")
        assert files(own) == before
        assert server.post("apply", digest=prepared.json["digest"]).status == 200
        assert server.ended()["outcome"]["sidecars"] == 1
        assert b"harbour" in stays.with_name(f"{stays.name}.xmp").read_bytes()
        (journal,) = server.state()["journals"]
        assert journal["action"] == action
        assert server.post("undo", journal=journal["name"], digest=journal["digest"]).status == 200
        assert server.ended()["done"] == CLUSTERS + 2
        assert files(own) == before


@pytest.mark.slow
def test_without_exiftool_no_metadata_are_merged(own: Project, tmp_path: Path) -> None:
    with served(own.run_folder, environment={"PATH": "/nowhere"}, quiet=True) as server:
        assert server.state()["unmergeable"].startswith("exiftool is not installed")
        refused = server.prepare("move", tmp_path / "away", merge_metadata=True)
        assert (refused.status, "Install it: " in refused.json["error"]) == (400, True)
        assert server.state()["work"] is None


@pytest.mark.slow
def test_a_replayed_or_stale_request_does_not_act(own: Project, tmp_path: Path) -> None:
    with served(own.run_folder) as server:
        assert server.post("apply", digest="").status == 409
        first = server.prepare("move", tmp_path / "away").json["digest"]
        server.ended()
        clusters = server.proposal()[:1]
        second = server.prepare("move", tmp_path / "away", clusters=clusters).json["digest"]
        server.ended()
        assert server.post("apply", digest=first).status == 409, "another window has another plan now"
        assert server.decide(["choice", 0, True]).status == 200
        assert server.post("apply", digest=second).status == 409, "decided after the dry run"
        third = server.prepare("move", tmp_path / "away", clusters=clusters).json["digest"]
        server.ended()
        assert server.post("apply", digest=third).status == 200
        assert server.ended()["outcome"]["files"] == 1
        assert server.post("apply", digest=third).status == 409, "replayed"
        assert len(files(own)) == 2 * CLUSTERS - 1
        assert server.post("undo", journal="../../run.json", digest="").status == 400
        report = server.prepare("report").json["digest"]
        server.ended()
        assert server.post("apply", digest=report).status == 400


@pytest.mark.slow
def test_two_acts_at_once_are_one(own: Project, tmp_path: Path) -> None:
    with served(own.run_folder) as server:
        digest = server.prepare("move", tmp_path / "away").json["digest"]
        server.ended()
        statuses: list[int] = []

        def act() -> None:
            statuses.append(server.post("apply", digest=digest).status)

        threads = [threading.Thread(target=act) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(statuses) == [200] + [409] * 19
        assert server.ended()["outcome"]["files"] == CLUSTERS
        assert len(server.state()["journals"]) == 1


def test_a_changed_file_is_left_alone(own: Project, tmp_path: Path) -> None:
    with served(own.run_folder) as server:
        group = server.proposal()[0]
        Path(server.rows[group["remove"][0]]["path"]).write_bytes(b"other")
        digest = server.prepare("move", tmp_path / "away").json["digest"]
        work = server.ended()
        assert work["outcome"]["left_alone"] == {"the file was changed after the run": 1}
        assert server.post("apply", digest=digest).status == 200
        assert server.ended()["outcome"]["files"] == CLUSTERS - 1


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_a_server_killed_while_it_acts_is_undone(tmp_path: Path, seed: int) -> None:
    project, count = Project(tmp_path / "own", {"partition": {"images": "auto", "block": "auto"}}), 120
    for n in range(count):
        image = make_image(project.folder / "images" / f"{n}.png", n, (24, 24))
        for copy in ("a", "b"):
            shutil.copy2(image, image.with_name(f"{n} {copy}.png"))
    assert project.run() == 0
    before = files(project)
    with served(project.run_folder) as server:
        digest = server.prepare("move", tmp_path / "away").json["digest"]
        server.ended()
        assert server.post("apply", digest=digest).status == 200
        time.sleep(0.01 + 0.04 * seed)
        server.kill()
    with served(project.run_folder) as server:
        for journal in server.state()["journals"]:
            assert server.post("undo", journal=journal["name"], digest=journal["digest"]).status == 200
            assert server.ended()["error"] == ""
        assert files(project) == before
        assert server.state()["gone"] == []


# ---- the command


def test_a_missing_extra_is_one_line(
    made: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "starlette", None)
    assert main(["review", str(made.run_folder), "--no-browser"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "[review]" in line or "starlette" in line


def test_bad_options(made: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str], one: Served) -> None:
    assert main(["review", str(tmp_path), "--no-browser"]) == 2
    assert main(["review", str(made.run_folder), "--no-browser", "--port", "70000"]) == 2
    assert main(["review", str(made.run_folder), "--no-browser", "--port", "-1"]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_a_port_in_use_is_one_line(own: Project, one: Served, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["review", str(own.run_folder), "--no-browser", "--port", str(one.port)]) == 2
    assert f"--port: {one.port} can't be used" in capsys.readouterr().err


def test_a_report_of_another_version_or_of_others_is_refused(own: Project, capsys: pytest.CaptureFixture[str]) -> None:
    page = own.run_folder / "report" / "index.html"
    whole = page.read_text()
    for html, said in (
        (whole.replace('"use strict"', '"use evil"'), "another version"),
        (whole.replace('"mark":"', '"mark":"x'), "other images"),
        ("<html>", "no data"),
        (whole[: whole.index('id="data"')], "no data"),
    ):
        page.write_text(html)
        assert main(["review", str(own.run_folder), "--no-browser"]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert said in line
    page.unlink()
    assert main(["review", str(own.run_folder), "--no-browser"]) == 2
    assert "no report" in capsys.readouterr().err


@pytest.mark.slow
def test_the_browser_gets_a_file_that_only_its_user_can_read(own: Project, tmp_path: Path) -> None:
    opener, seen = tmp_path / "browser", tmp_path / "seen"
    opener.write_text(
        f'#!/bin/sh\necho "$@" > {seen}.tmp\nstat -c %a "${{1#file://}}" >> {seen}.tmp\n'
        f'cat "${{1#file://}}" >> {seen}.tmp\nmv {seen}.tmp {seen}\n'
    )
    opener.chmod(0o755)
    with served(own.run_folder, environment={"DISPLAY": ":9", "BROWSER": f"{opener} %s"}) as server:
        until = time.monotonic() + 20
        while not seen.exists() and time.monotonic() < until:
            time.sleep(0.05)
        address, mode, page = seen.read_text().splitlines()
        assert server.secret not in address
        assert mode == "600"
        assert server.url in page
        assert server.end()[0] == 0
    assert not list((own.run_folder / "review").glob("*.html"))


@pytest.mark.slow
def test_a_touched_file_is_known_after_the_next_run(own: Project, tmp_path: Path) -> None:
    with served(own.run_folder) as server:
        number = server.proposal()[0]["remove"][0]
        os.utime(server.rows[number]["path"], (1_700_000_000, 1_700_000_000))
        assert own.run() == 0
        assert "plot" not in own.ran()
        assert server.prepare("move", tmp_path / "away").status == 200
        assert server.ended()["outcome"]["left_alone"] == {}


def test_decisions_that_are_none_are_refused(own: Project, capsys: pytest.CaptureFixture[str]) -> None:
    folder = own.run_folder / "review"
    folder.mkdir()
    (folder / "decisions.jsonl").write_text('{"other": 1}\n')
    assert main(["review", str(own.run_folder), "--no-browser"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "line 1" in line


@pytest.mark.slow
def test_the_report_is_unchanged(own: Project) -> None:
    before = {name: data for name, data in own.artifacts().items() if not name.startswith("review/")}
    with served(own.run_folder) as server:
        assert server.get().status == 200
        server.decide(["choice", 0, True])
    assert {name: data for name, data in own.artifacts().items() if not name.startswith("review/")} == before
    assert own.run() == 0
    assert own.ran() == {}
