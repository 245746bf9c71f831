"""Find the folder of each image for the rule `pairs.folders`.

The path of the image's folder is cut after `pairs.folder_depth` levels below the image's input: for the input /p and
depth 1, the images /p/x/1.jpg and /p/x/y/2.jpg lie in the folder /p/x."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from stages.decoding.location import is_container


def rule_folders(paths: pa.ChunkedArray, roots: Sequence[str], depth: int) -> pa.Array:
    """Return the path of each image's folder.

    roots  the inputs; of nested inputs, the outermost input counts, since its listing finds the images
    depth  levels of folders below an input; with 0, the folder of an image is the input"""
    holders = pc.replace_substring_regex(paths, r"/[^/]*\z", "").combine_chunks().dictionary_encode()
    tops = sorted((root.rstrip("/") for root in roots), key=len)
    names = [_cut(folder, tops, depth) for folder in holders.dictionary.to_pylist()]
    return pa.array(names, pa.string()).take(holders.indices)


def _cut(folder: str, tops: Sequence[str], depth: int) -> str:
    for top in tops:
        if is_container(top.encode()) and f"{folder}/".startswith(f"{top}!/"):
            return top
        if folder == top or folder.startswith(f"{top}/"):
            below = folder[len(top) + 1 :].split("/")
            return "/".join([top, *filter(None, below[:depth])])
    return folder  # the input is the image itself
