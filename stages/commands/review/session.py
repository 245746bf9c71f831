"""One review: the page, the decisions, and the acts of one run. Methods are called by many threads.

A revision counts the batches of decisions; a page names the revision that it shows."""

from __future__ import annotations

import csv
import io
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from pipeline.messages.errors import ConfigError
from pipeline.stage import Settings
from pipeline.store.atomic import atomic_write
from stages.clustering.dismissed import COLUMNS
from stages.commands.apply.actions import WITH
from stages.commands.apply.exiftool import MISSING, is_installed
from stages.commands.dismiss.pairs import MORE
from stages.commands.plan.plan_file import FORMAT, VERSION
from stages.commands.review.acting import ActOptions, Acts
from stages.commands.review.decisions import KINDS, Action, Change, DecisionKey, Decisions
from stages.commands.review.images import ServedImages
from stages.commands.review.jobs import Stale
from stages.commands.review.shown import Shown

FOLDER = "review"
"""Folder of a run with the decisions, and with plans and journals of the page."""
DISMISSED = "dismissed.csv"
HELD = 1000
"""Batches of changes that the server keeps for other windows; a window further behind reads all decisions."""
MOST = 1_000_000
"""Changes in one request, at most."""
RELOAD = "the run has changed since this window was opened; reload the page"
JsonChange: TypeAlias = tuple[str, int | str, bool | None]


