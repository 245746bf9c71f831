"""What is current, what must run, and why."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import ArtifactDamaged
from pipeline.fingerprint import SHORT, content, digest, recipe
from pipeline.plan import Node, Plan
from pipeline.stage import Address, Settings
from pipeline.store import RETIRED, SUMMARY, Record, Store, StoredArtifact, artifact_name, read_record
from pipeline.task import Call, Context, Earlier, Receipt, current, receipt_of

VERSIONS = 4
"""Earlier artifacts of a task that are looked at, the latest first."""


@dataclass(frozen=True)
class Verdict:
    """Whether a task's artifact is current (`receipt`), or the call that makes it and the reason why."""

    call: Call
    receipt: Receipt | None = None
    reason: str = ""


@dataclass
class Resolver:
    """Judges tasks whose inputs are known. `read_only` leaves the disk as it is (`status`, `explain`)."""

    plan: Plan
    store: Store
    params: Mapping[str, Any]
    settings: Settings
    doubts: Mapping[Address, Collection[str]] = field(default_factory=dict)
    read_only: bool = False

    def __post_init__(self) -> None:
        stages = {node.stage.name: node.stage for node in self.plan.nodes.values()}
        self.contexts = {
            name: Context(
                stage,
                self.params[name],
                self.store.folder,
                {key: self.settings(key) for key in stage.used(self.settings)},
                recipe(stage, self.params[name], self.settings),
            )
            for name, stage in stages.items()
        }
        self.reads = {name: stage.reads(self.params[name], self.settings) for name, stage in stages.items()}
        self._earlier: dict[str, dict[str, list[str]]] = {}
        self._records: dict[str, list[tuple[str, Record]]] = {}

    def judge(self, node: Node, receipts: Mapping[Address, Receipt]) -> Verdict:
        """Whether a task must run; all its inputs must have receipts."""
        call = self._call(node, receipts)
        name = artifact_name(node.task.key, call.fingerprint, node.task.filename)
        record = current(self.store, node.stage.name, node.task.key, name, call.fingerprint)
        if record is None:
            record = self._taken_back(node, call, name)
        if record is None:
            return Verdict(self._with_donors(node, call), None, self._reason(node, call, name))
        distrust = self._no_longer_true(node, name)
        if record.retry or distrust:
            forced = Call(**{**vars(call), "forced": True, "distrust": frozenset(distrust)})
            reason = f"input changed: {len(distrust)} with equal size and time" if distrust else "errors to try again"
            return Verdict(self._with_donors(node, forced), None, reason)
        return Verdict(call, receipt_of(record, name))

    def foreseen(self, node: Node, verdict: Verdict) -> Receipt:
        """The receipt that publishing a source's table will give."""
        table = self.plan.sources[node.address]
        name = artifact_name(node.task.key, verdict.call.fingerprint, node.task.filename)
        return Receipt(name, content(table) | {SUMMARY: digest({})[:32]}, table.num_rows, 0)

    def _call(self, node: Node, receipts: Mapping[Address, Receipt]) -> Call:
        """The call for a task, with its fingerprint: all that determines its content, and nothing else."""
        inputs = [(stage, key, receipts[stage, key].name) for stage, key in node.task.inputs]
        digests = self._input_digests(node, {needed: receipts[needed].content for needed in node.task.inputs})
        if node.stage.source:
            digests = {"found": digest(content(self.plan.sources[node.address]))[:SHORT]}
        context = self.contexts[node.stage.name]
        determined_by = {"recipe": context.recipe, "key": node.task.key, "spec": node.task.spec, "inputs": digests}
        return Call(context, node.task, digest(determined_by), digests, inputs)

    def _input_digests(self, node: Node, contents: Mapping[Address, Mapping[str, str]]) -> dict[str, str]:
        """Per stage, a digest of what a task reads of its inputs, by the contents of these."""
        by_stage: dict[str, list[list[str]]] = {}
        for stage, key in node.task.inputs:
            content = contents[stage, key]
            columns = self.reads[node.stage.name].get(stage, sorted(set(content) - {SUMMARY}))
            parts = [key, *(content.get(column, "") for column in columns), content[SUMMARY]]
            by_stage.setdefault(stage, []).append(parts)
        return {stage: digest(parts)[:SHORT] for stage, parts in by_stage.items()}

    def _taken_back(self, node: Node, call: Call, name: str) -> Record | None:
        """A retired artifact that this run wants again."""
        retired = artifact_name(node.task.key, call.fingerprint)
        path = self.store.folder / node.stage.name / RETIRED / retired
        if not path.is_file():
            return None
        try:
            record = read_record(path, node.stage.name, node.task.key)
            for _ in StoredArtifact(node.stage.name, node.task.key, path).batches():
                continue  # whoever reads it next may be a user's own script, which checks nothing
        except ArtifactDamaged:
            return None
        if record.fingerprint != call.fingerprint or not self.store.files_there(record, contents=True):
            return None
        if not self.read_only:
            self.store.take_back(node.stage.name, retired, name)
        return record

    def _no_longer_true(self, node: Node, name: str) -> Collection[str]:
        doubts = [row for needed in node.task.inputs for row in self.doubts.get(needed, ())]
        if not doubts or not node.stage.recheck:
            return ()
        artifact = StoredArtifact(node.stage.name, node.task.key, self.store.path(node.stage.name, name))
        try:
            return node.stage.recheck(artifact, doubts)
        except ArtifactDamaged:
            return doubts

    def _with_donors(self, node: Node, call: Call) -> Call:
        """Earlier artifacts, made in the same way, whose rows overlap with this task's."""
        stage = node.stage
        if stage.builds_on is not None:
            call = Call(**{**vars(call), "before": tuple(self._built_on(node, call))})
        if not stage.reuse or not node.task.inputs:
            return call
        first = self.plan.sources.get(node.task.inputs[0])
        if first is None or not first.num_rows:
            return call
        ends = pc.min_max(first.column(stage.reuse[0])).as_py()
        donors = [
            path
            for path, record in self._all_records(stage.name)
            if record.recipe == _as_json(call.context.recipe)
            and record.span
            and record.span[0] <= ends["max"]
            and ends["min"] <= record.span[1]
        ]
        return Call(**{**vars(call), "earlier": tuple(donors)})

    def _built_on(self, node: Node, call: Call) -> Iterator[Earlier]:
        """Earlier artifacts of this task on which it may build, the latest first."""
        assert node.stage.builds_on is not None
        recipe = _but_for(_as_json(call.context.recipe), node.stage.builds_on)
        for path, record in self._versions(node.address):
            if record.fingerprint != call.fingerprint and _but_for(record.recipe, node.stage.builds_on) == recipe:
                inputs = self._inputs_of(node, record)
                if inputs is not None:
                    yield Earlier(path, inputs, record.recipe["params"])

    def _inputs_of(self, node: Node, record: Record) -> list[str] | None:
        """The artifacts that one was made from, if all are still there; their digests tell."""
        versions = [self._versions(needed) for needed in node.task.inputs]
        for chosen in itertools.islice(itertools.product(*versions), VERSIONS**2):
            contents = {needed: other.content for needed, (_, other) in zip(node.task.inputs, chosen, strict=True)}
            if self._input_digests(node, contents) == record.inputs:
                return [path for path, _ in chosen]
        return None

    def _versions(self, address: Address) -> list[tuple[str, Record]]:
        """Artifacts of one task, this run's and retired ones, the latest first."""
        stage, key = address
        found = []
        for name in self._by_key(stage).get(key, []):
            with contextlib.suppress(ArtifactDamaged, OSError):
                path = self.store.folder / stage / name
                found.append((path.stat().st_mtime_ns, f"{stage}/{name}", read_record(path, stage, key)))
        return [(name, record) for _, name, record in sorted(found, key=lambda each: each[:2], reverse=True)[:VERSIONS]]

    def _by_key(self, stage: str) -> Mapping[str, list[str]]:
        """Names of the artifacts in a stage's folder, retired ones first, by the key of their task."""
        if stage not in self._earlier:
            by_key: dict[str, list[str]] = {}
            for folder, names in ((RETIRED, self.store.retired(stage)), ("", self.store.names(stage))):
                for other in names:
                    by_key.setdefault(other.rpartition("-")[0], []).append(f"{folder}/{other}" if folder else other)
            self._earlier[stage] = by_key
        return self._earlier[stage]

    def _all_records(self, stage: str) -> list[tuple[str, Record]]:
        """Footers of all the artifacts of a stage, retired ones first; read once."""
        if stage not in self._records:
            names = [f"{stage}/{RETIRED}/{name}" for name in self.store.retired(stage)]
            names += [f"{stage}/{name}" for name in self.store.names(stage)]
            found = []
            for name in names:
                try:
                    found.append((name, read_record(self.store.folder / name, stage, name)))
                except ArtifactDamaged:
                    continue  # no donor, and no news: whoever needs it finds it missing
            self._records[stage] = found
        return self._records[stage]

    def _reason(self, node: Node, call: Call, name: str) -> str:
        stage = node.stage.name
        if self.store.path(stage, name).exists():
            try:
                record = read_record(self.store.path(stage, name), stage, node.task.key)
            except ArtifactDamaged:
                return "unreadable"
            if record.fingerprint == call.fingerprint:
                return "missing: files beside it"
            return difference(record, call)
        for other in reversed(self._by_key(stage).get(node.task.key, [])):
            try:
                return difference(read_record(self.store.path(stage, other), stage, node.task.key), call)
            except ArtifactDamaged:
                continue
        return "missing"


