"""One tree of errors. A message has one line or several, each of which says where, what, and what to do."""

from __future__ import annotations


def one_line(text: str) -> str:
    """A name in one line that does nothing to a terminal: control characters and the like are escaped."""
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


class FastDiffError(Exception):
    """An error whose message the user reads: `FastDiffError(line, line, ...)`; `exit_code` is the command's.

    Each line is an argument of its own, since a name in a line may hold a line break."""

    exit_code = 1

    @property
    def lines(self) -> tuple[str, ...]:
        """The lines of the message; control characters in names are escaped."""
        return tuple(one_line(str(line)) for line in self.args)

    def __str__(self) -> str:
        return "\n".join(self.lines)


class ConfigError(FastDiffError):
    """The config, or what it points to, can't be used; nothing has been run."""

    exit_code = 2


class LockedError(FastDiffError):
    """Another run is writing to the same output."""


class SchedulerLost(FastDiffError):
    """The connection to the Dask scheduler broke; what was published stands."""

    def __init__(self) -> None:
        super().__init__("the Dask scheduler is gone; what was computed stands: run the same command again to go on")


class WorkersLost(FastDiffError):
    """No worker is left, and none has come back; what was published stands."""


class TaskError(FastDiffError):
    """One task can't be done, for a reason that is worth a sentence of its own."""


class ArtifactDamaged(FastDiffError):
    """An artifact that was thought current can't be read; the runner makes it again."""

    def __init__(self, stage: str, key: str, detail: str) -> None:
        super().__init__(f"{stage}/{key}: {detail}")
        self.stage, self.key, self.detail = stage, key, detail

    def __reduce__(self) -> tuple[type[ArtifactDamaged], tuple[str, str, str]]:
        return type(self), (self.stage, self.key, self.detail)
