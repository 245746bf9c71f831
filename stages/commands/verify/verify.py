"""Check a finished run with simple code that is independent of the code that made the run.

No check uses the kernels that made the results, so no check can repeat an error of the kernels. The recorded thumbnails
are taken as correct, and for `pairs.same_hash` also the recorded hashes."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from importlib import metadata
from typing import Any

import numpy as np

from pipeline.machine.installation import DISTRIBUTION
from pipeline.messages.words import counted
from pipeline.store.backends.locations import Place
from stages.commands.verify.data import Recorded
from stages.commands.verify.distances import Ints
from stages.commands.verify.files import ArtifactFile
from stages.commands.verify.nearest import check_nearest
from stages.commands.verify.recount import LEDGER, check_clusters, expected_ledger
from stages.commands.verify.tables import Rows, alone
from stages.commands.verify.truth import Check, Truth, check_rows, decide, row_of, smallest

COUNTED = {
    "matches": ("row", "measured again"),
    "ledger": ("block pair", "counted again"),
    "random": ("random pair", "looked up"),
    "nearest": ("pair", "of sampled images with all others"),
    "clusters": ("image", "in clusters"),
}


def steps(run: Recorded) -> dict[str, int]:
    """Return the number of steps by name; at the end of each step, the run's function `step` is called."""
    near = {} if run.config["pairs"]["threshold"] is None else {"nearest": len(run.parts)}
    return {"images": len(run.parts), "matches": len(run.pairs), "random": 1, **near, "clusters": 1}


def verify(run: Recorded, pairs: int, images: int, seed: int) -> dict[str, Any]:
    """Return the content of verify.json. Raises ConfigError.

    pairs   number of random pairs to check
    images  number of random images to compare with all other images
    seed    seed of the random samples"""
    matched, matches = check_matches(run)
    checks = {
        "matches": matches,
        "ledger": check_ledger(run, matched),
        "random": check_random(run, pairs, seed),
        "nearest": check_nearest(run, images, seed),
        "clusters": check_clusters(run),
    }
    keys = ["metric", "normalize", "threshold", "rotations", "same", "same_hash", "references", "identical"]
    keys += ["folders", "folder_depth", "mirror", "exposure"]
    return {
        "version": metadata.version(DISTRIBUTION),
        "when": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "run": run.summary["run"],
        "config": {
            "inputs": run.config["inputs"],
            "thumbnail": {name: run.config["thumbnail"][name] for name in ("size", "channels")},
            "pairs": {name: run.config["pairs"].get(name) for name in keys},
            "cluster": {name: run.config["cluster"][name] for name in ("linkage", "threshold")},
        },
        "asked": {"pairs": pairs, "images": images, "seed": seed},
        "images": len(run.images),
        "checks": {name: check.as_dict() for name, check in checks.items()},
        "ok": not any(check.wrong for check in checks.values()),
    }


def check_matches(run: Recorded) -> tuple[dict[tuple[int, int], int], Check]:
    """Measure every row again; return the number of matches by block pair, and the check.

    The number of matches includes the matches of all images of a representative's group."""
    check, matched = Check(), dict.fromkeys(run.pairs, 0)
    for place, file in run.pairs.items():
        last = -1
        for rows in run.rows(place):
            check.counted += len(rows.a)
            last = _check_rows(run, file, rows, last, check)
            matched[place] += _represented(run, rows)
        run.step("matches")
    return matched, check


def _check_rows(run: Recorded, file: ArtifactFile, rows: Rows, last: int, check: Check) -> int:
    """Check consecutive rows; return the key of the last row.

    last  key of the row before these rows; -1 without such a row"""
    known = (rows.a >= 0) & (rows.b >= 0)
    keys = np.where(known & (rows.a < rows.b), rows.a * len(run.images) + rows.b, -1)
    before = np.maximum.accumulate(np.concatenate([[last], keys]))
    a, b = np.where(known, rows.a, 0), np.where(known, rows.b, 0)
    truth = decide(run, a, b, *(run.measure(a, b) if known.any() else (a, b)))
    firsts = (run.images.representative[a] == a) & (run.images.representative[b] == b)
    firsts |= alone(run.images, run.rules, a, b)
    right = (rows.mse == truth.mse) & (rows.measured == truth.measured) & (rows.ints("turns") == truth.turns)
    right &= rows.ints("rotation") == smallest(truth.turns) % 4 * 90
    if 4 in run.rules.turns:
        right &= rows.ints("mirrored") == (smallest(truth.turns) >= 4)
    wrong = [
        (~known, "paths of two readable images of these blocks"),
        (known & (a >= b), "path_a before path_b"),
        ((keys >= 0) & (keys <= before[:-1]), "rows in order, and one row for each pair"),
        (
            known & ~firsts & (run.images.representative[b] != a),
            "a row of the first image of each group of identical images",
        ),
        (known & ~truth.recorded, "no match"),
        (known & truth.recorded & ~right, None),
    ]
    reported = np.zeros(len(a), bool)
    for mask, why in wrong:
        for i in check.listed(np.flatnonzero(mask & ~reported)):
            actual = row_of(rows.mse[i], rows.ints("rotation")[i], rows.ints("turns")[i], rows.measured[i])
            paths = {name: rows.table.column(name)[i].as_py() for name in ("path_a", "path_b")}
            true = why if why != "no match" else f"no match (MSE {truth.mse[i]!s})"
            check.add(file, actual, true or truth.row(i), **paths)
        reported |= mask
    return int(before[-1])


