"""What the README says of metrics and hashes of one's own, run as it stands there."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

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
    make_images(tmp_path / "Pictures", 40)
    (tmp_path / "mine.py").write_text(CODE[0])
    config, *options = shlex.split(words)
    given = yaml.safe_load((ROOT / config).read_text()) | {"inputs": {"a": ["Pictures"]}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(given))
    command = [sys.executable, "-m", "pipeline.cli", "run", "config.yaml", *options, "--set", "run=mine"]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    column = "distance" if "pairs.metric" in words or "perceptual" in config else "mse"
    found = pd.read_parquet(tmp_path / "outputs/mine/pairs")
    assert len(found) >= 4  # the copies at a lower quality
    assert found[column].max() > 0 or "same_hash" in words
