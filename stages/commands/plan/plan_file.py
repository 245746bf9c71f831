"""Read and check the plan file.

The file is JSON that lists, for each cluster, the images to keep and to remove.

    {"fast-diff-plan": 1, "run": "outputs/holiday", "references": ["/photos/master"], "clusters": [
      {"cluster": 0, "reason": "more pixels", "keep": [FILE, ...], "remove": [FILE, ...]}, ...]}

A FILE is {"path", "bytes", "mtime_ns", "digest"}, and "path_bytes" in hex if its name is not UTF-8: enough to tell
whether a file has changed since the run. "reason", optional, says why the first file of "keep" is the keeper.
A FILE of "remove" has "companions", if any: [{"name", "bytes", "mtime_ns"}, ...]; "companion_patterns" and "extensions"
are the run's `companions.patterns` and `scan.extensions`. The report's page and users write plans, too; `read_plan`
takes a missing "mtime_ns" and missing companions from the run.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as validated

from pipeline.messages.errors import ConfigError
from pipeline.store.backends.locations import inside, place, protocol_of
from pipeline.store.backends.storage import read_bytes
from stages.commands.plan.companions import PlannedCompanion, companions_of, may_accompany, naming_of
from stages.commands.results.tables import load_run
from stages.comparing.text import one_line
from stages.decoding.location import SEPARATOR
from stages.listing import companions
from stages.listing.path_text import show

FORMAT = "fast-diff-plan"
VERSION = 1
FORBID = ConfigDict(extra="forbid", populate_by_name=True)


@validated(frozen=True, config=FORBID)
class PlannedFile:
    """A file at the time of the run.

    `path`: name in messages; `path_bytes`: true name in hex, if it is not UTF-8."""

    path: str
    bytes: int
    digest: str
    mtime_ns: int | None = None
    path_bytes: Annotated[str, Field(pattern=r"^(?:[0-9a-f]{2})+$")] | None = None
    companions: tuple[PlannedCompanion, ...] = ()


def name_of(file: PlannedFile) -> bytes:
    """Return a file's true name as bytes."""
    return bytes.fromhex(file.path_bytes) if file.path_bytes else file.path.encode()


def path_of(file: PlannedFile) -> Path:
    """Return the path of a local file."""
    return Path(os.fsdecode(name_of(file)))


def is_path(text: str) -> bool:
    """Return whether a text is a path on this machine: neither a URL nor empty."""
    return bool(text) and protocol_of(text) is None


def is_local(file: PlannedFile) -> bool:
    """Return whether a file is on this machine's disks, not on an object store."""
    return name_of(file).startswith(b"/")


def container_of(file: PlannedFile) -> Path | None:
    """Return the container file on this machine's disks that an image is inside of.

    Returns None for a file of its own."""
    name = name_of(file)
    if not name.startswith(b"/"):
        return None
    ends = [found.start() for found in re.finditer(re.escape(SEPARATOR), name)]
    inside = (
        Path(os.fsdecode(name[:end]))
        for end in ends
        if not os.path.isdir(name[: end + 1])  # noqa: PTH112  # names of any bytes
    )
    return next((path for path in inside if path.is_file()), None)


@validated(frozen=True, config=FORBID)
class Group:
    """One cluster: the files to keep, and the files to remove.

    `reason`: why the first file of `keep` is the keeper."""

    cluster: int
    keep: tuple[PlannedFile, ...]
    remove: tuple[PlannedFile, ...] = ()
    reason: str | None = None


@validated(frozen=True, config=FORBID)
class RemovalPlan:
    """The clusters of a run with files to remove.

    No file below `references` is ever removed.

    `companion_patterns` is None where the companions of the files are unknown."""

    clusters: tuple[Group, ...]
    run: str = ""
    references: tuple[str, ...] = ()
    companion_patterns: tuple[Annotated[str, AfterValidator(companions.checked)], ...] | None = None
    extensions: Literal["default"] | tuple[str, ...] = "default"
    version: int = Field(default=VERSION, alias="fast-diff-plan")

    @property
    def removed(self) -> Iterator[tuple[PlannedFile, Group]]:
        """Yield every file to remove, with its cluster."""
        return ((file, group) for group in self.clusters for file in group.remove)


def read_plan(path: Path) -> RemovalPlan:
    """Read a plan.

    Raises ConfigError where the file is not a valid plan."""
    try:
        data = json.loads(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"{path} can't be read ({error.strerror}); expected a plan") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is not a plan: not JSON ({error})") from error
    return checked(data, str(path))


