"""A command's arguments, in whatever order people type them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any, NoReturn

from pipeline.messages.errors import one_line


class Parser(argparse.ArgumentParser):
    """Parser whose errors are one line, whatever was typed, such as a file's name that a shell put in for `*`."""

    def error(self, message: str) -> NoReturn:
        super().error(one_line(message))


class Command(Parser):
    """Takes options between a command's paths, too: `dismiss RUN --file FILE PATH PATH`."""

    _mixing = False

    def parse_known_args(  # type: ignore[override]  # argparse has it overloaded by the kind of namespace
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> Any:
        """As argparse does; what it asks itself on the way is answered plainly."""
        if self._mixing:
            return super().parse_known_args(args, namespace)
        self._mixing = True
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self._mixing = False
