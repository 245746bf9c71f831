"""Run dry runs, applies and undos for the page, one at a time, with the code of `apply` and `undo`.

A dry run fixes the plan and the options of `apply`; a digest identifies both. `apply` accepts the digest once, and only
while the decisions are those of the dry run: a window that shows other decisions can't act, and a request that is sent
twice acts once."""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.messages.errors import ConfigError, FastDiffError
from pipeline.store.atomic import atomic_write
from pipeline.store.backends.locations import at_home
from stages.commands.apply.actions import ACTIONS, CHOICES, MERGE, REPORT, WITH
from stages.commands.apply.alone import alone
from stages.commands.apply.exiftool import check_installed
from stages.commands.apply.follow import apply
from stages.commands.apply.journal import Journal, read_journal
from stages.commands.apply.options import check_options, warning
from stages.commands.apply.take_back import undo
from stages.commands.apply.tally import as_dict, by_folders, details, restored, totals
from stages.commands.plan.plan_file import RemovalPlan, checked
from stages.commands.review.jobs import Lines, PageJob, Stale
from stages.listing.path_text import show


@dataclass(frozen=True)
class ActOptions:
    """What a page asks for; the options of the command `apply`. `to` is a folder as text."""

    action: str
    to: str = ""
    companions: str = WITH
    merge_metadata: bool = False


@dataclass(frozen=True)
class _Prepared:
    """A plan that a dry run showed, and that `apply` may carry out once."""

    digest: str
    revision: int
    data: Mapping[str, Any]
    plan: RemovalPlan
    options: ActOptions
    to: Path | None

    def act(self, work: PageJob, journal: Journal | None) -> Lines:
        """Apply the plan, without a journal as a dry run, and fill in the job's outcome."""
        action, tally = self.options.action, work.tally
        written = journal.path if journal else None
        try:
            yield from apply(
                self.plan, action, self.to, journal, tally, self.options.companions, self.options.merge_metadata
            )
        finally:
            folders = by_folders(tally, self.plan)
            work.outcome = as_dict(tally, action, written, folders) | {"merging": self.options.merge_metadata}
            work.summary = list(totals(tally, action, written))
            work.details = list(details(tally, action, written, folders))


