"""Clean up a folder after a run, and undo the clean-up, by the command line alone."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from pipeline import load_run
from pipeline.cli.main import main
from stages.commands.plan.plan_file import read_plan
from tests.end_to_end.driver import Project, make_image


def finished(folder: Path) -> Project:
    """Return a finished run on three pictures and copies of two, named like HTML and an option; one is a reference."""
    made = Project(folder, {"pairs": {"threshold": 50}})
    for seed in (1, 2, 3):
        make_image(folder / "images" / f"{seed}.jpg", seed)
    for name, seed in (("<img src=x onerror=alert(1)>.jpg", 1), ("--yes.jpg", 2)):
        (folder / "images" / name).write_bytes((folder / "images" / f"{seed}.jpg").read_bytes())
    made.config["inputs"] = {
        "a": [str(folder / "images")],
        "reference": [str(folder / "images" / "--yes.jpg")],
    }
    made.config["cluster"] = {"keep": ["path"]}
    assert made.run() == 0
    return made


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return finished(tmp_path_factory.mktemp("acting"))


def said(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    capsys.readouterr()
    assert main(list(words)) == code, words
    return capsys.readouterr().out


def test_show_lists_clusters_and_the_matches_of_an_image(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    images = project.folder / "images"
    text = said(capsys, "show", str(project.run_folder), "--verbose")
    assert text.count("cluster ") == 2
    assert f"  keeper     {images}/--yes.jpg  96x72" in text
    assert f"             {images}/2.jpg" in text
    short = said(capsys, "show", str(project.run_folder)).splitlines()
    assert short[0] == "clusters    2, of 4 images"
    assert short[2].startswith(f"  2 of 5 images of {images} would be removed, ")
    one = said(capsys, "show", str(project.yaml), str(images / "1.jpg"))
    assert said(capsys, "show", str(project.yaml), "1.jpg") == one.replace(f"{images}/1.jpg:", "1.jpg:")
    assert f"{images}/1.jpg: 1 match" in one
    assert f"{images}/<img src=x onerror=alert(1)>.jpg" in one
    assert said(capsys, "show", str(project.yaml), str(images / "3.jpg")).strip() == f"{images}/3.jpg: 0 matches"
    rows = json.loads(said(capsys, "show", str(project.yaml), str(images / "1.jpg"), "--json"))
    assert [row["mse"] for row in rows] == [0.0]
    assert main(["show", str(project.yaml), "nothing.jpg"]) == 2
    assert "nothing.jpg is not an image of this run" in capsys.readouterr().err


def test_matches_are_found_from_either_side_in_the_right_turn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from PIL import Image

    project = Project(tmp_path)
    first = make_image(tmp_path / "images" / "1.png", 5, (64, 64))
    Image.open(first).rotate(90).save(tmp_path / "images" / "2.png")
    make_image(tmp_path / "images" / "3.png", 6)
    assert project.run() == 0
    turns = [
        json.loads(said(capsys, "show", str(project.yaml), str(tmp_path / "images" / f"{n}.png"), "--json"))[0][
            "rotation"
        ]
        for n in (1, 2)
    ]
    assert sorted(turns) == [90, 270]


@pytest.mark.slow
def test_mirrored_matches_are_found_from_either_side(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A mirror followed by a turn is its own inverse, so both images of a pair show the same turn."""
    from PIL import Image

    project = Project(tmp_path, {"pairs": {"mirror": True}})
    first = make_image(tmp_path / "images" / "1.png", 5, (64, 64))
    Image.open(first).transpose(Image.Transpose.FLIP_LEFT_RIGHT).rotate(90).save(tmp_path / "images" / "2.png")
    Image.open(first).rotate(90).save(tmp_path / "images" / "3.png")
    assert project.run() == 0
    found = {}
    for n in (1, 2, 3):
        rows = json.loads(said(capsys, "show", str(project.yaml), str(tmp_path / "images" / f"{n}.png"), "--json"))
        found |= {(n, int(Path(row["path"]).stem)): (row["rotation"], row["mirrored"]) for row in rows}
    assert found[1, 2] == found[2, 1] == (90, True)
    assert (found[1, 3], found[3, 1]) == ((270, False), (90, False))
    assert "mirrored and turned 90°" in said(capsys, "show", str(project.yaml), str(tmp_path / "images" / "1.png"))
    by_hash = said(capsys, "duplicates", str(project.yaml), "--by", "hash")
    assert by_hash.startswith("cluster 0: 3 images")


