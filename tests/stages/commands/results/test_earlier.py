"""Runs of earlier versions can be read: later columns are null, and no command ends in a traceback."""

import hashlib
import json
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from pipeline import load_run
from pipeline.cli.main import main
from pipeline.messages.errors import ConfigError
from pipeline.store.artifact import METADATA, METADATA_DIGEST
from stages.commands.results.earlier import FIRST, LATER
from tests.end_to_end.driver import Kept, Project, make_image

KEYS = {
    "inputs": ("a", "b"),
    "thumbnail": ("size", "channels", "decode", "background", "orientation", "max_bytes", "max_pixels"),
    "pairs": ("metric", "normalize", "threshold", "rotations", "same", "same_hash", "identical", "device"),
    "cluster": ("linkage", "threshold", "keep"),
    "plot": ("pairs", "clusters"),
    "scan": ("recursive", "extensions"),
}
"""Keys of the config in the first version."""


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    project = Project(tmp_path_factory.mktemp("earlier") / "project")
    for seed in range(3):
        make_image(project.folder / "images" / f"{seed}.jpg", seed)
        make_image(project.folder / "images" / f"{seed} large.jpg", seed, (200, 150))
    (project.folder / "images" / "broken.jpg").write_bytes(b"no image")
    return Kept.finished(project)


def older(run: Path) -> None:
    """Make a run as the first version wrote it."""
    for stage in LATER:
        for path in (run / stage).glob("*.parquet"):
            table = pq.read_table(path)
            columns = [name for name in table.column_names if name not in LATER[stage].names]
            record = json.loads(pq.read_metadata(path).metadata[METADATA])
            for part in ("schema", "content"):
                found = record[part].items()
                record[part] = {name: value for name, value in found if name in columns or name.startswith("#")}
            text = json.dumps(record).encode()
            metadata = {METADATA: text, METADATA_DIGEST: hashlib.sha256(text).hexdigest().encode()}
            table = table.select(columns).replace_schema_metadata(metadata)
            pq.write_table(table, path, write_page_checksum=True)
    page = run / "report" / "index.html"
    page.write_text(
        page.read_text("utf-8").replace('"use strict";', '"use strict";  // of an earlier version'), "utf-8"
    )
    summary = json.loads((run / "run.json").read_text())
    config = summary["config"]
    for section, keys in KEYS.items():
        config[section] = {name: value for name, value in config[section].items() if name in keys}
    del config["companions"]
    (run / "run.json").write_text(json.dumps(summary))


@pytest.fixture
def old(kept: Kept) -> Path:
    run = kept.again().run_folder
    older(run)
    return run


def test_every_column_is_there_and_later_ones_are_null(kept: Kept) -> None:
    now = load_run(kept.again().run_folder)
    tables = {name: getattr(now, name)() for name in ("images", "clusters", "pairs")}
    older(kept.again().run_folder)
    before = load_run(now.folder)
    for name, stages in (("images", ("scan", "thumbnail")), ("clusters", ("cluster",)), ("pairs", ("pairs",))):
        expected = tables[name]
        found: pd.DataFrame = getattr(before, name)()
        later = {column for stage in stages for column in LATER[stage].names} & set(expected.columns)
        assert list(found.columns) == list(expected.columns)
        assert later
        assert found[[*later]].isna().all(axis=None)
        rest = [column for column in expected.columns if column not in later]
        pd.testing.assert_frame_equal(found[rest], expected[rest])
    assert before.failures()["error"].tolist() == ["not-an-image"]
    assert before.summary["config"]["cluster"]["dismissed"] == []
    for stage, names in FIRST.items():
        assert names.isdisjoint(LATER[stage].names)


def test_a_column_of_the_first_version_is_never_made_up(old: Path) -> None:
    path = next((old / "thumbnail").glob("*.parquet"))
    table = pq.read_table(path)
    record = json.loads(pq.read_metadata(path).metadata[METADATA])
    del record["schema"]["digest"]
    text = json.dumps(record).encode()
    metadata = {METADATA: text, METADATA_DIGEST: hashlib.sha256(text).hexdigest().encode()}
    pq.write_table(table.drop_columns("digest").replace_schema_metadata(metadata), path, write_page_checksum=True)
    with pytest.raises(ConfigError, match="has no column digest: an earlier version of fast-diff wrote it"):
        load_run(old).images()


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("show",), 0),
        (("show", "1.jpg"), 0),
        (("show", "--verbose"), 0),
        (("folders",), 0),
        (("failures",), 0),
        (("duplicates",), 0),
        (("plan", "plan.json"), 2),
        (("review", "--no-browser"), 2),
        (("export", "--format", "csv", "--table", "clusters", "--out", "out.csv"), 0),
        (("export", "--format", "jsonl", "--table", "images", "--out", "out.jsonl"), 0),
    ],
)
def test_commands_read_old_runs_or_say_why_not(
    words: tuple[str, ...],
    code: int,
    old: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([words[0], str(old), *words[1:]]) == code
    said = capsys.readouterr().err.splitlines()
    assert not said if code == 0 else "run `fast-diff run` again first" in said[0]
