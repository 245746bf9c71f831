"""Draw charts with Matplotlib; equal input gives equal bytes.

A chart is an SVG, and a PDF on request. Text is stored as text, not as outlines, so that text can be searched, copied
and edited. `forms` adds an SVG for dark pages."""

from __future__ import annotations

import io
import itertools
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stages.report.pictures import FAINT, INK, PAPER, fitted

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LIGHT = (INK, FAINT, PAPER, "#308468", "#b3261e")
DARK = ("#e8eaec", "#98a2ab", "#1c2024", "#5fd3ab", "#ff8a80")
"""Colours of charts: text, lines, background, bars, marks."""
RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def load() -> None:
    """Import the modules that every chart needs."""
    printed(plain(1, 1, left=0.1)[0], "svg")


def forms(pdf: bool, chart: Callable[..., Figure], *arguments: Any) -> list[bytes]:
    """Draw a chart as SVG for light pages, as SVG for dark pages, and, if `pdf` is true, as PDF."""
    figure = chart(*arguments)
    light = printed(figure, "svg")
    colours = {light.encode(): dark.encode() for light, dark in zip(LIGHT, DARK, strict=True)}
    dark = re.sub(b"#[0-9a-f]{6}", lambda found: colours.get(found[0], found[0]), light)
    return [light, dark, *([printed(figure, "pdf")] if pdf else [])]


def printed(figure: Figure, form: str) -> bytes:
    """Return a figure as `svg` or `pdf`, with text stored as text, not as outlines.

    All text is literal: a folder called `cost_$5_$6` is not parsed as a formula."""
    import matplotlib as mpl
    from matplotlib.text import Text

    buffer = io.BytesIO()
    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        text.set_parse_math(False)
        text.set_usetex(False)
    nothing = {"svg": ("Date", "Creator"), "pdf": ("CreationDate", "Creator", "Producer")}[form]
    as_text = mpl.rc_context({"svg.fonttype": "none", "pdf.fonttype": 42, "text.parse_math": False})
    with as_text, mpl.rc_context({"svg.hashsalt": "fast-diff", "text.usetex": False}):
        figure.savefig(buffer, format=form, metadata=dict.fromkeys(nothing))
    return buffer.getvalue()


def sizes(counts: Mapping[int, int]) -> Figure:
    """Return a chart of the number of clusters by size.

    counts  number of clusters by number of images"""
    figure, axes = plain(4.4, 2.8, left=0.85, bottom=0.55 if max(counts) < 50 else 0.95)
    edges = _size_edges(max(counts))
    bars, _ = np.histogram(list(counts), edges, weights=list(counts.values()))
    axes.bar(range(len(bars)), bars, color=LIGHT[3])
    names = [str(low) if high == low + 1 else f"{low:,}–{high - 1:,}" for low, high in itertools.pairwise(edges)]
    axes.set_xticks(range(len(bars)), names, rotation=0 if len(names) < 7 else 35)
    _counting(axes, bars)
    axes.set_xlabel("images per cluster", color=INK)
    axes.set_ylabel("clusters", color=INK)
    return figure


def _size_edges(largest: int) -> list[int]:
    """Return the edges of the bins 2, 3, 4, 5-9, 10-19, 20-49, 50-99, …, up to the largest size."""
    edges = [2, 3, 4, 5]
    step = 10
    while edges[-1] <= largest:
        edges += [step, 2 * step, 5 * step]
        step *= 10
    while len(edges) > 2 and edges[-2] > largest:
        edges.pop()
    return edges


def recall(distances: NDArray[np.float64], share: NDArray[np.float64], limit: float, name: str) -> Figure:
    """Return a chart of the recall at each threshold.

    distances  distances at which the recall rises, float64 (n,)
    share      recall up to each distance, 0 to 1, float64 (n,)
    limit      the greatest threshold
    name       name of the distance"""
    figure, axes = plain(4.4, 2.8, left=0.7)
    reached = np.concatenate([[0.0], share])
    steps = np.concatenate([[0.0], distances, [limit]])
    axes.step(steps, np.append(reached, reached[-1]), where="post", color=LIGHT[3])
    axes.set_ylim(0, 1.03)
    axes.set_xlim(0, limit or 1.0)
    axes.set_xlabel(f"threshold ({name})", color=INK)
    axes.set_ylabel("recall: share of labelled pairs", color=INK)
    return figure


