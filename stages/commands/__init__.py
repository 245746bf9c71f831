"""The commands, one file or folder a command: each ends in `COMMAND`.

    find       run/      check/
    review     show/     folders/        duplicates.py failures.py   export/
    clean up   plan/     apply/          undo.py       dismiss/      filter/         prune.py
    inspect    status/   explain.py      estimate/     graph.py      verify/      compare_metrics/
    set up     init.py   config/         formats.py    demo/         completion.py   warm_up.py

A module or an `__init__.py` that ends in `COMMAND` loads nothing heavy, since `fast-diff --help` imports all of them:
what the work needs is imported in the command's function. results/ is no command: the commands read finished runs
through results/.
"""

from __future__ import annotations

ABOUT = "Find duplicate and near-duplicate images by comparing every image with every image, exactly."
EXAMPLES = {
    "fast-diff demo": "make a few images and find the duplicates among them",
    "fast-diff run ~/Pictures": "find the duplicates in a folder",
}
