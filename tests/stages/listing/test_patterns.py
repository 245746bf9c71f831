from pathlib import Path

import pytest

from stages.listing import patterns
from stages.listing.patterns import expanded, has_pattern


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("/x/{000..002}.tar", ["/x/000.tar", "/x/001.tar", "/x/002.tar"]),
        ("/x/{8..10}.tar", ["/x/8.tar", "/x/9.tar", "/x/10.tar"]),
        ("/x/{08..10}.tar", ["/x/08.tar", "/x/09.tar", "/x/10.tar"]),
        ("/x/{2..1}", ["/x/2", "/x/1"]),
        ("s3://b/{train,val}-{0..1}.tar", [f"s3://b/{part}-{n}.tar" for part in ("train", "val") for n in (0, 1)]),
        ("s3://b/*.tar", ["s3://b/*.tar"]),
        ("/x/{plain}", ["/x/{plain}"]),
        ("/x/nothing*", ["/x/nothing*"]),
    ],
)
def test_braces(text: str, names: list[str]) -> None:
    assert expanded(text) == names


def test_globs_are_sorted_and_a_file_of_that_name_comes_first(tmp_path: Path) -> None:
    for name in ("b.tar", "a.tar", "c.zip", "sub/d.tar"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert expanded(f"{tmp_path}/*.tar") == [f"{tmp_path}/{name}.tar" for name in "ab"]
    assert expanded(f"{tmp_path}/**/*.tar") == [f"{tmp_path}/{name}.tar" for name in ("a", "b", "sub/d")]
    assert expanded(f"{tmp_path}/[ac].*") == [f"{tmp_path}/a.tar", f"{tmp_path}/c.zip"]
    (tmp_path / "*.tar").touch()
    assert expanded(f"{tmp_path}/*.tar") == [f"{tmp_path}/*.tar"]


def test_no_pattern_stands_for_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    assert expanded("/x/{0..99999999999}") == ["/x/{0..99999999999}"]
    monkeypatch.setattr(patterns, "MOST", 3)
    assert len(expanded("/x/{0..2}")) == 3
    assert expanded("/x/{0..3}") == ["/x/{0..3}"]


def test_patterns_are_recognised() -> None:
    assert [has_pattern(text) for text in ("a", "a{1}", "{1..2}", "{a,b}", "*", "a?", "[a]")] == [
        *(False, False, True, True, True, True, True)
    ]
