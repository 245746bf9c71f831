"""The section `scheduler`: what goes together, and what reaches Dask's classes."""

import errno
import importlib
import inspect
import logging
import socket
from pathlib import Path
from typing import Any

import dask
import pytest

from pipeline.cli.main import main
from pipeline.cluster import arguments as cluster_arguments
from pipeline.cluster import scheduler as opening
from pipeline.cluster.deployment import KINDS, Scheduler, flat, is_loopback, kind_of, missing_files
from pipeline.cluster.fitness import needs_of
from pipeline.config.settings import from_mapping
from pipeline.messages.errors import ConfigError, SchedulerLost
from tests.pipeline.toy import STAGES


def section(**values: Any) -> Scheduler:
    return from_mapping({"run": "x", "inputs": {"a": ["/photos"]}, "scheduler": values}, STAGES).scheduler


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"kind": "slum"}, "scheduler.kind: expected one of synchronous, threads, local, .*, got the text 'slum'"),
        ({"kind": "slurm"}, "scheduler.scale: kind slurm expects one of scheduler.scale and scheduler.adapt"),
        ({"kind": "pbs", "scale": 2, "adapt": {"maximum": 3}}, "scheduler.scale: kind pbs expects one of"),
        ({"kind": "local", "scale": 2}, "scheduler.scale: kind local does not take it; expected one of slurm, pbs"),
        ({"kind": "ssh", "adapt": {"maximum": 2}}, "scheduler.adapt: kind ssh does not take it"),
        ({"kind": "lsf", "scale": 2, "min_workers": 3}, "scheduler.min_workers: expected at most the 2 workers"),
        ({"kind": "sge", "adapt": {"minimum": 4, "maximum": 3}}, "scheduler.adapt: expected a maximum of at least"),
        ({"kind": "slurm", "adapt": {"maximun": 3}}, "scheduler.adapt.maximun: unknown key"),
        ({"kind": "threads", "tls": "temporary"}, "scheduler.tls: kind threads can't encrypt"),
        ({"kind": "kubernetes", "scale": 1, "tls": "temporary"}, "scheduler.tls: kind kubernetes can't encrypt"),
        ({"kind": "ssh", "tls": "temporary"}, "scheduler.tls: kind ssh has machines that no temporary certificate"),
        ({"kind": "slurm", "scale": 1, "tls": "temporary"}, "scheduler.tls: temporary expects .*shared_temp_directory"),
        ({"tls": "sometimes"}, "scheduler.tls: expected temporary"),
        ({"wait_timeout": 0}, "scheduler.wait_timeout: expected a number above 0"),
    ],
)
def test_what_does_not_go_together_is_refused(values: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        section(**values)


BATCH = {"cores": 4, "memory": "8GB", "queue": "short"}
EXAMPLES: dict[str, dict[str, Any]] = {
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
def test_the_class_of_each_kind_takes_what_it_is_given(kind: str) -> None:
    scheduler = section(kind=kind, **EXAMPLES[kind])
    module, _, name = kind_of(kind).cluster.partition(":")
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


def test_every_kind_but_those_without_a_class_of_their_own_was_tried() -> None:
    assert set(KINDS) - set(EXAMPLES) == {"synchronous", "address", "cuda"}


def test_certificates_that_are_not_there_are_named() -> None:
    scheduler = section(tls={"ca_file": __file__, "cert": "/no/cert.pem", "key": "/no/key.pem"})
    assert list(missing_files(scheduler)) == [
        "scheduler.tls.cert: expected a file, got '/no/cert.pem', which does not exist",
        "scheduler.tls.key: expected a file, got '/no/key.pem', which does not exist",
    ]


def test_what_passes_through_is_merged_with_the_defaults() -> None:
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


def test_settings_of_dask_hold_for_the_run_and_no_longer(tmp_path: Path) -> None:
    scheduler = section(kind="threads", workers=1, dask_config={"distributed.scheduler.work-stealing": False})
    before = dask.config.get("distributed.scheduler.work-stealing", True)
    executor = opening.open_executor(scheduler, needs_of(tmp_path, (), (), 0))
    assert dask.config.get("distributed.scheduler.work-stealing") is False
    executor.close()
    assert dask.config.get("distributed.scheduler.work-stealing", True) is before


@pytest.mark.parametrize(
    ("bokeh", "asked", "profiled"),
    [(False, {}, False), (True, {}, True), (False, {"distributed": {"worker": {"profile": {"enabled": True}}}}, True)],
)
def test_workers_are_profiled_where_somebody_may_look_or_asks(
    monkeypatch: pytest.MonkeyPatch, bokeh: bool, asked: dict[str, Any], profiled: bool
) -> None:
    monkeypatch.setattr(opening.importlib.util, "find_spec", lambda name: bokeh or None)
    with opening._configured(section(kind="threads", workers=1, dask_config=asked)):
        assert dask.config.get("distributed.worker.profile.enabled") is profiled


@pytest.mark.parametrize(
    ("address", "tls", "said"),
    [
        *((odd, False, "expected an address such as") for odd in ("nonsense", "http://h:1", "tcp://h:abc", "tcp://")),
        *((odd, False, "expected an address such as") for odd in ("tcp://h:0", "tcp://h:70000", "tcp://h", "a b:1")),
        ("tcp://user:hush@h:1", False, "without user and password"),
        ("tls://h:1", False, "needs scheduler.tls"),
        ("tcp://h:1", True, "expected tls://h:1"),
        ("h:1", True, "expected tls://h:1"),
        *((right, False, "") for right in ("tcp://h:1", "h.example.org:8786", "tcp://[::1]:8786", "127.0.0.1:8786/")),
        ("tls://h:1", True, ""),
    ],
)
def test_addresses_are_looked_at_before_anyone_is_asked(address: str, tls: bool, said: str) -> None:
    files = {"ca_file": "a", "cert": "b", "key": "c"} if tls else None
    if not said:
        assert section(kind="address", address=address, tls=files).address == address
        return
    with pytest.raises(ConfigError, match=rf"scheduler\.address: .*{said}") as told:
        section(kind="address", address=address, tls=files)
    assert "hush" not in str(told.value)


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"kind": "local", "address": "tcp://h:1"}, "address"),
        ({"kind": "synchronous", "cluster": {"nonsense": 1}}, "cluster"),
        ({"kind": "ssh"}, "cluster"),
        ({"kind": "ssh", "cluster": {"hosts": 3}}, "cluster"),
    ],
)
def test_what_a_kind_has_no_use_for_or_lacks_is_told(values: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError, match=rf"scheduler\.{key}: kind {values['kind']}"):
        section(**values)


