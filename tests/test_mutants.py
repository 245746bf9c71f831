"""Mutants, and the two tables of the command `python -m tests.mutation`."""

from tests.mutants import mutants
from tests.mutation import EQUIVALENT, ROOT, TESTS, files_for

SOURCE = '''
LIMIT = 3
"""A number of the module."""

def f(x: int = 1, *rest: int) -> int:
    """Not 2."""
    if x < 2 and rest:
        raise ValueError(f"expected {1 + 1}")
    return g(x + 4, key=True)
'''


def test_each_mutant_changes_one_thing_that_counts() -> None:
    assert [(mutant.line, mutant.changed) for mutant in mutants(SOURCE)] == [
        (5, "def f(x: int = 2, *rest: int) -> int:"),
        (7, "if (not (x < 2 and rest)):"),
        (7, "if (rest):"),
        (7, "if (x < 2):"),
        (7, "if (x <= 2) and rest:"),
        (7, "if x < 3 and rest:"),
        (8, 'pass  # raise ValueError(f"expected {1 + 1}")'),
        (9, "return None"),
        (9, "return g(x + 4)"),
        (9, "return g((x - 4), key=True)"),
        (9, "return g(x + 5, key=True)"),
        (9, "return g(x + 4, key=False)"),
    ]
    for mutant in mutants(SOURCE):
        compile(mutant.text, "mutant", "exec")


def test_the_tables_name_what_there_is() -> None:
    for module, names in TESTS.items():
        assert (ROOT / f"{module.replace('.', '/')}.py").exists(), module
        assert len(files_for(module)) == len(names.split()), module
    for line in EQUIVALENT.read_text().splitlines():
        path, changed, why = line.split("\t")
        assert (ROOT / path).exists(), line
        assert changed, line
        assert why, line
