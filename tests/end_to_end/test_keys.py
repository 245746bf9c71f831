"""Every key of the config that can change a result changes what runs.

A stage that computes with a setting which is in none of its fingerprints would take another config's artifacts for its
own. So, for each key: a run in a folder where many other configs have run before ends with the artifacts of a run in an
empty folder, and these differ from those of the run before."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from pipeline.plan.discovery import discover
from pipeline.plan.fingerprint import result_params
from pipeline.store.store import Store
from tests.end_to_end.driver import LONG_AGO, Project, make_image
from tests.stages.decoding.test_colour import SWAPPED
from tests.stages.vectors.models import averages

HERE = __name__


def bits(image: np.ndarray) -> str:
    """Return, in hex, which pixels are brighter than the mean."""
    grey = image.astype(int).sum(axis=2)
    return np.packbits(grey > grey.mean()).tobytes().hex()


def mode(image: Image.Image) -> str:
    return f"{image.mode} {image.getpixel((3, 3))}"


def corner(images: np.ndarray) -> np.ndarray:
    return images[:, :2, :3].astype(np.float32).reshape(len(images), -1) + 1


def largest(images: np.ndarray, image: np.ndarray) -> np.ndarray:
    return np.abs(images.astype(int) - image).max(axis=(1, 2, 3))


def bytes_last(image: Mapping[str, Any]) -> float:
    return -float(image["bytes"])


EMBEDDING = ("pairs.metric=embedding", f"pairs.embedding={HERE}:corner", "pairs.threshold=90000")
ONNX = ("pairs.metric=embedding", "pairs.embedding=onnx:net.onnx", "pairs.threshold=0.01", "embed.size=[16, 16]")
HAMMING = ("pairs.metric=hamming", f"hash.function={HERE}:bits", "pairs.threshold=60")
CASES: dict[str, list[tuple[str, ...]]] = {
    "scan": [
        ("scan.recursive=false",),
        ("scan.extensions=[jpg]",),
        ("scan.ignore_names=[turned.png]",),
        ("scan.ignore_paths=['*/more']",),
        ("scan.follow_links=true",),
        ("scan.archives=true",),
        ("scan.columns=[cls]",),
        ("scan.trust=ctime",),
        ("scan.trust=bytes",),
        ("companions.patterns=[]",),
    ],
    "thumbnail": [
        ("thumbnail.size=[12, 12]",),
        ("thumbnail.size=[12, 16]", "pairs.rotations=false"),
        ("thumbnail.channels=grey",),
        ("thumbnail.channels=rgba",),
        ("thumbnail.decode=exact",),
        ("thumbnail.background=black",),
        ("thumbnail.orientation=ignore",),
        ("thumbnail.colour=raw",),
        ("thumbnail.trim=borders",),
        ("thumbnail.truncated=accept",),
        ("thumbnail.max_bytes=10000",),
        ("thumbnail.max_pixels=7000",),
        ("thumbnail.plugins=[json]",),
    ],
    "hash": [
        ("hash.function=md5",),
        (f"hash.function={HERE}:mode", "hash.takes=image"),
        HAMMING,
        ("hash.shift=2",),
    ],
    "pairs": [
        (f"pairs.metric={HERE}:largest", "pairs.threshold=60"),
        HAMMING,
        (*HAMMING, "pairs.rotations=false"),
        EMBEDDING,
        (*EMBEDDING, "pairs.rotations=false"),
        (*EMBEDDING, "pairs.threshold=0.01", "pairs.embedding_distance=cosine"),
        ("pairs.normalize=value",),
        ("pairs.threshold=20",),
        ("pairs.threshold=null", "cluster.threshold=100"),
        ("pairs.rotations=false",),
        ("pairs.mirror=true",),
        ("pairs.mirror=true", "pairs.rotations=false"),
        (*HAMMING, "pairs.mirror=true"),
        (*EMBEDDING, "pairs.mirror=true"),
        ("pairs.exposure=ignore",),
        ("pairs.exposure=ignore", "pairs.mirror=true", "pairs.normalize=value"),
        ("pairs.same=dimensions",),
        ("pairs.same=aspect",),
        ("pairs.same_hash=zero",),
        ("pairs.same_hash=skip",),
        ("inputs.reference=[images/more]", "pairs.references=skip"),
        ("pairs.identical=all",),
        ("pairs.folders=across",),
        ("pairs.folders=within",),
        ("pairs.folders=across", "pairs.folder_depth=0"),
    ],
    "embed": [
        ONNX,
        (*ONNX, "embed.size=[24, 24]"),
        (*ONNX, "embed.layout=nhwc"),
        (*ONNX, "embed.mean=127"),
        (*ONNX, "embed.mean=127", "embed.scale=[0.1, 0.2, 0.1]"),
        (*ONNX, "embed.output=other"),
        (*ONNX, "embed.batch=3"),
        (*ONNX, "thumbnail.orientation=ignore"),
        (*ONNX, "thumbnail.background=black"),
        (*ONNX, "pairs.rotations=false"),
        (*EMBEDDING, "embed.size=[20, 20]"),
        (*EMBEDDING, "embed.size=[20, 20]", "thumbnail.channels=grey"),
    ],
    "cluster": [
        ("cluster.linkage=complete",),
        ("cluster.linkage=star",),
        ("cluster.threshold=50",),
        ("cluster.keep=[{path: shortest}]",),
        ("cluster.keep=[newest]",),
        ("cluster.keep=[companions]",),
        ("cluster.keep=[companions]", "companions.patterns=['<stem>.aae']"),
        (f"cluster.keep=['{HERE}:bytes_last']",),
        ("cluster.dismissed=[dismissed.csv]",),
        ("cluster.min_contrast=20",),
        ("inputs.reference=[images/more]",),
    ],
    "plot": [
        ("plot.pairs=1",),
        ("plot.clusters=1",),
        ("plot.page=3",),
        ("plot.previews=2",),
        ("plot.labels=labels.csv",),
        ("plot.pdf=true",),
        ("pairs.threshold=20",),
        ("cluster.threshold=50",),
        ("cluster.dismissed=[dismissed.csv]",),
        ("thumbnail.background=black",),
        ("inputs.reference=[images/more]",),
        ("cluster.min_contrast=20",),
    ],
}
UNSEEN = (
    "scan.trust=ctime",
    "scan.trust=bytes",
    "thumbnail.plugins=[json]",
    "cluster.linkage=complete",
    "cluster.linkage=star",
)
"""Keys that change nothing in this library: its files are unchanged, this module adds no plugin to Pillow, and all
images of a cluster match each other."""


def make_library(folder: Path) -> None:
    """Make a few images, some of which each key changes."""
    images = folder / "images"
    picture = Image.open(make_image(images / "first.jpg", 1, (640, 640)))
    picture.rotate(90).save(images / "turned.png")
    picture.save(images / "copy.jpg", quality=40)
    picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(images / "mirrored.png")
    picture.resize((80, 80)).save(images / "small.png")
    ImageOps.expand(picture, (0, 90), "black").save(images / "letterbox.jpg", quality=90)
    picture.resize((120, 90)).save(images / "wide.png")
    picture.resize((160, 120)).point(lambda value: min(255, value + 6)).save(images / "wider.png")
    picture.resize((90, 90)).save(images / "colourful.png", icc_profile=SWAPPED)
    see_through = np.array(picture.resize((64, 64)).convert("RGBA"))
    see_through[:40, :30, 3] = 0
    Image.fromarray(see_through).save(images / "see-through.png")
    other = Image.open(make_image(images / "more" / "other.jpg", 2))
    exif = Image.Exif()
    exif[0x0112] = 6
    other.save(images / "more" / "lying.jpg", exif=exif)
    shutil.copyfile(images / "more" / "other.jpg", images / "more" / "same.jpg")
    Image.open(make_image(images / "third.jpg", 3)).save(images / "whole.bmp")
    (images / "cut.bmp").write_bytes((images / "whole.bmp").read_bytes()[:-4000])
    for number in (0, 1):
        Image.new("RGB", (50, 50), (90, 90, 90 + number)).save(images / f"blank{number}.png")
    make_image(folder / "elsewhere" / "linked.jpg", 4)
    (images / "copy.xmp").write_text("<x/>")
    (images / "turned.aae").write_text("<x/>")
    (images / "link").symlink_to(folder / "elsewhere")
    averages(folder / "net.onnx")
    for number, path in enumerate(sorted(path for path in folder.rglob("*.*") if path.is_file())):
        os.utime(path, (LONG_AGO - number, LONG_AGO - number))


def write_lists(folder: Path) -> None:
    """Write a pair that was dismissed, and labels of some images."""
    blank = [folder / "images" / f"blank{number}.png" for number in (0, 1)]
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in blank]
    (folder / "dismissed.csv").write_text(f"digest_a,digest_b\n{','.join(sorted(digests))}\n")
    rows = "".join(f"{folder / 'images' / name},picture\n" for name in ("first.jpg", "copy.jpg"))
    (folder / "labels.csv").write_text(f"path,label\n{rows}")


def contents(project: Project) -> dict[tuple[str, str], object]:
    """Return the content of a run's artifacts, and of the files beside the artifacts."""
    store = Store(project.run_folder)
    records = [store.record(stage.name, name) for stage in discover() for name in store.names(stage.name)]
    return {(record.stage, record.key): (record.content, record.rows, record.files) for record in records}