def _but_for(recipe: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    """A recipe without some of its parameters."""
    return dict(recipe) | {"params": {key: value for key, value in recipe["params"].items() if key not in names}}


def difference(record: Record, call: Call) -> str:
    """Why an earlier artifact of the same task does not do any more, in words."""
    old, new = record.recipe, _as_json(call.context.recipe)
    if old["version"] != new["version"]:
        return f"version {old['version']} → {new['version']}"
    if old["schema"] != new["schema"] and old["params"] == new["params"]:
        return "version: other columns"
    reasons = _changes("params", old["params"], new["params"]) or _changes(
        "library", old["libraries"], new["libraries"]
    )
    if reasons:
        return reasons
    changed = [name for name, value in call.input_digests.items() if record.inputs.get(name) != value]
    return f"input changed: {', '.join(changed)}" if changed else "missing"


def _changes(what: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    keys = [key for key in {**old, **new} if old.get(key) != new.get(key)]
    return (
        f"{what} changed: " + ", ".join(f"{key} {_show(old.get(key))} → {_show(new.get(key))}" for key in keys)
        if keys
        else ""
    )


def _show(value: Any) -> str:
    return "null" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _as_json(data: Mapping[str, Any]) -> dict[str, Any]:
    """`data` as it comes back from a footer: tuples are lists there."""
    plain: dict[str, Any] = {
        key: _as_json(value) if isinstance(value, Mapping) else list(value) if isinstance(value, tuple) else value
        for key, value in data.items()
    }
    return plain


def doubtful_rows(table: pa.Table, column: str, rows: Collection[str]) -> list[str]:
    """Those of `rows` that stand in a table."""
    return table.column(column).filter(pc.is_in(table.column(column), pa.array(list(rows), pa.string()))).to_pylist()
