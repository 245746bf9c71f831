"""Settings that all tests share."""

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("shared-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared-machine")

LONG = ("test_soak", "test_killed_at_twenty_moments", "test_every_broken_file")
"""Tests that take most of a minute or more: they begin first, so that no process waits for another's in the end."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever order pytest-randomly has given to the others, it stays."""
    items.sort(key=lambda item: not any(name in item.nodeid for name in LONG))
