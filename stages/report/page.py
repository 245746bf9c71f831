"""Build the data of the report's page, and render the page."""

from __future__ import annotations

import base64
import functools
import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.messages.words import counted
from stages.clustering.keepers import stay
from stages.comparing.text import human_bytes, human_count, human_mse, one_line
from stages.report.dendrogram import Dendrogram
from stages.report.reads import DATES

if TYPE_CHECKING:
    from jinja2 import Environment

SCRIPTS = (
    *("model.js", "filters.js", "numbers.js", "history.js", "server.js", "view.js", "tile.js", "table.js", "zoom.js"),
    *("compare.js", "decide.js", "folders.js", "deck.js", "rules.js", "plan.js", "act.js", "main.js"),
)
"""Parts of the page's script, in order."""
STYLES = ("style.css", "list.css", "dialogs.css")
"""Parts of the page's style, in order."""
TITLE = """document.title = `${globalThis.dates.inputs} – ${globalThis.dates.date} – fast-diff`;
document.getElementById("run").textContent = globalThis.dates.run;
document.getElementById("inputs").textContent = `${globalThis.dates.inputs} · ${globalThis.dates.date}`;
"""
"""Last lines of the script with the dates; these lines write the run, the inputs and the date on the page."""

Ints = NDArray[np.int64]


def by_worth(members: pa.Table) -> Ints:
    """Return the numbers of clusters by the bytes of removable images, descending, int64 (n,)."""
    clusters, row = np.unique(members["cluster"].to_numpy(), return_inverse=True)
    spare = np.zeros(len(clusters), np.int64)
    np.add.at(spare, row, np.where(stay(members).to_numpy(), 0, members["bytes"].to_numpy()))
    worth: Ints = clusters[np.argsort(-spare, kind="stable")].astype(np.int64)
    return worth


def in_order(members: pa.Table, clusters: Ints, most: int) -> pa.Table:
    """Return rows of the cluster stage in the order of `clusters`, each keeper first.

    Only whole clusters are returned, with at most `most` images in all; but if the first cluster has more images, its
    first `most` images are returned. The added column `shown` numbers the clusters from 0."""
    numbers = members["cluster"].to_numpy()
    place = np.full(int(numbers.max(initial=-1)) + 1, -1)
    place[clusters] = np.arange(len(clusters))
    shown = place[numbers]
    order = np.lexsort([members["rank"].to_numpy(), shown])
    most = max(most, 2) if most else 0  # one image is no cluster
    order = order[np.count_nonzero(shown < 0) :]
    ends = np.cumsum(np.bincount(shown[order], minlength=len(clusters)))
    fitting = int(np.searchsorted(ends, most, side="right"))
    rows = order[: ends[fitting - 1] if fitting else most]
    return members.take(pa.array(rows)).append_column("shown", pa.array(shown[rows]))


