"""Define the errors; each message states the place, the problem and a remedy."""

from __future__ import annotations


def one_line(text: str) -> str:
    """Return text as one line that can't control a terminal.

    Characters that are not printable are escaped."""
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


class FastDiffError(Exception):
    """An error with a message for the user; the command exits with `exit_code`.

    Each line of the message is a separate argument, since a name in a line may contain a line break."""

    exit_code = 1

    @property
    def lines(self) -> tuple[str, ...]:
        """Return the lines of the message; control characters in names are escaped."""
        return tuple(one_line(str(line)) for line in self.args)

    def __str__(self) -> str:
        return "\n".join(self.lines)


class ConfigError(FastDiffError):
    """The config, or a file that the config names, can't be used; no task has run."""

    exit_code = 2


class LockedError(FastDiffError):
    """Another run writes to the same output."""


class SchedulerLost(FastDiffError):
    """The connection to the Dask scheduler broke; finished artifacts are kept."""

    def __init__(self) -> None:
        super().__init__("the Dask scheduler is gone; finished work is kept: run the same command again to go on")


class WorkersLost(FastDiffError):
    """No worker is left, and none has joined in time; finished artifacts are kept."""


class TaskError(FastDiffError):
    """One task failed; the message explains the reason."""


class ArtifactDamaged(FastDiffError):
    """An artifact can't be read; the runner makes the artifact again."""

    def __init__(self, stage: str, key: str, detail: str) -> None:
        super().__init__(f"{stage}/{key}: {detail}")
        self.stage, self.key, self.detail = stage, key, detail

    def __reduce__(self) -> tuple[type[ArtifactDamaged], tuple[str, str, str]]:
        return type(self), (self.stage, self.key, self.detail)
