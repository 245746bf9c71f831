"""A chart is drawn again only where its data, its code or its file has changed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from matplotlib.figure import Figure

from pipeline.machine import side_process
from stages.report import charts, reuse

NAMES = ("light.svg", "dark.svg", "paper.pdf")


def chart(counts: dict[int, int], edges: object) -> Figure:
    figure, axes = charts.plain(1, 1, left=0.1)
    axes.set_xlabel(str(sorted(counts.items())))
    return figure


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


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("damage", [lambda data: data[:-9], lambda data: b"x" + data[1:], lambda data: b"", None])
def test_a_damaged_file_is_drawn(files: dict[str, bytes], damage: object, name: str) -> None:
    if callable(damage):
        files[name] = damage(files[name])
    else:
        del files[name]
    assert reuse.draw(adopter(files), NAMES, "1", chart, {2: 3}, np.arange(3))() is not None
