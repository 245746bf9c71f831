"""Run a Dockerfile's steps as a script in a fresh root: a private overlay of this machine's system.

The root has an empty virtual environment of this Python in PATH instead of the image that FROM names. The checkout is
hidden, so that only copied files exist."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

OVERLAY = """
mount -t tmpfs none {work}
mkdir {work}/upper {work}/scratch {root}
mount -t overlay overlay -o lowerdir=/,upperdir={work}/upper,workdir={work}/scratch {root}
"""
PYTHON = "/usr/local/image"
PASSED_ON = ("PIP_", "SSL_CERT_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
"""Prefixes of environment variables that a step may need to fetch packages."""


def impossible(folder: Path) -> str:
    """Return why no fresh root can be made here; empty if a root can be made."""
    tried = _in_own_mounts(OVERLAY.format(work=shlex.quote(str(folder)), root=shlex.quote(f"{folder}/root")))
    return "" if tried.returncode == 0 else f"no overlay of the root can be mounted here: {tried.stderr.strip()[-200:]}"


def steps(dockerfile: Path) -> list[tuple[str, str]]:
    """Return the instructions of a Dockerfile, each with its arguments."""
    lines = [line for line in dockerfile.read_text().splitlines() if line[:1] not in ("", "#")]
    return [(step, words) for step, words in (line.split(maxsplit=1) for line in lines)]


def built(dockerfile: Path, context: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run all steps, then the entry point with the arguments `words`, as a container does."""
    root = folder / "root"
    script = [OVERLAY.format(work=shlex.quote(str(folder)), root=shlex.quote(str(root)))]
    script += _script(steps(dockerfile), context, root, words)
    return _in_own_mounts("\n".join(script))


def _script(found: list[tuple[str, str]], context: Path, root: Path, words: tuple[str, ...]) -> Iterator[str]:
    kept = {name: value for name, value in os.environ.items() if name.upper().startswith(PASSED_ON)}
    kept |= {"PATH": f"{PYTHON}/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"}
    inside = shlex.join(["env", "-i", *(f"{name}={value}" for name, value in kept.items()), "chroot", str(root)])
    user, place, entry = "", "/", [""]
    yield f"mount --rbind /proc {root}/proc; mount --rbind /dev {root}/dev; chmod 755 {root}/root"
    for step, rest in found:
        if step == "FROM":
            yield f"awk -F: '$3 < 1000 || $3 > 60000' /etc/passwd > {root}/etc/passwd"  # an image has no people
            yield f"{inside} {sys.executable} -m venv {PYTHON}"
        elif step == "COPY":
            *sources, target = shlex.split(rest)
            whole = f"{root}{target}"
            yield f"mkdir -p {shlex.quote(whole if target.endswith('/') else str(Path(whole).parent))}"
            yield from (f"cp -r {shlex.quote(str(context / source))} {shlex.quote(whole)}" for source in sources)
        elif step == "RUN":
            hidden = f"mount -t tmpfs none {shlex.quote(f'{root}{context}')}"
            yield f"mountpoint -q {shlex.quote(f'{root}{context}')} || {hidden}"
            yield f"{inside} {user} /bin/sh -ec {shlex.quote(f'cd {place}; {rest}')}"
        elif step == "USER":
            user = f"setpriv --reuid {rest} --regid {rest} --init-groups env HOME=/home/{rest}"
        elif step == "WORKDIR":
            place = rest
        elif step == "ENTRYPOINT":
            entry = json.loads(rest)
        else:
            raise ValueError(f"{step} is not known here")
    command = f"cd {place}; exec {shlex.join([*entry, *words])}"
    yield f"{inside} {user} /bin/sh -ec {shlex.quote(command)}"


def _in_own_mounts(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["unshare", "--mount", "sh", "-ec", script], capture_output=True, text=True, check=False)
