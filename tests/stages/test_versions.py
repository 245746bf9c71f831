"""Code that changes results must raise its stage's version."""

import ast
import hashlib
import io
import tokenize
from pathlib import Path

import pytest

from pipeline.plan.discovery import discover
from pipeline.stage import Stage

ROOT = Path(__file__).parents[2]
PINNED: dict[str, tuple[int, str]] = {
    "scan": (5, "1fc33d83b01deafd"),
    "thumbnail": (7, "4c0026343232867c"),
    "hash": (3, "2c36ab10a0441166"),
    "embed": (1, "10eb34121d2226d1"),
    "index": (2, "cfb2fafd111295ba"),
    "pairs": (4, "30a2cd148925dcd9"),
    "cluster": (9, "39f15caee1e8b5d0"),
    "plot": (17, "bdc23612a4fee699"),
}


def sources(module: str, seen: dict[str, Path]) -> dict[str, Path]:
    """Return a module of `stages` and all modules that it imports, except those that only commands use."""
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
    """Return a digest of the code without comments, docstrings and blank lines."""
    whole = hashlib.sha256()
    found = sources(module, {})
    if "stages.report.page" in found:  # rendered templates are code, too
        for part in sorted((ROOT / "stages" / "report" / "templates").glob("*.*")):
            if part.suffix != ".py" and part.name != "work.html":  # the page on the work has its own version
                whole.update(part.read_bytes())
    for _, path in sorted(found.items()):
        text = path.read_text()
        lines = text.splitlines()
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.COMMENT:
                lines[token.start[0] - 1] = lines[token.start[0] - 1][: token.start[1]]
        for node in ast.walk(ast.parse(text)):
            if (
                isinstance(node, ast.Expr)
                and isinstance(node.value, ast.Constant)
                and isinstance(node.value.value, str)
            ):
                lines[node.lineno - 1 : node.end_lineno] = [""] * (node.end_lineno - node.lineno + 1)
        whole.update("\n".join(line.rstrip() for line in lines if line.strip()).encode())
    return whole.hexdigest()[:16]


@pytest.mark.parametrize("stage", discover(), ids=lambda stage: stage.name)
def test_code_and_version_move_together(stage: Stage) -> None:
    name, version = stage.name, stage.version
    now = (version, code_digest(f"stages.{name}"))
    assert PINNED.get(name) == now, (
        f"the code of {name} has changed: if its results may change, raise its version; then pin {name!r}: {now}"
    )
