"""Imitate a batch system, hosts with SSH, and a certificate authority, which a laptop lacks."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncssh
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

SBATCH = """#!/bin/bash
grep -q '^#SBATCH' "$1" || exit 1
cp "$1" {folder}/job.sh
cp "$1" {folder}/job-$$.sh
setsid bash {folder}/job-$$.sh </dev/null >>{folder}/job.log 2>&1 &
echo "Submitted batch job $!"
"""
SCANCEL = """#!/bin/bash
kill -TERM -- "-$1"
"""


def batch_system(folder: Path) -> str:
    """Make `sbatch` and `scancel`, which run job scripts here at once; return the PATH with both.

    The last script is in job.sh, the output of jobs in job.log."""
    folder.mkdir()
    for name, text in (("sbatch", SBATCH), ("scancel", SCANCEL)):
        (folder / name).write_text(text.format(folder=folder))
        (folder / name).chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


class _Anyone(asyncssh.SSHServer):
    """A server that needs no authentication."""

    def begin_auth(self, username: str) -> bool:
        return False


async def _copy(source: asyncio.StreamReader, target: asyncssh.SSHWriter[bytes]) -> None:
    while data := await source.read(1 << 16):
        target.write(data)


async def _serve(process: asyncssh.SSHServerProcess[bytes]) -> None:
    child = await asyncio.create_subprocess_shell(
        process.command or "true",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        assert child.stdout
        assert child.stderr
        await asyncio.gather(_copy(child.stdout, process.stdout), _copy(child.stderr, process.stderr))
        process.exit(await child.wait())
    finally:
        if child.returncode is None:
            os.killpg(child.pid, 15)
            await child.wait()


@contextmanager
def ssh_host() -> Iterator[int]:
    """Run an SSH server on loopback that runs commands; yield its port."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    key = asyncssh.generate_private_key("ssh-ed25519")

    async def listen() -> asyncssh.SSHAcceptor:
        return await asyncssh.create_server(
            _Anyone, "127.0.0.1", 0, server_host_keys=[key], process_factory=_serve, encoding=None
        )

    server = asyncio.run_coroutine_threadsafe(listen(), loop).result(10)
    yield server.get_port()

    async def end() -> None:
        server.close()
        await server.wait_closed()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run_coroutine_threadsafe(end(), loop).result(20)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()


def certificates(folder: Path, *addresses: str) -> dict[str, str]:
    """Make a certificate authority and a certificate for some addresses; return the section scheduler.tls."""
    folder.mkdir(exist_ok=True)
    authority, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)

    def signed(subject: str, public: ec.EllipticCurvePublicKey, is_authority: bool) -> bytes:
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(each)) for each in addresses])
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, subject)]))
            .issuer_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "fast-diff test authority")]))
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
            .add_extension(names, critical=False)
        )
        return builder.sign(authority, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    files = {
        "ca_file": signed("fast-diff test authority", authority.public_key(), True),
        "cert": signed("fast-diff test", key.public_key(), False),
        "key": key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
    }
    for name, data in files.items():
        (folder / f"{name}.pem").write_bytes(data)
    return {name: str(folder / f"{name}.pem") for name in files}
