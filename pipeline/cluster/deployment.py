"""Where the tasks of a run may be computed: the config's section `scheduler`, and the kinds of clusters that it knows.

The table of kinds is closed: a config names a kind, and this program names the class. What is specific to a site passes
through `scheduler.cluster` to that class."""

from __future__ import annotations

import dataclasses
import ipaddress
import re
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field
from pydantic.dataclasses import dataclass

FORBID = ConfigDict(extra="forbid")
Positive = Annotated[int, Field(gt=0)]
LOOPBACK = "127.0.0.1"
WEEKS = 1e7
"""Seconds that nobody waits."""
ADDRESS = re.compile(r"(?:(\w+)://)?(\[[0-9a-fA-F:]+\]|[^\s/:@\[\]]+):(\d{1,5})/?")
"""Of a scheduler: its protocol, host and port."""
PROTOCOLS = ("tcp", "tls", "ucx", "ws", "wss")
OWN_CLASS = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
"""A class by its dotted path, package.module:Class."""


@dataclasses.dataclass(frozen=True)
class Kind:
    """Clusters of one kind.

    `cluster` is Dask's class, `package` what brings it and `extra` the extra of this distribution that does so.
    `defaults` are keyword arguments of the class that a config may override. `elastic`: it takes `scale` and `adapt`.
    `beyond`: its workers are on other machines. `command`: what hands in its jobs. `tls`: how far it can encrypt."""

    cluster: str = ""
    package: str = ""
    extra: str = ""
    defaults: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    elastic: bool = False
    beyond: bool = False
    command: str = ""
    tls: tuple[str, ...] = ()


def _batch(name: str, command: str) -> Kind:
    """A batch system by dask-jobqueue; jobs run workers of one thread each, whose own pages stay on their machine."""
    defaults = {
        "worker_extra_args": ["--dashboard-address", f"{LOOPBACK}:0", "--preload", "pipeline.worker"],
        "scheduler_options": {"dashboard_address": f"{LOOPBACK}:0"},
    }
    cluster, tls = f"dask_jobqueue:{name}Cluster", ("files", "temporary")
    return Kind(cluster, "dask-jobqueue", "jobqueue", defaults, True, True, command, tls)


KINDS: dict[str, Kind] = {
    "synchronous": Kind(),
    "threads": Kind("distributed:LocalCluster"),
    "local": Kind("distributed:LocalCluster", tls=("files", "temporary")),
    "cuda": Kind("dask_cuda:LocalCUDACluster", "dask-cuda", "cuda", {"threads_per_worker": 1}),
    "address": Kind(beyond=True, tls=("files",)),
    "ssh": Kind(
        "distributed:SSHCluster",
        "asyncssh",
        "ssh",
        {
            "scheduler_options": {"dashboard_address": f"{LOOPBACK}:0"},
            "worker_options": {"nthreads": 1, "dashboard_address": f"{LOOPBACK}:0"},
        },
        beyond=True,
        tls=("files",),
    ),
    "slurm": _batch("SLURM", "sbatch"),
    "pbs": _batch("PBS", "qsub"),
    "lsf": _batch("LSF", "bsub"),
    "sge": _batch("SGE", "qsub"),
    "kubernetes": Kind(
        "dask_kubernetes.operator:KubeCluster",
        "dask-kubernetes",
        "kubernetes",
        {"name": "fast-diff", "quiet": True, "n_workers": 0},
        elastic=True,
        beyond=True,
    ),
}


def kind_of(name: str) -> Kind:
    """The kind of this name; a class by its dotted path is one that can do anything, for all that is known of it."""
    return KINDS.get(name) or Kind(name, elastic=True, beyond=True, tls=("files", "temporary"))


def _kind(value: str) -> str:
    if value not in KINDS and not OWN_CLASS.fullmatch(value):
        raise ValueError(f"expected one of {', '.join(KINDS)}, or package.module:Class, got the text {value!r}")
    return value


def _memory(value: str | int) -> str | int:
    size = r"(auto|\d+(\.\d+)?\s*([kmgtp]i?)?b?)"
    if not re.fullmatch(size, str(value), re.IGNORECASE):
        raise ValueError(f"expected auto or a size such as 4GiB, got {value!r}")
    return value


