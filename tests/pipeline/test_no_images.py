"""`pipeline` runs any DAG: no file of the package names what the stages of this project work on."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WORDS = re.compile(r"(?<![a-z])(image|block|thumbnail|picture)s?(?![a-z])", re.IGNORECASE)
"""Whole words, underscores being no letters: `BLOCK_SIZE` counts, the task state `blocked` does not."""
ALLOWED = {"SIG_BLOCK": "POSIX gives this name to the constant that holds signals back"}
"""Names that come from elsewhere, with the reason."""


def found(text: str) -> list[str]:
    """Return the offending words of a line."""
    for name in ALLOWED:
        text = text.replace(name, "")
    return [match[0] for match in WORDS.finditer(text)]


def files() -> list[Path]:
    return [path for path in sorted((ROOT / "pipeline").rglob("*")) if path.is_file() and path.suffix != ".pyc"]


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_the_pipeline_names_no_images(path: Path) -> None:
    lines = enumerate(path.read_text().splitlines(), 1)
    assert [f"{path.relative_to(ROOT)}:{number}: {word}" for number, line in lines for word in found(line)] == []


@pytest.mark.parametrize("line", ["an Image", "block_size = 1", "THUMBNAILS", "s3://pictures/"])
def test_each_word_is_found(line: str) -> None:
    assert len(found(line)) == 1


@pytest.mark.parametrize("line", ["blocked", "O_NONBLOCK", "SIG_BLOCK", "imagine"])
def test_other_words_are_not(line: str) -> None:
    assert not found(line)


@pytest.mark.parametrize("name", ALLOWED)
def test_permitted_words_are_in_use(name: str) -> None:
    assert any(name in path.read_text() for path in files())