def _represented(run: Recorded, rows: Rows) -> int:
    """Return the number of pairs of images that rows represent.

    A row between two groups of identical images represents all pairs across the groups, except for pairs that
    `alone` names. A row within a group represents the pairs of the row's second image with all images before
    this image in the group."""
    known = (rows.a >= 0) & (rows.b >= 0)
    a, b = rows.a[known], rows.b[known]
    images = run.images
    inside = images.representative[a] == images.representative[b]
    across = np.where(alone(images, run.rules, a, b), 1, images.group_size[a] * images.group_size[b])
    represented = np.where(inside, images.place_in_group[b], across)
    return int(represented.sum() + (~known).sum())


def check_ledger(run: Recorded, matched: Mapping[tuple[int, int], int]) -> Check:
    """Count the pairs of each block pair, and compare the counts with the ledgers and run.json."""
    check = Check(facts={"note": "every block pair is counted in full, by grouping; none is sampled"})
    total = dict.fromkeys(LEDGER, 0)
    for place, file in run.pairs.items():
        expected = expected_ledger(run, *place) | {"matches": matched[place]}
        if run.rules.threshold is None and expected["matches"] != expected["pairs_total"] - expected["skipped_by_rule"]:
            true = expected["pairs_total"] - expected["skipped_by_rule"]
            check.add(file, expected["matches"], true, what="pairs that the rows represent, without a threshold")
        check.counted += 1
        for name in LEDGER:
            total[name] += expected[name]
            if file.summary.get(name) != expected[name]:
                check.add(file, file.summary.get(name), expected[name], what=f"ledger.{name}")
    facts = {f"ledger.{name}": total[name] for name in LEDGER} | {"images.readable": len(run.images)}
    facts["ledger.pairs_total"] = _pairs_in_all(run)
    for name, true in facts.items():
        section, _, key = name.partition(".")
        actual = run.summary[section].get(key)
        if actual != true:
            check.add("run.json", actual, true, what=name)
    check.facts["ledger"] = total
    return check


def _pairs_in_all(run: Recorded) -> int:
    """Return the number of pairs of readable images."""
    n, b = len(run.images), int(run.images.in_b.sum())
    return (n - b) * b if run.two_sets else n * (n - 1) // 2


def check_random(run: Recorded, pairs: int, seed: int) -> Check:
    """Check that random pairs have the rows that the rules demand, and no other rows."""
    check = Check()
    a, b = sample_pairs(run, pairs, np.random.default_rng(seed))
    order = np.lexsort((b, run.images.partition[b], run.images.partition[a]))  # thumbnails are stored by partition
    a, b = a[order], b[order]
    truths = []
    for start in range(0, len(a), run.pairs_at_once):
        part = slice(start, start + run.pairs_at_once)
        truths.append(decide(run, a[part], b[part], *run.measure(a[part], b[part])))
    if truths:
        names = Truth.__dataclass_fields__
        truth = Truth(*(np.concatenate([getattr(each, name) for each in truths]) for name in names))
        check_rows(run, check, a, b, truth)
        check.facts["matches"] = int(truth.recorded.sum())
    run.step("random")
    return check


def sample_pairs(run: Recorded, pairs: int, random: np.random.Generator) -> tuple[Ints, Ints]:
    """Return `pairs` distinct random pairs of images, a < b; all pairs if there are fewer."""
    n, total = len(run.images), _pairs_in_all(run)
    first_b = n - int(run.images.in_b.sum())
    if total <= pairs:
        a, b = np.divmod(np.arange(total), max(1, n - first_b)) if run.two_sets else np.triu_indices(n, 1)
        return a.astype(np.int64), (b + first_b if run.two_sets else b).astype(np.int64)
    keys = np.empty(0, np.int64)
    while len(keys) < pairs:
        if run.two_sets:
            a, b = random.integers(0, first_b, pairs), random.integers(first_b, n, pairs)
        else:
            a, b = random.integers(0, n, pairs), random.integers(0, n - 1, pairs)
            b += b >= a  # any other image, with equal probability
        keys = np.union1d(keys, np.minimum(a, b) * n + np.maximum(a, b))
    keys = random.choice(keys, pairs, replace=False)
    return keys // n, keys % n


def lines(report: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for each check: the number of checked items, and the number of errors."""
    for name, check in report["checks"].items():
        (noun, more), note = COUNTED[name], check.get("note")
        text = f"{counted(check['counted'], noun)} {more}, {check['wrong']:,} wrong"
        if note and not check["counted"]:
            text = f"not checked: {note}"
        elif note and name == "clusters":
            text += f"; {note}"
        yield f"{name:<10}  {text}"


def problem_lines(report: Mapping[str, Any], folder: Place) -> Iterator[str]:
    """Yield a line for each recorded error, then a line with the number of errors and what to do."""
    wrong = sum(check["wrong"] for check in report["checks"].values())
    artifacts: dict[str, None] = {}
    for name, check in report["checks"].items():
        for offender in check["offenders"]:
            artifacts[offender["artifact"]] = None
            where = [str(value) for key, value in offender.items() if key not in ("artifact", "stands", "true")]
            actual, true = (_as_text(offender[key]) for key in ("stands", "true"))
            yield f"{name}: {offender['artifact']}: {', '.join(where)}: expected {true}, got {actual}"
    if wrong:
        files = [str(folder / name) for name in artifacts if "/" in name]
        advice = f"delete {', '.join(files)} and run `fast-diff run` again" if files else "run `fast-diff run` again"
        yield f"{counted(wrong, 'wrong value')}: {advice}; the run makes missing files again"


def _as_text(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {each}" for name, each in value.items())
    return str(value)
