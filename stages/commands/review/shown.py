"""What a run's report shows: its page, and its images by number.

The images come from the run's artifacts, whose checksums are verified. The page must show the same images, and must
hold the script of this version: the page's policy lets no other script run."""

from __future__ import annotations

import functools
import json
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.messages.errors import ConfigError
from stages.clustering.rows import PathIndex
from stages.commands.apply.companions import XMP
from stages.commands.results.tables import Results
from stages.comparing.text import one_line
from stages.listing.companions import NAME_SEPARATOR, kind_of
from stages.report import page, reads
from stages.report.extremes import number
from stages.report.previews import SUFFIXES

AGAIN = "run `fast-diff run` again first"
META = re.compile(r'<meta http-equiv="Content-Security-Policy" content="[^"]*">')
DATA = re.compile(r'<script type="application/json" id="data">(.*?)</script>', re.DOTALL)
DATES = re.compile(r"^globalThis\.dates = (\{.*\});$", re.MULTILINE)
CHARTS = ("histogram", "sizes", "recall")
COLUMNS = (
    *("path", "path_bytes", "width", "height", "bytes", "format", "mode", "digest", "frames", "taken", "camera"),
    *("software", "gps", "annotations", "orientation", "quality", "subsampling", "progressive", "was_jpeg", "alpha"),
    "location",
)
"""Columns of the stage `thumbnail` that the page shows of an image."""


@dataclass(frozen=True)
class Shown:
    """The page of one report.

    mark      digest of the images on the page
    html      the page, in review mode
    policy    the page's content security policy
    rows      facts of each image: columns of the stages thumbnail, scan and cluster
    previews  kind of each image's preview, an index into SUFFIXES
    files     other files of the report, by name"""

    mark: str
    html: str
    policy: str
    rows: Sequence[Mapping[str, Any]]
    previews: Sequence[int]
    preview_mark: str
    files: Mapping[str, Path]
    folder: Path
    references: Sequence[str]

    @functools.cached_property
    def names(self) -> Mapping[bytes, int]:
        """Number of each image, by true path."""
        return {row["path_bytes"] or row["path"].encode(): number for number, row in enumerate(self.rows)}

    @functools.cached_property
    def numbers(self) -> Mapping[tuple[str, str], int]:
        """Number of each image, by path and digest."""
        return {(row["path"], row["digest"]): number for number, row in enumerate(self.rows)}

    @functools.cached_property
    def sidecars(self) -> list[int]:
        """Numbers of the images that had an XMP sidecar at the time of the run."""
        named = ((number, row["companions"]) for number, row in enumerate(self.rows))
        return [
            number
            for number, names in named
            if names and any(kind_of(name.encode()) == XMP for name in names.split(NAME_SEPARATOR))
        ]

    def image(self, number: int) -> tuple[str, str]:
        """Return path and digest of an image. Raises IndexError."""
        if number < 0:
            raise IndexError(number)
        row = self.rows[number]
        return row["path"], row["digest"]

    def preview(self, number: int) -> Path | None:
        """Return the file of an image's preview, if the report has one."""
        kind = self.previews[number]
        digest = self.rows[number]["digest"]
        name = f"report/images/{digest[:20]}-{self.preview_mark}{SUFFIXES[kind]}.jpg"
        return self.folder / name if kind else None

    def dates(self) -> str:
        """Return the script with the dates of files, rebuilt from the stored script's data. Raises ConfigError."""
        path = self.folder / "report" / reads.DATES
        try:
            found = DATES.search(path.read_text("utf-8"))
            dates: dict[str, Any] = json.loads(found[1]) if found else {}
            checked = {name: str(dates[name]) for name in ("run", "inputs", "date", "images")}
            numbers = {
                "sets": [str(each) for each in dates["sets"]],
                "written": [int(each) for each in dates["written"]],
            }
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise ConfigError(f"{path} is missing or damaged; {AGAIN}") from error
        return f"globalThis.dates = {json.dumps(checked | numbers)};\n{page.TITLE}"


def read_page(results: Results) -> Shown:
    """Return the page of a finished run. Raises ConfigError where the report is missing, or of another version."""
    folder = results.folder
    assert isinstance(folder, Path)
    path = folder / "report" / "index.html"
    try:
        html = path.read_text("utf-8")
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} can't be read; {AGAIN}") from error
    try:
        found = DATA.search(html)
        data = json.loads(found[1]) if found else {}
        mark, previews, preview_mark = data["mark"], [*map(int, data["preview"])], str(data["previews"])
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path} has no data of a report; {AGAIN}") from error
    if page.script() not in html or page.style() not in html or len(META.findall(html)) != 1:
        raise ConfigError(f"{path} was made by another version of fast-diff; {AGAIN}")
    rows = _rows(results)
    if mark != page.mark_of(f"{row['path']}\n{row['digest']}" for row in rows):
        raise ConfigError(f"{path} shows other images than the run has; {AGAIN}")
    nonce = secrets.token_urlsafe(16)  # a report from elsewhere may hold scripts with the nonce of its data
    html = META.sub('<meta name="fast-diff-review" content="1">', html)
    html = html.replace(_script(mark), _script(nonce))
    return Shown(
        mark,
        html,
        page.policy(nonce, serves=True),
        rows,
        previews,
        preview_mark,
        dict(_files(results, folder)),
        folder,
        list(results.summary["config"]["inputs"].get("reference", [])),
    )


def _script(nonce: str) -> str:
    """Return the tag of the script with the dates."""
    return f'<script src="{reads.DATES}" nonce="{nonce}">'


def _rows(results: Results) -> list[dict[str, Any]]:
    """Return the facts of the images on the page, in the page's order."""
    members = pa.concat_tables(results.tables("cluster"))
    amount = results.summary["config"]["plot"]["page"]
    shown = page.in_order(members, page.by_worth(members), number(amount))
    rows: list[dict[str, Any]] = shown.select(["path", "cluster", "shown", "reason", "reference"]).to_pylist()
    for stage, columns in (("thumbnail", COLUMNS), ("scan", ("path", "mtime_ns", "companions"))):
        known = PathIndex(shown["path"])
        for table in results.tables(stage, columns):
            places = known.of(table["path"])
            here = pa.array(places >= 0)
            for place, facts in zip(places[places >= 0].tolist(), table.filter(here).to_pylist(), strict=True):
                rows[place] |= facts
    if lost := next((row["path"] for row in rows if "digest" not in row or "mtime_ns" not in row), None):
        raise ConfigError(f"{results.folder}: {one_line(lost)} is in a cluster and in no other artifact; {AGAIN}")
    return rows


def _files(results: Results, folder: Path) -> list[tuple[str, Path]]:
    """Return names and paths of the report's charts and pictures."""
    names = [f"{chart}{form}.svg" for chart in CHARTS for form in ("", "-dark")]
    for table in results.tables("plot", ("file", "kind")):
        drawn = table.filter(pc.is_in(table["kind"], pa.array(["closest", "farthest", "cluster"])))
        names += [file.removeprefix("report/") for file in drawn["file"].to_pylist()]
    return [(name, folder / "report" / name) for name in (*names, "work.html")]
