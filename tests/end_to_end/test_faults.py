"""After faults of real processes on a cluster, the artifacts equal the artifacts of an undisturbed run."""

import multiprocessing
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.end_to_end.driver import Project, make_images
from tests.end_to_end.faulty import Cluster, cmdline
from tests.end_to_end.meddling import begun

pytestmark = [pytest.mark.drawn, pytest.mark.slow]

IMAGES = 60


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, dict[str, bytes]]:
    project = Project(tmp_path_factory.mktemp("faults"), {"partition": {"images": 2, "block": 8}})
    make_images(project.folder / "images", IMAGES)
    assert project.run() == 0
    return project, project.artifacts()


@pytest.fixture
def cluster(expected: tuple[Project, dict[str, bytes]], tmp_path: Path) -> Iterator[Cluster]:
    with Cluster(expected, tmp_path) as made:
        yield made


def test_killed_workers_cost_only_their_running_tasks(cluster: Cluster) -> None:
    cluster.start()
    cluster.project.config["scheduler"]["wait_timeout"] = 60  # on a busy machine, starting new workers takes a while
    kills = 0
    with cluster.drive() as driver:
        cluster.wait_for("thumbnail/*.parquet", driver)
        while kills < 10 and driver.poll() is None:
            if workers := cluster.workers():
                workers[0].send_signal(signal.SIGKILL)
                kills += 1
            time.sleep(0.3)
        cluster.ends_well(driver, twice=kills)
    assert kills >= 5
    assert all(not stage["tasks_failed"] for stage in cluster.project.record()["stages"].values())


def test_a_task_that_kills_its_worker_every_time_fails_alone(cluster: Cluster) -> None:
    name = next(name for name in cluster.expected if name.startswith("thumbnail/"))
    address = name.rpartition("-")[0]
    cluster.start(MEDDLE_KILL=address)
    with cluster.drive() as driver:
        _, errors = driver.communicate(timeout=120)
    assert driver.returncode == 1
    assert f"{address} failed: each worker that ran this task died" in errors
    assert "Traceback" not in errors
    record = cluster.project.record()
    assert record["stages"]["thumbnail"]["tasks_failed"] == 1
    partitions = len([name for name in cluster.expected if name.startswith("thumbnail/")])
    finished = record["stages"]["thumbnail"]["tasks_run"] + record["stages"]["thumbnail"]["tasks_skipped"]
    assert finished == partitions - 1, "the rest finishes"
    assert record["stages"]["pairs"]["tasks_run"] > 0
    cluster.project.config["scheduler"] = {"kind": "synchronous"}
    assert cluster.project.run() == 0
    assert cluster.project.artifacts() == cluster.expected


def test_a_lost_scheduler_costs_only_running_tasks(cluster: Cluster) -> None:
    cluster.start()
    with cluster.drive() as driver:
        cluster.wait_for("hash/*.parquet", driver)
        cluster.scheduler().kill()
        killed = time.monotonic()
        _, errors = driver.communicate(timeout=60)
    assert time.monotonic() - killed < 20
    assert driver.returncode == 1
    assert errors.splitlines()[-1].startswith("fast-diff: the Dask scheduler is gone")
    assert "Traceback" not in errors
    assert cluster.project.record()["stages"]["cluster"]["tasks_run"] == 0
    done = len(list(cluster.project.run_folder.glob("*/*.parquet")))
    cluster.project.config["scheduler"] = {"kind": "synchronous"}
    assert cluster.project.run() == 0
    assert cluster.project.artifacts() == cluster.expected
    assert sum(cluster.project.ran().values()) <= len(cluster.expected) - done + 2


def test_a_killed_driver_leaves_idle_workers_and_a_resumable_run(cluster: Cluster) -> None:
    cluster.start()
    with cluster.drive() as driver:
        cluster.wait_for("hash/*.parquet", driver)
        driver.kill()
        driver.wait()
    time.sleep(3)
    before = begun(cluster.log)
    time.sleep(2)
    assert begun(cluster.log) == before, "workers are idle"
    with cluster.drive() as driver:
        cluster.ends_well(driver, twice=6)


