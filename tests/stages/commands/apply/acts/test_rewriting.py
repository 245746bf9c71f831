"""A sidecar is rewritten and restored, whatever a kill has left behind."""

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from stages.commands.apply.acts import act_of
from stages.commands.apply.acts.errors import ActRefused
from stages.commands.apply.acts.folders import Folders
from stages.commands.apply.acts.steps import take_back

BEFORE, AFTER = b"the old sidecar", b"the new sidecar, longer"
SPARE = ".fast-diff-" + "0" * 32


def entry(path: Path, before: bytes | None) -> dict[str, Any]:
    return {
        "action": "merge",
        "path": os.fsencode(path).hex(),
        "keeper": os.fsencode(path).hex(),
        "bytes": len(before or b""),
        "digest": hashlib.sha256(before or b"").hexdigest(),
        "mtime_ns": 10**18,
        "mode": 0o100640,
        "owner": [os.getuid(), os.getgid()] if before else None,
        "attributes": {},
        "temporary": os.fsencode(path.with_name(SPARE)).hex(),
        "before": before.hex() if before is not None else None,
        "after": AFTER.hex(),
    }


@pytest.mark.parametrize(
    ("there", "spare", "new"),
    [
        (AFTER, None, None),
        (AFTER, BEFORE, AFTER),
        (AFTER, BEFORE[:4], AFTER[:3]),
        (AFTER, BEFORE[:4] + b"\0\0", b"\0\0\0"),
        (AFTER, b"", b""),
        (None, BEFORE, AFTER),
        (None, None, AFTER[:2]),
        (None, None, None),
        (BEFORE, None, AFTER[:5]),
        (BEFORE, BEFORE, None),
    ],
)
@pytest.mark.parametrize("existed", [True, False])
def test_the_old_sidecar_is_restored_from_any_state(
    existed: bool, there: bytes | None, spare: bytes | None, new: bytes | None, tmp_path: Path
) -> None:
    if not existed and (there == BEFORE or spare is not None):
        return
    path = tmp_path / "x.xmp"
    for name, data in ((path.name, there), (SPARE, spare), (f"{SPARE}.new", new)):
        if data is not None:
            (tmp_path / name).write_bytes(data)
    for _ in range(2):
        with Folders() as folders:
            act = act_of(entry(path, BEFORE if existed else None), folders)
            assert take_back([act], folders) == {}
            assert act.is_settled()
        assert [each.name for each in tmp_path.iterdir()] == (["x.xmp"] if existed else [])
        if existed:
            assert path.read_bytes() == BEFORE
    if existed and there != BEFORE:
        assert (path.stat().st_mode & 0o777, path.stat().st_mtime_ns) == (0o640, 10**18) or spare == BEFORE


@pytest.mark.parametrize("existed", [True, False])
def test_files_of_others_stay(existed: bool, tmp_path: Path) -> None:
    path = tmp_path / "x.xmp"
    for name, data in ((path.name, b"an edit"), (SPARE, b"foreign"), (f"{SPARE}.new", b"foreign, too")):
        (tmp_path / name).write_bytes(data)
    with Folders() as folders:
        act = act_of(entry(path, BEFORE if existed else None), folders)
        (error,) = take_back([act], folders).values()
        assert isinstance(error, ActRefused)
        assert str(error) == "the sidecar was changed after the metadata were merged"
    assert sorted(each.read_bytes() for each in tmp_path.iterdir()) == [b"an edit", b"foreign", b"foreign, too"]


def test_a_missing_folder_is_made_only_for_a_sidecar_that_existed(tmp_path: Path) -> None:
    path = tmp_path / "gone" / "x.xmp"
    for before in (None, BEFORE):
        with Folders() as folders:
            assert take_back([act_of(entry(path, before), folders)], folders) == {}
        assert path.parent.exists() == (before is not None)
    assert path.read_bytes() == BEFORE
