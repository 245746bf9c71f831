"""Sections `scheduler` that several tests use."""

from typing import Any

from pipeline.config.settings import from_mapping
from tests.pipeline.toy import STAGES

BATCH = {"cores": 4, "memory": "8GB", "queue": "short"}


def section(**values: Any) -> Any:
    """Return the section with these keys, as a config resolves it. Raises ConfigError."""
    return from_mapping({"run": "x", "inputs": {"a": ["/photos"]}, "scheduler": values}, STAGES).scheduler
