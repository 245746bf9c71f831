"""Imports point one way."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NUMERICAL = {"numpy", "numba", "scipy", "numkong", "cupy", "array_api_compat"}
STANDARD = {
    "__future__",
    "collections",
    "dataclasses",
    "functools",
    "hashlib",
    "importlib",
    "itertools",
    "math",
    "sys",
    "typing",
    "enum",
}
FILES = {"contextlib", "logging", "os", "pathlib", "platformdirs", "tempfile"}
"""For the one kernel that finds a place for compiled code."""


def imported(path: Path) -> set[str]:
    """Dotted names of all the modules that a file imports, wherever it does so."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def modules(pattern: str) -> list[Path]:
    return sorted(path for path in ROOT.glob(pattern) if path.name != "__init__.py")


@pytest.mark.parametrize("path", modules("stages/kernels/**/*.py"), ids=lambda path: path.stem)
def test_kernels_know_arrays_only(path: Path) -> None:
    roots = {name.split(".")[0] for name in imported(path)}
    own = {name for name in imported(path) if name.startswith("stages")}
    assert roots <= NUMERICAL | STANDARD | {"stages"} | (FILES if path.stem == "code_cache" else set())
    assert all(name.startswith("stages.kernels") for name in own)


STAGES = [
    path
    for room in ("*", "comparing/**/*", "clustering/*", "report/*", "listing/*")
    for path in modules(f"stages/{room}.py")
]


@pytest.mark.parametrize("path", STAGES, ids=lambda path: path.stem)
def test_stages_know_the_interface_of_the_pipeline_only(path: Path) -> None:
    own = {name for name in imported(path) if name.startswith("pipeline")}
    rooms = (
        "pipeline.stage",
        "pipeline.messages.errors",
        "pipeline.store.backends.locations",
        "pipeline.store.backends.storage",
        "pipeline.machine.installation",
    )
    assert all(name.startswith(rooms) for name in own)
    assert not {name for name in imported(path) if name.split(".")[0] in ("dask", "distributed")}


@pytest.mark.parametrize("path", modules("stages/decoding/**/*.py"), ids=lambda path: path.stem)
def test_decoding_knows_files_only(path: Path) -> None:
    own = {name for name in imported(path) if name.split(".")[0] in ("pipeline", "stages")} - {"pipeline"}
    rooms = ("stages.decoding", "stages.listing.urls", "pipeline.messages.errors", "pipeline.store.backends.locations")
    assert all(name.startswith(rooms) for name in own)


@pytest.mark.parametrize("path", modules("stages/commands/**/*.py"), ids=lambda path: path.stem)
def test_commands_know_no_command_line(path: Path) -> None:
    assert not {name for name in imported(path) if name.startswith("pipeline.cli")}


@pytest.mark.parametrize("path", modules("pipeline/**/*.py"), ids=lambda path: path.stem)
def test_the_pipeline_knows_no_stages(path: Path) -> None:
    own = {name for name in imported(path) if name.split(".")[0] == "stages"}
    assert not own or path.parent.name == "cli"


def test_reading_a_command_line_loads_nothing_heavy() -> None:
    heavy = "sorted({'pandas', 'pyarrow', 'PIL'} & set(sys.modules))"
    code = f"import sys; from pipeline.cli.main import _parser; _parser(); print({heavy})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
