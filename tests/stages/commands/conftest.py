"""Runs of `fast-diff` in these tests draw charts only in modules that are marked `drawn`."""

from tests.end_to_end.conftest import charts_where_marked

__all__ = ["charts_where_marked"]
