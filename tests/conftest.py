"""Settings that all tests share."""

import pytest
from hypothesis import HealthCheck, settings
from PIL import Image

settings.register_profile("shared-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared-machine")


@pytest.fixture(autouse=True)
def own_state(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """One command of a user acts on files at a time: tests that run side by side are as many users."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.getbasetemp() / "state"))


@pytest.fixture(autouse=True)
def own_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Decoding sets a limit of Pillow for its whole process: let no test meet the limit of another one."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)


LONG = (
    *("test_soak", "test_spoilt", "test_every_broken_file", "test_a_thousand_disks", "test_killed_at_twenty_moments"),
    *(
        "test_the_same_for_longer",
        "test_the_lowest",
        "test_the_newest",
        "test_workers_elsewhere",
        "test_nothing_listens",
    ),
    *("test_workers_that_are_killed", "test_a_lost_scheduler", "test_every_scheduler", "test_interrupted_it"),
)
"""Tests that take half a minute and more: they begin first, so that no process waits for another's in the end."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with long tests; the order that pytest-randomly has given to the others stays."""
    items.sort(key=lambda item: not any(name in item.nodeid for name in LONG))
