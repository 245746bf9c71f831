"""Companions in plans: names that are not UTF-8, and names that no companion can have."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.messages.errors import ConfigError
from stages.commands.plan.companions import may_accompany, naming_of, true_name
from stages.commands.plan.plan_file import PlannedCompanion, checked
from tests.stages.commands.apply.acting import plan_for


@pytest.mark.parametrize(
    ("shown", "image", "true"),
    [
        ("x.xmp", b"x.jpg", b"x.xmp"),
        ("x.JPG.xmp", b"x.jpg", b"x.JPG.xmp"),
        ("\\xff.xmp", b"\xff.jpg", b"\xff.xmp"),
        ("x.jpg(1).json", b"x(1).jpg", b"x.jpg(1).json"),
        ("ä.jpg.supplemental.json", "ä-edited.jpg".encode(), "ä.jpg.supplemental.json".encode()),
        ("ä.b\\xff.xmp", "ä.b".encode() + b"\xff.jpg", "ä.b".encode() + b"\xff.xmp"),
    ],
)
def test_the_true_name_has_the_stem_of_the_image(shown: str, image: bytes, true: bytes) -> None:
    assert true_name(shown, image) == true
    assert may_accompany(shown, image)


@pytest.mark.parametrize("name", ["y.xmp", "xmp", "x", "xx.xmp", "x.a/b.xmp", "x.\0", "y.jpg(1).json", "../x.xmp"])
def test_a_plan_names_no_other_file(name: str, photos: Path) -> None:
    assert not may_accompany(name, b"x.jpg")
    data: dict[str, Any] = plan_for(photos, companion_patterns=["<stem>.xmp"])
    file = data["clusters"][0]["remove"][0]
    file["companions"] = [{"name": name, "bytes": 1, "mtime_ns": 1}]
    with pytest.raises(ConfigError, match="expected companions that begin with its stem") as told:
        checked(data, "plan")
    assert "\n" not in str(told.value)
    file["companions"][0]["name"] = "1.xmp"
    assert checked(data, "plan").clusters[0].remove[0].companions == (PlannedCompanion("1.xmp", 1, 1),)


@pytest.mark.parametrize("patterns", [["*.xmp"], ["<stem>"], "x", [1]])
def test_patterns_of_a_plan_are_checked(patterns: Any, photos: Path) -> None:
    with pytest.raises(ConfigError, match="is not a plan: companion_patterns"):
        checked(plan_for(photos, companion_patterns=patterns), "plan")


def test_a_run_of_an_earlier_version_has_no_patterns() -> None:
    assert naming_of({"scan": {"extensions": "default"}}) == {}
    config = {"scan": {"extensions": ["jpg"]}, "companions": {"patterns": []}}
    assert naming_of(config) == {"companion_patterns": [], "extensions": ["jpg"]}
