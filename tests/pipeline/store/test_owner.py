"""Who a lock names, and whether that process runs."""

import os
from pathlib import Path

import psutil
import pytest

from pipeline.store import owner


@pytest.mark.parametrize("text", [b"", b"5", b"{}", b'{"token": 5}', b"[" * 100_000])
def test_a_damaged_text_names_an_empty_owner(text: bytes) -> None:
    assert owner.parsed(text) == {}


def test_the_owner_of_a_removed_lock_does_not_run() -> None:
    def gone() -> float:
        raise FileNotFoundError

    assert owner.is_alive({"host": "elsewhere"}, gone) is False


def test_an_owner_on_a_system_without_proc_has_empty_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owner, "PROC", tmp_path)
    said = owner.identity("t")
    assert (said["boot"], said["namespace"]) == ("", "")


def test_the_start_of_a_process_is_the_one_that_the_system_knows() -> None:
    started = owner.identity("t")["started"]
    since_boot = int(started) / os.sysconf("SC_CLK_TCK")
    assert psutil.boot_time() + since_boot == pytest.approx(psutil.Process().create_time(), abs=2)


def test_the_first_process_of_all_may_own_a_lock() -> None:
    assert owner.is_alive({**owner.identity("t"), "pid": 1, "started": owner._started(1)}, lambda: 1e9) is True
