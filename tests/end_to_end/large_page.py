"""A report's page with many clusters, made without a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from stages.report import page as pages
from stages.report.dendrogram import Dendrogram


def large_page(folder: Path, clusters: int, per: int) -> Path:
    """Write a page of clusters of `per` images each, of which neither files nor charts exist; return its path."""
    count = clusters * per
    paths = [f"/photos/{n // 500}/image {n:06}.jpg" for n in range(count)]
    number = np.repeat(np.arange(clusters), per)
    members = pa.table(
        {
            "cluster": number,
            "shown": number,
            "path": paths,
            "width": np.full(count, 4000),
            "height": np.full(count, 3000),
            "bytes": 1_000_000 + np.arange(count)[::-1],
            "reason": np.where(np.arange(count) % per, None, "more pixels"),
            "reference": np.zeros(count, bool),
            "mse_to_keeper": np.arange(count) % per * 20.0,
        }
    )
    facts = {
        path: {"format": "JPEG", "digest": f"{n:064x}", "path": path, "set": "a"}
        | dict.fromkeys(("path_bytes", "taken", "camera", "gps", "annotations", "location"))
        for n, path in enumerate(paths)
    }
    others = np.flatnonzero(np.arange(count) % per)
    tree = Dendrogram(others - others % per, others, others % per * 20.0, np.zeros(count, np.int64))
    data = pages.data(members, facts, {}, tree) | {
        "limit": 200.0,
        "column": "mse",
        "previews": "x",
        "upright": True,
        "references": [],
        "dismissed": [],
        "leak": None,
    }
    shown: dict[str, Any] = dict.fromkeys(
        ("failures_total", "pairs_skipped", "removable", "recorded", "matches", "images", "pairs_compared"), 0
    )
    shown |= {
        "clusters_total": clusters,
        "clusters_shown": clusters,
        "clustered": count,
        "threshold": 200.0,
        "recorded_up_to": 200.0,
    }
    shown |= {
        "run": "many",
        "every_pair": False,
        "linkage": "components",
        "charts": {},
        "sizes": {},
        "recall": None,
        "same_hash": "compare",
        "mirror": False,
        "exposure": "compare",
        "images_left": 0,
        "folders": None,
    }
    shown |= {
        "failures": [],
        "pair_sections": [],
        "data": data,
        "figure": {"name": "MSE", "about": "error", "column": "mse"},
    }
    page = folder / "index.html"
    page.write_bytes(pages.render("report.html", shown))
    return page
