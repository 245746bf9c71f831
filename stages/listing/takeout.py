"""Find the JSON file that Google Takeout wrote for an image, by the names of both files.

The JSON of `IMG.jpg` is `IMG.jpg.json` or `IMG.jpg.supplemental-metadata.json`, cut to 46 characters before `.json`,
such as `IMG.jpg.supplemental-met.json`. The JSON of `IMG(1).jpg` is `IMG.jpg(1).json`. An edited image,
`IMG-edited.jpg`, shares the JSON of `IMG.jpg`, unless the edited image has a JSON of its own."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TypeAlias

ENDING = ".json"
LONGEST = 46
"""Greatest number of characters of a JSON's name before its number and `.json`."""
EDITED = "-edited"
NUMBER = re.compile(r"\(\d+\)$")
SUPPLEMENT = ".supplemental-metadata"
CUT_SUPPLEMENT = re.compile(rf"({'|'.join(re.escape(SUPPLEMENT[:size]) for size in range(len(SUPPLEMENT), 0, -1))})$")
Title: TypeAlias = tuple[str, str]
"""The name of an image in Takeout, which may be cut, and the number of the file, such as `(1)`, or an empty text."""


def titles_of_json(name: str) -> set[Title]:
    """Return the titles of images that a JSON may belong to; an empty set if the name does not end in `.json`."""
    head = name[: -len(ENDING)]
    if name[-len(ENDING) :].lower() != ENDING or not head:
        return set()
    whole = [(head, ""), _numbered(head)]
    return {(_key(text), number) for known, number in whole for text in (known, CUT_SUPPLEMENT.sub("", known)) if text}


def titles_of_image(name: str, edited: bool = False) -> set[Title]:
    """Return the titles that an image may have in Takeout.

    edited  whether the image is an edited image, so that the titles of its original are returned"""
    return {(_key(text), number) for known, number in _whole_titles(name, edited) for text in (known, known[:LONGEST])}


def json_of(images: Iterable[bytes], others: Iterable[bytes]) -> Iterator[tuple[bytes, set[bytes]]]:
    """Yield each image that has a JSON of Takeout among `others`, and the names of these JSONs.

    Names that are not UTF-8 have no JSON, since Takeout writes names in UTF-8."""
    known: dict[Title, set[bytes]] = {}
    for other in others:
        for title in titles_of_json(_text(other)):
            known.setdefault(title, set()).add(other)
    for image in images if known else ():
        for edited in (False, True):
            titles = titles_of_image(_text(image), edited) & known.keys()
            if titles:
                yield image, {name for title in titles for name in known[title]}
                break


def is_json_of(name: str, image: bytes) -> bool:
    """Return whether `name` may be the name of Takeout's JSON for an image, or for the image's original."""
    text = _text(image)
    return not titles_of_json(name).isdisjoint(titles_of_image(text) | titles_of_image(text, edited=True))


def _whole_titles(name: str, edited: bool) -> Iterator[Title]:
    stem, dot, extension = name.rpartition(".")
    text, number = _numbered(stem)
    if edited:
        text = text[: -len(EDITED)] if text.endswith(EDITED) else ""
    if text:
        yield f"{text}{dot}{extension}", number
        yield f"{text}{number}{dot}{extension}", ""


def _text(name: bytes) -> str:
    """Return a name as text; an empty text for a name that is not UTF-8."""
    try:
        return name.decode()
    except UnicodeDecodeError:
        return ""


def _numbered(text: str) -> Title:
    found = NUMBER.search(text)
    return (text[: found.start()], found[0]) if found else (text, "")


def _key(title: str) -> str:
    """Return a title with its extension in lower case."""
    stem, dot, extension = title.rpartition(".")
    return f"{stem}{dot}{extension.lower()}"
