"""Find folders that share images: folders.parquet, and the table on the page.

A folder includes its whole subtree. An image is shared with another folder if the image matches an image in that
folder. A folder is contained in another folder if all its images are readable and shared with the other folder. The
result is complete, since every pair of images is compared."""

from __future__ import annotations

import io
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.stage import Artifact, Inputs, Job
from stages.clustering import dismissed
from stages.clustering.live import folders_of
from stages.kernels.graph.trees import SharedImages, Tree, condensed, shared
from stages.report.bundles import bundles
from stages.report.image_groups import ImageFolders

Ints = NDArray[np.int64]

FILENAME = "report/folders.parquet"
"""Name of the table, relative to the run's folder."""
SCHEMA = pa.schema(
    [
        ("folder_a", pa.string()),
        ("folder_b", pa.string()),
        *((f"{name}_{side}", pa.int64()) for name in ("images", "unreadable") for side in "ab"),
        *(
            (f"{name}_{side}", pa.int64())
            for name in ("shared", "identical", "near", "bytes", "alone")
            for side in "ab"
        ),
        *((f"contained_{side}", pa.bool_()) for side in "ab"),
    ]
)
"""The table's schema; columns that end in `_a` describe folder_a, columns that end in `_b` folder_b.

images      number of readable images of the folder, subfolders included
unreadable  number of unreadable images of the folder
shared      number of images that match an image of the other folder
identical   number of shared images with a match at distance 0 in the other folder
near        number of other shared images
bytes       bytes of the shared images
alone       number of images without a match outside the folder
contained   whether all images of the folder are readable and shared

If one folder lies in the other folder, the counts of the outer folder leave out the inner folder, except in `alone`."""


class _Folders(NamedTuple):
    """The folders of a run that have images of their own, or several subfolders, in the order of their names.

    names       paths of the folders
    tree        the folders as a tree
    unreadable  number of unreadable images in each folder itself, without subfolders, int64 (folders,)"""

    names: list[str]
    tree: Tree
    unreadable: Ints


def folder_table(inputs: Inputs, job: Job) -> pa.Table:
    """Return a row for each pair of folders that share images, in the order of the folders' names.

    A pair is left out if a subfolder shares the same images: see `condensed`. Images that occur in more than about a
    thousand folders add no rows, but count in the rows of other images: see `stages.kernels.graph.trees.PRODUCT`."""
    pairs: Collection[tuple[str, str]] = ()
    if files := job.settings("cluster.dismissed"):
        pairs = dismissed.unchanged(files, job.task.spec["dismissed"])
    digests = sorted({digest for pair in pairs for digest in pair})
    number = {digest: place for place, digest in enumerate(digests, start=1)}
    numbered = {(number[x], number[y]) for a, b in pairs for x, y in ((a, b), (b, a))}
    folders, images = _images(inputs.of("thumbnail"), job.settings("cluster.min_contrast"), digests)
    found = shared(folders.tree, bundles(inputs, job.settings, images, numbered))
    return _table(folders, np.bincount(images.folder, minlength=images.folders), found)


def as_parquet(table: pa.Table) -> bytes:
    """Return a table as Parquet with page checksums; equal tables give equal bytes."""
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd", write_page_checksum=True)
    return buffer.getvalue()