def fresh(project: Project, case: Sequence[str]) -> dict[tuple[str, str], object]:
    """Return the content of a separate run with the same settings."""
    alone = Project(project.folder)
    alone.config = project.config | {"output": str(project.folder / "alone")}
    assert alone.run(*case) == 0
    found = contents(alone)
    shutil.rmtree(alone.run_folder)
    return found


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("section", CASES)
def test_a_run_after_others_equals_a_separate_run(
    section: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_library(tmp_path)
    write_lists(tmp_path)
    project = Project(tmp_path, {"thumbnail": {"size": [16, 16]}, "pairs": {"threshold": 400.0}})
    if section != "plot":  # this case takes longest
        *others, plot = discover()
        quick = dataclasses.replace(plot, compute=lambda *_: plot.schema.empty_table())
        monkeypatch.setattr("pipeline.plan.discovery.discover", lambda: [*others, quick])
    assert project.run() == 0
    usual = contents(project)
    for case in CASES[section]:
        assert project.run(*case) == 0, case
        found = contents(project)
        assert found == fresh(project, case), f"{case}: not what a run of its own makes"
        assert found != usual or case[-1] in UNSEEN, f"{case}: changes nothing of these images"
    assert project.run() == 0
    assert contents(project) == usual


def test_every_key_that_changes_results_has_a_case() -> None:
    changed = {override.partition("=")[0] for cases in CASES.values() for case in cases for override in case}
    for stage in discover():
        for name in result_params(stage.params()):
            assert f"{stage.name}.{name}" in changed, "add a case, and an image that it changes"
