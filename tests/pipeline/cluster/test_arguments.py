"""Keyword arguments of Dask's classes, from the keys of the section `scheduler`."""

import importlib
import inspect
from typing import Any

import dask
import pytest

from pipeline.cluster import arguments as cluster_arguments
from pipeline.cluster.deployment import KINDS, kind_of
from tests.pipeline.cluster.sections import BATCH, section

EXAMPLES: dict[str, dict[str, Any]] = {
    "auto": {"workers": 3, "memory_limit": "2GiB"},
    "threads": {"workers": 3},
    "local": {"workers": 3, "threads": 2},
    "ssh": {"cluster": {"hosts": ["a", "b"], "worker_options": {"n_workers": 2}}},
    "slurm": {"scale": 2, "cluster": BATCH},
    "pbs": {"scale": 2, "cluster": BATCH},
    "lsf": {"scale": 2, "cluster": BATCH},
    "sge": {"scale": 2, "cluster": BATCH},
    "kubernetes": {"scale": 2, "cluster": {"image": "me/fast-diff"}, "dask_config": {"a.b-c": 1}},
}


@pytest.mark.parametrize("kind", EXAMPLES)
def test_the_class_of_each_kind_accepts_its_arguments(kind: str) -> None:
    scheduler = section(kind=kind, **EXAMPLES[kind])
    module, _, name = kind_of(kind).dask_class.partition(":")
    arguments = cluster_arguments.arguments(scheduler, None)
    made = getattr(importlib.import_module(module), name)
    inspect.signature(made).bind(**arguments)
    if kind_of(kind).extra == "jobqueue":  # whose class takes anything, and hands it to the class of a job
        known = {*inspect.signature(made.__init__).parameters, *inspect.signature(made.job_cls.__init__).parameters}
        base = importlib.import_module("dask_jobqueue.core")
        known |= {*inspect.signature(base.Job.__init__).parameters}
        known |= {*inspect.signature(base.JobQueueCluster.__init__).parameters}
        assert set(arguments) <= known
        assert arguments["processes"] == 4, "one thread each"


def test_every_kind_with_a_class_of_its_own_was_tried() -> None:
    assert set(KINDS) - set(EXAMPLES) == {"synchronous", "address", "cuda"}


def test_passed_arguments_are_merged_with_the_defaults() -> None:
    scheduler = section(kind="ssh", cluster={"hosts": ["a"], "worker_options": {"memory_limit": "1GiB"}})
    arguments = cluster_arguments.arguments(scheduler, None)
    assert arguments["worker_options"] == {
        "nthreads": 1,
        "dashboard_address": "127.0.0.1:0",
        "memory_limit": "1GiB",
    }


def test_lists_that_pass_through_come_behind_our_own() -> None:
    """A recipe that names a lifetime must not put the workers' pages onto the network."""
    given = {**BATCH, "worker_extra_args": ["--lifetime", "1h"], "job_script_prologue": ["module load python"]}
    scheduler = section(kind="slurm", scale=1, cluster=given, dask_config={"distributed.worker.memory.target": 0.5})
    arguments = cluster_arguments.arguments(scheduler, None)
    assert arguments["worker_extra_args"][:2] == ["--dashboard-address", "127.0.0.1:0"]
    assert arguments["worker_extra_args"][-2:] == ["--lifetime", "1h"]
    assert arguments["job_script_prologue"][-1] == "module load python"
    assert len(arguments["job_script_prologue"]) == 2


def test_settings_of_dask_travel_in_the_job_script() -> None:
    settings = {"distributed.worker.memory.target": 0.5, "distributed": {"comm": {"timeouts": {"connect": "a 'b'"}}}}
    scheduler = section(kind="slurm", scale=1, cluster=BATCH, dask_config=settings)
    assert cluster_arguments.arguments(scheduler, None)["job_script_prologue"] == [
        "export DASK_DISTRIBUTED__WORKER__MEMORY__TARGET=0.5",
        """export DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT='a '"'"'b'"'"''""",
    ]
    found = dask.config.collect_env(cluster_arguments._environment(settings))
    assert found["distributed"]["worker"]["memory"]["target"] == 0.5
    assert found["distributed"]["comm"]["timeouts"]["connect"] == "a 'b'"
