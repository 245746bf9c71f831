"""What the README says of metrics and hashes of one's own, and of reading results, run as it stands there."""

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib
import pandas as pd
import pytest
import yaml

from pipeline.cli.main import main
from tests.end_to_end.driver import make_images

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
SECTION = README.partition("## Your own metric, your own hash")[2].partition("\n## ")[0]
CODE = re.findall(r"```python\n(.*?)```", SECTION, re.DOTALL)
COMMANDS = re.findall(r"^fast-diff run (.*)$", SECTION, re.MULTILINE)


def test_there_is_something_to_run() -> None:
    assert len(CODE) == 1
    assert len(COMMANDS) == 4


@pytest.mark.parametrize("words", COMMANDS)
def test_the_commands_work_as_they_stand(tmp_path: Path, words: str) -> None:
    make_images(tmp_path / "Pictures", 20)
    (tmp_path / "mine.py").write_text(CODE[0])
    config, *options = shlex.split(words)
    given = yaml.safe_load((ROOT / config).read_text()) | {"inputs": {"a": ["Pictures"]}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(given))
    command = [sys.executable, "-m", "pipeline.cli.main", "run", "config.yaml", *options, "--set", "run=mine"]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    environment["MPLCONFIGDIR"] = matplotlib.get_configdir()  # else each process lists the system's fonts anew
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    column = "distance" if "pairs.metric" in words or "perceptual" in config else "mse"
    found = pd.read_parquet(tmp_path / "outputs/mine/pairs")
    assert len(found) >= 2  # the copies at a lower quality
    assert found[column].max() > 0 or "same_hash" in words


QUESTIONS = re.findall(
    r"```python\n(.*?)```", README.partition("### Five questions")[2].partition("\n## ")[0], re.DOTALL
)


def test_three_libraries_give_the_same_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [code.split()[1] for code in QUESTIONS] == ["pandas", "duckdb", "polars"]
    make_images(tmp_path / "Pictures" / "train", 20)
    make_images(tmp_path / "Pictures" / "test", 12, first=15)
    monkeypatch.chdir(tmp_path)
    config = {"run": "local", "inputs": {"a": ["Pictures"]}, "scheduler": {"kind": "synchronous"}}
    Path("config.yaml").write_text(yaml.safe_dump(config | {"plot": {"pairs": 0, "clusters": 0}}))
    assert main(["run", "config.yaml", "--quiet"]) == 0
    answers = []
    for code in QUESTIONS:
        found: dict[str, Any] = {}
        exec(code, found)
        counts = {threshold: int(count) for threshold, count in found["counts"].items()}
        by_folder = sorted(int(row[-1]) for row in _rows(found["by_folder"]))
        largest = [int(row[-1]) for row in _rows(found["largest"])]
        answers.append((largest, int(found["removable"]), len(found["leaks"]), by_folder, counts))
    assert answers[0] == answers[1] == answers[2]
    largest, removable, leaks, by_folder, counts = answers[0]
    assert largest[0] >= 2
    assert removable > 0
    assert leaks >= 5, "pictures 15 to 19 are in both"
    assert len(by_folder) == 2
    assert counts[0] <= counts[20] <= counts[200] == sum(by_folder)


def _rows(table: Any) -> list[tuple[Any, ...]]:
    """Rows of whatever kind of table, or of a series."""
    if isinstance(table, pd.Series):
        table = table.reset_index()
    return list(table.itertuples(index=False)) if isinstance(table, pd.DataFrame) else table.rows()
