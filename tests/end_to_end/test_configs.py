"""The recipes in configs/: every YAML file loads, every manifest fits its schema, and the Dockerfile's steps run."""

import os
import shlex
import tomllib
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from pipeline.config.settings import load
from pipeline.plan.discovery import discover
from tests.end_to_end.dockerfile import built, impossible, steps

ROOT = Path(__file__).parents[2]
CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_loads(path: Path) -> None:
    assert load(path, discover()).settings("inputs.a")


def manifests() -> list[dict[str, Any]]:
    files = sorted((ROOT / "configs/deploy").glob("*.yaml"))
    return [each for path in files for each in yaml.safe_load_all(path.read_text())]


def check(manifest: dict[str, Any]) -> None:
    """Raise ValidationError if a manifest has fields that the API of Kubernetes lacks, or misses required fields."""
    kubernetes_validate.validate(manifest, kubernetes_validate.latest_version(), strict=True)


def test_manifests_fit_their_schema() -> None:
    found = manifests()
    assert sorted(each["kind"] for each in found) == ["Deployment", "Deployment", "Job", "NetworkPolicy", "Service"]
    for each in found:
        check(each)


def test_the_check_of_manifests_finds_faults() -> None:
    (job,) = [each for each in manifests() if each["kind"] == "Job"]
    for path, value in (("backoffLimit", "3"), ("imagine", "x")):
        with pytest.raises(kubernetes_validate.ValidationError, match=path):
            check(job | {"spec": job["spec"] | {path: value}})


def test_pods_find_each_other() -> None:
    by_name = {(each["kind"], each["metadata"]["name"]): each for each in manifests()}
    service = by_name["Service", "fast-diff-scheduler"]["spec"]
    labels = by_name["Deployment", "fast-diff-scheduler"]["spec"]["template"]["metadata"]["labels"]
    assert service["selector"].items() <= labels.items()
    worker = by_name["Deployment", "fast-diff-workers"]["spec"]["template"]["spec"]["containers"][0]
    assert "tcp://fast-diff-scheduler:8786" in worker["command"]
    for each in by_name.values():
        if each["kind"] == "Deployment":
            assert each["spec"]["selector"]["matchLabels"] == each["spec"]["template"]["metadata"]["labels"]


DOCKERFILE = ROOT / "configs/deploy/Dockerfile"


def test_the_dockerfile_copies_all_that_is_installed() -> None:
    copied = [name for step, words in steps(DOCKERFILE) if step == "COPY" for name in shlex.split(words)[:-1]]
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    needed = {name.partition(".")[0] for name in setuptools["packages"]} | set(setuptools["package-dir"].values())
    assert needed <= set(copied)


def test_the_dockerfiles_steps_give_a_program_that_runs(tmp_path: Path) -> None:
    if "FAST_DIFF_DOCKERFILE" not in os.environ:
        pytest.skip("the Dockerfile's steps install everything anew, for a minute: set FAST_DIFF_DOCKERFILE=1")
    if reason := impossible(tmp_path):
        pytest.skip(reason)
    ran = built(DOCKERFILE, ROOT, tmp_path, "demo")
    assert ran.returncode == 0, ran.stderr[-2_000:]
    assert "/home/fastdiff" in ran.stdout
    assert "clusters" in ran.stdout
