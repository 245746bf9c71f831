"""Forecast what a run would do, and change nothing."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.config.settings import Config
from pipeline.execution.notices import Warnings
from pipeline.execution.progress import Plain
from pipeline.plan import racy
from pipeline.plan.call import Receipt
from pipeline.plan.past_rows import past_rows
from pipeline.plan.preflight import check_settings
from pipeline.plan.resolve import Resolver
from pipeline.plan.tasks import Plan, in_order, make_plan
from pipeline.stage import Address, Stage
from pipeline.store.backends.locations import use
from pipeline.store.footers import Footers
from pipeline.store.store import Store


@dataclass(frozen=True)
class Explanation:
    """Forecast of a run: names of current artifacts, and reasons of stale tasks."""

    plan: Plan
    current: Mapping[Address, str]
    reasons: Mapping[Address, str]


def explain(config: Config, stages: Sequence[Stage[Any]]) -> Explanation:
    """Explain what `run` would do now; change nothing. Raises ConfigError."""
    use(config.storage)
    check_settings(stages, config.params, config.settings)
    store = Store(config.folder, listed=True)
    past = functools.partial(past_rows, store)
    plan = make_plan(in_order(stages), config.params, config.settings, past)
    with Warnings(Plain()), Footers(store, read_only=True) as footers:
        racy_rows = racy.by_source(plan, racy.read(store))
        return _foreseen(Resolver(plan, store, footers, config.params, config.settings, racy_rows, read_only=True))


def _foreseen(resolver: Resolver) -> Explanation:
    """Resolve every task whose inputs are known.

    For any other task, the reason names a stale input."""
    receipts: dict[Address, Receipt] = {}
    reasons: dict[Address, str] = {}
    current: dict[Address, str] = {}
    for node in sorted(resolver.plan.nodes.values(), key=lambda node: node.rank):
        stale = [needed for needed in node.task.inputs if needed not in receipts]
        if stale:
            more = f" and {len(stale) - 1} more" if len(stale) > 1 else ""
            reasons[node.address] = f"unknown until its inputs are computed: {'/'.join(stale[0])}{more}"
            continue
        verdict = resolver.resolve(node, receipts)
        if verdict.receipt:
            receipts[node.address] = verdict.receipt
            current[node.address] = verdict.receipt.name
        else:
            reasons[node.address] = verdict.reason
            if node.stage.source:
                receipts[node.address] = resolver.foreseen(node, verdict)
    return Explanation(resolver.plan, current, reasons)
