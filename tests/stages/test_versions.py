"""Code that changes results must raise its stage's version."""

import ast
import hashlib
from pathlib import Path

import pytest

from pipeline.cli import discover
from pipeline.stage import Stage

ROOT = Path(__file__).parents[2]
PINNED: dict[str, tuple[int, str]] = {
    "scan": (1, "0b78f610f0839847"),
    "thumbnail": (1, "e92b43a4d3d9cf36"),
    "hash": (1, "7aabc494ef59197a"),
    "index": (1, "3422d12e0a61e419"),
    "pairs": (1, "52eddbfdae2ab2c7"),
    "cluster": (1, "e66a2cb60b79d7f0"),
    "plot": (1, "95e6fdcfbefcea1c"),
}


def sources(module: str, seen: dict[str, Path]) -> dict[str, Path]:
    """A module of `stages` and all those it imports, but for what only commands use."""
    path = ROOT / (module.replace(".", "/") + ".py")
    if module in seen or not path.is_file():
        return seen
    seen[module] = path
    for node in ast.walk(ast.parse(path.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
        base = [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
        for name in [*names, *base, *(f"{b}.{n}" for b in base for n in names)]:
            if name.startswith("stages."):
                sources(name, seen)
    return seen


def code_digest(module: str) -> str:
    """Digest of what the code does: comments, docstrings and layout do not count."""
    whole = hashlib.sha256()
    for _, path in sorted(sources(module, {}).items()):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
                node.body = node.body[1:] or [ast.Pass()]
        whole.update(ast.dump(tree).encode())
    return whole.hexdigest()[:16]


@pytest.mark.parametrize("stage", discover(), ids=lambda stage: stage.name)
def test_code_and_version_move_together(stage: Stage) -> None:
    name, version = stage.name, stage.version
    now = (version, code_digest(f"stages.{name}"))
    assert PINNED.get(name) == now, (
        f"the code of {name} has changed: if its results may change, raise its version; then pin {name!r}: {now}"
    )
