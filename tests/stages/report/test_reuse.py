"""A chart is drawn again only where its data, its code or its file has changed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from pipeline.machine import side_process
from stages.report import reuse

NAMES = ("light.svg", "dark.svg")


def chart(counts: dict[int, int], edges: object = None) -> bytes:
    return f"<svg><!-- {sorted(counts.items())} --></svg>".encode()


def adopter(files: dict[str, bytes]) -> Callable[[str, Callable[[bytes], bool]], bool]:
    return lambda name, is_right: name in files and is_right(files[name])


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    def here(function: object, *arguments: object) -> object:
        assert callable(function)
        return lambda: function(*arguments)

    monkeypatch.setattr(side_process, "submit", here)
    forms = reuse.draw(lambda name, is_right: False, NAMES, "1", chart, {2: 3}, np.arange(3))()
    assert forms
    return dict(zip(NAMES, forms, strict=True))


def test_the_same_chart_is_not_drawn_again(files: dict[str, bytes]) -> None:
    assert reuse.draw(adopter(files), NAMES, "1", chart, {2: 3}, np.arange(3))() is None


@pytest.mark.parametrize(
    ("version", "arguments"),
    [("2", ({2: 3}, np.arange(3))), ("1", ({2: 4}, np.arange(3))), ("1", ({2: 3}, np.arange(4)))],
)
def test_other_data_and_other_code_are_drawn(files: dict[str, bytes], version: str, arguments: tuple[object]) -> None:
    forms = reuse.draw(adopter(files), NAMES, version, chart, *arguments)()
    assert forms
    assert forms[0] != files["light.svg"]


@pytest.mark.parametrize("damage", [lambda data: data[:-9], lambda data: b"x" + data[1:], lambda data: b"", None])
def test_a_damaged_file_is_drawn(files: dict[str, bytes], damage: object) -> None:
    if callable(damage):
        files["dark.svg"] = damage(files["dark.svg"])
    else:
        del files["dark.svg"]
    assert reuse.draw(adopter(files), NAMES, "1", chart, {2: 3}, np.arange(3))() is not None
