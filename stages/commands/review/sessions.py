"""Keep the session of a run, and replace the session when a later run changes the images."""

from __future__ import annotations

import threading
from pathlib import Path

from pipeline.messages.errors import ConfigError
from pipeline.stage import Settings
from stages.commands.results.tables import load_run
from stages.commands.review.session import Session
from stages.commands.review.shown import read_page


class Sessions:
    """The current session of a run, replaced when the report's images change. Call `close` at the end."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        """Open the session. Raises ConfigError where the run has no report of this version."""
        self._folder, self._settings = folder, settings
        self._lock = threading.Lock()
        self._version = self._look()
        self._session = Session(read_page(load_run(folder)), settings)

    def close(self) -> None:
        """Close the session."""
        self._session.close()

    def current(self) -> Session:
        """Return the session of the present report. Raises ConfigError while a run is changing the report."""
        with self._lock:
            version = self._look()
            if version != self._version:
                shown = read_page(load_run(self._folder))
                if shown.mark != self._session.shown.mark:
                    self._session.close()
                    self._session = Session(shown, self._settings)
                else:
                    self._session.shown = shown
                self._version = version
            return self._session

    def _look(self) -> tuple[tuple[int, int, int], ...]:
        """Return what changes with every run: identity, size and time of the page and of run.json."""
        try:
            found = [(self._folder / name).stat() for name in ("report/index.html", "run.json")]
        except OSError as error:
            raise ConfigError(f"{self._folder} has no report; run `fast-diff run` again first") from error
        return tuple((each.st_ino, each.st_size, each.st_mtime_ns) for each in found)
