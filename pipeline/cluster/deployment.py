"""Kinds of scheduler: one dataclass of accepted config keys for each kind.

A config names a kind; this module names Dask's class for the kind. Site-specific arguments of the class go into
`scheduler.cluster`."""

from __future__ import annotations

import functools
import operator
import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag, WithJsonSchema

from pipeline.cluster.addresses import LOOPBACK
from pipeline.cluster.keys import (
    KIND_FIELD,
    Dask,
    DaskCluster,
    Elastic,
    Encrypted,
    EncryptedByFiles,
    Listening,
    LocalWorkers,
    Positive,
    Scheduler,
)
from pipeline.contract.options import section

FEW_TASKS = 256
"""Largest number of tasks for which kind auto runs without Dask, in one process."""
CUSTOM = "package.module:Class"
CUSTOM_CLASS = r"[A-Za-z_][\w.]*:[A-Za-z_]\w*"


def _custom(value: str) -> str:
    if not re.fullmatch(CUSTOM_CLASS, value):
        raise ValueError(f"expected one of {', '.join(KINDS)}, or {CUSTOM}, got the text {value!r}")
    return value


@section
class Synchronous(Scheduler):
    """A loop in this process, without Dask."""

    kind: Annotated[Literal["synchronous"], KIND_FIELD] = "synchronous"


@section
class Threads(DaskCluster, LocalWorkers):
    """Threads of this process."""

    kind: Annotated[Literal["threads"], KIND_FIELD] = "threads"
    dask_class: ClassVar[str] = "distributed:LocalCluster"

    def cores(self, present: int) -> int:
        return min(present, self.workers or present)


@section
class Processes(DaskCluster, Encrypted, Listening, LocalWorkers):
    """Keys of kinds with processes on this machine."""

    threads: Annotated[Positive, Field(description="tasks at a time in one worker")] = 1
    dask_class: ClassVar[str] = "distributed:LocalCluster"

    def cores(self, present: int) -> int:
        return min(present, (self.workers or present) * self.threads)


@section
class Local(Processes):
    """Processes on this machine."""

    kind: Annotated[Literal["local"], KIND_FIELD] = "local"


@section
class Auto(Processes):
    """Threads of this process for a small run, else processes on this machine."""

    kind: Annotated[Literal["auto"], KIND_FIELD] = "auto"

    def fits_one_process(self, tasks: int) -> bool:
        """Return whether a run with this number of tasks needs no Dask.

        Any key other than `workers` in the section asks for Dask."""
        return tasks <= FEW_TASKS and self == Auto(workers=self.workers)


@section
class Cuda(DaskCluster, Listening, LocalWorkers):
    """A process for each GPU of this machine."""

    kind: Annotated[Literal["cuda"], KIND_FIELD] = "cuda"
    dask_class: ClassVar[str] = "dask_cuda:LocalCUDACluster"
    package: ClassVar[str] = "dask-cuda"
    extra: ClassVar[str] = "cuda"
    defaults: ClassVar[Mapping[str, Any]] = {"threads_per_worker": 1}


@section
class ExistingScheduler(Dask, EncryptedByFiles):
    """A Dask scheduler that is already running."""

    kind: Annotated[Literal["address"], KIND_FIELD] = "address"
    address: Annotated[str | None, Field(description="address of the scheduler, such as tcp://10.0.0.1:8786")] = None
    scheduler_file: Annotated[
        str | None, Field(description="instead of address, the file that `dask scheduler --scheduler-file` wrote")
    ] = None
    remote: ClassVar[bool] = True


@section
class Ssh(DaskCluster, EncryptedByFiles, Listening):
    """Machines that are reached by SSH."""

    kind: Annotated[Literal["ssh"], KIND_FIELD] = "ssh"
    dask_class: ClassVar[str] = "distributed:SSHCluster"
    package: ClassVar[str] = "asyncssh"
    extra: ClassVar[str] = "ssh"
    defaults: ClassVar[Mapping[str, Any]] = {
        "scheduler_options": {"dashboard_address": f"{LOOPBACK}:0"},
        "worker_options": {"nthreads": 1, "dashboard_address": f"{LOOPBACK}:0"},
    }
    remote: ClassVar[bool] = True


