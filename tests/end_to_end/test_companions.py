"""Companions of images, from the scan to `apply` and `undo`."""

from pathlib import Path

import pytest

from tests.end_to_end.driver import Kept, Project, make_image


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """A run over three copies of a photograph and another image; one copy has a sidecar."""
    project = Project(tmp_path_factory.mktemp("companions") / "project")
    images = project.folder / "images"
    for name in ("a/1.jpg", "b/1.jpg", "c/1.jpg", "a/2.jpg"):
        make_image(images / name, 2 if "2" in name else 1)
    (images / "b" / "1.xmp").write_text("<x/>")
    return Kept.finished(project)


def test_a_companion_that_appears_decodes_nothing_and_may_change_the_keeper(kept: Kept) -> None:
    project = kept.again()
    images = project.folder / "images"
    rule = "cluster.keep=[companions]"

    def keeper() -> str:
        import pandas as pd

        clusters = pd.read_parquet(project.run_folder / "cluster")
        return str(Path(clusters.loc[clusters["keeper"], "path"].item()).relative_to(images))

    assert keeper() == "a/1.jpg"
    (images / "a" / "2.xmp").write_text("<x/>")
    assert project.run() == 0
    assert project.ran() == {"scan": 1}, "no rule reads the column"
    assert project.run(rule) == 0
    assert keeper() == "b/1.jpg"
    (images / "c" / "1.jpg.json").write_text("{}")
    (images / "c" / "1.MOV").write_bytes(b"a film")
    assert project.run(rule) == 0
    assert project.ran() == {"scan": 1, "cluster": 1, "plot": 1}
    assert project.decoded() == 0
    assert keeper() == "c/1.jpg"
