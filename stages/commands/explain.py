"""Say why each task would run."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.cli.command import Command
from pipeline.cli.parameters import JSON, SET, TARGET
from pipeline.cli.targets import target_config
from pipeline.messages.say import answer


def explain(target: str | None, sets: Sequence[str], as_json: bool) -> int:
    """Print a reason for each task that would run, and return the exit code."""
    from pipeline.execution.forecast import explain

    reasons = {"/".join(address): reason for address, reason in explain(*target_config(target, sets)).reasons.items()}
    lines = [f"{task}: {reason}" for task, reason in reasons.items()]
    return answer(as_json, reasons, lines or ["nothing would run: every artifact is up to date"])


COMMAND = Command(
    "explain",
    "inspect",
    does="say why each task would run",
    help="Print the reason for each task that the next run would compute, such as `missing`, `input changed` or "
    "`params changed: threshold 100 → 200`. Nothing is computed or changed.",
    examples={
        "fast-diff explain": "the last run here",
        "fast-diff explain holiday.yaml --set pairs.threshold=100": "what another threshold would cost",
    },
    arguments=(TARGET, SET, JSON),
    function=explain,
)
