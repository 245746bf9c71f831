"""`fast-diff export --to` a real MariaDB server, which the tests start; skipped where there is none.

The server is as little like ours as it can be: text is Latin-1 by its defaults, and it cuts off what does not fit
instead of refusing it. So what the tables hold is what the export asked for."""

import datetime
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from PIL import Image
from sqlalchemy import Engine, create_engine, text

from pipeline import load_run
from pipeline.cli.main import main
from stages.commands.export import sql
from stages.commands.results.tables import FACTS, Results
from tests.end_to_end.driver import Project, make_image

NAMES = (
    "it's.png",
    'a "quoted" name.png',
    "日本語 🎉🧊.png",
    "back\\slash %s {x};-- `.png",
    "Straße.png",
    "strasse.png",
)
ALIKE = ("photo.png", "PHOTO.png", "photo.png ", "phöto.png")
"""Names that some collations treat as equal."""
PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
MARIADBD = shutil.which("mariadbd", path=PATH)
INSTALL = shutil.which("mariadb-install-db", path=PATH)
DEFAULTS = shutil.which("my_print_defaults", path=PATH)  # the plugin INSTALL asks for these

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (MARIADBD and INSTALL and DEFAULTS),
        reason="no mariadbd here: apt-get install mariadb-server-core mariadb-client-core brings it",
    ),
]