def test_nested_settings_of_dask_leave_the_others_as_they_are(tmp_path: Path) -> None:
    settings = {"distributed": {"comm": {"timeouts": {"connect": "31s"}}}}
    encrypted = dask.config.get("distributed.comm.require-encryption", None)
    scheduler = section(kind="threads", workers=1, dask_config=settings)
    opened = opening.open_executor(scheduler, needs_of(tmp_path, (), (), 0))
    assert dask.config.get("distributed.comm.timeouts.connect") == "31s"
    assert dask.config.get("distributed.comm.require-encryption", None) is encrypted
    opened.close()
    assert flat({"a": {"b.c": {"d": 1}, "e": {}}}) == {"a.b.c.d": 1, "a.e": {}}
    with pytest.raises(ConfigError, match=r"distributed\.comm has keys of its own"):
        opening.open_executor(
            section(kind="threads", workers=1, dask_config={"distributed": {"comm": 3}}), needs_of(tmp_path, (), (), 0)
        )


@pytest.mark.parametrize("text", ["{", "", "[]", '{"address": 3}', "{}"])
def test_a_file_that_no_scheduler_has_written_is_told(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "WRITTEN", 2)
    file = tmp_path / "scheduler.json"
    scheduler = section(kind="address", scheduler_file=str(file))
    with pytest.raises(ConfigError, match=r"scheduler\.json does not exist; is the scheduler up\?"):
        opening.open_executor(scheduler, needs_of(tmp_path, (), (), 0))
    file.write_text(text)
    with pytest.raises(ConfigError, match="is no file that a Dask scheduler writes of itself"):
        opening.open_executor(scheduler, needs_of(tmp_path, (), (), 0))