class Acts:
    """Jobs of one run's page. `folder` gets plans and journals."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._prepared: _Prepared | None = None
        self._thread: threading.Thread | None = None
        self._known: dict[Path, tuple[tuple[int, int], dict[str, Any], frozenset[bytes]]] = {}
        self.work: PageJob | None = None

    def prepare(self, data: Mapping[str, Any], options: ActOptions, revision: int) -> dict[str, Any]:
        """Check a plan, begin its dry run, and return the plan's digest. Raises ConfigError, Stale."""
        for name, value, known in (
            ("an action", options.action, (REPORT, *ACTIONS)),
            ("companions", options.companions, CHOICES),
        ):
            if value not in known:
                raise ConfigError(f"expected {name} of {', '.join(known)}, got {value!r}")
        if options.merge_metadata:
            check_installed()
        plan = checked(data, "the plan")
        target = _folder(options.to) if options.action == "move" else None
        check_options(plan, options.action, target)
        removed = [file for file, _ in plan.removed]
        text = json.dumps([data, asdict(options) | {"to": str(target or "")}], sort_keys=True)
        prepared = _Prepared(hashlib.sha256(text.encode()).hexdigest(), revision, data, plan, options, target)
        work = PageJob("dry run", len(removed), prepared.digest)
        with self._lock:
            self._begin(work, lambda: prepared.act(work, None))
            self._prepared = prepared
        message = warning(plan, target) if target else ""
        return {"digest": prepared.digest, "files": len(removed), "warning": message}

    def apply(self, digest: str, revision: int) -> None:
        """Begin to act on the plan with this digest. Raises ConfigError, Stale, OSError."""
        with self._lock:
            prepared = self._prepared
            if prepared is None or prepared.digest != digest:
                raise Stale("this window shows another plan, or the plan was applied; do the dry run again")
            if prepared.revision != revision:
                raise Stale("the decisions have changed since the dry run; do the dry run again")
            if prepared.options.action == REPORT:
                raise ConfigError("expected an action that changes files, got report")
            self._refuse_if_busy()
            path = self._name()
            self._folder.mkdir(parents=True, exist_ok=True)
            with atomic_write(path, durable=True) as file:
                file.write(json.dumps(prepared.data, indent=1).encode())
            journal = path.with_suffix(".jsonl")
            work = PageJob("apply", sum(1 for _ in prepared.plan.removed), digest)

            def lines() -> Lines:
                with Journal(journal) as opened:
                    yield from prepared.act(work, opened)

            self._prepared = None
            self._begin(work, lines)

    def undo(self, name: str, digest: str) -> None:
        """Begin to undo a journal. Raises ConfigError, Stale."""
        with self._lock:
            path = next((path for path in self._journals() if path.name == name), None)
            if path is None:
                raise ConfigError("expected a journal of this page")
            self._refuse_if_busy()
            if _digest(path) != digest:
                raise Stale("this journal has changed since the window was drawn")
            work = PageJob("undo", len(read_journal(path).acts), digest, of_acts=True)

            def lines() -> Lines:
                try:
                    yield from undo(path, work.tally)
                finally:
                    work.summary = [restored(work.tally)]
                    work.outcome = {"files": work.tally.done, "left_alone": dict(work.tally.refused)}

            self._prepared = None
            self._begin(work, lines)

    def stop(self) -> None:
        """Ask the present job to end after its group of files."""
        if self.work:
            self.work.stop.set()

    def wait(self) -> None:
        """Stop the present job, and wait for its end."""
        self.stop()
        if self._thread:
            self._thread.join()

    def journals(self) -> tuple[list[dict[str, Any]], set[bytes]]:
        """Return the page's journals, the latest first, and the true paths of files that an act took away."""
        found: list[dict[str, Any]] = []
        away: set[bytes] = set()
        for path in reversed(self._journals()):
            try:
                stat = path.stat()
                version = (stat.st_size, stat.st_mtime_ns)
                known = self._known.get(path)
                if known is None or known[0] != version:
                    known = self._known[path] = (version, *_read(path))
            except (OSError, ConfigError):
                continue
            found.append(known[1])
            away |= known[2]
        return found, away

    def _journals(self) -> list[Path]:
        return sorted(self._folder.glob("plan-*.jsonl"))

    def _name(self) -> Path:
        stamp = time.strftime("%Y%m%d-%H%M%S")
        numbers = ("", *(f"-{number}" for number in range(2, 1000)))
        names = (self._folder / f"plan-{stamp}{number}.json" for number in numbers)
        return next(name for name in names if not name.exists())

    def _refuse_if_busy(self) -> None:
        if self.work and not self.work.ended:
            raise Stale(f"the page's {self.work.name} is not finished; wait for its end")

    def _begin(self, work: PageJob, lines: Callable[[], Lines]) -> None:
        self._refuse_if_busy()
        self.work = work
        self._thread = threading.Thread(target=self._run, args=(work, lines))
        self._thread.start()

    def _run(self, work: PageJob, lines: Callable[[], Lines]) -> None:
        try:
            with alone(), contextlib.closing(lines()) as told:
                for line in told:
                    work.add(line)
                    if work.stop.is_set():
                        work.error = f"stopped after {work.done:,} of {work.total:,} files"
                        break
        except FastDiffError as error:
            work.error = " ".join(error.lines)
        except OSError as error:
            work.error = f"{error.filename or self._folder}: {error.strerror or error}"
        except Exception as error:  # the page must learn of the end
            work.error = f"{type(error).__name__}: {error}"
        finally:
            work.ended = True


def _folder(text: str) -> Path:
    """Return the folder that a reviewer typed. Raises ConfigError."""
    path = Path(at_home(text.strip())) if text.strip() and "\0" not in text else None
    if path is None or not path.is_absolute():
        raise ConfigError(f"expected a folder to move to, with its whole path, such as ~/duplicates, got {text!r}")
    return path


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _read(path: Path) -> tuple[dict[str, Any], frozenset[bytes]]:
    """Return what the page shows of a journal, and the paths of files that an act took away."""
    acts = read_journal(path).acts
    away = [act for act in acts if act["state"] in ("begin", "done")]
    return {
        "name": path.name,
        "digest": _digest(path),
        "action": next((act["action"] for act in acts if act["action"] != MERGE), MERGE if acts else ""),
        "files": len(acts),
        "away": len(away),
        "to": sorted({show(bytes.fromhex(act["path"]).rpartition(b"/")[0]) for act in away})[:3],
    }, frozenset(bytes.fromhex(act["path"]) for act in away)
