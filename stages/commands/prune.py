"""Delete artifacts of earlier configurations."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.cli.command import Command
from pipeline.cli.parameters import JSON, SET, TARGET
from pipeline.cli.targets import target_config
from pipeline.messages.say import answer
from pipeline.messages.words import counted


def prune(target: str | None, sets: Sequence[str], as_json: bool) -> int:
    """Delete retired artifacts, and return the exit code."""
    from pipeline.run import prune
    from stages.comparing.text import human_bytes

    config, _ = target_config(target, sets)
    count, size = prune(config)
    line = f"deleted {counted(count, 'retired file')}, {human_bytes(size)}"
    return answer(as_json, {"files": count, "bytes": size}, [line])


COMMAND = Command(
    "prune",
    "clean up",
    does="delete artifacts of earlier configurations",
    help="Delete the artifacts of earlier configurations. Runs keep these artifacts: a run with an earlier "
    "configuration then computes nothing. The results of the last run, your images, and files that you have put "
    "into the run's folder stay.",
    examples={"fast-diff prune": "the last run here", "fast-diff prune holiday.yaml": "the run of a config"},
    arguments=(TARGET, SET, JSON),
    function=prune,
)
