"""Containers with random damage: every member is accounted for, and no unfinished file is left."""

import io
import random
import tarfile
import warnings
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stages.filtering.outcome import Refused, Removal
from stages.filtering.rewriting import CHANGED, current_stamp, write_container
from stages.listing.containers import Container, listed
from stages.listing.rules import ListingRules

KINDS = ("tar", "tar.gz", "zip", "parquet", "arrow")
CASES = 60


def made(kind: str, generator: random.Random) -> bytes:
    names = [*(f"d/{number}.jpg" for number in range(6)), "a.txt", "7.cls", "../x.jpg", "d/1.json"]
    data = {name: generator.randbytes(generator.randrange(2_000)) for name in names}
    out = io.BytesIO()
    if kind.startswith("tar"):
        form = generator.choice([tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
        with tarfile.open(fileobj=out, mode=f"w:{kind[4:]}", format=form) as tar:  # type: ignore[call-overload]
            for name, content in data.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
            info = tarfile.TarInfo("link.jpg")
            info.type, info.linkname = tarfile.LNKTYPE, "d/1.jpg"
            tar.addfile(info)
    elif kind == "zip":
        with zipfile.ZipFile(out, "w", generator.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])) as archive:
            for name, content in data.items():
                archive.writestr(name, content)
    else:
        table = pa.table({"jpg": list(data.values()), "key": list(data)})
        if kind == "parquet":
            pq.write_table(table, out, row_group_size=generator.choice([3, 20]), write_page_checksum=True)
        else:
            with generator.choice([pa.ipc.new_stream, pa.ipc.new_file])(out, table.schema) as writer:
                writer.write_table(table, max_chunksize=3)
    return out.getvalue()


def spoilt(data: bytes, generator: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(generator.choice([0, 1, 1, 1, 2, 5])):
        at, length = generator.randrange(len(changed) or 1), generator.randrange(1, 600)
        match generator.randrange(5) if changed else 5:
            case 0:
                changed[at] ^= 1 << generator.randrange(8)
            case 1:
                del changed[at:]
            case 2:
                changed[at : at + length // 10] = generator.randbytes(length // 10)
            case 3:
                changed[at:at] = generator.randbytes(length)
            case 4:
                del changed[at : at + length]
    return bytes(changed)


def images(path: Path) -> list[bytes]:
    """Return the names of the images that the listing reports as whole."""
    found = listed(Container(bytes(path), path.stat().st_size, 0, 0), ListingRules())
    pairs = [pair for some in found for pair in zip(some.paths, some.locations, strict=True)]
    return [name.partition(b"!/")[2] for name, location in pairs if not location.startswith("broken")]


@pytest.mark.quick(1)
@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("kind", KINDS)
def test_every_member_of_a_spoilt_container_is_accounted_for(kind: str, seed: int, tmp_path: Path) -> None:
    generator = random.Random(f"{kind} {seed}")
    path, target = tmp_path / f"x.{kind}", tmp_path / "out" / f"x.{kind}"
    name, refused = bytes(path), 0
    for _ in range(CASES):
        path.write_bytes(spoilt(made(kind, generator), generator))
        before = images(path)
        removed = frozenset(generator.sample(before, generator.randrange(len(before) + 1)))
        removal = Removal(removed, ListingRules().below(name + b"!"))
        target.unlink(missing_ok=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of zipfile, about repeated names
            try:
                done = write_container(name, current_stamp(name, "mtime"), "mtime", removal, target)
            except Refused:
                refused += 1
                continue
            finally:
                assert not list(tmp_path.rglob(".*"))
        assert done.members == done.kept + done.images + done.companions + done.unreadable
        if not removed:
            assert target.read_bytes() == path.read_bytes()
        elif not done.note:
            assert len(images(target)) == len(before) - len(removed)
    assert refused < CASES // 4


def test_a_container_that_changes_meanwhile_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    path.write_bytes(made("tar", random.Random(1)))
    removal = Removal(frozenset(), lambda name: True)
    with pytest.raises(Refused, match=CHANGED):
        write_container(bytes(path), "1/1", "mtime", removal, tmp_path / "out.tar")
    assert [each.name for each in tmp_path.iterdir()] == ["x.tar"]
