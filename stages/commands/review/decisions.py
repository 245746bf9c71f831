"""The file of a reviewer's decisions: append-only, synced before a decision counts as saved.

Each line is JSON. The first line names the format; then

    {"image": [PATH, DIGEST]}                   an image; images are numbered in the order of these lines
    {"step": [LABEL, [[KIND, KEY, VALUE], ...]]}  values that one action set
    {"undo": 1}, {"redo": 1}                    the last step, taken back or made again
    {"at": NUMBER}                              the image at which the reviewer was

KIND is `choice` (true: keep, false: remove), `skipped`, `reviewed` or `dismissed`; KEY is an image, or for `dismissed`
a pair of images; VALUE is true, false, or null for no decision. An image is its path and the digest of its bytes, so
decisions hold in every later run that has the same image.

Guarantees: a decision is on disk when `write` returns; a torn last line belongs to a `write` that did not return.
One process at a time holds the file."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from pipeline.messages.errors import ConfigError
from pipeline.store.atomic import sync_folder

FORMAT = "fast-diff-decisions"
VERSION = 1
KINDS = ("choice", "skipped", "reviewed", "dismissed")
ImageId: TypeAlias = tuple[str, str]
"""Path, and digest of the file's bytes."""
DecisionKey: TypeAlias = ImageId | tuple[ImageId, ImageId]
Value: TypeAlias = bool | None


def _encoded(line: Mapping[str, Any]) -> bytes:
    return json.dumps(line, separators=(",", ":")).encode() + b"\n"


HEADER = {FORMAT: VERSION}
HEAD = _encoded(HEADER)
"""The first line of the file."""


class Change(NamedTuple):
    """One value that a step sets; `key` is an image, or for `dismissed` a pair of images, sorted."""

    kind: str
    key: DecisionKey
    value: Value


class Step(NamedTuple):
    """One action of the reviewer: the values that it set, and the values before."""

    label: str
    after: Sequence[Change]
    before: Sequence[Change]


class Action(NamedTuple):
    """A reviewer's request: `do` (a new step), `undo` or `redo`."""

    does: str
    label: str = ""
    changes: Sequence[Change] = ()


