"""Recognise names of copies, as given by people, programs and systems."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

NAMES = (
    # backups
    *("*backup*", "*back-up*", "*back up*", "backups.backupdb", "*sicherung*", "*sauvegarde*", "*respaldo*", "*бэкап*"),
    *("*备份*", "*備份*", "*バックアップ*", "*.bak", "*~", "mirror", "*archive", "archive*", "archiv", "archives"),
    *(".snapshot*", "*.sync-conflict-*"),
    # copies, as named by file managers, browsers and people
    *("*copy*", "*copies*", "*kopie*", "*kopia*", "*copie*", "*copia*", "*cópia*", "*копия*", "*副本*", "*コピー*"),
    *("*([0-9]).*", "*([0-9][0-9]).*", "*duplicate*", "dupes", "*conflict*"),
    # transit and trash
    *("download*", "téléchargements", "descargas", "attachments", "tmp", "temp", "*.tmp", "cache", ".cache"),
    *("trash", ".trash*", "*.trash", "recycle*", "$recycle.bin", "recycler", "papierkorb", "corbeille", "*deleted*"),
    *("lost+found", "found.[0-9]*", "recovered*", "recup_dir*"),
    # made from other images
    *("export", "exports", "exported", "converted", "resized", "compressed", "edited", "*-edited.*", "*_edited.*"),
    *(".thumbnails", "thumbnails", "thumbs", ".thumb*", "@eadir", "previews"),
    # messengers and networks
    *("*whatsapp*", "*-wa[0-9][0-9][0-9][0-9]*", "*telegram*", "signal", "signal-[0-9]*", "viber*", "*wechat*"),
    *("weixin", "mmexport*", "messenger*", "*facebook*", "fb_img_*", "received_*", "*instagram*", "*snapchat*"),
    *("kakaotalk*", "skype*", "discord*", "slack*", "threema*"),
)
"""Patterns of names of files and folders, in lower case."""
SHORT = 4
"""Least length of a name for `longer`: shorter names occur in other names by chance."""


def matcher(patterns: Sequence[str]) -> Callable[[str], bool]:
    """Return a function that returns whether a name matches one of `patterns`.

    Patterns have the syntax of the module fnmatch. The name must be in lower case.

    A star at the beginning or end of a pattern becomes an unanchored search, which takes a tenth of the time."""
    parts = []
    for pattern in map(str.casefold, patterns):
        inner = fnmatch.translate(pattern.strip("*"))[len("(?s:") : -len(r")\Z")]  # ")\z" since Python 3.14
        begin, end = "" if pattern.startswith("*") else r"\A", "" if pattern.endswith("*") else r"\Z"
        parts.append((begin, f"{begin}(?:{inner}){end}"))
    fixed, loose = ("|".join(part for begin, part in parts if bool(begin) is here) for here in (True, False))
    at_begin, anywhere = (re.compile(text, re.DOTALL) if text else None for text in (fixed, loose))

    def matches(name: str) -> bool:
        return bool((at_begin and at_begin.match(name)) or (anywhere and anywhere.search(name)))

    return matches


def counter(patterns: Sequence[str]) -> Callable[[str, str], int]:
    """Return a function that counts the names in a path that match one of `patterns`.

    Only names below the root are counted. Case is ignored."""
    matches = matcher(patterns)
    folders: dict[tuple[str, str], int] = {}

    def count(root: str, path: str) -> int:
        folder, _, name = path.rpartition("/")
        if (root, folder) not in folders:
            top = root.rstrip("/")
            below = folder[len(top) :] if f"{folder}/".startswith(f"{top}/") else ""
            folders[root, folder] = sum(matches(part.casefold()) for part in below.split("/") if part)
        return folders[root, folder] + matches(name.casefold())

    return count


def longer(names: Sequence[str], family: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which names extend the shortest name of their family, bool (n,).

    `IMG_7-edit.png` extends `IMG_7.jpg`. `IMG_70.jpg` does not: further digits make another number."""
    stems = [name.rpartition(".")[0].casefold() or name.casefold() for name in names]
    shortest: dict[int, str] = {}
    for stem, number in zip(stems, family.tolist(), strict=True):
        known = shortest.get(number)
        shortest[number] = stem if known is None else min(known, stem, key=lambda each: (len(each), each))
    return np.array(
        [_adds(stem, shortest[number]) for stem, number in zip(stems, family.tolist(), strict=True)], np.bool_
    )


def _adds(stem: str, short: str) -> bool:
    if len(short) < SHORT or stem == short or short not in stem:
        return False
    before, _, after = stem.partition(short)
    return not (before[-1:].isdigit() and short[0].isdigit()) and not (short[-1].isdigit() and after[:1].isdigit())
