"""Say how long a run would take, and what it would store, before it runs.

forecast.py   images, pairs, bytes and times, by a probe of this machine
"""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.cli.command import Command
from pipeline.cli.parameters import JSON, SET, TARGET
from pipeline.cli.targets import target_config
from pipeline.messages.say import answer


def estimate(target: str | None, sets: Sequence[str], as_json: bool) -> int:
    """Print the estimate, and return the exit code."""
    from pipeline.execution.forecast import explain
    from pipeline.machine.cores import usable
    from stages.commands.estimate.forecast import forecast, lines

    config, stages = target_config(target, sets)
    found = explain(config, stages)
    estimated = forecast(config, found.plan, found.current, config.scheduler.cores(usable()))
    return answer(as_json, estimated.as_dict(), lines(estimated))


COMMAND = Command(
    "estimate",
    "inspect",
    does="say how long a run would take, before it runs",
    help="Say how many images and pairs a run has, how much it would store and how long it would take. The time comes "
    "from a probe: some of the images are decoded on this machine. No file is written.",
    examples={
        "fast-diff estimate holiday.yaml": "before the first run",
        "fast-diff estimate outputs/Pictures --set thumbnail.size=[128,128]": "what larger thumbnails would cost",
    },
    arguments=(TARGET, SET, JSON),
    function=estimate,
)