class Decisions(contextlib.AbstractContextManager["Decisions"]):
    """Decisions of one run's reviewer.

    values  the present value of each key that has one, by kind
    place   the image at which the reviewer was"""

    place: ImageId | None

    def __init__(self, path: Path) -> None:
        """Open or make the file. Raises ConfigError where the file has another format, or another process holds it."""
        self.path = path
        new = not path.exists()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab+", buffering=0)
        try:
            self._lock()
            self._load()
            if not self._size:
                self._append([HEADER])
            if new:
                sync_folder(path.parent)
                sync_folder(path.parent.parent)
        except BaseException:
            self._file.close()
            raise

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Let another process hold the file."""
        self._file.close()

    @property
    def undoable(self) -> str | None:
        """Label of the step that `undo` takes back."""
        return self._steps[self._done - 1].label if self._done else None

    @property
    def redoable(self) -> str | None:
        """Label of the step that `redo` makes again."""
        return self._steps[self._done].label if self._done < len(self._steps) else None

    def write(self, actions: Sequence[Action]) -> list[Change]:
        """Save actions, and return the values that changed, in order; the values are on disk. Raises OSError."""
        lines: list[dict[str, Any]] = []
        changes: list[Change] = []
        try:
            for action in actions:
                lines += self._lines(action)
                changes += self._act(action)
            self._append(lines)
        except BaseException:
            self._load()
            raise
        return changes

    def move(self, image: ImageId) -> None:
        """Save the reviewer's place, which a power cut may lose. Raises OSError."""
        lines = self._numbering([image])
        self._append([*lines, {"at": self._numbers[image]}], synced=False)
        self.place = image

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigError(
                f"{self.path}: another `fast-diff review` serves this run; use its page, or end it first"
            ) from error

    def _load(self) -> None:
        """Read the file; a torn last line is cut off. Raises ConfigError, OSError."""
        self.values: dict[str, dict[DecisionKey, bool]] = {kind: {} for kind in KINDS}
        self.place = None
        self._images: list[ImageId] = []
        self._numbers: dict[ImageId, int] = {}
        self._steps: list[Step] = []
        self._done = 0
        self._file.seek(0)
        data = self._file.read()
        self._size = data.rfind(b"\n") + 1
        if not self._size and not HEAD.startswith(data):
            raise self._other(1)
        for number, line in enumerate(data[: self._size].splitlines(), start=1):
            try:
                self._read(json.loads(line), first=number == 1)
            except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
                raise self._other(number) from error
        self._file.truncate(self._size)

    def _other(self, number: int) -> ConfigError:
        """Return the error for a file that holds something else."""
        return ConfigError(
            f"{self.path}, line {number}: expected decisions of `fast-diff review`, format {VERSION}. "
            "Move the file away, and the next review begins without decisions"
        )

    def _read(self, line: dict[str, Any], first: bool) -> None:
        """Apply one line of the file. Raises ValueError, KeyError, TypeError, IndexError for an invalid line."""
        ((name, value),) = line.items()
        if first != (name == FORMAT) or (first and value != VERSION):
            raise ValueError
        if name == "image":
            path, digest = value
            self._number((str(path), str(digest)))
        elif name == "at":
            self.place = self._images[value]
        elif name == "step":
            label, changes = value
            self._act(Action("do", label, [Change(kind, self._key(key), value) for kind, key, value in changes]))
        elif name in ("undo", "redo"):
            self._act(Action(name))
        elif name != FORMAT:
            raise ValueError

    def _act(self, action: Action) -> Sequence[Change]:
        """Apply an action to `values`; return the values that changed."""
        if action.does == "do":
            before = [Change(kind, key, self.values[kind].get(key)) for kind, key, _ in reversed(action.changes)]
            del self._steps[self._done :]
            self._steps.append(Step(action.label, action.changes, before))
            self._done += 1
            return self._set(action.changes)
        if action.does == "undo" and self._done:
            self._done -= 1
            return self._set(self._steps[self._done].before)
        if action.does == "redo" and self._done < len(self._steps):
            self._done += 1
            return self._set(self._steps[self._done - 1].after)
        return ()

    def _set(self, changes: Sequence[Change]) -> Sequence[Change]:
        for kind, key, value in changes:
            self.values[kind].pop(key, None)
            self.values[kind] |= {} if value is None else {key: value}
        return changes

    def _lines(self, action: Action) -> Iterator[dict[str, Any]]:
        """Yield the lines that record an action."""
        if action.does != "do":
            yield {action.does: 1}
            return
        pairs: list[Any] = [change.key if change.kind == "dismissed" else (change.key,) for change in action.changes]
        yield from self._numbering([image for images in pairs for image in images])
        numbers = [[self._numbers[image] for image in images] for images in pairs]
        keys = [found if len(found) > 1 else found[0] for found in numbers]
        changes = zip(action.changes, keys, strict=True)
        yield {"step": [action.label, [[change.kind, key, change.value] for change, key in changes]]}

    def _numbering(self, images: Sequence[Any]) -> list[dict[str, Any]]:
        """Return the lines for images that have no number yet, and number them."""
        return [{"image": list(image)} for image in dict.fromkeys(images) if self._number(image)]

    def _number(self, image: ImageId) -> bool:
        """Number an image; return whether the image is new."""
        if image in self._numbers:
            return False
        self._numbers[image] = len(self._images)
        self._images.append(image)
        return True

    def _key(self, key: int | list[int]) -> DecisionKey:
        return self._images[key] if isinstance(key, int) else (self._images[key[0]], self._images[key[1]])

    def _append(self, lines: Sequence[dict[str, Any]], synced: bool = True) -> None:
        data = b"".join(map(_encoded, lines))
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[self._file.write(rest) :]
            if synced:
                os.fsync(self._file.fileno())
        except OSError:
            with contextlib.suppress(OSError):
                self._file.truncate(self._size)
            raise
        self._size += len(data)
