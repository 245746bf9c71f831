"""Collect the sources of a run: containers, lists, loose images, and files that belong to a data set."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import TypeAdapter

from pipeline.messages.errors import ConfigError
from pipeline.store.backends.locations import inside
from stages import scan
from stages.commands.plan.companions import true_name
from stages.commands.results.tables import Results
from stages.comparing.references import are_references
from stages.decoding.location import is_container, location_of
from stages.decoding.recheck import names_of
from stages.decoding.sources import Expected
from stages.filtering.datasets import json_files
from stages.filtering.lists import ImageList
from stages.filtering.loose import FolderImages
from stages.filtering.outcome import Removal
from stages.filtering.result_paths import ResultPaths
from stages.listing.companions import NAME_SEPARATOR
from stages.listing.layouts import dataset_files
from stages.listing.lists import is_list
from stages.listing.path_text import show
from stages.listing.values import METADATA
from stages.listing.values import NAME as FILE_NAME

COLUMNS = ("path", "path_bytes", "set", "root", "bytes", "stamp", "companions", "location")


@dataclass
class ContainerImages:
    """The images to remove from a container.

    stamp    size and stamp of the container in the run; empty for a container without an image in the run
    removed  names of the images to remove"""

    stamp: str = ""
    removed: set[bytes] = field(default_factory=set)


@dataclass
class Sources:
    """The sources of which copies are written.

    trust       `scan.trust`
    containers  the containers, by name
    folders     the folders with loose images, by name
    lists       lists of images, and metadata files of folders
    datasets    JSON files of data sets, by name, with a digest of the data set's removed images
    removed     all images to remove
    left        number of images of references and of the other set, which are not copied
    layout      paths of the results
    wanted      returns for a folder or container a function that tells which members are images
    columns     columns with images or paths, by the name of a table or list"""

    trust: str
    containers: dict[bytes, ContainerImages] = field(default_factory=dict)
    folders: dict[bytes, FolderImages] = field(default_factory=dict)
    lists: list[ImageList] = field(default_factory=list)
    datasets: dict[bytes, str] = field(default_factory=dict)
    removed: frozenset[bytes] = frozenset()
    left: int = 0
    layout: ResultPaths = field(default_factory=lambda: ResultPaths([b"/"]))
    wanted: Callable[[bytes], Callable[[bytes], bool]] = lambda name: lambda member: True
    columns: Mapping[bytes, str] = field(default_factory=dict)

    def removal(self, container: bytes) -> Removal:
        """Return the images to remove from a container."""
        removed = frozenset(self.containers[container].removed)
        return Removal(removed, self.wanted(container + b"!"), self.columns.get(container))


def sources_of(results: Results, removed: frozenset[str], leak_from: str | None) -> Sources:
    """Return the sources of a run, without references and, with `leak_from`, without the other set.

    removed  paths of the images to remove

    Raises:
        ConfigError: the run can't be read."""
    config = results.summary["config"]
    inputs = config["inputs"]
    try:
        params = TypeAdapter(scan.Params).validate_json(json.dumps(config.get("scan", {})))
    except ValueError as error:
        problem = "run.json has keys of `scan` that this version does not know; run `fast-diff run` again first"
        raise ConfigError(f"{results.folder}: {problem}") from error
    columns = {_bytes(name): column for name, column in inputs.get("columns", {}).items()}
    found = Sources(params.trust, wanted=params.rules().below, columns=columns)
    sets = (leak_from,) if leak_from else ("a", "b")
    references = inputs.get("reference", [])
    roots = [_bytes(root) for name in sets for root in inputs[name] if not _is_reference(root, references)]
    gone: set[bytes] = set()
    for table in results.tables("scan", COLUMNS):
        flags = are_references(table["path"], references)
        for path, row, reference in zip(names_of(table), table.to_pylist(), flags.to_pylist(), strict=True):
            if reference or row["set"] not in sets:
                found.left += 1
            else:
                _add(found, path, row, row["path"] in removed)
                gone |= {path} if row["path"] in removed else set()
    found.removed = frozenset(gone)
    files = {root for root in roots if root in found.containers or _is_loose(found, root)}
    for root in roots:
        if (is_container(root) or is_list(root)) and not _is_folder(root):
            files.add(root)
        if is_container(root) and root in files:
            found.containers.setdefault(root, ContainerImages())
        elif is_list(root) and root in files:
            folder = inputs.get("folders", {}).get(show(root))
            found.lists.append(ImageList(root, columns.get(root), folder))
        elif root.startswith(b"/") and _is_folder(root) and dataset_files(root) is not None:
            _add_dataset(found, root)
    found.lists += [ImageList(name, FILE_NAME, moved=False) for name in sorted(_metadata(found, roots))]
    found.layout = ResultPaths([os.path.dirname(root) if root in files else root for root in roots])
    return found


def _bytes(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")


def _is_reference(root: str, references: list[str]) -> bool:
    return any(inside(root, reference) for reference in references)


def _is_folder(root: bytes) -> bool:
    return root.startswith(b"/") and os.path.isdir(root)


def _is_loose(found: Sources, root: bytes) -> bool:
    folder = found.folders.get(os.path.dirname(root))
    name = os.path.basename(root)
    return folder is not None and (name in folder.kept or name in folder.removed)


def _add(found: Sources, path: bytes, row: Mapping[str, Any], is_removed: bool) -> None:
    """Add an image of the run; an image that a list names is not copied."""
    if row["location"]:
        container = location_of(path, row["location"]).container
        if is_container(container):
            images = found.containers.setdefault(container, ContainerImages())
            images.stamp = row["stamp"].removesuffix(f" {row['location']}")
            if is_removed:
                images.removed.add(path[len(container) + 2 :])
        return
    if is_list(_bytes(row["root"])) and not inside(row["path"], row["root"]):
        return
    folder, _, name = path.rpartition(b"/")
    images_here = found.folders.setdefault(folder, FolderImages(folder))
    if is_removed:
        images_here.removed.add(name)
    else:
        images_here.kept[name] = Expected(path, row["bytes"], row["stamp"])
    if row["companions"]:
        images_here.companions[name] = [true_name(each, name) for each in row["companions"].split(NAME_SEPARATOR)]


def _add_dataset(found: Sources, root: bytes) -> None:
    """Add the JSON files of a data set, and the files of the data set that have no image."""
    files = dataset_files(root) or []
    for name in files:
        found.containers.setdefault(name, ContainerImages())
    gone = sorted(name + b"\0" + each for name in files for each in found.containers[name].removed)
    removals = hashlib.sha256(b"\0".join(gone)).hexdigest() if gone else ""
    found.datasets |= dict.fromkeys(json_files(root), removals)


def _metadata(found: Sources, roots: list[bytes]) -> Iterator[bytes]:
    """Yield the metadata files of folders with images, as in Hugging Face's ImageFolder."""
    folders: set[bytes] = set()
    for folder in found.folders:
        while folder not in folders and any(folder == root or folder.startswith(root + b"/") for root in roots):
            folders.add(folder)
            folder = os.path.dirname(folder)
    for folder in folders:
        for name in METADATA:
            if folder.startswith(b"/") and os.path.isfile(os.path.join(folder, name)):
                yield os.path.join(folder, name)