def test_a_frozen_worker_thaws_after_others_did_its_work(cluster: Cluster) -> None:
    cluster.start(DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL="2 seconds")
    with cluster.drive() as driver:
        cluster.wait_for("hash/*.parquet", driver)
        (frozen, *_) = cluster.workers()
        frozen.suspend()
        time.sleep(5)
        frozen.resume()
        cluster.ends_well(driver, twice=6)


def test_a_disk_that_is_full_for_a_moment_is_waited_for(cluster: Cluster) -> None:
    full = cluster.folder / "full"
    cluster.start(MEDDLE_FULL=str(full))
    with cluster.drive() as driver:
        cluster.wait_for("hash/*.parquet", driver)
        full.touch()
        time.sleep(0.5)
        full.unlink()
        _, errors = driver.communicate(timeout=120)
    assert driver.returncode == 0, errors
    assert cluster.project.artifacts() == cluster.expected


def test_a_full_disk_fails_tasks_and_breaks_no_artifact(cluster: Cluster) -> None:
    full = cluster.folder / "full"
    cluster.start(MEDDLE_FULL=str(full))
    with cluster.drive() as driver:
        cluster.wait_for("hash/*.parquet", driver)
        full.touch()
        _, errors = driver.communicate(timeout=120)
    assert driver.returncode == 1
    assert "disk full while writing" in errors
    assert "Traceback" not in errors
    full.unlink()
    with cluster.drive() as driver:
        _, errors = driver.communicate(timeout=120)
    assert driver.returncode == 0, errors
    assert cluster.project.artifacts() == cluster.expected


def test_without_any_worker_the_run_waits_and_then_says_so(cluster: Cluster) -> None:
    cluster.start()
    with cluster.drive() as driver:
        cluster.wait_for("hash/*.parquet", driver)
        for process in psutil.process_iter():
            if "worker" in cmdline(process) and str(cluster.folder / "scratch") in cmdline(process):
                process.kill()
        for worker in cluster.workers():
            worker.kill()
        killed = time.monotonic()
        _, errors = driver.communicate(timeout=60)
    assert 4 < time.monotonic() - killed < 40
    assert driver.returncode == 1
    assert errors.splitlines()[-1].startswith("fast-diff: all workers are gone, and none has come back within 5 s")
    assert "Traceback" not in errors
    cluster.project.config["scheduler"] = {"kind": "synchronous"}
    assert cluster.project.run() == 0
    assert cluster.project.artifacts() == cluster.expected


def _publish(folder: str, call: Any, start: Any) -> None:
    from pipeline.execution.task import run_task

    start.wait()
    for _ in range(20):
        assert run_task(call).receipt


def test_two_workers_that_run_one_task_leave_one_artifact_whole(
    expected: tuple[Project, dict[str, bytes]], tmp_path: Path
) -> None:

    from pipeline.config.settings import load
    from pipeline.plan.discovery import discover
    from pipeline.plan.resolve import Resolver
    from pipeline.plan.tasks import make_plan
    from pipeline.store.footers import Footers
    from pipeline.store.store import Store

    project, artifacts = expected
    config = load(project.yaml, discover())
    plan = make_plan(discover(), config.params, config.settings)
    store = Store(config.folder)
    footers = Footers(store, read_only=True)
    resolver = Resolver(plan, store, footers, config.params, config.settings)
    node = next(node for node in plan.nodes.values() if node.stage.name == "thumbnail")
    (scan,) = node.task.inputs
    receipt = resolver.resolve(plan.nodes[scan], {}).receipt
    assert receipt
    call = resolver.resolve(node, {scan: receipt}).call._replace(forced=True)
    footers.close()
    context = multiprocessing.get_context("spawn")
    start = context.Event()
    workers = [context.Process(target=_publish, args=(str(tmp_path), call, start)) for _ in range(2)]
    for worker in workers:
        worker.start()
    start.set()
    path = next(project.run_folder.glob(f"thumbnail/{node.task.key}-*.parquet"))
    while any(worker.is_alive() for worker in workers):
        assert path.read_bytes() == artifacts[f"thumbnail/{path.name}"], "at every moment"
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert not list(project.run_folder.rglob("*.tmp"))
    assert project.artifacts() == artifacts
