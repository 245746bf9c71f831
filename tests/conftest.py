"""Settings that all tests share."""

import functools
import os
import sys
import textwrap
from collections import Counter
from collections.abc import Callable
from importlib import metadata
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from PIL import Image

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # else each process that a test starts compiles all it imports
sys.dont_write_bytecode = False

settings.register_profile("shared-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared-machine")


def looked_up_once(function: Callable[..., Any]) -> Callable[..., Any]:
    """Cache look-ups of installed packages by sys.path: the look-ups take a tenth of the time of a small run."""

    @functools.cache
    def known(path: tuple[str, ...], *arguments: Any, **named: Any) -> Any:
        return function(*arguments, **named)

    return lambda *arguments, **named: known(tuple(sys.path), *arguments, **named)


for name in ("version", "entry_points"):
    setattr(metadata, name, looked_up_once(getattr(metadata, name)))


@pytest.fixture(autouse=True)
def own_state(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each test process a state folder of its own, since one command of a user acts on files at a time."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.getbasetemp() / "state"))


@pytest.fixture(autouse=True)
def own_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Restore Pillow's limit on pixels after each test, since decoding sets the limit for the whole process."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)


LONG = (
    *("test_soak", "test_spoilt", "test_every_broken_file", "test_a_thousand_disks", "test_killed_at_twenty_moments"),
    *(
        "test_the_same_for_longer",
        "test_the_lowest",
        "test_the_newest",
        "test_remote_workers",
        "test_nothing_listens",
    ),
    *("test_killed_workers", "test_a_lost_scheduler", "test_every_scheduler", "test_interrupted_it"),
    *("its_figures[scale]", "its_figures[small]"),
)
"""Tests that take half a minute and more: they begin first, so that no process waits for another's in the end."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with long tests; the order that pytest-randomly has given to the others stays."""
    items.sort(key=lambda item: not any(name in item.nodeid for name in LONG))


CASES: Counter[str] = Counter()


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark the cases of a test as slow, but for the first few that `quick` names."""
    if mark := item.get_closest_marker("quick"):
        name = item.nodeid.partition("[")[0]
        CASES[name] += 1
        if CASES[name] > mark.args[0]:
            item.add_marker(pytest.mark.slow)


class LeftOut:
    """A plugin that counts and prints the slow tests that `-m` leaves out, also under pytest-xdist."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.counts: dict[str, int] = Counter()

    def pytest_deselected(self, items: list[pytest.Item]) -> None:
        """Count slow tests where they are collected."""
        for item in items:
            if item.get_closest_marker("slow"):
                self.counts[item.nodeid.partition("::")[0].removeprefix("tests/")] += 1

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Copy the counts of a process of pytest-xdist; all processes collect the same tests."""
        self.counts = getattr(node, "workeroutput", {}).get("left_out") or self.counts

    def pytest_sessionfinish(self) -> None:
        """Send the counts of a process of pytest-xdist to the main process."""
        if hasattr(self.config, "workeroutput"):
            self.config.workeroutput["left_out"] = dict(self.counts)

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Print the number of left-out tests by file, and the command that runs these tests."""
        if self.counts and self.config.option.markexpr == "not slow":
            files = ", ".join(f"{file} {count}" for file, count in sorted(self.counts.items()))
            said = f"left out: {sum(self.counts.values())} slow tests, which `pytest -n 2 -m slow` runs: {files}"
            lines = textwrap.wrap(said, 120, subsequent_indent="  ", break_on_hyphens=False)
            terminalreporter.write_line("\n".join(lines))


def pytest_configure(config: pytest.Config) -> None:
    """Register the plugin that counts left-out tests."""
    config.pluginmanager.register(LeftOut(config), "left-out")
