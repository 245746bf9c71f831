"""Runs of these tests draw no charts."""

from tests.end_to_end.conftest import charts_where_marked

__all__ = ["charts_where_marked"]