def test_a_port_on_which_nobody_of_dask_answers_is_told_in_time(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"tcp://127.0.0.1:{listening.getsockname()[1]}"
        scheduler = section(kind="address", address=address, wait_timeout=0.5)
        with pytest.raises(ConfigError, match=f"no Dask scheduler answers at {address}"):
            opening.open_executor(scheduler, needs_of(tmp_path, (), (), 0))


def test_jobs_that_cannot_be_handed_in_and_too_little_memory_are_told_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="slurm hands in its jobs by sbatch, which is not there"):
        opening.open_executor(section(kind="slurm", scale=1, cluster=BATCH), needs_of(tmp_path, (), (), 0))
    with pytest.raises(ConfigError, match=r"scheduler\.memory_limit: expected at least 100 MiB, got 50MiB"):
        opening.open_executor(section(kind="local", memory_limit="50MiB"), needs_of(tmp_path, (), (), 100 << 20))


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError("Timed out trying to connect to tcp://127.0.0.1:1 after 10 s"), SchedulerLost),
        (OSError(errno.ENOSPC, "No space left on device"), OSError),
    ],
)
def test_a_scheduler_that_goes_while_workers_are_looked_at_is_told_of_as_such(
    error: OSError, told: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def goes(*_: Any) -> None:
        raise error

    monkeypatch.setattr("pipeline.cluster.admission.dismiss", goes)
    with pytest.raises(told):
        opening.open_executor(section(kind="threads", workers=1), needs_of(tmp_path, (), (), 0))


@pytest.mark.parametrize(("kind", "extra"), [("cuda", "cuda"), ("slurm", "jobqueue"), ("ssh", "ssh")])
def test_a_missing_package_is_named_with_the_command_that_installs_it(
    kind: str, extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = {"cuda": "dask_cuda", "slurm": "dask_jobqueue", "ssh": "asyncssh"}[kind]
    monkeypatch.setitem(__import__("sys").modules, package, None)
    more = {"slurm": {"scale": 1}, "ssh": {"cluster": {"hosts": ["h", "h"]}}}
    scheduler = section(kind=kind, **more.get(kind, {}))
    with pytest.raises(ConfigError, match=rf"^scheduler.kind: {kind} needs .* pip install .*'\.\[{extra}\]'$"):
        opening.open_executor(scheduler, needs_of(tmp_path, (), (), 0))


def test_a_class_of_ones_own_needs_a_flag(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "c.yaml").write_text(
        f"inputs: {{a: [{tmp_path}/images]}}\noutput: {tmp_path}/out\n"
        "scheduler: {kind: 'antigravity:Cluster', scale: 1}\n"
    )
    assert main(["run", str(tmp_path / "c.yaml")]) == 2
    assert "antigravity:Cluster is a class of your own, whose code would run; allow it with" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("values", "beyond"),
    [
        ({"kind": "local"}, False),
        ({"kind": "local", "host": "0.0.0.0"}, True),
        ({"kind": "local", "host": "localhost"}, False),
        ({"kind": "ssh", "host": "127.0.0.1", "cluster": {"hosts": ["h", "h"]}}, False),
        ({"kind": "slurm", "scale": 1}, True),
    ],
)
def test_what_listens_beyond_loopback(values: dict[str, Any], beyond: bool) -> None:
    assert section(**values).listens_beyond_loopback is beyond


@pytest.mark.parametrize(
    ("address", "here"),
    [
        ("tcp://127.0.0.1:8786", True),
        ("tcp://[::1]:8786", True),
        ("tcp://10.0.0.1:8786", False),
        ("localhost", True),
        ("::1", True),
        ("[::1]", True),
        ("0:0:0:0:0:0:0:1", True),
        ("::1%lo", True),
        ("::ffff:127.0.0.1", True),
        ("127.0.0.2", True),
        ("127.1", True),
        ("127.255.255.254:1", True),
        ("LocalHost.", True),
        ("tls://dask.localhost:8786", True),
        ("::", False),
        ("::1:8786", False),
        ("fe80::1", False),
        ("[2001:db8::1]:8786", False),
        ("::ffff:10.0.0.1", False),
        ("0.0.0.0", False),
        ("128.0.0.1", False),
        ("localhost.example.org", False),
        ("notlocalhost", False),
        ("höst", False),
        ("", False),
    ],
)
def test_where_a_scheduler_is(address: str, here: bool) -> None:
    assert is_loopback(address) is here


def test_open_ports_without_tls_are_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    scheduler = section(kind="local", host="0.0.0.0", workers=1)
    with caplog.at_level(logging.WARNING, "fast_diff.scheduler"):
        opening.open_executor(scheduler, needs_of(tmp_path, (), (), 0)).close()
    assert "without TLS: whoever reaches one runs code as you" in caplog.text
