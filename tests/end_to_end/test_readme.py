"""The code blocks of all documents run as they stand, and what the documents name exists."""

import importlib.util
import re
from pathlib import Path
from typing import Any

import matplotlib
import pandas as pd
import pytest

from pipeline.cli.main import main
from tests.end_to_end.documents import ROOT, Block, World, blocks, documents, forgotten

DOCUMENTS = documents()
BLOCKS = [block for document in DOCUMENTS for block in blocks(document)]
LANGUAGES = {"bash", "console", "python", "yaml"}
LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"`([^`\n]+)`")
MOST = 150
"""Lines of the README."""


def test_every_block_runs_or_says_why_not() -> None:
    assert {"README.md", "configs/README.md", "outputs/README.md", "stages/README.md"} < set(DOCUMENTS)
    assert len(BLOCKS) > 25
    for block in BLOCKS:
        assert block.language in LANGUAGES or "fast-diff " not in block.text, block
        assert block.language != "console" or block.text.startswith("$ "), block


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.reason], ids=str)
def test_blocks_that_are_not_run(block: Block) -> None:
    pytest.skip(block.reason)


@pytest.mark.parametrize("document", sorted({block.document for block in BLOCKS if not block.reason}))
def test_the_blocks_of_a_document_run(
    document: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MPLCONFIGDIR", matplotlib.get_configdir())  # else each process lists the system's fonts anew
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    world = World(tmp_path, capsys)
    run = [block for block in BLOCKS if block.document == document and not block.reason]
    world.furnish("".join(block.text for block in run if not block.file))
    with forgotten("mine"):
        for block in run:
            world.run(block)
    CHECKS.get(document, lambda world: None)(world)


def check_metrics(world: World) -> None:
    found = {path.parent.name: pd.read_parquet(path) for path in world.home.glob("outputs/*/pairs")}
    assert found.keys() == {"perceptual", "pdq", "Pictures"}
    for name in ("perceptual", "pdq"):
        assert len(found[name]) >= 2, "copies at a lower quality"
    assert (found["Pictures"]["mse"] == 0).any(), "equal hashes are recorded unseen"


def check_answers(world: World) -> None:
    """Three libraries give the same answers to five questions."""
    answers = []
    for found in world.namespaces:
        counts = {threshold: int(count) for threshold, count in found["counts"].items()}
        by_folder = sorted(int(row[-1]) for row in _rows(found["by_folder"]))
        largest = [int(row[-1]) for row in _rows(found["largest"])]
        answers.append((largest, int(found["reclaimable"]), len(found["leaks"]), by_folder, counts))
    assert [sorted(found.keys() & {"pd", "duckdb", "pl"}) for found in world.namespaces] == [["pd"], ["duckdb"], ["pl"]]
    assert answers[0] == answers[1] == answers[2]
    largest, reclaimable, leaks, by_folder, counts = answers[0]
    assert largest[0] >= 2
    assert reclaimable > 0
    assert leaks >= 5, "pictures 15 to 19 are in both"
    assert len(by_folder) >= 2
    assert counts[0] <= counts[20] <= counts[200] == sum(by_folder)


def _rows(table: Any) -> list[tuple[Any, ...]]:
    """Return the rows of a table or a series of any library."""
    if isinstance(table, pd.Series):
        table = table.reset_index()
    return list(table.itertuples(index=False)) if isinstance(table, pd.DataFrame) else table.rows()


CHECKS = {"stages/README.md": check_metrics, "outputs/README.md": check_answers}


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= MOST
    for image in (ROOT / ".github/images").iterdir():
        assert image.stat().st_size < 100_000, image


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document: str) -> None:
    text = re.sub(r"^```.*?^```", "", (ROOT / document).read_text(), flags=re.MULTILINE | re.DOTALL)
    for link in LINK.findall(text):
        if link.startswith("https://"):
            continue
        name, _, anchor = link.partition("#")
        target = (ROOT / document).parent / name if name else ROOT / document
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def anchors(path: Path) -> set[str]:
    """Return the anchors of a document's headings, as GitHub makes these."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", [name for name in DOCUMENTS if name != "CHANGELOG.md"])
def test_names_exist(document: str) -> None:
    """Files, modules and commands that a document names, in code blocks and in running text."""
    text = (ROOT / document).read_text()
    code = [*CODE.findall(text), *(line for block in blocks(document) for line in block.text.splitlines())]
    added = {block.file for block in blocks(document)}
    for words in code:
        for name in re.findall(r"(?:^|\s)((?:stages|pipeline|tests|configs)/[\w./-]+)", words):
            assert name in added or any((place / name).exists() for place in (ROOT, (ROOT / document).parent)), name
        for name in re.findall(r"-m (tests(?:\.[a-z_\d]+)+)", words):
            assert importlib.util.find_spec(name), name
        for name in re.findall(r"(?:^|\$ )fast-diff ([a-z-]+)", words):
            assert main([name, "--help"]) == 0, name


def test_every_benchmark_is_listed() -> None:
    text = (ROOT / "tests/benchmarks/README.md").read_text()
    listed = {words.split()[0] for words in CODE.findall(text.replace("python -m tests.benchmarks.", ""))}
    folder = ROOT / "tests" / "benchmarks"
    assert {path.stem for path in folder.glob("*.py") if "__main__" in path.read_text()} <= listed
