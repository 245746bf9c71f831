"""Each module has tests where a reader looks for them, and each type has a name of its own.

The tests of a module are in a file of its name, or in a file that tests/README.md names."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LEAST = 60
"""Greatest number of lines of a module that needs no tests of its own."""
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


SHARED = {"Params", "P", "T"}
"""Names that several modules define by contract: each stage's `Params`, and type variables of one letter."""


def defined(module: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield name and definition of each class and each named type of a module."""
    for node in ast.walk(module):
        if isinstance(node, ast.ClassDef):
            yield node.name, f"class at line {node.lineno}"
    for node in module.body:
        target = node.target if isinstance(node, ast.AnnAssign) else None
        if isinstance(node, ast.Assign):
            (target, *_) = node.targets
        if isinstance(target, ast.Name) and re.fullmatch("[A-Z][A-Za-z]*[a-z][A-Za-z]*", target.id):
            yield target.id, ast.unparse(node.value)


def test_a_type_has_a_name_of_its_own() -> None:
    places: dict[str, dict[str, str]] = defaultdict(dict)
    for top in ("pipeline", "stages"):
        for path in sorted((ROOT / top).rglob("*.py")):
            for name, definition in defined(ast.parse(path.read_text())):
                where = str(path.relative_to(ROOT)) if definition.startswith("class ") else ""
                places[name][f"{where} {definition}"] = f"{path.relative_to(ROOT)}: {definition}"
    several = {name: sorted(found.values()) for name, found in places.items() if len(found) > 1}
    assert {name: found for name, found in several.items() if name not in SHARED} == {}
