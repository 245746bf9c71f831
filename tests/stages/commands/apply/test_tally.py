"""The summary of `apply`."""

from pathlib import Path

from stages.commands.apply.tally import Tally, as_dict, by_folders, summary
from stages.commands.plan.plan_file import RemovalPlan


def test_files_refused_come_by_reason_and_files_done_by_folder() -> None:
    tally = Tally(3, 30)
    tally.refused.update({"the file is gone": 2, "the file was changed\nafter the run": 1})
    tally.first |= {"the file is gone": "/p/x", "the file was changed\nafter the run": "/p/y"}
    tally.folders |= {"/p": (2, 25), "/q": (1, 5)}
    folders = by_folders(tally, RemovalPlan((), run="/no/run"))
    assert list(summary(tally, "move", Path("j"), folders)) == [
        "left alone  2 files, such as /p/x: the file is gone",
        r"left alone  1 file, such as /p/y: the file was changed\nafter the run",
        "  2 images of /p moved, 25 bytes",
        "  1 images of /q moved, 5 bytes",
        "3 files, 30 bytes moved; 3 left alone",
        "journal     j  (undo: fast-diff undo j)",
    ]
    assert list(summary(tally, "report", None, folders))[2] == "  2 images of /p would be removed, 25 bytes"
    assert list(summary(tally, "move", None, folders))[2] == "  2 images of /p would be moved, 25 bytes"
    assert len(list(summary(tally, "move", Path("j")))) == 2
    assert as_dict(tally, "move", None, folders)["folders"] == [
        {"folder": "/p", "going": 2, "images": None, "bytes": 25, "whole": False},
        {"folder": "/q", "going": 1, "images": None, "bytes": 5, "whole": False},
    ]
