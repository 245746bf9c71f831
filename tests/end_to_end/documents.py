"""Code blocks, links and names of the repository's documents, and a folder in which the blocks run."""

from __future__ import annotations

import contextlib
import doctest
import io
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli.main import main
from tests.end_to_end.driver import make_image, make_images

ROOT = Path(__file__).parents[2]
BUILT = {"build", "dist"}
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
REASON = re.compile(r"<!-- not run here: (.+?) -->\n(?:<!-- .+? -->\n)?\Z")
FILE = re.compile(r"# ([\w/]+\.py)\n")
EXIT_CODE = re.compile(r"# exit code (\d+)$")
QUICK = ("--set", "scheduler.kind=synchronous", "--set", "plot={pairs: 0, clusters: 0}")
"""Options of every run: no worker processes and no pictures, which take most of the time of a small run."""


def documents() -> list[str]:
    """Return the paths of the repository's Markdown files."""
    paths = (path.relative_to(ROOT) for path in ROOT.rglob("*.md"))
    return sorted(str(path) for path in paths if not any(part[0] == "." or part in BUILT for part in path.parts))


@dataclass(frozen=True)
class Block:
    """One code block; `reason` says why it is not run, and is empty for a block that runs."""

    document: str
    line: int
    language: str
    text: str
    reason: str

    def __str__(self) -> str:
        return f"{self.document}:{self.line}"

    @property
    def file(self) -> str:
        """Return the name of the file in the block's first line; empty if the first line names no file."""
        found = FILE.match(self.text)
        return found[1] if found else ""


def blocks(document: str) -> list[Block]:
    """Return the code blocks of a document, from top to bottom."""
    text = (ROOT / document).read_text()
    found = []
    for match in FENCE.finditer(text):
        above = text[: match.start()]
        reason = REASON.search(above)
        found.append(Block(document, above.count("\n") + 1, match[1], match[2], reason[1] if reason else ""))
    return found


@dataclass
class World:
    """A home folder with small images, in which the commands of one document run one after the other."""

    home: Path
    capsys: pytest.CaptureFixture[str]
    namespaces: list[dict[str, Any]] = field(default_factory=list)

    def furnish(self, text: str) -> None:
        """Make the files that a document's blocks name."""
        make_images(self.home / "Pictures" / "train", 20)
        make_images(self.home / "Pictures" / "test", 12, first=15)
        make_image(self.home / "Pictures" / "harbour.jpg", 90)
        (self.home / "Pictures" / "copies").mkdir()
        for folder, name in (("Pictures", "copies/harbour.jpg"), ("Phone", "IMG_1.jpg"), ("inbox", "harbour.jpg")):
            (self.home / folder).mkdir(exist_ok=True)
            shutil.copy2(self.home / "Pictures" / "harbour.jpg", self.home / folder / name)
        make_images(self.home / "inbox", 2, first=200)
        make_images(self.home / "Archive", 2, first=300)
        make_images(self.home / "data" / "train", 8)
        make_images(self.home / "data" / "test", 3, first=5)
        (self.home / "configs").symlink_to(ROOT / "configs")
        if "outputs/Pictures" in text:
            (self.home / "pictures.yaml").write_text("{run: Pictures, inputs: {a: [~/Pictures]}}")
            assert self.call("fast-diff run pictures.yaml") == 0
        if "outputs/demo" in text:
            from stages.commands.demo.images import make_images as make_demo

            make_demo(self.home / "outputs" / "demo-images")  # `fast-diff demo` itself runs in several processes
            assert self.call("fast-diff run configs/demo.yaml") == 0

    def call(self, line: str) -> int:
        """Run a line of a shell; return the exit code. Commands of `fast-diff` run in this process."""
        line, _, target = line.partition(" > ")
        target = target.partition(" #")[0].strip()
        words = [self._expanded(word) for word in shlex.split(line, comments=True)]
        if words[0] != "fast-diff":
            ended = subprocess.run(["bash", "-ec", line], capture_output=True, text=True)
            print(ended.stdout + ended.stderr)
            return ended.returncode
        with contextlib.redirect_stdout(io.StringIO()) if target else contextlib.nullcontext() as caught:
            code = main(words[1:] + (list(QUICK) if words[1] == "run" else []))
        if caught is not None:
            (self.home / target).write_text(caught.getvalue())
        return code

    def _expanded(self, word: str) -> str:
        """Expand a leading ~ as a shell does."""
        return f"{self.home}{word[1:]}" if word == "~" or word.startswith("~/") else word

    def run(self, block: Block) -> None:
        """Run a block, and compare the output with the output in the document."""
        if block.language == "bash":
            for line in _commands(block.text):
                self._check(block, line, [])
        elif block.language == "console":
            for line, *expected in _sessions(block.text):
                self._check(block, line, expected)
        elif block.language == "yaml":
            (self.home / "block.yaml").write_text(block.text)
            self._check(block, "fast-diff config block.yaml", [])
        elif block.file:
            (self.home / block.file).parent.mkdir(parents=True, exist_ok=True)
            (self.home / block.file).write_text(block.text)
        elif block.language == "python":
            self._python(block)

    def _check(self, block: Block, line: str, expected: list[str]) -> None:
        self.capsys.readouterr()
        code = self.call(line)
        out, err = self.capsys.readouterr()
        wanted = EXIT_CODE.search(line)
        assert code == (int(wanted[1]) if wanted else 0), f"{block}: {line}\n{out}{err}"
        printed = iter((out + err).splitlines())
        for shown in expected:
            found = any(re.fullmatch(_pattern(shown), each.rstrip()) for each in printed)
            assert found, f"{block}: {shown}\n{out}{err}"

    def _python(self, block: Block) -> None:
        namespace: dict[str, Any] = {}
        if ">>>" not in block.text:
            exec(compile(block.text, str(block), "exec"), namespace)
            self.namespaces.append(namespace)
            return
        flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
        found = doctest.DocTestParser().get_doctest(block.text, namespace, str(block), block.document, block.line)
        report = io.StringIO()
        assert doctest.DocTestRunner(optionflags=flags).run(found, out=report.write).failed == 0, report.getvalue()


def _commands(text: str) -> Iterator[str]:
    """Yield the lines of a script that hold commands."""
    for line in text.replace("\\\n", " ").splitlines():
        if shlex.split(line, comments=True):
            yield line


def _sessions(text: str) -> Iterator[list[str]]:
    """Yield each command of a session in a terminal, with the lines that it prints."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        yield [line.rstrip() for line in part.splitlines()]


def _pattern(shown: str) -> str:
    """Return a pattern for a line: … stands for anything, a number for any number."""
    words = re.split(r"(…|\d[\d,.]*|\s+)", shown.strip())
    return "".join(
        ".*" if word == "…" else r"\d[\d,.]*" if word[:1].isdigit() else r"\s+" if word.isspace() else re.escape(word)
        for word in words
    )


@contextlib.contextmanager
def forgotten(module: str) -> Iterator[None]:
    """Remove a module of the current folder from sys.modules, and its folder from sys.path, at the end."""
    path = sys.path.copy()
    try:
        yield
    finally:
        sys.path[:] = path
        sys.modules.pop(module, None)
