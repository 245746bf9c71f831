"""Decide which artifacts are current and which tasks must run, and why."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pyarrow.compute as pc

from pipeline.config.settings import plain
from pipeline.messages.errors import ArtifactDamaged
from pipeline.plan.bases import PastArtifact, PastArtifacts, Reads, combinations, reads_of
from pipeline.plan.call import BasePaths, Call, Context, Receipt
from pipeline.plan.fingerprint import (
    SHORT,
    canonical,
    content,
    digest,
    digest_of_list,
    digest_of_task,
    encoded_texts,
    recipe,
)
from pipeline.plan.reasons import UNREADABLE_ARTIFACT, difference, without
from pipeline.plan.span_index import SpanIndex
from pipeline.plan.tasks import Node, Plan
from pipeline.stage import Address, Settings
from pipeline.store.artifact import Record, StoredArtifact, artifact_name
from pipeline.store.backends.locations import in_use
from pipeline.store.footers import Footers
from pipeline.store.store import RETIRED, SUMMARY, Store

PARTS = 1 << 12
"""Largest number of cached encodings of inputs: see `Resolver._part`."""


class Verdict(NamedTuple):
    """A call, with the receipt if its artifact is current, else with the reason why the task must run."""

    call: Call
    receipt: Receipt | None = None
    reason: str = ""


@dataclass
class Resolver:
    """Resolves tasks whose inputs are known.

    With `read_only` nothing on disk changes (`status`, `explain`)."""

    plan: Plan
    store: Store
    footers: Footers
    params: Mapping[str, Any]
    settings: Settings
    racy: Mapping[Address, Collection[str]] = field(default_factory=dict)
    read_only: bool = False

    def __post_init__(self) -> None:
        stages = {node.stage.name: node.stage for node in self.plan.nodes.values()}
        self.contexts = {
            name: Context(
                stage,
                self.params[name],
                self.store.folder,
                {key: self.settings(key) for key in (*stage.used(self.settings), *stage.cache_key.limits)},
                recipe(stage, self.params[name], self.settings),
                in_use(),
            )
            for name, stage in stages.items()
        }
        self.reads = {name: stage.cache_key.reads(self.params[name], self.settings) for name, stage in stages.items()}
        self._recipes = {name: canonical(context.recipe) for name, context in self.contexts.items()}
        self._parts: dict[tuple[str, Address], tuple[Mapping[str, str], bytes]] = {}
        self._past = PastArtifacts(self.footers)
        self._by_span: dict[str, SpanIndex] = {}

    def resolve(self, node: Node, receipts: Mapping[Address, Receipt]) -> Verdict:
        """Decide whether a task must run; all its inputs must have receipts."""
        call = self._call(node, receipts)
        name = artifact_name(node.task.key, call.fingerprint, node.task.filename)
        record = self._current(node, call, name) or self._restored(node, call, name)
        if record is None:
            return Verdict(self._with_earlier(node, call), None, self._reason(node, call, name))
        distrust = self._stale_rows(node, name)
        if distrust or node.stage.reuse.retry(record.summary, call.context.params):
            forced = call._replace(forced=True, distrust=frozenset(distrust))
            reason = f"input changed, with equal size and time: {len(distrust)}" if distrust else "errors to try again"
            return Verdict(self._with_earlier(node, forced), None, reason)
        return Verdict(call, Receipt(name, record.content, record.rows, record.summary))

    def foreseen(self, node: Node, verdict: Verdict) -> Receipt:
        """Return the receipt that a source's task will have once its table is published."""
        table = self.plan.sources[node.address]
        name = artifact_name(node.task.key, verdict.call.fingerprint, node.task.filename)
        return Receipt(name, {**(verdict.call.content or {})} | {SUMMARY: digest({})[:32]}, table.num_rows)

    def _call(self, node: Node, receipts: Mapping[Address, Receipt]) -> Call:
        """Return a task's call, with the digest of all that determines the content."""
        inputs = [(stage, key, receipts[stage, key].name) for stage, key in node.task.inputs]
        if found := content(self.plan.sources[node.address]) if node.stage.source else None:
            digests = {"found": digest(found)[:SHORT]}
        else:
            digests = self._input_digests(node, lambda needed: receipts[needed].content)
        context = self.contexts[node.stage.name]
        task = node.task
        fingerprint = digest_of_task(self._recipes[node.stage.name], task.key, task.spec, digests)
        return Call(context, task, fingerprint, digests, inputs, content=found)

    def _input_digests(
        self, node: Node, content: Callable[[Address], Mapping[str, str]], reads: Reads | None = None
    ) -> dict[str, str]:
        """Return a digest for each input stage, of the columns that the task reads.

        `content` returns the column digests of an input. `reads` overrides the columns that the stage reads now."""
        by_stage: dict[str, list[Address]] = {}
        for needed in node.task.inputs:
            by_stage.setdefault(needed[0], []).append(needed)
        return {
            stage: digest_of_list(self._part(node.stage.name, needed, content(needed), reads) for needed in inputs)[
                :SHORT
            ]
            for stage, inputs in by_stage.items()
        }

    def _part(self, reader: str, needed: Address, content: Mapping[str, str], reads: Reads | None) -> bytes:
        """Return the encoding of an input in the fingerprint of a task of stage `reader`.

        The encoding covers the digests of the columns that the stage reads, and of the summary. The latest encodings
        are cached, since many tasks share an input."""
        if (known := self._parts.get((reader, needed))) and known[0] is content and reads is None:
            return known[1]
        columns = (self.reads[reader] if reads is None else reads).get(needed[0])
        if columns is None:
            columns = sorted(set(content) - {SUMMARY})
        part = encoded_texts([needed[1], *[content.get(column, "") for column in columns], content[SUMMARY]])
        if len(self._parts) >= PARTS:
            self._parts.clear()
        if reads is None:
            self._parts[reader, needed] = content, part
        return part

    def _current(self, node: Node, call: Call, name: str) -> Record | None:
        """Return the record of the task's artifact with this fingerprint, if any."""
        if name not in self.footers.names(node.stage.name):  # faster than catching the exception of a missing file
            return None
        with contextlib.suppress(ArtifactDamaged):
            record = self.footers.record(node.stage.name, name, node.task.key)
            if record.fingerprint == call.fingerprint and self.store.files_there(record):
                return record
        return None

    def _restored(self, node: Node, call: Call, name: str) -> Record | None:
        """Restore a retired artifact that has this fingerprint, if any; return its record."""
        retired = artifact_name(node.task.key, call.fingerprint)
        folder = f"{node.stage.name}/{RETIRED}"
        if retired not in self.footers.names(folder):
            return None
        path = self.store.folder / folder / retired
        try:
            record = self.footers.record(folder, retired, node.task.key)
            for _ in StoredArtifact(node.stage.name, node.task.key, path).batches():
                continue  # verify every page: a user's own script may read without verifying
        except ArtifactDamaged:
            return None
        if record.fingerprint != call.fingerprint or not self.store.files_there(record, contents=True):
            return None
        if not self.read_only:
            self.store.take_back(node.stage.name, retired, name)
            self.footers.forget(folder, retired)
        return record

    def _stale_rows(self, node: Node, name: str) -> Collection[str]:
        racy = [row for needed in node.task.inputs for row in self.racy.get(needed, ())]
        if not racy or not node.stage.reuse.recheck:
            return ()
        artifact = StoredArtifact(node.stage.name, node.task.key, self.store.path(node.stage.name, name))
        with contextlib.suppress(ArtifactDamaged):
            return node.stage.reuse.recheck(artifact, racy)
        return racy

    def _with_earlier(self, node: Node, call: Call) -> Call:
        """Add the earlier artifacts to a call: some to copy rows from, some to build on."""
        stage = node.stage
        if stage.reuse.builds_on is not None:
            call = call._replace(bases=tuple(self._bases(node, call)))
        if not stage.reuse.columns or not node.task.inputs:
            return call
        first = self.plan.sources.get(node.task.inputs[0])
        if first is None or not first.num_rows:
            return call
        if stage.name not in self._by_span:
            recipe = without(plain(call.context.recipe), "libraries", stage.cache_key.optional)
            alike = (
                (path, record.span)
                for path, record in self._past.records(stage.name)
                if record.span and without(record.recipe, "libraries", stage.cache_key.optional) == recipe
            )
            self._by_span[stage.name] = SpanIndex(alike)
        ends = pc.min_max(first.column(stage.reuse.columns[0])).as_py()
        return call._replace(reusable=tuple(self._by_span[stage.name].between(ends["min"], ends["max"])))

    def _bases(self, node: Node, call: Call) -> Iterator[BasePaths]:
        """Yield the earlier artifacts that this task may build on, the latest first."""
        free = node.stage.reuse.builds_on or ()
        versions = self._versions(node.address)
        recipe = without(plain(call.context.recipe), "params", free) if versions else {}
        for made, path, record in versions:
            if record.fingerprint != call.fingerprint and without(record.recipe, "params", free) == recipe:
                inputs = self._inputs_of(node, record, made)
                if inputs is not None:
                    yield BasePaths(path, inputs, record.recipe["params"])

    def _inputs_of(self, node: Node, record: Record, made: int) -> list[str] | None:
        """Return the paths of an artifact's inputs, found by digests, if all exist.

        `made` is the artifact's modification time in nanoseconds."""
        reads = reads_of(node.stage, record, self.settings)
        for chosen in combinations([self._versions(needed) for needed in node.task.inputs], made):
            contents = {
                needed: version.record.content for needed, version in zip(node.task.inputs, chosen, strict=True)
            }
            if self._input_digests(node, contents.__getitem__, reads) == record.inputs:
                return [version.path for version in chosen]
        return None

    def _versions(self, address: Address) -> list[PastArtifact]:
        return self._past.versions(address, self.plan.nodes[address].task.filename)

    def _reason(self, node: Node, call: Call, name: str) -> str:
        stage = node.stage.name
        if name in self.footers.names(stage):
            try:
                record = self.footers.record(stage, name, node.task.key)
            except ArtifactDamaged:
                return UNREADABLE_ARTIFACT
            return (
                "missing: files beside the artifact"
                if record.fingerprint == call.fingerprint
                else difference(record, call)
            )
        for folder, other in reversed(self._past.by_key(stage).get(node.task.key, [])):
            with contextlib.suppress(ArtifactDamaged):
                return difference(self.footers.record(folder, other, node.task.key), call)
        return "missing"
