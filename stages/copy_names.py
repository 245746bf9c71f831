"""Names that copies bear: what people, programs and systems call them and the folders in which they put them."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Sequence

NAMES = (
    # backups
    *("*backup*", "*back-up*", "*back up*", "backups.backupdb", "*sicherung*", "*sauvegarde*", "*respaldo*", "*бэкап*"),
    *("*备份*", "*備份*", "*バックアップ*", "*.bak", "*~", "mirror", "*archive", "archive*", "archiv", "archives"),
    *(".snapshot*", "*.sync-conflict-*"),
    # copies, as file managers, browsers and people call them
    *("*copy*", "*copies*", "*kopie*", "*kopia*", "*copie*", "*copia*", "*cópia*", "*копия*", "*副本*", "*コピー*"),
    *("*([0-9]).*", "*([0-9][0-9]).*", "*duplicate*", "dupes", "*conflict*"),
    # on the way, and out again
    *("download*", "téléchargements", "descargas", "attachments", "tmp", "temp", "*.tmp", "cache", ".cache"),
    *("trash", ".trash*", "*.trash", "recycle*", "$recycle.bin", "recycler", "papierkorb", "corbeille", "*deleted*"),
    *("lost+found", "found.[0-9]*", "recovered*", "recup_dir*"),
    # made from others
    *("export", "exports", "exported", "converted", "resized", "compressed", "edited", "*-edited.*", "*_edited.*"),
    *(".thumbnails", "thumbnails", "thumbs", ".thumb*", "@eadir", "previews"),
    # messengers and networks
    *("*whatsapp*", "*-wa[0-9][0-9][0-9][0-9]*", "*telegram*", "signal", "signal-[0-9]*", "viber*", "*wechat*"),
    *("weixin", "mmexport*", "messenger*", "*facebook*", "fb_img_*", "received_*", "*instagram*", "*snapchat*"),
    *("kakaotalk*", "skype*", "discord*", "slack*", "threema*"),
)
"""Patterns of names of files and folders, in lower case."""


def counter(patterns: Sequence[str]) -> Callable[[str, str], int]:
    """Return a function that counts the names in a path, below a root, which match a pattern, whatever their case."""
    matches = re.compile("|".join(fnmatch.translate(pattern.casefold()) for pattern in patterns)).match
    folders: dict[tuple[str, str], int] = {}

    def count(root: str, path: str) -> int:
        folder, _, name = path.rpartition("/")
        if (root, folder) not in folders:
            top = root.rstrip("/")
            below = folder[len(top) :] if f"{folder}/".startswith(f"{top}/") else ""
            folders[root, folder] = sum(1 for part in below.split("/") if part and matches(part.casefold()))
        return folders[root, folder] + bool(matches(name.casefold()))

    return count
