"""Keys of the section `scheduler` that contradict each other, and files that are missing."""

from typing import Any

import pytest

from pipeline.cluster.checks import missing_files
from pipeline.messages.errors import ConfigError
from tests.pipeline.cluster.sections import section

FILES = {"ca_file": "a", "cert": "b", "key": "c"}


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"kind": "slurm"}, "scheduler.scale: kind slurm expects one of scheduler.scale and .*, got neither; for"),
        ({"kind": "pbs", "scale": 2, "adapt": {"maximum": 3}}, "scheduler.scale: kind pbs expects one of .*, got both"),
        (
            {"kind": "lsf", "scale": 2, "min_workers": 3},
            "scheduler.min_workers: expected at most the 2 workers .* got 3",
        ),
        (
            {"kind": "sge", "adapt": {"minimum": 2, "maximum": 9}, "min_workers": 3},
            "scheduler.min_workers: expected at most the 2 workers",
        ),
        (
            {"kind": "sge", "adapt": {"minimum": 4, "maximum": 3}},
            "scheduler.adapt: expected a maximum of at least .*, 4",
        ),
        ({"kind": "slurm", "scale": 1, "tls": "temporary"}, "scheduler.tls: temporary .*shared_temp_directory"),
        ({"kind": "ssh"}, "scheduler.cluster: kind ssh expects cluster.hosts"),
        ({"kind": "ssh", "cluster": {"hosts": 3}}, "scheduler.cluster: kind ssh expects cluster.hosts"),
        ({"kind": "ssh", "cluster": {"hosts": [3]}}, "scheduler.cluster: kind ssh expects cluster.hosts"),
        ({"kind": "address"}, "scheduler.address: kind address expects one of .*, got neither"),
        ({"kind": "address", "address": "h"}, "scheduler.address: expected an address such as"),
        ({"kind": "address", "address": "tcp://h:1", "tls": FILES}, "scheduler.address: .* expected tls://h:1"),
        ({"kind": "address", "address": "tls://h:1"}, "scheduler.address: .* needs scheduler.tls"),
    ],
)
def test_contradictions_are_refused(values: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=f"^config: {problem}") as caught:
        section(**values)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    "values",
    [
        {"kind": "slurm", "adapt": {"minimum": 3, "maximum": 3}, "min_workers": 3},
        {"kind": "slurm", "scale": 1, "tls": "temporary", "cluster": {"shared_temp_directory": "/x"}},
        {"kind": "ssh", "cluster": {"hosts": ["a"]}, "tls": FILES},
        {"kind": "address", "scheduler_file": "/x", "tls": FILES},
        {"kind": "mine:Cluster"},
        {"kind": "mine:Cluster", "tls": "temporary"},
    ],
    ids=str,
)
def test_compatible_settings_are_accepted(values: dict[str, Any]) -> None:
    assert section(**values).kind == values["kind"]


def test_certificates_that_are_not_there_are_named() -> None:
    scheduler = section(tls={"ca_file": __file__, "cert": "/no/cert.pem", "key": "/no/key.pem"})
    assert list(missing_files(scheduler)) == [
        "scheduler.tls.cert: expected a file, got '/no/cert.pem', which does not exist",
        "scheduler.tls.key: expected a file, got '/no/key.pem', which does not exist",
    ]