def histogram(counts: Sequence[int], edges: Sequence[float], threshold: float, about: str) -> Figure:
    """Return a histogram of distances with the threshold marked.

    counts, edges  see `extremes.bins`; if edges begin at 0, the axis is logarithmic, and 0 has a bar of its own
    about          the label of the distance's axis"""
    ink, faint, _, bars, mark = LIGHT
    figure, axes = plain(5.6, 2.8, left=0.95, top=0.35)
    if not sum(counts):
        axes.text(0.5, 0.5, "no matches", ha="center", va="center", transform=axes.transAxes, color=faint, size=13)
        axes.set_yticks([])
    elif edges[0] == 0:
        _with_zero(axes, counts, edges)
        _counting(axes, np.array(counts))
    else:
        axes.stairs(counts, edges, fill=True, color=bars)
        _counting(axes, np.array(counts))
        axes.set_xlim(edges[0], edges[-1] * 1.01)
    axes.axvline(threshold, color=mark, linewidth=1.2, label=f"threshold {threshold:g}")
    axes.legend(
        frameon=False, loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0, labelcolor=ink
    )  # above the bars
    axes.set_xlabel(fitted(about, 500), color=ink)
    axes.set_ylabel("recorded pairs", color=ink)
    return figure


def _with_zero(axes: Axes, counts: Sequence[int], edges: Sequence[float]) -> None:
    """Draw bars on a logarithmic axis, and to the left of the axis a bar for 0."""
    from matplotlib.ticker import NullLocator

    step = edges[2] / edges[1]
    zero = [edges[1] / step**5, edges[1] / step**2]
    axes.stairs(counts[:1], zero, fill=True, color=LIGHT[3])
    axes.stairs(counts[1:], edges[1:], fill=True, color=LIGHT[3])
    axes.set_xscale("log")
    axes.set_xlim(zero[0] / step, edges[-1] * step)
    lowest, highest = math.ceil(math.log10(edges[1])), math.floor(math.log10(edges[-1]))
    ticks = [10.0**power for power in range(lowest, highest + 1)]
    axes.set_xticks([math.sqrt(zero[0] * zero[1]), *ticks], ["0", *(f"{tick:,.6g}" for tick in ticks)])
    axes.xaxis.set_minor_locator(NullLocator())


def plain(
    width: float, height: float, left: float | None = None, bottom: float = 0.55, top: float = 0.1
) -> tuple[Figure, Axes]:
    """Return a figure with one set of axes, in the report's colours.

    width, height      size in inches
    left, bottom, top  margins of the axes in inches; without `left`, Matplotlib finds margins in twice the time"""
    from matplotlib.figure import Figure

    ink, faint, paper, _, _ = LIGHT
    figure = Figure(figsize=(width, height), layout="constrained" if left is None else None, facecolor=paper)
    if left is not None:
        figure.subplots_adjust(left / width, bottom / height, 1 - 0.2 / width, 1 - top / height)
    axes = figure.add_subplot(facecolor=paper)
    axes.tick_params(which="both", color=faint, labelcolor=ink)
    axes.spines[["left", "bottom"]].set_color(faint)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _decades(most: int) -> tuple[list[float], list[str]]:
    """Return about eight ticks of a logarithmic axis from 1 to `most`, and their labels.

    Matplotlib's own labels are formulas, and take longer to draw than the rest of the chart."""
    powers = range(0, int(math.log10(max(1, most))) + 1, int(math.log10(max(1, most))) // 8 + 1)
    return [10.0**n for n in powers], [f"{10**n:,}" if n < 4 else f"10{str(n).translate(RAISED)}" for n in powers]


def _counting(axes: Axes, counts: NDArray[np.int64]) -> None:
    """Set ticks at whole numbers on the vertical axis, which is logarithmic for wide ranges."""
    from matplotlib.ticker import MaxNLocator

    if counts.any() and counts.max() > 50 * counts[counts > 0].min():
        axes.set_yscale("log")
        axes.set_ylim(bottom=0.7)
        axes.set_yticks(*_decades(int(counts.max())))
        axes.minorticks_off()
    else:
        axes.yaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True))