@dataclass(frozen=True, config=FORBID)
class Adapt:
    """Workers come and go with the work, between these numbers."""

    maximum: Annotated[Positive, Field(description="most workers at a time")]
    minimum: Annotated[Positive, Field(description="fewest workers at a time")] = 1


@dataclass(frozen=True, config=FORBID)
class Tls:
    """Files in PEM format, under the same paths on every machine: the authority that all sides trust, and the
    certificate and key that each side shows. Take an authority of your own: host names are not looked at."""

    ca_file: Annotated[str, Field(description="certificate of the authority")]
    cert: Annotated[str, Field(description="certificate that each side shows")]
    key: Annotated[str, Field(description="private key of that certificate")]


@dataclass(frozen=True, config=FORBID)
class Scheduler:
    """Where the tasks run; it never changes a result."""

    kind: Annotated[
        str,
        AfterValidator(_kind),
        Field(
            description="synchronous: a loop here; threads, local: threads or processes here; cuda: one process a GPU; "
            "address: a Dask scheduler that is up already; ssh; slurm, pbs, lsf, sge: a batch system; kubernetes"
        ),
    ] = "local"
    address: Annotated[str | None, Field(description="for kind address: where it is, such as tcp://10.0.0.1:8786")] = (
        None
    )
    scheduler_file: Annotated[str | None, Field(description="for kind address: the file it was started with")] = None
    workers: Annotated[
        Positive | None, Field(description="for kinds threads, local, cuda: how many; null: one a core, or a GPU")
    ] = None
    threads: Annotated[Positive, Field(description="for kind local: tasks at a time in one process")] = 1
    memory_limit: Annotated[
        str | int,
        AfterValidator(_memory),
        Field(description="for kind local: memory of one worker, such as 4GiB; auto: an equal share"),
    ] = "auto"
    host: Annotated[
        str | None,
        Field(
            description="where this run's own scheduler and workers listen; null: on loopback, or where workers are on "
            "other machines, on this machine's own address"
        ),
    ] = None
    scale: Annotated[Positive | None, Field(description="for batch systems and Kubernetes: how many workers")] = None
    adapt: Annotated[
        Adapt | None, Field(description="for the same, instead of scale: {minimum: 1, maximum: 100} workers")
    ] = None
    min_workers: Annotated[Positive, Field(description="the run begins once so many workers are there")] = 1
    wait_timeout: Annotated[
        float,
        Field(gt=0, le=WEEKS, description="seconds to wait for them, and for another one when all are gone"),
    ] = 300.0
    patience: Annotated[
        float,
        Field(
            gt=0,
            le=WEEKS,
            description="seconds without any task's end after which the state of the cluster is written down",
        ),
    ] = 900.0
    tls: Annotated[
        Literal["temporary"] | Tls | None,
        Field(description="encrypt: {ca_file: …, cert: …, key: …}, or temporary: made for this run alone"),
    ] = None
    dask_config: Annotated[
        Mapping[str, Any], Field(description="settings of Dask, here and on the workers; its values are never shown")
    ] = dataclasses.field(default_factory=dict)
    cluster: Annotated[
        Mapping[str, Any], Field(description="further keyword arguments of Dask's cluster class, passed through")
    ] = dataclasses.field(default_factory=dict)

    @property
    def listens_beyond_loopback(self) -> bool:
        """Whether other machines can reach what this run opens; of kind address, only the scheduler itself knows."""
        return not is_loopback(self.host) if self.host else kind_of(self.kind).beyond