@pytest.fixture(scope="module")
def server() -> Iterator[Path]:
    """Return the socket of a server that the tests start."""
    with tempfile.TemporaryDirectory(prefix="fd") as name:  # a socket's path has at most 107 bytes
        folder = Path(name)
        user = ["--user=root"] if os.geteuid() == 0 else []
        made = [INSTALL, "--no-defaults", *user, f"--datadir={folder / 'data'}", "--skip-test-db"]
        method = "--auth-root-authentication-method=normal"
        subprocess.run([*made, method], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=120)
        command = [
            *(MARIADBD, "--no-defaults", *user, f"--datadir={folder / 'data'}", f"--socket={folder / 'socket'}"),
            *("--skip-networking", "--skip-log-bin", f"--pid-file={folder / 'pid'}", "--sql-mode="),
            *("--character-set-server=latin1", "--collation-server=latin1_swedish_ci"),
            *("--innodb-buffer-pool-size=16M", "--innodb-flush-log-at-trx-commit=0"),
        ]
        with (folder / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
            try:
                for _ in range(600):
                    if (folder / "socket").exists():
                        break
                    assert process.poll() is None, (folder / "log").read_text()
                    time.sleep(0.1)
                yield folder / "socket"
            finally:
                process.terminate()
                process.wait(60)


@pytest.fixture
def url(server: Path) -> Iterator[str]:
    """Return the URL of a new database."""
    whole = f"mariadb+pymysql://root@/{{}}?unix_socket={server}"
    admin = create_engine(whole.format("mysql"))
    with admin.begin() as connection:
        connection.execute(text("create database fast"))
    yield whole.format("fast")
    with admin.begin() as connection:
        connection.execute(text("drop database fast"))
    admin.dispose()


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    made = create_engine(url)
    yield made
    made.dispose()


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Make names that databases mishandle, on equal and different pictures; and an unreadable file."""
    made = Project(tmp_path_factory.mktemp("mariadb"), {"partition": {"images": 2, "block": 4}})
    images = made.folder / "images"
    for seed, name in enumerate((*NAMES, *ALIKE)):
        make_image(images / "made.png", seed // 2).rename(images / name)
    with Image.open(images / "photo.png") as picture:
        exif = Image.Exif()
        exif.get_ifd(0x8769).update({0x9003: "2019:05:04 03:02:01", 0x9291: "250"})
        picture.save(images / "taken.jpg", quality=70, exif=exif)
    (images / "broken 💔.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    assert made.run("scan.extensions=[png, jpg, 'png ']") == 0
    return made


def rows_of(results: Results, stage: str, columns: list[str] | None = None) -> list[dict[str, Any]]:
    return [row for table in results.tables(stage, columns) for row in table.to_pylist()]


def read(engine: Engine, query: str) -> list[dict[str, Any]]:
    with engine.connect() as connection:
        return [dict(row) for row in connection.execute(text(query)).mappings()]


def order(row: dict[str, Any]) -> tuple[str, ...]:
    return tuple(str(row.get(name)) for name in ("path", "path_a", "path_b"))


def test_the_tables_hold_the_results_of_load_run(
    url: str, engine: Engine, project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", str(project.yaml), "--to", url]) == 0
    said = capsys.readouterr().out
    results = load_run(project.run_folder)
    expected = {
        "images": rows_of(results, "thumbnail", [name for name in FACTS if name != "path_bytes"]),
        "hashes": results.hashes().to_dict("records"),
        "pairs": rows_of(results, "pairs"),
        "clusters": rows_of(results, "cluster"),
    }
    for name, rows in expected.items():
        assert f"{name:<10}  {len(rows)} rows\n" in said
        assert sorted(read(engine, f"select * from {name}"), key=order) == sorted(rows, key=order), name
    images = {Path(row["path"]).name: row for row in expected["images"]}
    assert images.keys() == {*NAMES, *ALIKE, "taken.jpg", "broken 💔.png"}
    assert images["broken 💔.png"]["width"] is None
    assert images["taken.jpg"]["taken"].year == 2019
    assert len(expected["pairs"]) >= 5
    joined = "select count(*) n from pairs join images on path_a = images.path join hashes on path_b = hashes.path"
    assert read(engine, joined) == [{"n": len(expected["pairs"])}], "each name is equal to itself alone"


def test_a_second_export_is_refused_and_replace_puts_new_tables_there(
    url: str, engine: Engine, project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    with engine.begin() as connection:
        connection.execute(text("create table pairs (mine int)"))
        connection.execute(text("create table others (mine int)"))
    assert main(["export", str(project.yaml), "--to", url]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("already has tables pairs; --replace replaces them")
    assert read(engine, "show tables") == [{"Tables_in_fast": "others"}, {"Tables_in_fast": "pairs"}]
    assert main(["export", str(project.yaml), "--to", url, "--replace"]) == 0
    assert main(["export", str(project.yaml), "--to", url]) == 2
    assert "already has tables clusters, hashes, images, pairs" in capsys.readouterr().err
    assert main(["export", str(project.yaml), "--to", url, "--replace"]) == 0
    pairs = rows_of(load_run(project.run_folder), "pairs")
    assert sorted(read(engine, "select * from pairs"), key=order) == sorted(pairs, key=order), "once, not twice"


@pytest.mark.parametrize("scheme", ["mariadb", "mysql"])
def test_no_value_is_changed(scheme: str, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Values include the limits of each type and texts longer than 64 KB, in several artifacts and batches."""
    monkeypatch.setattr(sql, "ROWS", 2)
    engine = create_engine(url.replace("mariadb", scheme, 1))
    long = "🧊" * 20_000 + "f" * 70_000
    moment = datetime.datetime(1000, 1, 1, 23, 59, 59, 999_000)
    ends: dict[str, list[Any]] = {
        "text": ["", long, None, "\0\\'\"\n\t%s%%\u200b", " a ", "a"],
        "whole": [-(2**63), 2**63 - 1, None, 2**53 + 1, 0, 1],
        "short": [-(2**31), 2**31 - 1, None, 0, 1, 2],
        "byte": [0, 255, None, 1, 2, 3],
        "real": [0.1, 1.7976931348623157e308, None, 2.2250738585072014e-308, -0.1 - 0.2, 195075.0],
        "flag": [True, False, None, True, False, True],
        "moment": [moment, datetime.datetime(9999, 12, 31), None, moment, moment, moment],
    }
    types = [pa.string(), pa.int64(), pa.int32(), pa.uint8(), pa.float64(), pa.bool_(), pa.timestamp("ms")]
    table = pa.table(ends, pa.schema(list(zip(ends, types, strict=True))))
    with engine.begin() as connection:
        parts = [table.slice(0, 0), table.slice(0, 5), table.slice(5)]
        assert sql._send(iter(parts), "ends", connection) == 6
        assert sql._send(iter([table]), "again", connection) == 6
        assert sql._send(iter([table.slice(0, 0)]), "none", connection) == 0
    for name in ("ends", "again"):
        rows = read(engine, f"select * from {name} order by text is null, text, whole")
        assert [{**row, "flag": row["flag"] if row["flag"] is None else bool(row["flag"])} for row in rows] == sorted(
            table.to_pylist(), key=lambda row: (row["text"] is None, (row["text"] or "").encode())
        )
    assert read(engine, "select count(*) n from none") == [{"n": 0}]
    assert read(engine, "select count(*) n from ends where text = 'a'") == [{"n": 1}]
    engine.dispose()


def test_an_error_of_the_server_is_one_line(url: str, project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    for wrong, said in (
        (url.replace("/fast", "/nowhere"), "Unknown database"),
        (url.replace("root@", "nobody:hush@"), "Access denied"),
        ("mariadb+pymysql://me:hush@127.0.0.1:9/x", "Can't connect"),
    ):
        assert main(["export", str(project.yaml), "--to", wrong]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert said in line
        assert "hush" not in line
