"""Each module has tests where a reader looks for them, and each class has a name of its own.

The tests of a module are in a file of its name, or in a file that tests/README.md names."""

import ast
import re
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LEAST = 60
"""Lines up to which a module needs no tests of its own."""
TABLE = dict(re.findall(r"^\| ([\w/]+\.py) \| ([\w/]+\.py) \|$", (ROOT / "tests/README.md").read_text(), re.MULTILINE))
MODULES = [
    str(path.relative_to(ROOT))
    for top in ("pipeline", "stages")
    for path in sorted((ROOT / top).rglob("*.py"))
    if path.name != "__init__.py" and len(path.read_text().splitlines()) > LEAST
]


def mirrored(module: str) -> Path:
    path = ROOT / "tests" / module
    return path.with_name(f"test_{path.name}")


@pytest.mark.parametrize("module", MODULES)
def test_a_module_has_tests(module: str) -> None:
    assert mirrored(module).exists() or module in TABLE, f"add a test file, or a line in tests/README.md: {module}"


def test_the_table_names_only_what_is_there() -> None:
    assert len(TABLE) > 20
    for module, tests in TABLE.items():
        assert (ROOT / module).exists(), module
        assert (ROOT / "tests" / tests).exists(), tests
        assert not mirrored(module).exists(), f"{module} has a test file of its name: take its line away"


SHARED = {"Params"}
"""Names that several classes have by contract: every stage has its `Params`."""


def test_a_class_name_occurs_once() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for top in ("pipeline", "stages"):
        for path in sorted((ROOT / top).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ClassDef):
                    places[node.name].append(f"{path.relative_to(ROOT)}:{node.lineno}")
    several = {name: where for name, where in places.items() if len(where) > 1}
    assert {name: where for name, where in several.items() if name not in SHARED} == {}