@section
class Batch(DaskCluster, Encrypted, Listening, Elastic):
    """A batch system, through dask-jobqueue.

    Each job runs workers of one thread; dashboards listen on loopback."""

    package: ClassVar[str] = "dask-jobqueue"
    extra: ClassVar[str] = "jobqueue"
    defaults: ClassVar[Mapping[str, Any]] = {
        "worker_extra_args": ["--dashboard-address", f"{LOOPBACK}:0", "--preload", "pipeline.worker"],
        "scheduler_options": {"dashboard_address": f"{LOOPBACK}:0"},
    }
    remote: ClassVar[bool] = True


@section
class Slurm(Batch):
    """SLURM."""

    kind: Annotated[Literal["slurm"], KIND_FIELD] = "slurm"
    dask_class: ClassVar[str] = "dask_jobqueue:SLURMCluster"
    command: ClassVar[str] = "sbatch"


@section
class Pbs(Batch):
    """PBS."""

    kind: Annotated[Literal["pbs"], KIND_FIELD] = "pbs"
    dask_class: ClassVar[str] = "dask_jobqueue:PBSCluster"
    command: ClassVar[str] = "qsub"


@section
class Lsf(Batch):
    """LSF."""

    kind: Annotated[Literal["lsf"], KIND_FIELD] = "lsf"
    dask_class: ClassVar[str] = "dask_jobqueue:LSFCluster"
    command: ClassVar[str] = "bsub"


@section
class Sge(Batch):
    """Sun Grid Engine."""

    kind: Annotated[Literal["sge"], KIND_FIELD] = "sge"
    dask_class: ClassVar[str] = "dask_jobqueue:SGECluster"
    command: ClassVar[str] = "qsub"


@section
class Kubernetes(DaskCluster, Elastic):
    """Kubernetes, with the Dask operator."""

    kind: Annotated[Literal["kubernetes"], KIND_FIELD] = "kubernetes"
    dask_class: ClassVar[str] = "dask_kubernetes.operator:KubeCluster"
    package: ClassVar[str] = "dask-kubernetes"
    extra: ClassVar[str] = "kubernetes"
    defaults: ClassVar[Mapping[str, Any]] = {"name": "fast-diff", "quiet": True, "n_workers": 0}
    remote: ClassVar[bool] = True


@section
class CustomCluster(DaskCluster, Encrypted, Elastic):
    """A cluster class of the user's own."""

    kind: Annotated[
        str, AfterValidator(_custom), WithJsonSchema({"type": "string", "pattern": f"^{CUSTOM_CLASS}$"}), KIND_FIELD
    ] = CUSTOM
    remote: ClassVar[bool] = True


MODELS: dict[str, type[Scheduler]] = {
    "auto": Auto,
    "synchronous": Synchronous,
    "threads": Threads,
    "local": Local,
    "cuda": Cuda,
    "address": ExistingScheduler,
    "ssh": Ssh,
    "slurm": Slurm,
    "pbs": Pbs,
    "lsf": Lsf,
    "sge": Sge,
    "kubernetes": Kubernetes,
    CUSTOM: CustomCluster,
}
KINDS = {name: model for name, model in MODELS.items() if name != CUSTOM}
"""Kinds that this program knows by name."""


def kind_of(name: str) -> type[Scheduler]:
    """Return the dataclass of a kind."""
    return KINDS.get(name, CustomCluster)


def _tag(data: Any) -> str:
    """Return the key of MODELS for a section's data; the default kind is auto."""
    kind = data.get("kind", Scheduler.kind) if isinstance(data, dict) else Scheduler.kind
    return kind if isinstance(kind, str) and kind in KINDS else CUSTOM


UNION: Any = Annotated[
    functools.reduce(operator.or_, (Annotated[model, Tag(name)] for name, model in MODELS.items())),
    Discriminator(_tag),
    Field(description="Where the tasks run; no key of this section changes a result."),
]
"""Type of the section: one of the dataclasses in MODELS, chosen by the key `kind`."""
