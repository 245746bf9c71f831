"""Break a module in many small ways, one at a time, and name the changes that none of its tests notices.

    python -m tests.mutation pipeline.plan.resolve              # every mutant of the module
    python -m tests.mutation pipeline.plan.resolve:202          # those of one line
    python -m tests.mutation --sample 40 stages.kernels    # 40 of each module of a package, drawn by --seed

`TESTS` says which tests belong to a module. A mutant runs in a forked process, on a copy of the tree, with the tests
that reach its line; a mutant that survives these meets all tests of its module. Mutants that change no result are
listed in `equivalent_mutants.tsv` with the reason, and do not count. Module-level numbers, texts, messages and
annotations are not mutated. Exit code 1 if a mutant survives.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from tests.mutants import Mutant, mutants

ROOT = Path(__file__).parents[1]
EQUIVALENT = Path(__file__).with_name("equivalent_mutants.tsv")
TESTS: dict[str, str] = {
    "pipeline.store.artifact": "artifact store storage",
    "pipeline.store.atomic": "atomic",
    "pipeline.store.backends.conditional": "conditional",
    "pipeline.plan.fingerprint": "fingerprint",
    "pipeline.store.backends.file_lock": "lock",
    "pipeline.store.lock": "lock",
    "pipeline.store.backends.object_lock": "object_lock",
    "pipeline.store.owner": "owner lock",
    "pipeline.plan.resolve": "resolve runner",
    "pipeline.store.store": "store storage",
    "stages.commands.apply.acts.act": "act take_back moving steps",
    "stages.commands.apply.acts.folder": "acts/folder act steps follow",
    "stages.commands.apply.acts.folders": "acts/folders act steps follow",
    "stages.commands.apply.acts.forecast": "forecast follow trash",
    "stages.commands.apply.acts.linking": "linking follow act take_back",
    "stages.commands.apply.acts.moving": "moving follow take_back",
    "stages.commands.apply.acts.names": "acts/names",
    "stages.commands.apply.acts.steps": "steps act",
    "stages.commands.apply.acts.trash": "trash take_back",
    "stages.commands.apply.alone": "alone",
    "stages.commands.apply.follow": "follow act steps journal",
    "stages.commands.apply.journal": "journal take_back act",
    "stages.commands.plan.plan_file": "plan_file follow",
    "stages.commands.apply.kept_images": "kept_images follow act",
    "stages.commands.apply.take_back": "take_back journal follow act",
    "stages.kernels.arrays": "arrays compare",
    "stages.kernels.filters.refine": "compare exact",
    "stages.kernels.bounds.coarse": "coarse slack",
    "stages.kernels.bounds.orbits": "orbits",
    "stages.kernels.compare": "compare",
    "stages.kernels.positions": "compare",
    "stages.kernels.rules": "compare",
    "stages.kernels.graph.components": "components",
    "stages.kernels.cut": "cut",
    "stages.kernels.bounds.directions": "directions filters",
    "stages.kernels.measure.exact": "exact",
    "stages.kernels.measure.floats": "exact metrics",
    "stages.kernels.graph.groups": "groups",
    "stages.kernels.hilbert": "hilbert",
    "stages.kernels.measure.identity": "hash",
    "stages.kernels.filters.leaves": "filters compare",
    "stages.kernels.filters.tree": "filters compare",
    "stages.kernels.graph.linkage": "linkage",
    "stages.kernels.measure.metric": "metric",
    "stages.kernels.measure.native": "exact coarse orbits filters",
    "stages.kernels.filters.product": "filters compare",
    "stages.kernels.bounds.slack": "slack coarse",
    "stages.kernels.bounds.space": "directions filters",
    "stages.kernels.measure.spread": "spread",
    "stages.kernels.measure.turns": "turns",
}
"""The names of a module's test files, with the folder where two files share a name."""
OPTIONS = ["-x", "-q", "-p", "no:randomly", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning"]


def files_for(module: str) -> list[str]:
    """Return the files that hold the tests of a module, relative to the repository."""
    folder = ROOT / "tests" / module.partition(".")[0]
    names = [name.rpartition("/") for name in TESTS[module].split()]
    files = [path for above, _, name in names for path in folder.rglob(f"{above or '.'}/test_{name}.py")]
    return [str(path.relative_to(ROOT)) for path in files]


class Watch:
    """A pytest plugin that records which tests reach which lines of a file, their duration, and their imports."""

    def __init__(self, path: Path, report: Path) -> None:
        self.path, self.report, self.test = str(path), report, ""
        self.lines: dict[int, set[str]] = defaultdict(set)
        self.seconds: Counter[str] = Counter()

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.test = nodeid

    def pytest_runtest_logreport(self, report: Any) -> None:
        self.seconds[report.nodeid] += report.duration

    def pytest_sessionfinish(self) -> None:
        libraries = [name for name, module in sys.modules.items() if "site-packages" in str(module)]
        lines = {line: sorted(tests - {""}) for line, tests in self.lines.items() if "" not in tests}
        self.report.write_text(json.dumps([lines, self.seconds, libraries]))

    def trace(self, frame: Any, event: str, argument: Any) -> Any:
        return self._line if frame.f_code.co_filename == self.path else None

    def _line(self, frame: Any, event: str, argument: Any) -> Any:
        self.lines[frame.f_lineno].add(self.test)
        return self._line


def pytest_in(tree: Path, tests: list[str], watch: Watch | None = None) -> int:
    """Run tests in a fork of this process, in `tree`; return its process number."""
    if (child := os.fork()) > 0:
        return child
    with contextlib.suppress(BaseException):
        os.setsid()
        os.nice(0 if watch else 1)
        os.chdir(tree)
        null = os.open("output" if watch else os.devnull, os.O_WRONLY | os.O_CREAT)
        os.dup2(null, 1)
        os.dup2(null, 2)
        sys.path[:] = [str(tree), *(place for place in sys.path if Path(place).resolve() != ROOT)]
        sys.dont_write_bytecode = True
        for name in [name for name in sys.modules if name.split(".")[0] in ("tests", "pipeline", "stages")]:
            del sys.modules[name]
        import hypothesis
        import pytest

        phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)  # shrinking failing examples would take long
        hypothesis.settings.register_profile(
            "mutation", deadline=None, phases=phases, max_examples=25, derandomize=True, database=None,
            suppress_health_check=list(hypothesis.HealthCheck),
        )  # fmt: skip
        if watch:
            threading.settrace(watch.trace)
            sys.settrace(watch.trace)
        os._exit(pytest.main([*OPTIONS, "--hypothesis-profile=mutation", *tests], plugins=[watch] if watch else []))
    os._exit(70)