class Session:
    """The state of one review; `close` it at the end."""

    def __init__(self, shown: Shown, settings: Settings) -> None:
        self.shown = shown
        self.folder = shown.folder / FOLDER
        self.images = ServedImages(shown, settings)
        self.acts = Acts(self.folder)
        self._lock = threading.RLock()
        self._decisions = Decisions(self.folder / "decisions.jsonl")
        self._revision = 0
        self._batches: deque[list[JsonChange]] = deque(maxlen=HELD)

    def close(self) -> None:
        """Wait for the end of a running action, then close the decisions."""
        self.acts.wait()
        self._decisions.close()

    def check(self, mark: object) -> None:
        """Raise Stale unless a request comes from a window with these images."""
        if mark != self.shown.mark:
            raise Stale(RELOAD)

    def state(self, since: int | None) -> dict[str, Any]:
        """Return the changes since a revision, or all decisions; the steps to undo, the job, and the journals."""
        journals, away = self.acts.journals()
        work = self.acts.work
        gone = sorted(self.shown.names[name] for name in away if name in self.shown.names)
        with self._lock:
            behind = self._revision - since if since is not None else -1
            news: dict[str, Any]
            if 0 <= behind <= len(self._batches):
                batches = list(self._batches)[len(self._batches) - behind :]
                news = {"changes": [change for batch in batches for change in batch]}
            else:
                everything = [Change(kind, *item) for kind in KINDS for item in self._decisions.values[kind].items()]
                at = self._decisions.place
                place = self.shown.numbers.get(at) if at else None
                news = {"all": self._numbered(everything), "at": place, "sidecars": self.shown.sidecars}
            return {
                "mark": self.shown.mark,
                "revision": self._revision,
                **news,
                "undo": self._decisions.undoable,
                "redo": self._decisions.redoable,
                "work": work.shown() if work else None,
                "journals": journals,
                "gone": gone,
                "unmergeable": "" if is_installed() else MISSING,
            }

    def decide(self, actions: object, revision: object, since: int) -> dict[str, Any]:
        """Save decisions on disk; return the state since a revision.

        Raises ConfigError for invalid data; Stale if another window has changed decisions that an `undo` changes."""
        if not isinstance(actions, list):
            raise ConfigError("expected a list of actions")
        read = [self._action(action) for action in actions]
        if sum(len(action.changes) for action in read) > MOST:
            raise ConfigError(f"expected at most {MOST:,} changes")
        with self._lock:
            if revision != self._revision and any(action.does != "do" for action in read):
                raise Stale("another window has changed decisions; nothing was undone")
            changes = self._decisions.write(read)
            self._batches.append(self._numbered(changes))
            self._revision += 1
            if any(change.kind == "dismissed" for change in changes):
                self._write_dismissed()
        return self.state(since)

    def move(self, number: object) -> None:
        """Remember the reviewer's place. Raises ConfigError."""
        with self._lock:
            self._decisions.move(self._image(number))

    def prepare(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Make the plan that a page shows, and begin its dry run. Raises ConfigError, Stale."""
        groups = body.get("clusters")
        if not isinstance(groups, list):
            raise ConfigError("expected a list of clusters")
        with self._lock:
            if body.get("revision") != self._revision:
                raise Stale("another window has changed decisions; look at the list again")
            plan = {
                FORMAT: VERSION,
                "run": str(self.shown.folder.absolute()),
                "references": list(self.shown.references),
                "clusters": [self._group(group) for group in groups],
            }
            return self.acts.prepare(plan, _options(body), self._revision)

    def apply(self, digest: object) -> None:
        """Act on the plan of the last dry run. Raises ConfigError, Stale, OSError."""
        with self._lock:
            self.acts.apply(str(digest), self._revision)

    def _image(self, number: object) -> tuple[str, str]:
        if type(number) is not int or not 0 <= number < len(self.shown.rows):
            raise ConfigError(f"expected the number of an image, got {number!r}")
        return self.shown.image(number)

    def _action(self, action: Any) -> Action:
        """Return an action of a request. Raises ConfigError."""
        does = action.get("does") if isinstance(action, dict) else None
        if does in ("undo", "redo"):
            return Action(does)
        changes, label = (action.get("set"), action.get("label")) if does == "do" else (None, None)
        if not isinstance(changes, list) or not isinstance(label, str) or len(label) > 200:
            raise ConfigError("expected an action: do with a label and changes, undo or redo")
        return Action("do", label, [self._change(change) for change in changes])

    def _change(self, change: Any) -> Change:
        if not isinstance(change, list) or len(change) != 3:
            raise ConfigError("expected a change: kind, key and value")
        kind, key, value = change
        if kind not in KINDS or not (value is None or isinstance(value, bool)):
            raise ConfigError(f"expected a kind of {', '.join(KINDS)} and true, false or null, got {change!r}")
        if kind != "dismissed":
            return Change(kind, self._image(key), value)
        numbers = key.split(" ") if isinstance(key, str) else []
        if len(numbers) != 2 or not all(number.isascii() and number.isdigit() for number in numbers):
            raise ConfigError(f"expected the numbers of two images, got {key!r}")
        first, second = sorted(self._image(int(number)) for number in numbers)
        return Change(kind, (first, second), value)

    def _numbered(self, changes: Sequence[Change]) -> list[JsonChange]:
        """Return changes with the page's numbers; images that are not on the page are left out."""
        found: list[JsonChange] = []
        for kind, key, value in changes:
            number = self._number(kind, key)
            if number is not None:
                found.append((kind, number, value))
        return found

    def _number(self, kind: str, key: DecisionKey) -> int | str | None:
        numbers: Mapping[Any, int] = self.shown.numbers
        if kind != "dismissed":
            return numbers.get(key)
        ends = sorted(numbers[each] for each in key if each in numbers)
        return f"{ends[0]} {ends[1]}" if len(ends) == 2 else None

    def _group(self, group: Any) -> dict[str, Any]:
        """Return a plan's cluster, from the numbers of its images. Raises ConfigError."""
        keep, remove = (group.get(name) for name in ("keep", "remove")) if isinstance(group, dict) else (None, None)
        if not isinstance(keep, list) or not isinstance(remove, list) or not keep or not remove:
            raise ConfigError("expected clusters with images to keep and images to remove")
        for number in (*keep, *remove):
            self._image(number)
        rows = self.shown.rows
        if len({rows[number]["cluster"] for number in (*keep, *remove)}) > 1:
            raise ConfigError("expected images of one cluster")
        if any(rows[number]["reference"] for number in remove):
            raise ConfigError("expected no image of a reference folder among the images to remove")
        if any(rows[number]["location"] for number in remove):
            raise ConfigError("expected no image inside a container among the images to remove")
        first = rows[keep[0]]
        starts = keep[0] == 0 or rows[keep[0] - 1]["cluster"] != first["cluster"]
        reason = first["reason"] if starts and first["reason"] else "chosen on the page"
        return {
            "cluster": first["cluster"],
            "reason": reason,
            "keep": [self._file(number) for number in keep],
            "remove": [self._file(number) for number in remove],
        }

    def _file(self, number: int) -> dict[str, Any]:
        row = self.shown.rows[number]
        file = {name: row[name] for name in ("path", "bytes", "mtime_ns", "digest")}
        return file | ({"path_bytes": row["path_bytes"].hex()} if row["path_bytes"] else {})

    def _write_dismissed(self) -> None:
        """Write the dismissed pairs for `cluster.dismissed`; the decisions hold the pairs, too."""
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        writer.writerow((*COLUMNS, *MORE))
        for (first, second), value in self._decisions.values["dismissed"].items():
            if value and isinstance(first, tuple) and isinstance(second, tuple):
                writer.writerow((first[1], second[1], first[0], second[0]))
        with atomic_write(self.folder / DISMISSED, durable=True) as file:
            file.write(text.getvalue().encode())


def _options(body: Mapping[str, Any]) -> ActOptions:
    """Return the options of `apply` that a page names. Raises ConfigError."""
    merging = body.get("merge_metadata", False)
    if not isinstance(merging, bool):
        raise ConfigError(f"expected merge_metadata of true or false, got {merging!r}")
    choice = str(body.get("companions", WITH))
    return ActOptions(str(body.get("action")), str(body.get("to") or ""), choice, merging)
