"""Imports point one way: no two modules import each other, and each folder imports only what `ARROWS` allows it.

Imports inside functions and those for type checkers count, too."""

import ast
import functools
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from pipeline.cli.discovery import command, modules

ROOT = Path(__file__).parents[2]
PATHS = sorted(path for top in ("pipeline", "stages") for path in (ROOT / top).rglob("*.py"))
MODULES = {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in PATHS}

PIPELINE = (
    *("pipeline.stage", "pipeline.messages", "pipeline.store.backends"),
    *("pipeline.machine.installation", "pipeline.machine.side_process"),
)
"""Modules of the pipeline that stages may import."""
ARROWS = {
    "pipeline.messages": ("pipeline.messages",),
    "pipeline.machine": ("pipeline.machine", "pipeline.messages"),
    "pipeline.cli": ("pipeline",),
    "pipeline": ("pipeline",),
    "stages.kernels": ("stages.kernels",),
    "stages.decoding": ("stages.decoding", *PIPELINE),
    "stages.listing": ("stages.listing", "stages.decoding", *PIPELINE),
    "stages.filtering": (
        *("stages.filtering", "stages.listing", "stages.decoding", "pipeline.store.atomic"),
        *PIPELINE,
    ),
    "stages.comparing": ("stages.comparing", "stages.decoding", "stages.kernels", *PIPELINE),
    "stages.vectors": ("stages.vectors", "stages.comparing", "stages.decoding", "stages.kernels", *PIPELINE),
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
"""Exceptions from the rules of ARROWS."""
LIBRARIES = {"array_api_compat", "blake3", "cupy", "numba", "numkong", "numpy", "scipy"}
"""Libraries that kernels may import besides the standard library."""


@functools.cache
def imported(path: Path) -> set[str]:
    """Return the dotted names of all imports of a file."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def module_of(name: str) -> str | None:
    """Return the module of this project that a dotted name names, or that defines the name."""
    return next((each for each in (name, name.rpartition(".")[0]) if each in MODULES), None)


@functools.cache
def graph() -> dict[str, set[str]]:
    """Return the modules of this project that each module imports."""
    return {
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
    assert circles(graph()) == []


def test_circles_are_found() -> None:
    imports = {"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": {"e"}, "e": set()}
    assert circles(imports) == [["a", "b", "c"]]


def may_import(module: str, other: str) -> bool:
    folder = max((name for name in ARROWS if below(module, name)), key=len)
    allowed = any(below(other, each) for each in ARROWS[folder])
    return allowed and not any(below(other, refused) for refused in NOT.get(folder, ()))


def test_arrows() -> None:
    arrows = [(module, other) for module, others in graph().items() for other in others]
    assert [f"{module} imports {other}" for module, other in arrows if not may_import(module, other)] == []


def outside(module: str) -> set[str]:
    """Return the top-level names that a module imports, without Python's standard library."""
    return {name.split(".")[0] for name in imported(MODULES[module])} - sys.stdlib_module_names


def test_kernels_import_numerical_libraries_only() -> None:
    kernels = {module: outside(module) - {"stages"} for module in MODULES if below(module, "stages.kernels")}
    assert kernels.pop("stages.kernels.code_cache") - LIBRARIES == {"platformdirs"}
    assert kernels.pop("stages.kernels.bounds.keys") - LIBRARIES == {"cachetools"}
    assert {module: roots for module, roots in kernels.items() if not roots <= LIBRARIES} == {}


def test_stages_know_nothing_of_dask() -> None:
    stages = [module for module in MODULES if below(module, "stages")]
    assert [module for module in stages if outside(module) & {"dask", "distributed"}] == []


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


ENGINES = {"PIL", "yaml", "numba", "scipy", "matplotlib", "pandas", "jinja2", "dask", "distributed"}
ENGINES |= {"stages.kernels.compare", "stages.decoding.decode", "stages.clustering.clusters", "stages.report.page"}


def test_a_run_with_nothing_to_do_loads_no_engine(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for number in range(2):
        Image.new("RGB", (40, 30), (9, 9, 90 * number)).save(tmp_path / "photos" / f"{number}.png")
    words = ["run", str(tmp_path / "photos"), "--output", str(tmp_path / "out"), "--quiet"]
    loaded = f"print(sorted({ENGINES} & set(sys.modules)))"
    code = f"import sys; from pipeline.cli.main import main; code = main({words}); {loaded}; sys.exit(code)"
    first, again = (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout for _ in "ab"
    )
    assert "stages.kernels.compare" in first
    assert again == "[]\n"