def _images(
    thumbnails: Sequence[Artifact], min_contrast: float, digests: Sequence[str]
) -> tuple[_Folders, ImageFolders]:
    """Return all folders, and the readable images with the numbers of their folders."""
    numbers: dict[str, int] = {}
    known = pa.array(digests, pa.string())
    more = [*(["contrast"] if min_contrast else []), *(["digest"] if digests else [])]
    folder, failed, bytes_, flat, marked = ([np.empty(0, np.int64)] for _ in range(5))
    for artifact in thumbnails:
        rows = artifact.table(["path", "bytes", "error", *more])
        there = pc.is_null(rows["error"])
        for readable, places in ((pc.invert(there), failed), (there, folder)):
            encoded = folders_of(rows["path"].filter(readable)).combine_chunks().dictionary_encode()
            codes = [numbers.setdefault(name, len(numbers)) for name in encoded.dictionary.to_pylist()]
            places.append(np.array(codes, np.int64)[encoded.indices.to_numpy()])
        rows = rows.filter(there)
        bytes_.append(rows["bytes"].to_numpy())
        flat.append((rows["contrast"].to_numpy() < min_contrast) if min_contrast else np.zeros(len(rows), np.int64))
        place = pc.fill_null(pc.index_in(rows["digest"], value_set=known), -1).to_numpy() if digests else -1
        marked.append(np.zeros(len(rows), np.int64) + place + 1)
    names, parent = _tree(list(numbers))
    of_name = {name: place for place, name in enumerate(names)}
    new = np.array([of_name[name or "/"] for name in numbers], np.int64)
    unreadable = np.bincount(new[np.concatenate(failed)], minlength=len(names))
    images = ImageFolders(
        new[np.concatenate(folder)],
        len(names),
        np.concatenate(bytes_).astype(np.int64),
        np.concatenate(flat).astype(bool),
        np.concatenate(marked).astype(np.int64),
    )
    return _Folders(names, Tree(parent), unreadable), images


def _tree(leaves: Sequence[str]) -> tuple[list[str], Ints]:
    """Return the folders with images or with several subfolders, and the number of each folder's parent.

    leaves  folders with images

    A folder that contains nothing but one subfolder is left out."""
    own = {tuple(name.split("/")) for name in leaves}
    inner: dict[tuple[str, ...], set[tuple[str, ...]]] = {}
    for parts in own:
        for end in range(len(parts), 0, -1):
            children = inner.setdefault(parts[: end - 1], set())
            if parts[:end] in children:
                break
            children.add(parts[:end])
    kept = sorted(own | {parts for parts, children in inner.items() if parts and parts[-1] and len(children) > 1})
    place = {parts: number for number, parts in enumerate(kept)}
    parent = np.full(len(kept), -1)
    for number, parts in enumerate(kept):
        above = next((parts[:end] for end in range(len(parts) - 1, 0, -1) if parts[:end] in place), None)
        parent[number] = -1 if above is None else place[above]
    return ["/".join(parts) or "/" for parts in kept], parent


def _table(folders: _Folders, images: Ints, found: SharedImages) -> pa.Table:
    """Return the table of folders.

    images  number of readable images in each folder itself, without subfolders, int64 (folders,)"""
    tree, count = folders.tree, len(folders.names)
    keys = found.a * count + found.b
    forth = np.flatnonzero(condensed(tree, found) & (found.a < found.b))
    back = np.searchsorted(keys, found.b[forth] * count + found.a[forth])
    a, b = found.a[forth], found.b[forth]
    inside = b < tree.end[a]
    totals = {"images": tree.sums(images), "unreadable": tree.sums(folders.unreadable)}
    names = pa.array(folders.names, pa.string())
    columns: dict[str, Any] = {"folder_a": names.take(pa.array(a)), "folder_b": names.take(pa.array(b))}
    for name, total in totals.items():
        columns |= {f"{name}_a": total[a] - np.where(inside, total[b], 0), f"{name}_b": total[b]}
    for side, rows, folder in (("a", forth, a), ("b", back, b)):
        near, same = found.images[rows], found.identical[rows]
        columns |= {f"shared_{side}": near, f"identical_{side}": same, f"near_{side}": near - same}
        columns |= {f"bytes_{side}": found.bytes[rows], f"alone_{side}": (totals["images"] - found.elsewhere)[folder]}
        columns[f"contained_{side}"] = (near == columns[f"images_{side}"]) & (columns[f"unreadable_{side}"] == 0)
    return pa.table([columns[name] for name in SCHEMA.names], schema=SCHEMA)
