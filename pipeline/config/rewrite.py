"""Suggest corrections for a value of `--set` that YAML can't read as intended."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator

CLOSING = {"[": "]", "{": "}", '"': '"', "'": "'"}


def as_argument(name: str, text: str) -> str:
    """Return the argument that sets a key, quoted for a shell."""
    return f"--set {shlex.quote(f'{name}={text}')}"


def readable(text: str) -> Iterator[str]:
    """Yield corrections of `text`, the likeliest first; YAML can read the last text."""
    text = text.strip()
    yield _closed(text)
    if text.startswith("["):
        yield f"[{', '.join(quoted(item) for item in text.strip('[], ').split(','))}]"
    yield quoted(text)


def _closed(text: str) -> str:
    """Return `text` with the missing closing brackets and quote at its end."""
    missing: list[str] = []
    for letter in text:
        quoted = missing and missing[-1] in "\"'"
        if missing and letter == missing[-1]:
            missing.pop()
        elif letter in CLOSING and not quoted:
            missing.append(CLOSING[letter])
    return text.rstrip(", ") + "".join(reversed(missing)) if missing else text


def retyped(text: str) -> Iterator[str]:
    """Yield variants of `text` that YAML may read as a number, a list or a string."""
    text = text.strip()
    bare = text.strip("\"'")
    yield bare
    if re.fullmatch(r"[-+]?\d{1,3}(,\d{3})+(\.\d+)?", bare):
        yield bare.replace(",", "")
    yield bare.replace(",", ".")
    if not bare.startswith(("[", "{")):
        yield f"[{', '.join(item.strip() for item in re.split('[,x]' if bare[:1].isdigit() else ',', bare))}]"
        yield quoted(bare)


def quoted(text: str) -> str:
    """Return `text` as a quoted YAML string."""
    return json.dumps(text.strip().strip("\"'"), ensure_ascii=False)
