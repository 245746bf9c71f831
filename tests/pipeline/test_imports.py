"""Imports point one way: no two modules import each other, and each folder imports only what `ARROWS` allows it.

Imports inside functions and those for type checkers count, too."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.cli.discovery import command, modules

ROOT = Path(__file__).parents[2]
PATHS = sorted(path for top in ("pipeline", "stages") for path in (ROOT / top).rglob("*.py"))
MODULES = {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in PATHS}

PIPELINE = ("pipeline.stage", "pipeline.messages", "pipeline.store.backends", "pipeline.machine.installation")
"""What stages know of the pipeline."""
ARROWS = {
    "pipeline.messages": ("pipeline.messages",),
    "pipeline.machine": ("pipeline.machine", "pipeline.messages"),
    "pipeline.cli": ("pipeline",),
    "pipeline": ("pipeline",),
    "stages.kernels": ("stages.kernels",),
    "stages.decoding": ("stages.decoding", *PIPELINE),
    "stages.listing": ("stages.listing", "stages.decoding", *PIPELINE),
    "stages.comparing": ("stages.comparing", "stages.decoding", "stages.kernels", *PIPELINE),
    "stages.clustering": ("stages.clustering", "stages.comparing", "stages.decoding", "stages.kernels", *PIPELINE),
    "stages.report": (
        *("stages.report", "stages.clustering", "stages.comparing", "stages.decoding", "stages.kernels"),
        *("stages.listing", *PIPELINE),
    ),
    "stages.commands": ("stages", "pipeline"),
    "stages": ("stages", *PIPELINE),
}
"""For each folder, the packages and modules that its modules may import; the longest name that fits counts."""
NOT = {
    "stages": ("stages.commands",),
    "stages.commands": ("pipeline.cli.main", "pipeline.cli.interface", "pipeline.cli.discovery"),
    "pipeline": ("pipeline.cli",),
}
"""Exceptions from these."""
LIBRARIES = {"array_api_compat", "cupy", "numba", "numkong", "numpy", "scipy"}
"""What kernels import beside the standard library."""


def imported(path: Path) -> set[str]:
    """Dotted names of all that a file imports."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def module_of(name: str) -> str | None:
    """The module of this project that a dotted name is, or is defined in."""
    return next((each for each in (name, name.rpartition(".")[0]) if each in MODULES), None)


GRAPH = {
    module: {found for name in imported(path) if (found := module_of(name))} - {module}
    for module, path in MODULES.items()
}


def below(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Strongly connected components of more than one module: what each module of a set reaches, and is reached by."""

    def reached(start: str) -> set[str]:
        found, waiting = set(), [start]
        while waiting:
            new = graph[waiting.pop()] - found
            found |= new
            waiting += new
        return found

    reach = {module: reached(module) for module in graph}
    found = {frozenset(each for each in reach[module] if module in reach[each]) for module in graph}
    return sorted(sorted(group) for group in found if group)


def test_no_modules_import_each_other() -> None:
    assert circles(GRAPH) == []


def test_circles_are_found() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": {"e"}, "e": set()}
    assert circles(graph) == [["a", "b", "c"]]


@pytest.mark.parametrize("module", sorted(MODULES))
def test_arrows(module: str) -> None:
    folder = max((name for name in ARROWS if below(module, name)), key=len)
    wrong = [
        other
        for other in sorted(GRAPH[module])
        if not any(below(other, allowed) for allowed in ARROWS[folder])
        or any(below(other, refused) for refused in NOT.get(folder, ()))
    ]
    assert wrong == []


@pytest.mark.parametrize("module", sorted(name for name in MODULES if below(name, "stages.kernels")))
def test_kernels_import_numerical_libraries_only(module: str) -> None:
    roots = {name.split(".")[0] for name in imported(MODULES[module])} - sys.stdlib_module_names - {"stages"}
    assert roots <= LIBRARIES | ({"platformdirs"} if module == "stages.kernels.code_cache" else set())


@pytest.mark.parametrize("module", sorted(name for name in MODULES if below(name, "stages")))
def test_stages_know_nothing_of_dask(module: str) -> None:
    assert not {name.split(".")[0] for name in imported(MODULES[module])} & {"dask", "distributed"}


HEAVY = {"distributed", "dask", "matplotlib", "numba", "numpy", "pandas", "PIL", "pyarrow", "pydantic", "rich", "yaml"}
COMMANDS = sorted(name for name, module in modules().items() if command(module))
LOADED = f"print(sorted({HEAVY} & set(sys.modules)), file=sys.stderr)"


@pytest.mark.parametrize("words", [["--help"], ["--version"], *([name, "--help"] for name in COMMANDS)])
def test_help_loads_nothing_heavy(words: list[str]) -> None:
    code = f"import sys; from pipeline.cli.main import main; code = main({words}); {LOADED}; sys.exit(code)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "[]\n")
    assert done.stdout


def test_one_command_loads_no_other() -> None:
    loaded = "print(sum(name.startswith('stages.commands.') for name in sys.modules))"
    code = f"import sys; from pipeline.cli.main import main; main(['graph', '--help']); {loaded}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "1"
