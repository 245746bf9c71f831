"""`verify` chooses keepers by its own code; the stage `cluster` must choose the same for images of every kind."""

from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from stages.clustering.keeper_keys import Rule
from stages.clustering.keepers import DEFAULT, RankingContext, checked, ranked
from stages.clustering.live import per_folder
from stages.commands.verify.keepers import check_keepers
from stages.commands.verify.truth import Check
from stages.comparing.references import are_references
from tests.stages.clustering.test_keepers import images

RULES: list[list[Any]] = [
    list(DEFAULT),
    ["oldest"],
    ["avoid"],
    ["original", "live"],
    ["live", "oldest", "bytes"],
    ["metadata", "taken", "newest"],
    ["companions", "bytes"],
    [{"avoid": ["D*", "*b.*"]}, {"path": "shortest"}],
    [{"folder": ["backup", "/p/Phone*", "d"]}, "format"],
    [{"format": ["heif", "tiff"]}, {"path": "deepest"}, "path"],
    [{"path": "shallowest"}, {"path": "alphabetical"}],
]


def library(seed: int, count: int = 120) -> pa.Table:
    """Return images whose facts are drawn from a few values each, so that images often tie under every rule."""
    random = np.random.default_rng(seed)

    def any_of(*values: Any) -> list[Any]:
        return [values[number] for number in random.integers(0, len(values), count)]

    folders = any_of("/p/Phone", "/p/Phone/d", "/p/Backup", "/p/Backup/d", "/p", "/q/x/tmp", "/q")
    names = any_of("IMG_7", "IMG_7 b", "IMG_71", "a", "Copy of a", "x (1)", "wa")
    paths = sorted({f"{f}/{n}{k}.jpg" for f, n, k in zip(folders, names, any_of("", "1", "é"), strict=True)})
    count = len(paths)
    day = datetime(2017, 5, 31)
    return images(
        path=paths,
        root=[path[:2] for path in paths],
        width=any_of(8, 8, 8, 16),
        bytes=any_of(1, 2),
        format=any_of("JPEG", "JPEG", "MPO", "PNG", "TIFF", "WEBP", "RAW", "HEIF", "GIF", "PSD"),
        mode=any_of("RGB", "I;16", "L"),
        digest=any_of(*map(str, range(12))),
        mtime_ns=any_of(1, 2, 10**9, 2 * 10**9 + 1),
        taken=any_of(None, day, day + timedelta(days=1)),
        camera=any_of(None, "A", "Apple iPhone 12"),
        software=any_of(None, "Adobe Photoshop", "Firmware 1"),
        gps=any_of(True, False),
        orientation=any_of(1, 6, None),
        quality=any_of(None, 60, 79, 80, 97, 98),
        tables=any_of("own", "standard", None),
        subsampling=any_of("4:4:4", "4:2:0", None),
        progressive=any_of(True, False, None),
        was_jpeg=any_of(True, False, None),
        annotations=any_of(None, None, "caption", "keywords rating"),
        companions=any_of(None, None, "a.xmp", "a.mov/a.xmp"),
    )


@pytest.mark.parametrize("keep", RULES, ids=str)
@pytest.mark.parametrize("seed", range(6))
def test_the_stage_and_verify_choose_the_same(keep: list[Rule], seed: int) -> None:
    table = library(seed)
    references = ("/p/Phone/d",) if seed % 2 else ()
    paths, count = table["path"].to_pylist(), table.num_rows
    table = table.set_column(
        table.column_names.index("reference"), "reference", are_references(table["path"], references)
    )
    family = np.random.default_rng(seed).integers(0, count // 4, count)
    family = np.array([np.flatnonzero(family == each)[0] for each in family], np.int64)
    around = RankingContext(family, lambda: per_folder([table["path"]]))
    ranking = ranked(table, [checked(rule) for rule in keep], lambda _: pytest.fail("nobody asked"), around)
    members = np.flatnonzero(np.bincount(family, minlength=count)[family] > 1)
    keepers = {
        number: min(members[family[members] == number], key=ranking.places.__getitem__)
        for number in set(family[members])
    }
    rows = [
        {"cluster": family[n], "path": paths[n], "keeper": (is_it := keepers[family[n]] == n)}
        | {"reason": "why" if is_it else None}
        for n in members
    ]
    file = SimpleNamespace(table=table.select)
    run = SimpleNamespace(
        config={"cluster": {"keep": [checked(rule) for rule in keep]}, "inputs": {"reference": references}},
        images=SimpleNamespace(path=paths.__getitem__, paths=pa.array(paths)),
        parts=[file],
        scans=[file],
        clusters="clusters.parquet",
    )
    check = Check()
    check_keepers(cast("Any", run), check, pd.DataFrame(rows), family)
    assert (check.offenders, check.facts) == ([], {})
    wrong = next(n for n, row in enumerate(rows) if not row["keeper"])
    swapped = [
        row | ({"keeper": n == wrong, "reason": "why" if n == wrong else None})
        if row["cluster"] == rows[wrong]["cluster"]
        else row
        for n, row in enumerate(rows)
    ]
    check_keepers(cast("Any", run), check, pd.DataFrame(swapped), family)
    assert [offender["what"] for offender in check.offenders] == ["keeper"]
