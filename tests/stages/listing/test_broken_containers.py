"""Containers broken at random: each image is accounted for, memory stays bounded, and nothing is written.

A broken container may lose images only behind an error of the container itself.

    python -m tests.stages.listing.test_broken_containers [ROUNDS of each kind]"""

import io
import os
import random
import resource
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stages.decoding.containers import OpenContainers, reading_order
from stages.decoding.problems import Unreadable
from stages.decoding.reading import read
from stages.decoding.sources import Expected
from stages.listing.files import find
from stages.listing.rules import ListingRules
from stages.listing.stamps import stamps
from tests.stages.packing import pack

ROUNDS = 150
COUNT = 12
MOST = 200_000
"""`thumbnail.max_bytes` of these readers."""
MEMORY = 3 << 30
ENDINGS = ("tar", "tar.gz", "tar.bz2", "tar.xz", "zip", "deflated.zip", "parquet", "arrow", "pax.tar")


def build(folder: Path, ending: str, dice: random.Random) -> tuple[Path, dict[str, bytes]]:
    """Write a whole container of images with difficult names; return the images by a part of their names."""
    data = {f"i{number}.jpg": dice.randbytes(dice.randrange(1, 4_000)) for number in range(COUNT)}
    forms = ("{}", "d/{}", "../{}", "/abs/{}", "./{}", "ä/{}", "a\nb/{}", "x" * 150 + "/{}")
    named = {dice.choice(forms).format(name): each for name, each in data.items()}
    path = folder / f"a.{ending}"
    if ending in ("parquet", "arrow"):
        table = pa.table({"key": list(data), "image": list(data.values())})
        if ending == "parquet":
            pq.write_table(table, path, row_group_size=5, write_page_checksum=True)
        else:
            with pa.ipc.new_stream(str(path), table.schema) as writer:
                writer.write_table(table, max_chunksize=5)
    elif ending == "pax.tar":
        with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
            for name, each in named.items():
                info = tarfile.TarInfo(name)
                info.size, info.pax_headers = len(each), {"comment": "x" * dice.randrange(2_000)}
                tar.addfile(info, io.BytesIO(each))
    else:
        pack(path, named, zipfile.ZIP_DEFLATED if ending == "deflated.zip" else zipfile.ZIP_STORED)
    return path, data


def breaks(data: bytearray, dice: random.Random) -> bytearray:
    """Return damage of one kind: cut, flipped or overwritten bytes, a repeated or a missing part."""
    at, end = sorted(dice.randrange(len(data) + 1) for _ in range(2))
    end = min(end, at + dice.choice((1, 8, 512, 3_000)))
    match dice.randrange(6):
        case 0:
            return data[:at]
        case 1:
            for _ in range(dice.randrange(1, 6)):
                data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
        case 2:
            data[at:end] = dice.randbytes(end - at)
        case 3:
            data[at:end] = data[at:end] * 2
        case 4:
            del data[at:end]
        case 5:
            data[at:end] = b"9" * (end - at)
    return data


def check(path: Path, data: dict[str, bytes], whole: bool) -> None:
    found = find([str(path)], ListingRules(columns=("key",)))
    assert found.locations is not None
    paths = found.paths.to_pylist()
    columns = paths, found.sizes.tolist(), stamps(found, "mtime").to_pylist(), found.locations.to_pylist()
    files = [Expected(*row) for row in zip(*columns, strict=True)]
    assert len(set(paths)) == len(paths)
    assert all(each == os.fsencode(path) or each.startswith(os.fsencode(path) + b"!/") for each in paths)
    assert not any(b"/../" in each or b"//" in each or b"\0" in each for each in paths)
    cached = OpenContainers()
    cached.expect([files[number] for number in reading_order(files)], MOST)
    good, bad = set(), set()
    for number in reading_order(files):
        try:
            content, _ = read(files[number], "mtime", MOST, cached)
        except Unreadable as error:
            bad.add((files[number].path, error.problem.code))
        else:
            good.add(content)
            assert len(content) <= MOST
    cached.close()
    lost = len(set(data.values()) - good)
    if whole:
        assert (lost, bad) == (0, set())
    elif lost and not bad:
        named = len(find([str(path)], ListingRules(extensions=None)))  # a damaged name may have another ending
        assert named >= len(data), "an image is missing without a word"


def limited() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


@pytest.mark.slow
@pytest.mark.parametrize("ending", ENDINGS)
def test_broken_containers(ending: str, tmp_path: Path) -> None:
    """Runs in its own process, under a memory limit, from an empty folder."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "made").mkdir()
    words = [sys.executable, "-c", f"from {__name__} import main; main({ending!r}, {str(tmp_path / 'made')!r})"]
    path = os.pathsep.join([str(Path(__file__).parents[3])])
    done = subprocess.run(
        words,
        cwd=tmp_path / "empty",
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        preexec_fn=limited,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr[-3_000:]
    assert not list((tmp_path / "empty").iterdir())
    assert {each.name for each in (tmp_path / "made").iterdir()} == {f"a.{ending}"}
    assert {each.name for each in tmp_path.iterdir()} == {"empty", "made"}


@pytest.mark.parametrize("ending", ENDINGS)
def test_whole_containers(ending: str, tmp_path: Path) -> None:
    check(*build(tmp_path, ending, random.Random(1)), whole=True)


def main(ending: str, folder: str, rounds: int = ROUNDS) -> None:
    for seed in range(rounds):
        dice = random.Random(f"{ending} {seed}")
        path, data = build(Path(folder), ending, dice)
        path.write_bytes(breaks(bytearray(path.read_bytes()), dice))
        try:
            check(path, data, whole=False)
        except BaseException:
            print(f"{ending} {seed}", file=sys.stderr)
            raise


if __name__ == "__main__":
    limited()
    rounds = int(sys.argv[1]) if sys.argv[1:] else ROUNDS
    for kind in ENDINGS:
        with tempfile.TemporaryDirectory() as made:
            main(kind, made, rounds)
        print(f"{kind}: {rounds:,} broken containers, every image accounted for", flush=True)