def passes(child: int, limit: float) -> bool:
    """Return whether all tests in `child` pass within `limit` seconds."""
    end = time.monotonic() + limit
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return status == 0
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


def survivors(module: str, tree: Path, chosen: list[Mutant]) -> list[Mutant]:
    """Return the mutants of a module that pass all its tests."""
    path = Path(f"{module.replace('.', '/')}.py")
    tests = files_for(module)
    watch = Watch(tree / path, tree / "watched.json")
    if not passes(pytest_in(tree, tests, watch), 3_000):
        sys.exit(f"{module}: its tests fail without any mutant:\n{(tree / 'output').read_text()[-3_000:]}")
    lines, seconds, libraries = json.loads(watch.report.read_text())
    for name in libraries:  # once for all forks
        with contextlib.suppress(BaseException):
            importlib.import_module(name)
    whole, lived = (ROOT / path).read_text(), []
    for number, mutant in enumerate(chosen, 1):
        near = sorted(lines.get(str(mutant.line), []), key=lambda test: seconds[test])
        (tree / path).write_text(mutant.text)
        if sys.stderr.isatty():
            print(f"\r{module} {number}/{len(chosen)}\r", end="", file=sys.stderr, flush=True)
        if near and not passes(pytest_in(tree, near), 20 + 5 * sum(map(seconds.__getitem__, near))):
            continue
        if len(near) == len(seconds) or passes(pytest_in(tree, tests), 20 + 5 * sum(seconds.values())):
            lived.append(mutant)
            print(f"{path}:{mutant.line}: {mutant.changed}", flush=True)
    (tree / path).write_text(whole)
    return lived


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modules", nargs="+", metavar="MODULE[:LINE]")
    parser.add_argument("--sample", type=int, default=sys.maxsize, help="mutants of each module, drawn at random")
    parser.add_argument("--seed", type=int, default=0)
    words = parser.parse_args()
    known = {tuple(line.split("\t")[:2]) for line in EQUIVALENT.read_text().splitlines()}
    total = alive = 0
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder).resolve() / "tree"
        shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(".*", "outputs", "*.egg-info"), symlinks=True)
        for word in words.modules:
            name, _, line = word.partition(":")
            for module in [each for each in TESTS if each == name or each.startswith(f"{name}.")]:
                path = f"{module.replace('.', '/')}.py"
                every = mutants((ROOT / path).read_text())
                for stale in {changed for file, changed in known if file == path} - {m.changed for m in every}:
                    print(f"{EQUIVALENT.name}: {path} has no such mutant: {stale}")
                found = [m for m in every if line in ("", str(m.line))]
                counted = [m for m in found if (path, m.changed) not in known]
                chosen = random.Random(words.seed).sample(counted, min(words.sample, len(counted)))
                lived = survivors(module, tree, sorted(chosen, key=lambda mutant: mutant.line))
                total, alive = total + len(chosen), alive + len(lived)
                print(f"{module}: {len(chosen) - len(lived)} of {len(chosen)} killed; there are {len(found)}, "
                      f"{len(found) - len(counted)} of them equivalent", flush=True)  # fmt: skip
    print(f"{total - alive} of {total} killed, {(total - alive) / max(total, 1):.1%}")
    return 1 if alive else 0


if __name__ == "__main__":
    sys.exit(main())
