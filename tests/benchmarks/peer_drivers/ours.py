"""Run fast-diff: the command with a config, then the results, read as in the README."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from pipeline import load_run
from pipeline.cli.main import main


def matches(folder: str, work: Path, threshold: float, processes: int) -> list[tuple[str, str]]:
    """Run fast-diff; return the pairs of paths that match."""
    config = work / "config.yaml"
    given = {
        "run": "peers",
        "output": str(work),
        "inputs": {"a": [folder]},
        "pairs": {"threshold": threshold},
        "plot": {"pairs": 0, "clusters": 0, "page": 0, "previews": 0},  # the peers draw nothing
        "scheduler": {"kind": "local", "workers": processes},
    }
    config.write_text(json.dumps(given))  # JSON is YAML
    if main(["run", str(config), "--quiet"]):
        sys.exit("the run failed")
    rows = load_run(work / "peers").pairs(expand=True)
    return list(zip(rows["path_a"], rows["path_b"], strict=True))


if __name__ == "__main__":
    folder, work, threshold, processes, out = sys.argv[1:]
    found = matches(folder, Path(work), float(threshold), int(processes))
    Path(out).write_text(json.dumps({"pairs": found}))
