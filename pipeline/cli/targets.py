"""Find the run or config that a command line names; by default, the last run."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.messages.errors import ConfigError
from pipeline.messages.say import say_on_stderr

if TYPE_CHECKING:
    from pipeline.config.settings import Config
    from pipeline.stage import Stage
    from pipeline.store.backends.locations import Place

OUTPUTS = "outputs"
"""Default folder of runs, below the current folder."""
RECORD = "run.json"
WORK = ".check"
"""Suffix of the working folder that a command makes next to a run folder; a working folder is not a run."""
CONFIGS = (".yaml", ".yml")


def runs_here() -> list[Path]:
    """Return the runs in ./outputs, the latest first."""
    found: list[tuple[int, Path]] = []
    for record in Path(OUTPUTS).glob(f"*/{RECORD}"):
        folder = record.parent
        if folder.name.startswith("."):
            continue
        run = folder.with_name(folder.name.removesuffix(WORK))
        if run == folder or not (run / RECORD).is_file():
            found.append((record.stat().st_mtime_ns, folder))
    return [folder for _, folder in sorted(found, reverse=True)]


def names_a_run(text: str) -> bool:
    """Return whether an argument names a run or a config: a URL, a folder, or a file with a suffix of CONFIGS."""
    from pipeline.store.backends.locations import protocol_of

    return protocol_of(text) is not None or Path(text).suffix in CONFIGS or Path(text).is_dir()


def last_run() -> str:
    """Return the last run in ./outputs and print its name. Raises ConfigError."""
    runs = runs_here()
    if not runs:
        raise ConfigError(
            f"no run in ./{OUTPUTS}: expected RUN, a run's folder or its config; start one with fast-diff run FOLDER"
        )
    say_on_stderr(f"no RUN given: taking the last run here, {runs[0]}")
    return str(runs[0])


def results_of(run: str | None) -> Any:
    """Return the results of a run, or of `last_run`, as `pipeline.load_run` does."""
    from pipeline import load_run

    return load_run(last_run() if run is None else run)


def target_config(target: str | None, overrides: Sequence[str] = ()) -> tuple[Config, list[Stage[Any]]]:
    """Return the config that `target` names, and the stages. Raises ConfigError.

    `target` is a run's folder, a run's URL or a YAML file; by default, the last run in ./outputs."""
    from pipeline.config.settings import load
    from pipeline.plan import discovery
    from pipeline.store.backends.locations import protocol_of

    target = last_run() if target is None else target
    stages = discovery.discover()
    if protocol_of(target) is not None:
        from pipeline import open_place

        return _recorded(open_place(target), stages, overrides), stages
    if Path(target).is_dir():
        return _recorded(Path(target).absolute(), stages, overrides), stages
    return load(target, stages, overrides), stages


def _recorded(folder: Place, stages: Sequence[Stage[Any]], overrides: Sequence[str]) -> Config:
    """Return the config in run.json without masked values.

    `run` and `output` are set from the folder's present path."""
    from pipeline.config.settings import from_mapping
    from pipeline.store.backends.locations import in_use

    data = {key: value for key, value in read_record(folder)["config"].items() if key != "storage"}
    given = [("run", folder.name, str(folder)), ("output", str(folder.parent), str(folder))]
    config = from_mapping(_shown(data), stages, overrides, given, place=str(folder / RECORD))
    return dataclasses.replace(config, storage={**in_use(), **config.storage})


def read_record(folder: Place) -> Mapping[str, Any]:
    """Return the content of run.json. Raises ConfigError if missing or damaged."""
    from pipeline.store.backends.storage import exists, read_bytes

    path = folder / RECORD
    try:
        if not exists(path):
            raise ConfigError(f"{folder} is not a run folder: it has no {RECORD}; expected one such as outputs/demo")
        record = json.loads(read_bytes(path))
        return {**record, "config": dict(record["config"])}
    except OSError as error:
        raise ConfigError(
            f"{folder} can't be read ({error.strerror or error}); check its permissions, or endpoint and keys"
        ) from error
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ConfigError(f"{path} is damaged; run `fast-diff run` again, which rewrites the file") from error


def _shown(value: Any) -> Any:
    """Return JSON data without masked values."""
    from pipeline.store.backends.locations import MASK

    if isinstance(value, dict):
        return {key: _shown(item) for key, item in value.items() if item != MASK}
    return [_shown(item) for item in value if item != MASK] if isinstance(value, list) else value
