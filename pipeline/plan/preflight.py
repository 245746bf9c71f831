"""Ask every stage's `Preflight` before the first task runs.

A preflight checks settings, states the memory of the largest task, and says whether tasks call the user's own code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.messages.errors import ConfigError
from pipeline.plan.tasks import Plan
from pipeline.stage import Settings, Stage


def check_settings(stages: Sequence[Stage[Any]], params: Mapping[str, Any], settings: Settings) -> None:
    """Check the settings with every stage.

    Raises ConfigError with a line per problem."""
    problems = [line for stage in stages for line in stage.preflight.check(params[stage.name], settings)]
    if problems:
        raise ConfigError(*problems)
    for stage in stages:
        stage.schema_for(params[stage.name], settings)


def largest_task(
    plan: Plan, stages: Sequence[Stage[Any]], params: Mapping[str, Any], settings: Settings
) -> tuple[int, str]:
    """Return the memory of the largest task in bytes, and how a user reduces it."""
    upstream = plan.upstream(settings)
    return max((stage.preflight.memory(upstream, params[stage.name]), stage.preflight.remedy) for stage in stages)


def calls_own_code(stages: Sequence[Stage[Any]], params: Mapping[str, Any], settings: Settings) -> bool:
    """Return whether tasks call the user's own code, which may not be thread-safe."""
    return any(stage.preflight.own_code(params[stage.name], settings) for stage in stages)