def checked(data: Any, where: str) -> RemovalPlan:
    """Return a plan from JSON data. Raises ConfigError."""
    if not isinstance(data, dict) or data.get(FORMAT) != VERSION:
        raise ConfigError(
            f"{where} is not a plan: expected {{{FORMAT!r}: {VERSION}, ...}}, as `fast-diff plan` writes it"
        )
    try:
        plan = TypeAdapter(RemovalPlan).validate_json(json.dumps(data), strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise ConfigError(
            f"{where} is not a plan: {place}: {first['msg']}; write a new plan with `fast-diff plan`"
        ) from error
    references = inputs_of(plan.run).get("reference", [])
    plan = replace(plan, references=tuple(dict.fromkeys([*plan.references, *references])))
    if plan.run and any(file.mtime_ns is None for file, _ in plan.removed):
        plan = _dated(plan)
    if plan.run and plan.companion_patterns is None:
        plan = _accompanied(plan)
    for problem in _problems(plan):
        raise ConfigError(f"{where}: {problem}")
    return plan


def inputs_of(run: str) -> dict[str, list[str]]:
    """Return the inputs of a run's config: folders by set, and references.

    Returns an empty mapping if no such run exists."""
    if not run:
        return {}
    with contextlib.suppress(Exception):  # object-store libraries raise errors of any kind
        return dict(json.loads(read_bytes(place(run) / "run.json"))["config"]["inputs"])
    return {}


def _dated(plan: RemovalPlan) -> RemovalPlan:
    """Return the plan with the modification times that its run has recorded.

    Without the run, times stay unknown."""
    known: dict[str, int] = {}
    wanted = {file.path for group in plan.clusters for file in (*group.keep, *group.remove)}
    with contextlib.suppress(Exception):
        for table in load_run(place(plan.run)).tables("scan", ("path", "mtime_ns")):
            times = zip(table["path"].to_pylist(), table["mtime_ns"].to_pylist(), strict=True)
            known |= {path: time for path, time in times if path in wanted}

    def dated(files: tuple[PlannedFile, ...]) -> tuple[PlannedFile, ...]:
        return tuple(replace(file, mtime_ns=file.mtime_ns or known.get(file.path)) for file in files)

    groups = (replace(group, keep=dated(group.keep), remove=dated(group.remove)) for group in plan.clusters)
    return replace(plan, clusters=tuple(groups))


def _accompanied(plan: RemovalPlan) -> RemovalPlan:
    """Return the plan with the companions that its run has recorded.

    Without the run, companions stay unknown."""
    with contextlib.suppress(Exception):
        results = load_run(place(plan.run))
        if naming := naming_of(results.summary["config"]):
            known = companions_of(results, {file.path for file, _ in plan.removed})
            companions_by_path = {
                path: tuple(PlannedCompanion(**each) for each in found) for path, found in known.items()
            }
            groups = [
                replace(
                    group, remove=tuple(replace(f, companions=companions_by_path.get(f.path, ())) for f in group.remove)
                )
                for group in plan.clusters
            ]
            return replace(plan, clusters=tuple(groups), **naming)
    return plan


def _problems(plan: RemovalPlan) -> Iterator[str]:
    for reference in plan.references:
        if not reference.startswith("/") and "://" not in reference:
            yield f"references: expected absolute paths, got {one_line(reference)!r}"
    seen: dict[bytes, int] = {}
    for group in plan.clusters:
        if group.remove and not group.keep:
            yield f"cluster {group.cluster}: every image would be removed; expected at least one in `keep`"
        for file in (*group.keep, *group.remove):
            name, place = name_of(file), f"cluster {group.cluster}: {one_line(file.path)}"
            if name in seen:
                yield f"{place} is also in cluster {seen[name]}; expected each file in one cluster only"
            if file.path_bytes and show(name) != file.path:
                yield f"{place}: path and path_bytes differ; expected path {one_line(show(name))}"
            if b"\0" in name or (not name.startswith(b"/") and "://" not in file.path):
                yield f"{place}: expected an absolute path"
            if name.startswith(b"/") and (os.path.normpath(name) != name or name.startswith(b"//")):
                yield f"{place}: expected a path without ., .. and //"
            for each in file.companions:
                if not may_accompany(each.name, name.rpartition(b"/")[2]):
                    yield f"{place}: expected companions that begin with its stem, got {one_line(each.name)!r}"
            seen[name] = group.cluster
            if file in group.remove and (root := reference_of(file, plan.references)) is not None:
                yield f"{place} lies in the reference {root}, which is never touched; keep it"


def _true(path: str) -> str:
    """Return the real path of a path as text; a URL is returned unchanged."""
    if protocol_of(path) is not None:
        return path
    # bytes, since the locale may be unable to encode some characters
    return show(os.path.realpath(path.encode("utf-8", "surrogateescape")))


def reference_of(file: PlannedFile, references: Collection[str]) -> str | None:
    """Return the reference that contains a file, by name or by real path, if any."""
    names = {file.path} | ({show(os.path.realpath(name_of(file)))} if is_local(file) else set())
    roots = ((root, name) for root in references for name in (root.rstrip("/"), _true(root)))
    return next((root for root, top in roots if any(inside(name, top) for name in names)), None)