def data(
    members: pa.Table, facts: Mapping[str, Mapping[str, Any]], previews: Mapping[str, int], tree: Dendrogram
) -> dict[str, Any]:
    """Return images and clusters for the page's script, as columns.

    members   rows of the cluster stage; see `in_order`
    facts     facts about each image, by path
    previews  kind of each image's preview, by path: an index into `previews.SUFFIXES`
    tree      dendrogram of the clusters"""
    paths = members["path"].to_pylist()
    known = [facts[path] for path in paths]
    folders, folder = _numbered([path.rpartition("/")[0] for path in paths])
    formats, form = _numbered([fact["format"] or "" for fact in known])
    cameras, camera = _numbered([fact["camera"] or "" for fact in known])
    annotations, annotation = _numbered([fact["annotations"] or "" for fact in known])
    fixed = members["reference"].to_pylist()
    reasons, reason = _numbered(members["reason"].filter(_firsts(members["shown"])).to_pylist())
    return {
        "folders": folders,
        "formats": formats,
        "mark": mark_of(f"{fact['path']}\n{fact['digest']}" for fact in known),
        "images": mark_of(paths),
        "clusters": np.bincount(members["shown"].to_numpy()).tolist() if paths else [],
        "numbers": members["cluster"].filter(_firsts(members["shown"])).to_pylist(),
        "reasons": reasons,
        "reason": reason,
        "folder": folder,
        "format": form,
        "cameras": cameras,
        "camera": camera,
        "annotations": annotations,
        "annotation": annotation,
        "gps": [int(bool(fact["gps"])) for fact in known],
        "set": [int(fact["set"] == "b") for fact in known],
        "name": [path.rpartition("/")[2] for path in paths],
        "odd": {n: fact["path_bytes"].hex() for n, fact in enumerate(known) if fact["path_bytes"]},
        "width": members["width"].to_pylist(),
        "height": members["height"].to_pylist(),
        "bytes": members["bytes"].to_pylist(),
        "taken": [fact["taken"].isoformat(" ", "seconds") if fact["taken"] else "" for fact in known],
        "digest": [fact["digest"] for fact in known],
        "reference": [int(each or bool(fact["location"])) for each, fact in zip(fixed, known, strict=True)],
        "contained": [n for n, fact in enumerate(known) if fact["location"]],
        "preview": [previews.get(path, 0) for path in paths],
        "mse": members["mse_to_keeper"].to_pylist(),
        "turn": tree.turn.tolist(),
        "links": {"a": tree.a.tolist(), "b": tree.b.tolist(), "at": tree.at.tolist()},
    }


def mark_of(texts: Iterable[str]) -> str:
    """Return a digest of texts that depends on their order."""
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]


def _numbered(texts: Sequence[str]) -> tuple[list[str], list[int]]:
    numbers: dict[str, int] = {}
    places = [numbers.setdefault(text, len(numbers)) for text in texts]
    return list(numbers), places


def _firsts(column: pa.ChunkedArray) -> pa.Array:
    return pa.array(np.diff(column.to_numpy(), prepend=-1) != 0)


def render(template: str, page: Mapping[str, Any]) -> bytes:
    """Return a page as UTF-8.

    All text is escaped; the page's content security policy allows only the script and style of the page."""
    from markupsafe import Markup

    fixed: dict[str, Any] = {
        "style": Markup(style()),  # trusted
        "script": Markup(script()),  # trusted
        "dates": DATES,
        "style_hash": _hash(style()),
        "policy": policy,
    }
    return _templates().get_template(template).render({**fixed, **page}).encode()


@functools.cache
def _templates() -> Environment:
    """Return the templates and their filters; each template is compiled once per process."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("stages.report", "templates")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
    environment.filters |= {
        "human": human_bytes,
        "count": human_count,
        "counted": counted,
        "mse": human_mse,
        "line": one_line,
        "log": math.log,
    }
    return environment


def style() -> str:
    """Return the page's style."""
    return "".join(_part(name) for name in STYLES)


def script() -> str:
    """Return the page's script."""
    return "".join(_part(name) for name in SCRIPTS)


def policy(mark: str, serves: bool = False) -> str:
    """Return the page's content security policy, which allows only the scripts, style and pictures of the page.

    mark    nonce of the script with the dates
    serves  whether a server answers requests of the page; otherwise the page may show files, but send no request"""
    pictures, requests = ("'self'", "connect-src 'self'; frame-ancestors 'none'; ") if serves else ("'self' file:", "")
    return (
        f"default-src 'none'; img-src {pictures}; style-src '{_hash(style())}'; script-src '{_hash(script())}' "
        f"'nonce-{mark}'; {requests}base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; "
        "trusted-types 'none'"
    )


def _part(name: str) -> str:
    return resources.files("stages.report.templates").joinpath(name).read_text("utf-8")


def _hash(text: str) -> str:
    """Return the hash of a text in the form of a content security policy."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
