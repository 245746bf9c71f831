"""The commented configs that `fast-diff config --example` prints."""

from pathlib import Path

import pytest

import stages
from pipeline.cli.main import main
from pipeline.config.schema import schema_text
from pipeline.config.settings import load
from pipeline.plan.discovery import discover
from stages.commands.config.examples import examples

ROOT = Path(__file__).parents[4]


@pytest.mark.parametrize("name", examples())
def test_an_example_is_a_config_under_a_name_of_its_own(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["config", "--example", name]) == 0
    text = capsys.readouterr().out
    assert text.startswith("# ")
    assert f"configs/{name}.yaml" not in text
    schema = Path(text.partition("$schema=")[2].partition("\n")[0])
    assert schema.is_absolute()
    assert schema.read_text() == schema_text(discover()), "an editor finds the schema wherever the config is written"
    (tmp_path / "mine.yaml").write_text(text)
    assert load("mine.yaml", discover()) == load(ROOT / "configs" / f"{name}.yaml", discover(), ["run=mine"]) or (
        name == "demo"  # the example has a run name of its own
    )


def test_a_wheel_has_them_inside_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "stages" / "configs").mkdir(parents=True)
    (tmp_path / "stages" / "configs" / "local.yaml").touch()
    monkeypatch.setattr(stages, "__path__", [str(tmp_path / "stages")])
    assert examples() == {"local": tmp_path / "stages" / "configs" / "local.yaml"}


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["x.yaml", "--example", "local"],
        ["x.yaml", "--schema"],
        ["--schema", "--json"],
        ["--example", "local", "--set", "run=x"],
    ],
)
def test_a_config_or_an_example(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", *words]) == 2
    said = "fast-diff: config: expected one of CONFIG, --example NAME and --schema\n"
    assert capsys.readouterr() == ("", said)


def test_an_unknown_example_names_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "--example", "lokal"]) == 2
    assert "got 'lokal'; did you mean local?" in capsys.readouterr().err


def test_the_schema_is_that_of_all_stages(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "--schema"]) == 0
    assert capsys.readouterr().out == schema_text(discover())
