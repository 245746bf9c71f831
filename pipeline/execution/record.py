"""Build the record of a run: the content of run.json, and the exit code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.config.settings import Config
from pipeline.execution.runner import Failure, Runner
from pipeline.machine.installation import DISTRIBUTION, version_of
from pipeline.plan.past_rows import LISTED, listing_digest
from pipeline.stage import Stage

COUNTED = {"run": "tasks_run", "skipped": "tasks_skipped", "failed": "tasks_failed"}
"""Keys of run.json, by how a task ended."""


@dataclass(frozen=True)
class RunRecord:
    """The outcome of a run: content of run.json, failed tasks and exit code."""

    record: Mapping[str, Any]
    failures: Sequence[Failure]
    interrupted: bool = False

    @property
    def exit_code(self) -> int:
        return 130 if self.interrupted else 1 if self.failures else 0


def record_of(
    config: Config, stages: Sequence[Stage[Any]], runner: Runner | None, listing: float, warnings: Sequence[str]
) -> dict[str, Any]:
    """Return the content of run.json; `runner` is None before the first task.

    `listing`: seconds that the source stages took to list their data."""
    figures: dict[str, Any] = {}
    counts: dict[str, dict[str, Any]] = {}
    receipts = runner.receipts if runner else {}
    for stage in stages:
        seconds = runner.seconds(stage.name) + (listing if stage.source else 0.0) if runner else 0.0
        counts[stage.name] = dict.fromkeys(COUNTED.values(), 0) | {"seconds": round(seconds, 3)}
        figures |= stage.output.figures(
            receipt.summary for (name, _), receipt in receipts.items() if name == stage.name
        )
    for (name, _), how in runner.state.items() if runner else ():
        if how in COUNTED:
            counts[name][COUNTED[how]] += 1
    return {
        "run": config.run,
        "version": version_of(DISTRIBUTION),
        "config": config.as_dict(),
        **figures,
        "stages": counts,
        LISTED: _listed(runner) if runner else {},
        "warnings": list(warnings),
        "failures": [
            {"task": "/".join(failure.address), "message": failure.message}
            for failure in (runner.failures if runner else ())
        ],
    }


def _listed(runner: Runner) -> dict[str, str]:
    """Return the listing digest of each source stage that has published all artifacts."""
    names: dict[str, list[str]] = {}
    missing: set[str] = set()
    for stage, key in runner.plan.sources:
        if receipt := runner.receipts.get((stage, key)):
            names.setdefault(stage, []).append(receipt.name)
        else:
            missing.add(stage)
    contexts = runner.resolver.contexts
    return {
        stage: listing_digest(contexts[stage].recipe, some) for stage, some in names.items() if stage not in missing
    }