def test_duplicates_by_hash_and_by_match(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "duplicates", str(project.yaml), "--by", "hash").count("cluster ") == 2
    assert said(capsys, "duplicates", str(project.yaml)) == said(capsys, "show", str(project.yaml), "--verbose")
    assert len(json.loads(said(capsys, "duplicates", str(project.yaml), "--by", "hash", "--json"))) == 4


@pytest.mark.parametrize(
    ("on", "threshold", "code"), [("match", 50, 3), ("identical", 50, 3), ("match", 0, 3), ("identical", 0, 3)]
)
def test_a_run_that_finds_something_can_fail(
    on: str, threshold: int, code: int, project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    assert project.run(f"pairs.threshold={threshold}", options=("--quiet", "--fail-on", on)) == code
    assert f"--fail-on {on}" in capsys.readouterr().err


def test_a_run_that_finds_nothing_does_not_fail(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = Project(tmp_path)
    near = make_image(tmp_path / "images" / "1.jpg", 1)
    assert project.run(options=("--quiet", "--fail-on", "match")) == 0
    Image.open(near).save(tmp_path / "images" / "2.jpg", quality=40)
    assert project.run(options=("--quiet", "--fail-on", "identical")) == 0
    assert project.run(options=("--quiet", "--fail-on", "match")) == 3


def test_clean_up_and_take_it_back(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert project.run() == 0
    images, plan, bin_ = project.folder / "images", project.folder / "plan.json", project.folder / "bin"
    before = {path.name: path.read_bytes() for path in images.iterdir()}
    assert "2 files of 2 clusters would be removed" in said(capsys, "plan", str(project.yaml), str(plan))
    assert json.loads(plan.read_text())["references"] == [str(images / "--yes.jpg")]
    assert "2 files" in said(capsys, "apply", str(plan), "--action", "report")
    words = ("apply", str(plan), "--action", "move", "--to", str(bin_))
    assert "no file was changed" in said(capsys, *words)
    assert {path.name for path in images.iterdir()} == before.keys()
    assert "2 files" in said(capsys, *words, "--yes")
    gone = {Path(file["path"]).name for group in json.loads(plan.read_text())["clusters"] for file in group["remove"]}
    assert {path.name for path in images.iterdir()} == before.keys() - gone
    (journal,) = project.folder.glob("plan-*.jsonl")
    undone = said(capsys, "undo", str(journal), "--verbose").splitlines()
    assert [line.partition("  ")[0] for line in undone[:2]] == ["restored", "restored"]
    assert undone[2].startswith("2 files")
    assert len(said(capsys, "undo", str(journal)).splitlines()) == 1, "all is undone, and a summary says so"
    assert {path.name: path.read_bytes() for path in images.iterdir()} == before
    assert main(["plan", str(project.yaml), str(plan)]) == 2, "never over a file that is there"
    capsys.readouterr()
    assert main(["plan", str(project.run_folder)]) == 2
    assert f"got the folder {project.run_folder}; write fast-diff plan" in capsys.readouterr().err
    assert main([*words[:-1], str(images / "bin")]) == 0
    assert f"lies in the input {images}: the next run will find the moved files there" in capsys.readouterr().err


def test_names_that_would_do_something_to_a_terminal_are_found_as_they_are_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = Project(tmp_path)
    make_image(tmp_path / "images" / "a.jpg", 1)
    (tmp_path / "images" / "\x1b[31mred\n.jpg").write_bytes((tmp_path / "images" / "a.jpg").read_bytes())
    (Path(os.fsdecode(os.fsencode(tmp_path / "images") + b"/\xff.jpg"))).write_bytes(b"\xff\xd8\xff")
    assert project.run() == 0
    text = said(capsys, "show", str(project.yaml), "--verbose")
    assert "\x1b" not in text
    (shown,) = (part.split("  ")[0] for part in text.split("images/") if "red" in part)
    assert "1 match\n" in said(capsys, "show", str(project.yaml), str(tmp_path / "images" / shown))
    odd = os.fsdecode(os.fsencode(tmp_path / "images") + b"/\xff.jpg")
    assert "0 matches" in said(capsys, "show", str(project.yaml), odd)
    names = (str(tmp_path / "images" / "a.jpg"), str(tmp_path / "images" / shown))
    assert "1 of them new" in said(capsys, "dismiss", str(project.yaml), *names, "--file", str(tmp_path / "apart.csv"))
    assert main(["dismiss", str(project.yaml), names[0], names[0], "--file", str(tmp_path / "apart.csv")]) == 2


def test_options_may_stand_among_paths(project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, images, file = str(project.run_folder), project.folder / "images", tmp_path / "apart.csv"
    assert project.run() == 0
    names = [str(images / "1.jpg"), str(images / "3.jpg")]
    assert "1 of them new" in said(capsys, "dismiss", run, "--file", str(file), *names)
    assert "0 of them new" in said(capsys, "dismiss", run, names[0], "--file", str(file), names[1])
    assert "unchanged and therefore not compared" in said(capsys, "check", names[0], "--against", run, names[1])
    capsys.readouterr()
    assert main(["dismiss", run, "--file", str(file), "--", "--no.png", "-rf.png"]) == 2
    assert "--no.png is not an image of this run" in capsys.readouterr().err
    assert main(["show", run, names[0], names[1]]) == 2
    assert "expected RUN and 1 PATH at most" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("export", "--to", ""), "--to: "),
        (("export", "--format", "csv", "--replace"), "--replace: only --to replaces tables"),
        (("export", "--format", "difpy", "--table", "images"), "--table: only --format csv, json, jsonl"),
        (("export", "--to", "sqlite:///x", "--out", "x"), "--out: only --format writes files"),
        (
            ("dismiss", "a", "b", "--cluster", "0", "--file", "x.csv"),
            "dismiss: expected either paths or --cluster, got both",
        ),
    ],
)
def test_no_option_is_passed_over(
    words: tuple[str, ...], told: str, project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([words[0], str(project.run_folder), *words[1:]]) == 2
    assert capsys.readouterr().err.startswith(f"fast-diff: {told}")


@pytest.mark.parametrize(
    "text", ["{", "[]", "{}", '{"config": 1}', '{"config": {}}', '{"config": {"pairs": {"rotations": 7}}}']
)
def test_a_damaged_record_of_a_run_is_reported(
    text: str, project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Path(shutil.copytree(project.run_folder, tmp_path / "run"))
    (run / "run.json").write_text(text)
    for words in (("plan", "plan.json"), ("export", "--format", "csv"), ("duplicates", "--by", "hash"), ("verify",)):
        assert main([words[0], str(run), *words[1:]]) == 2, words
        (line,) = capsys.readouterr().err.splitlines()
        assert f"{run}" in line


def test_unmeasured_pairs_are_not_reported_as_equal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = Project(tmp_path, {"pairs": {"same_hash": "zero"}, "hash": {"shift": 7}, "thumbnail": {"size": [4, 4]}})
    first = tmp_path / "images" / "1.png"
    first.parent.mkdir(exist_ok=True)
    new = tmp_path / "new.png"
    for path, value in (
        (first, 10),
        (first.with_name("2.png"), 20),
        (new, 30),
    ):  # of which a hash keeps the highest bit
        Image.new("L", (32, 32), value).save(path)
    assert project.run() == 0
    assert "mse not measured" in said(capsys, "show", str(project.run_folder), str(first))
    assert said(capsys, "check", str(new), "--against", str(project.run_folder), code=3).count("mse not measured") == 2
    assert main(["check", str(new), "--against", f"{project.run_folder}.check"]) == 2
    assert "is the folder of checks against" in capsys.readouterr().err


@pytest.mark.quick(1)
@pytest.mark.parametrize("kind", ["synchronous", "threads", "local"])
def test_a_function_that_ends_the_program_ends_its_task(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rule = "tests.stages.clustering.test_keepers:leaves"
    workers = {} if kind == "synchronous" else {"workers": 1}
    project = Project(tmp_path, {"cluster": {"keep": [rule]}, "scheduler": {"kind": kind, **workers}})
    first = make_image(tmp_path / "images" / "1.png", 5)
    shutil.copyfile(first, tmp_path / "images" / "2.png")
    assert project.run() == 1
    assert f"cluster.keep: {rule} failed on {first}: SystemExit: 0" in capsys.readouterr().err


def test_dismissed_matches_are_marked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = Project(tmp_path)
    first = make_image(tmp_path / "images" / "1.png", 5)
    for name, points in (("2.png", 2), ("3.png", 4)):
        image = Image.open(first)
        image.point(lambda value, points=points: min(255, value + points)).save(tmp_path / "images" / name)
    assert project.run() == 0
    names = [str(tmp_path / "images" / f"{n}.png") for n in (1, 2, 3)]
    apart = tmp_path / "apart.csv"
    said(capsys, "dismiss", str(project.yaml), *names[1:], "--file", str(apart))
    assert project.run(f"cluster.dismissed=[{apart}]") == 0
    for name in names:
        rows = json.loads(said(capsys, "show", str(project.run_folder), name, "--json"))
        assert {row["path"]: row["dismissed"] for row in rows} == {
            other: names[0] not in (name, other) for other in names if other != name
        }
    lines = said(capsys, "show", str(project.run_folder), names[1]).splitlines()
    assert [line.partition("  dismissed  ")[2] for line in lines if "  dismissed  " in line] == [names[2]]
    apart.unlink()
    assert main(["show", str(project.run_folder), names[1]]) == 2
    assert "cluster.dismissed: " in capsys.readouterr().err


def test_a_run_that_did_not_end_well_proposes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = Project(tmp_path)
    make_image(tmp_path / "images" / "a.jpg", 1)
    assert project.run() == 0
    assert project.run("cluster.keep=[tests.stages.clustering.test_keepers:fails, path]") == 0, (
        "there is no cluster to choose in"
    )
    make_image(tmp_path / "images" / "b.jpg", 1)
    assert project.run("cluster.keep=[tests.stages.clustering.test_keepers:says_nothing]") == 1
    assert main(["plan", str(project.yaml), str(tmp_path / "plan.json")]) == 2
    assert "did not finish" in capsys.readouterr().err


def test_a_plan_of_a_run_that_has_changed_since_is_refused_file_by_file(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = project.folder / "old.json"
    said(capsys, "plan", str(project.yaml), str(plan))
    data = json.loads(plan.read_text())
    for group in data["clusters"]:
        group["remove"][0]["digest"] = "0" * 64
    plan.write_text(json.dumps(data))
    words = ("apply", str(plan), "--action", "delete", "--yes")
    text = said(capsys, *words, "--verbose", code=1)
    assert text.count("left alone") == 3
    short = said(capsys, *words, "--journal", str(project.folder / "second.jsonl"), code=1)
    assert short.startswith("left alone  2 files, such as ")
    assert "the file was changed after the run" in text


@pytest.mark.slow
def test_dismissed_images_never_match_under_other_names_and_in_other_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = finished(tmp_path)
    images, file = project.folder / "images", project.folder / "no duplicates.csv"
    words = ("dismiss", str(project.yaml), str(images / "1.jpg"), str(images / "<img src=x onerror=alert(1)>.jpg"))
    assert project.run() == 0
    assert "1 pair, 1 of them new" in said(capsys, *words, "--file", str(file))
    assert "1 pair, 0 of them new" in said(capsys, *words, "--file", str(file))
    project.config["cluster"] |= {"dismissed": [str(file)]}
    assert project.run() == 0
    assert project.ran() == {"cluster": 1, "plot": 1}
    assert said(capsys, "show", str(project.yaml), "--verbose").count("cluster ") == 1
    assert not load_run(project.run_folder).clusters()["dismissed"].any(), "no image is apart from itself"
    (images / "1.jpg").rename(images / "renamed.jpg")
    assert project.run("run=other") == 0
    other = str(project.run_folder.with_name("other"))
    assert "renamed.jpg" not in said(capsys, "show", other)
    assert "1 pair, 1 of them new" in said(capsys, "dismiss", other, "--cluster", "0", "--file", str(file))
    assert project.run("run=other") == 0
    assert "no two images match" in said(capsys, "show", other)
    assert project.run("run=other") == 0
    for bad in (("--cluster", "7"), ("nothing.jpg", "1.jpg"), (str(images / "3.jpg"),)):
        assert main(["dismiss", other, *bad, "--file", str(file)]) == 2
    assert main(["dismiss", other, "--cluster", "0", "--file", str(project.folder / "no" / "x.csv")]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_hand_edited_plans_and_journals_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A plan whose shown path is not the path of the file, or a journal without all fields, is refused."""
    file = {"path": "/x/innocent.jpg", "bytes": 1, "mtime_ns": 1, "digest": "d"}
    plan = {"fast-diff-plan": 1, "clusters": [{"cluster": 0, "keep": [{**file, "path": "/x/k.jpg"}], "remove": [file]}]}
    begun = {"n": 1, "state": "begin", "action": "move", "path": "2f78", "shown": "harmless", "bytes": 1, "mtime_ns": 1}
    begun |= {"digest": "d", "mode": 1, "keeper": "2f79", "to": "2f7a"}
    begun |= {"temporary": f"/.fast-diff-{'0' * 32}".encode().hex()}
    for name in ("zz", "abc", b"/x/guilty.jpg".hex()):
        plan["clusters"][0]["remove"] = [file | {"path_bytes": name}]
        (tmp_path / "plan.json").write_text(json.dumps(plan))
        assert main(["apply", str(tmp_path / "plan.json"), "--action", "report"]) == 2
    assert "path and path_bytes differ; expected path /x/guilty.jpg" in capsys.readouterr().err
    for broken in (
        {"n": 1, "state": "done"},
        begun | {"path": "zz"},
        {key: value for key, value in begun.items() if key != "to"},
        begun | {"action": "frobnicate"},
        begun | {"action": "hardlink"},
    ):
        (tmp_path / "journal.jsonl").write_text(f"{json.dumps({'fast-diff-journal': 2})}\n{json.dumps(broken)}\n")
        assert main(["undo", str(tmp_path / "journal.jsonl")]) == 1
        said = capsys.readouterr().out.splitlines()
        assert len(said) == 2
        assert f"not restored  {tmp_path / 'journal.jsonl'}: line 2: " in said[0]
    (tmp_path / "journal.jsonl").write_text(f"{json.dumps({'fast-diff-journal': 2})}\n{json.dumps(begun)}\n")
    main(["undo", str(tmp_path / "journal.jsonl")])
    said = capsys.readouterr().out
    assert "not restored  /x: /z is no longer the file that was moved there" in said
    assert "harmless" not in said


@pytest.mark.slow
def test_a_plan_is_followed_to_its_end_without_a_reader_and_in_any_encoding(tmp_path: Path) -> None:
    project = finished(tmp_path)
    (tmp_path / "images" / "ü-日本.jpg").write_bytes((tmp_path / "images" / "1.jpg").read_bytes())
    assert project.run() == 0
    assert main(["plan", str(project.run_folder), str(tmp_path / "plan.json")]) == 0
    words = [sys.executable, "-m", "pipeline.cli.main", "apply", str(tmp_path / "plan.json"), "--action", "move"]
    words += ["--to", str(tmp_path / "bin"), "--yes"]
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    before = sorted((tmp_path / "images").iterdir())
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, **plain}
    ) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()  # as `| head` does
        said = process.stderr.read().decode()
        assert process.wait(60) == 0, said
    assert "3 files" in said
    assert "Traceback" not in said
    (journal,) = tmp_path.glob("plan-*.jsonl")
    assert journal.name in said
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.cli.main", "undo", str(journal), "--verbose"],
        env={**os.environ, **plain, "PYTHONIOENCODING": "latin-1"},
        capture_output=True,
        check=True,
    )
    assert "ü-\\u65e5\\u672c.jpg".encode("latin-1") in done.stdout
    assert sorted((tmp_path / "images").iterdir()) == before


def test_keepers_are_not_of_lower_quality_and_count_no_bytes(
    project: Project, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Keepers and references stay; the plan and the page show the same bytes as run.json."""
    made = finished(tmp_path)
    made.config["inputs"]["reference"].append(str(tmp_path / "images" / "2.jpg"))
    assert made.run() == 0
    lower = Path(said(capsys, "export", str(made.yaml), "--format", "difpy", "--out", str(tmp_path)).split()[1])
    (gone,) = json.loads(lower.read_text())
    assert Path(gone).name == "<img src=x onerror=alert(1)>.jpg"
    assert made.record()["clusters"]["removable_bytes"] == Path(gone).stat().st_size
    assert made.run("plot.page=2") == 0
    page = (made.run_folder / "report" / "index.html").read_text()
    assert '"name":["1.jpg",' in page, "the cluster from which nothing can go comes last"


def test_a_dismissed_image_does_not_go_on_account_of_its_keeper(tmp_path: Path) -> None:
    """The dismissed image stays although a third image matches both and joins the cluster."""
    project = Project(tmp_path)
    first = make_image(tmp_path / "images" / "a.jpg", 1)
    for name, quality in (("b.jpg", 80), ("c.jpg", 60)):
        Image.open(first).save(tmp_path / "images" / name, quality=quality)
    assert project.run("cluster.keep=[path]") == 0
    names = [str(tmp_path / "images" / name) for name in ("a.jpg", "b.jpg")]
    file = tmp_path / "dismissed.csv"
    assert main(["dismiss", str(project.run_folder), *names, "--file", str(file)]) == 0
    assert project.run("cluster.keep=[path]", f"cluster.dismissed=[{file}]") == 0
    assert main(["plan", str(project.run_folder), str(tmp_path / "plan.json")]) == 0
    (group,) = read_plan(tmp_path / "plan.json").clusters
    assert [Path(each.path).name for each in group.keep] == ["a.jpg", "b.jpg"]
    assert [Path(each.path).name for each in group.remove] == ["c.jpg"]
    assert project.record()["clusters"]["removable_bytes"] == (tmp_path / "images" / "c.jpg").stat().st_size


@pytest.mark.parametrize("stage", ["scan", "thumbnail"])
def test_a_lost_artifact_is_reported_in_one_line(
    stage: str, project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Artifacts may be lost after a power cut in a later run."""
    run, folder = str(project.run_folder), project.run_folder / stage
    shutil.copytree(folder, tmp_path / "kept")
    for path in folder.glob("*.parquet"):
        path.unlink()
    try:
        for words in (
            ["plan", run, str(tmp_path / "plan.json")],
            ["dismiss", run, "--cluster", "0", "--file", "x.csv"],
        ):
            assert main(words) == 2
            assert len(capsys.readouterr().err.splitlines()) == 1
    finally:
        shutil.copytree(tmp_path / "kept", folder, dirs_exist_ok=True)