def flat(settings: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Settings of Dask by their dotted keys, however they were nested: set otherwise, one of a group drops the rest."""
    found: dict[str, Any] = {}
    for key, value in settings.items():
        name = f"{above}.{key}" if above else str(key)
        found |= flat(value, name) if isinstance(value, Mapping) and value else {name: value}
    return found


def is_loopback(address: str) -> bool:
    """Return whether a host, or the address of a scheduler there, is this machine's own."""
    host = address.partition("://")[2] or address
    if host.startswith("["):
        host = host[1:].partition("]")[0]
    elif host.count(":") == 1:  # more of them are a bare IPv6 address
        host = host.partition(":")[0]
    host = host.lower().removesuffix(".")
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        found = ipaddress.ip_address(host)
    except ValueError:
        try:
            return ipaddress.ip_address(socket.inet_aton(host)).is_loopback  # short spellings: 127.1
        except (OSError, UnicodeEncodeError):
            return False
    return (getattr(found, "ipv4_mapped", None) or found).is_loopback


def complaints(scheduler: Scheduler) -> Iterator[tuple[str, str]]:
    """Key and complaint of what does not go together."""
    kind, name = kind_of(scheduler.kind), scheduler.kind
    given = [key for key in ("address", "scheduler_file") if getattr(scheduler, key)]
    if name == "address" and len(given) != 1:
        yield (
            "address",
            f"kind address expects one of scheduler.address and scheduler.scheduler_file, got "
            f"{'both' if given else 'neither'}; for example --set scheduler.address=tcp://127.0.0.1:8786",
        )
    if scheduler.address:
        yield from (("address", said) for said in _odd_address(scheduler.address, bool(scheduler.tls)))
    for key in ("address", "scheduler_file"):
        if name != "address" and getattr(scheduler, key):
            yield key, f"kind {name} starts a scheduler of its own; leave it out, or set scheduler.kind to address"
    if name == "synchronous" and scheduler.cluster:
        yield "cluster", "kind synchronous has no cluster; leave it out, or choose another scheduler.kind"
    hosts = scheduler.cluster.get("hosts")
    if name == "ssh" and not (isinstance(hosts, list) and hosts and all(isinstance(host, str) for host in hosts)):
        yield "cluster", "kind ssh expects cluster.hosts, a list: the scheduler's host, then a host a worker"
    for key in ("scale", "adapt"):
        if getattr(scheduler, key) is not None and not kind.elastic:
            yield key, f"kind {name} does not take it; expected one of {', '.join(_elastic())}"
    if name in _elastic() and (scheduler.scale is None) == (scheduler.adapt is None):
        yield "scale", f"kind {name} expects one of scheduler.scale and scheduler.adapt; for example scale: 10"
    most = scheduler.adapt.maximum if scheduler.adapt else scheduler.scale
    least = scheduler.adapt.minimum if scheduler.adapt else most
    if most is not None and least is not None and min(most, least) < scheduler.min_workers:
        yield "min_workers", f"expected at most the {min(most, least)} workers that are asked for"
    if scheduler.adapt and scheduler.adapt.minimum > scheduler.adapt.maximum:
        yield "adapt", f"expected a maximum of at least the minimum, {scheduler.adapt.minimum}"
    how = "files" if isinstance(scheduler.tls, Tls) else "temporary"
    if scheduler.tls and how not in kind.tls:
        yield "tls", f"kind {name} {_instead(kind)}"
    if scheduler.tls == "temporary" and kind.extra == "jobqueue" and "shared_temp_directory" not in scheduler.cluster:
        yield "tls", "temporary expects scheduler.cluster.shared_temp_directory too, a folder that all machines see"


def _odd_address(address: str, encrypted: bool) -> Iterator[str]:
    """What is wrong with the address of a scheduler, as far as it can be told without asking there."""
    if "@" in address:
        yield "expected an address without user and password: Dask knows none; for encryption see scheduler.tls"
        return
    found = ADDRESS.fullmatch(address)
    if not found or not 0 < int(found[3]) < 1 << 16 or (found[1] or "tcp") not in PROTOCOLS:
        yield f"expected an address such as tcp://10.0.0.1:8786, got {address!r}"
    elif found[1] in ("tls", "wss") and not encrypted:
        yield f"{address} is encrypted, and needs scheduler.tls: {{ca_file: …, cert: …, key: …}}"
    elif found[1] not in ("tls", "wss") and encrypted:
        yield f"with scheduler.tls expected tls://{found[2]}:{found[3]}, got {address}"


def missing_files(scheduler: Scheduler) -> Iterator[str]:
    """Complaints of certificates that are not there; asked when a run begins, since to look at one takes none."""
    if isinstance(scheduler.tls, Tls):
        for key, file in dataclasses.asdict(scheduler.tls).items():
            if not Path(file).expanduser().is_file():
                what = "is a folder" if Path(file).expanduser().is_dir() else "does not exist"
                yield f"scheduler.tls.{key}: expected a file, got {file!r}, which {what}"


def _instead(kind: Kind) -> str:
    if kind.tls:
        return "has machines that no temporary certificate reaches; expected {ca_file: …, cert: …, key: …}"
    return "can't encrypt; start a scheduler and workers of your own with TLS, and use kind address"


def _elastic() -> list[str]:
    return [name for name, kind in KINDS.items() if kind.elastic]
