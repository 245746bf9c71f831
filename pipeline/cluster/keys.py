"""Keys of the section `scheduler`, in groups that kinds of scheduler combine."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import field
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from pipeline.cluster.addresses import is_loopback
from pipeline.contract.options import section

Positive = Annotated[int, Field(gt=0)]
Seconds = Annotated[float, Field(gt=0, le=1e7)]
SIZE_PATTERN = r"auto|\d+(\.\d+)?\s*([kmgtpKMGTP][iI]?)?[bB]?"
KIND_FIELD = Field(
    description="auto: threads of this process for a small run, else local; local, threads: processes or threads on "
    "this machine; synchronous: a loop in this process; cuda: one process for each GPU; address: a Dask scheduler that "
    "is already running; ssh; slurm, pbs, lsf, sge: a batch system; kubernetes; or package.module:Class, a cluster "
    "class of your own"
)


def _size(value: str | int) -> str | int:
    if not re.fullmatch(SIZE_PATTERN, str(value), re.IGNORECASE):
        raise ValueError(f"expected auto or a size such as 4GiB, got {value!r}")
    return value


def _files(value: Any) -> Any:
    if value == "temporary":
        raise ValueError(
            "expected {ca_file: …, cert: …, key: …}, got temporary; temporary certificates do not reach these machines"
        )
    return value


@section
class Adapt:
    """Limits between which Dask adapts the number of workers to the work."""

    maximum: Annotated[Positive, Field(description="most workers at a time")]
    minimum: Annotated[Positive, Field(description="fewest workers at a time")] = 1


@section
class Tls:
    """Files in PEM format, under the same paths on every machine.

    Use your own certificate authority: host names in certificates are not checked."""

    ca_file: Annotated[str, Field(description="certificate of the authority that all machines trust")]
    cert: Annotated[str, Field(description="certificate that each machine shows, signed by the authority")]
    key: Annotated[str, Field(description="private key of the certificate")]


@section
class Scheduler:
    """Where the tasks run; no key of this section changes a result."""

    kind: Annotated[str, KIND_FIELD] = "auto"

    dask_class: ClassVar[str] = ""
    """Dask's cluster class, as module:Class."""
    package: ClassVar[str] = ""
    """Distribution that brings the class."""
    extra: ClassVar[str] = ""
    """Extra of this distribution that installs the package."""
    defaults: ClassVar[Mapping[str, Any]] = {}
    """Keyword arguments of the class that a config may override."""
    remote: ClassVar[bool] = False
    """Whether workers run on other machines."""
    command: ClassVar[str] = ""
    """Program that submits the jobs of a batch system."""

    @property
    def listens_beyond_loopback(self) -> bool:
        """Return whether other machines can reach the run's ports.

        The result is always True for the kind `address`."""
        return self.remote

    def cores(self, present: int) -> int:
        """Return the number of cores that the config asks for.

        `present`: number of cores of this machine."""
        return 1


@section
class Dask(Scheduler):
    """Keys of every kind that runs on Dask."""

    min_workers: Annotated[Positive, Field(description="the run begins when this many workers have joined")] = 1
    wait_timeout: Annotated[
        Seconds, Field(description="seconds to wait for workers, at the start and after all workers are lost")
    ] = 300.0
    patience: Annotated[
        Seconds,
        Field(description="seconds without a finished task until the state of the cluster is written to a file"),
    ] = 900.0
    dask_config: Annotated[
        Mapping[str, Any], Field(description="settings of Dask, here and on the workers; values are never shown")
    ] = field(default_factory=dict)

    def cores(self, present: int) -> int:
        return self.min_workers


@section
class DaskCluster(Dask):
    """The key of kinds for which this program starts a Dask cluster."""

    cluster: Annotated[
        Mapping[str, Any], Field(description="further keyword arguments of Dask's cluster class, passed through")
    ] = field(default_factory=dict)


@section
class Listening(Scheduler):
    """The key of kinds for which the config can choose the listening address."""

    host: Annotated[
        str | None,
        Field(
            description="address on which this run's own scheduler and workers listen; null: loopback or, if "
            "workers run on other machines, this machine's address in the network"
        ),
    ] = None

    @property
    def listens_beyond_loopback(self) -> bool:
        return not is_loopback(self.host) if self.host else self.remote


@section
class Elastic(Dask):
    """Keys of kinds that start and end workers during a run."""

    scale: Annotated[Positive | None, Field(description="number of workers to start")] = None
    adapt: Annotated[
        Adapt | None,
        Field(description="instead of scale, adapt the number of workers to the work: {minimum: 1, maximum: 100}"),
    ] = None

    def cores(self, present: int) -> int:
        return self.scale or self.min_workers


@section
class Encrypted(Scheduler):
    """The key of kinds that can encrypt with certificates made for one run."""

    tls: Annotated[
        Literal["temporary"] | Tls | None,
        Field(
            description="encrypt with the files {ca_file: …, cert: …, key: …}, or with temporary ones made for this run"
        ),
    ] = None


@section
class EncryptedByFiles(Scheduler):
    """The key of kinds that can encrypt with certificates that all machines have."""

    tls: Annotated[
        Tls | None, BeforeValidator(_files), Field(description="encrypt with the files {ca_file: …, cert: …, key: …}")
    ] = None


@section
class LocalWorkers(Scheduler):
    """Keys of kinds whose workers run on this machine."""

    workers: Annotated[Positive | None, Field(description="number of workers; null: one for each core, or GPU")] = None
    memory_limit: Annotated[
        str | int,
        AfterValidator(_size),
        WithJsonSchema(
            {"anyOf": [{"type": "string", "pattern": f"^({SIZE_PATTERN})$"}, {"type": "integer", "minimum": 0}]}
        ),
        Field(description="memory of one worker, such as 4GiB; auto: an equal share of this machine's memory"),
    ] = "auto"
