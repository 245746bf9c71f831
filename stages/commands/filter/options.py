"""Check where the target folder lies, before anything is written."""

from __future__ import annotations

import os
from pathlib import Path

from pipeline.messages.errors import ConfigError
from pipeline.store.backends.locations import at_home, mask, protocol_of
from stages.commands.results.tables import Results


def checked_target(out: str, results: Results) -> Path:
    """Return the target folder.

    Raises:
        ConfigError: the target is not a local folder, lies in an input or in the run's folder, or holds an input."""
    if protocol_of(out) is not None:
        expected = f"--out: expected a folder on this machine, got {mask(out)}"
        raise ConfigError(f"{expected}; write to a folder, then copy the folder to the store")
    folder = Path(at_home(out))
    true = Path(os.path.realpath(folder))
    inputs = results.summary["config"]["inputs"]
    for root in (*inputs["a"], *inputs["b"], *inputs.get("reference", [])):
        if protocol_of(root) is not None:
            continue
        source = Path(os.path.realpath(root))
        if true.is_relative_to(source):
            raise ConfigError(
                f"--out: {folder} lies in the input {root}, which is never changed; choose another folder"
            )
        if source.is_relative_to(true):
            raise ConfigError(f"--out: the input {root} lies in {folder}; choose a new folder")
    if isinstance(results.folder, Path) and true.is_relative_to(os.path.realpath(results.folder)):
        raise ConfigError(f"--out: {folder} lies in the run's own folder {results.folder}; choose another folder")
    return folder
