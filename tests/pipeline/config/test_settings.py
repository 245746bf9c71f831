"""A config becomes settings, or one error line for each mistake, with the correction."""

import json
import os
import re
import shlex
from pathlib import Path
from typing import Annotated, Any, Literal

import pyarrow as pa
import pytest
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from pipeline.config.settings import from_mapping, load
from pipeline.messages.errors import ConfigError
from pipeline.stage import Source, Stage
from stages.listing.sections import SECTIONS

FORBID = ConfigDict(extra="forbid")
Side = Annotated[int, Field(ge=4, le=1024)]
Limit = Annotated[float | None, Field(ge=0, allow_inf_nan=False)]


@dataclass(frozen=True, config=FORBID)
class Thumbnail:
    size: tuple[Side, Side] = (64, 64)
    background: str = "white"


@dataclass(frozen=True, config=FORBID)
class Pairs:
    threshold: Limit = 200.0
    rotations: bool = True
    same: Literal["any", "dimensions", "aspect"] = "any"


@dataclass(frozen=True, config=FORBID)
class Cluster:
    threshold: Limit = None
    keep: tuple[Literal["resolution", "bytes", "path"], ...] = ("resolution",)


@dataclass(frozen=True, config=FORBID)
class Plot:
    pairs: Annotated[int, Field(ge=0)] | Literal["all"] = 50


SOURCE = Source[Any](lambda params, settings: (), sections=SECTIONS)
STAGES = [
    Stage("thumbnail", 1, (), Thumbnail, pa.schema([]), source=SOURCE),
    Stage("pairs", 1, (), Pairs, pa.schema([])),
    Stage("cluster", 1, (), Cluster, pa.schema([])),
    Stage("plot", 1, (), Plot, pa.schema([])),
]
A = "inputs: {a: [/photos]}\n"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")


def settings(text: str, *overrides: str) -> Any:
    Path("x.yaml").write_text(text)
    return load("x.yaml", STAGES, overrides).settings


def refused(text: str, *overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        settings(text, *overrides)
    return str(caught.value)


def test_sections_left_out_have_their_defaults() -> None:
    Path("holiday.yaml").write_text(
        "inputs: {a: [~/Photos, sub/../b.jpg, {path: //c}]}\npairs: {threshold: 1e2}\nplot:\n"
    )
    config = load("holiday.yaml", STAGES, ["pairs.same=aspect", "thumbnail.size=[32, 48]", "inputs.b=[/x y]"])
    assert config.run == "holiday"
    assert config.folder == Path.cwd() / "outputs" / "holiday"
    assert config.settings("inputs.a") == (f"{os.environ['HOME']}/Photos", str(Path.cwd() / "b.jpg"), "/c")
    assert config.settings("inputs.b") == ("/x y",)
    assert config.params["pairs"] == Pairs(threshold=100.0, same="aspect")
    assert config.settings("thumbnail.size") == (32, 48)
    assert config.settings("partition.block") == "auto"
    assert config.scheduler.kind == "auto"
    plain = config.as_dict()
    assert json.loads(json.dumps(plain)) == plain
    assert plain["pairs"] == {"threshold": 100.0, "rotations": True, "same": "aspect"}
    assert from_mapping(plain, STAGES) == config


@dataclass(frozen=True, config=FORBID)
class Lists:
    names: tuple[str, ...] = ()
    endings: Literal["default"] | tuple[str, ...] = "default"
    either: str | tuple[str, ...] = ""
    rules: Annotated[tuple[dict[str, str] | str, ...], Field(description="rules")] | None = None


@pytest.mark.parametrize(
    ("key", "value", "read"),
    [
        ("names", "/a, b", ("/a, b",)),
        ("names", [], ()),
        ("endings", "jpg", ("jpg",)),
        ("endings", "default", "default"),
        ("either", "x", "x"),
        ("rules", {"path": "x"}, ({"path": "x"},)),
        ("rules", None, None),
    ],
)
def test_a_single_value_stands_for_a_list_of_one(key: str, value: Any, read: Any) -> None:
    data = {"run": "x", "inputs": {"a": {"path": "/x", "reference": True}}, "lists": {key: value}}
    config = from_mapping(data, [Stage("lists", 1, (), Lists, pa.schema([]), source=SOURCE)])
    assert config.settings(f"lists.{key}") == read
    assert config.settings("inputs.a") == config.settings("inputs.reference") == ("/x",)
    assert data["lists"] == {key: value}


def test_a_single_value_may_stand_in_a_file_and_on_the_command_line() -> None:
    found = settings("inputs: {a: /photos}\ncluster: {keep: path}\n", "inputs.b=/b c")
    assert (found("inputs.a"), found("inputs.b"), found("cluster.keep")) == (("/photos",), ("/b c",), ("path",))


def test_a_later_override_wins_and_the_callers_data_is_unchanged() -> None:
    data = {"run": "x", "inputs": {"a": ["/photos"]}, "pairs": {"threshold": 1}}
    assert from_mapping(data, STAGES, ["pairs.threshold=2", "pairs.threshold=null"]).settings("pairs.threshold") is None
    assert data["pairs"] == {"threshold": 1}


KINDS_OF_KEY = [
    ("pairs: {treshold: 1}", "pairs.treshold: unknown key; did you mean pairs.threshold?"),
    ("threshold: 1", "threshold: unknown key; did you mean pairs.threshold?"),
    ("pair: {threshold: 1}", "pair: unknown key; did you mean pairs?"),
    ("pairs: {keep: 1}", "pairs.keep: unknown key; did you mean cluster.keep?"),
]
VALUES = [
    ("pairs: {threshold: -1}", "pairs.threshold: expected a number of at least 0, got -1"),
    ("pairs: {threshold: .nan}", "pairs.threshold: expected a finite number, got nan"),
    ("pairs: {threshold: -.inf}", "pairs.threshold: expected a finite number, got -inf"),
    ("pairs: {threshold: true}", "pairs.threshold: expected a number, got true"),
    ("pairs: {threshold: '200'}", "pairs.threshold: expected a number, got the text '200'"),
    ("pairs: {rotations: 1}", "pairs.rotations: expected true or false, got 1"),
    (
        "pairs: {same: aspct}",
        "pairs.same: expected any, dimensions or aspect, got the text 'aspct'; did you mean aspect?",
    ),
    ("pairs: [1]", "pairs: expected keys and values, got [1]"),
    ("thumbnail: {size: [64, 2]}", "thumbnail.size[1]: expected a number of at least 4, got 2"),
    ("thumbnail: {size: [64, true]}", "thumbnail.size[1]: expected a whole number, got true"),
    ("thumbnail: {size: [64, 64, 3]}", "thumbnail.size: expected at most 2 items, got [64, 64, 3]"),
    ("thumbnail: {background: 3}", "thumbnail.background: expected text, got 3"),
    ("plot: {pairs: -1}", "plot.pairs: expected a number of at least 0 or all, got -1"),
    ("partition: {images: 0}", "partition.images: expected a number above 0 or auto, got 0"),
    ("scheduler: {memory_limit: lots}", "scheduler.memory_limit: expected auto or a size such as 4GiB, got 'lots'"),
    ("run: a/b", "run: expected a name that a folder can have (no slash, no dot in front), got 'a/b'"),
    ("run: 2024", "run: expected a name, got 2024; put it in quotes"),
    ("output: 's3://'", "output: expected a URL such as s3://bucket/folder, got 's3://'"),
]


@pytest.mark.parametrize(("text", "message"), KINDS_OF_KEY + VALUES)
def test_a_mistake_is_one_line_with_its_place(text: str, message: str) -> None:
    assert refused(f"{A}\n{text}\n") == f"x.yaml:3: {message}"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("pairs.threshold=-1", "pairs.threshold: expected a number of at least 0, YAML read the number -1"),
        ("pairs.treshold=1", "pairs.treshold: unknown key; did you mean pairs.threshold?"),
        ("pairs={threshold: -1}", "pairs.threshold: expected a number of at least 0, YAML read the number -1"),
        ("inputs.a=null", """inputs.a: expected a list, YAML read null. Write --set 'inputs.a="null"'"""),
        (
            "inputs.a=5",
            "inputs.a[0]: expected the path of a folder or an image file, got 5. Write --set 'inputs.a=\"5\"'",
        ),
        ("inputs.a=[]", "inputs.a: expected folders or image files, got none; for example --set inputs.a=[~/Photos]"),
        ("pairs.same=no", "pairs.same: expected any, dimensions or aspect, YAML read false"),
        ("pairs.rotations=1", "pairs.rotations: expected true or false, YAML read the number 1"),
        (
            "pairs.threshold=1,5",
            "pairs.threshold: expected a number, YAML read the text '1,5'. Write --set pairs.threshold=1.5",
        ),
        (
            "pairs.threshold=1,000",
            "pairs.threshold: expected a number, YAML read the text '1,000'. Write --set pairs.threshold=1000",
        ),
        (
            "pairs.threshold='200'",
            "pairs.threshold: expected a number, YAML read the text '200'. Write --set pairs.threshold=200",
        ),
        (
            "thumbnail.size=64x48",
            "thumbnail.size: expected a list, YAML read the text '64x48'. Write --set 'thumbnail.size=[64, 48]'",
        ),
        (
            "thumbnail.background=3",
            """thumbnail.background: expected text, YAML read the number 3. Write --set 'thumbnail.background="3"'""",
        ),
        (
            "cluster.keep=path,byte",
            "cluster.keep[0]: expected resolution, bytes or path, YAML read the text 'path,byte'; did you mean path?",
        ),
        (
            "cluster.keep=path,bytes",
            "cluster.keep[0]: expected resolution, bytes or path, YAML read the text 'path,bytes'; did you mean bytes? "
            "Write --set 'cluster.keep=[path, bytes]'",
        ),
        ("run=2024", """run: expected a name, YAML read the number 2024. Write --set 'run="2024"'"""),
        (
            "output=5",
            """output: expected a folder, or the URL of one, YAML read the number 5. Write --set 'output="5"'""",
        ),
    ],
)
def test_a_mistake_in_an_override_gives_what_yaml_read_and_the_correction(override: str, message: str) -> None:
    assert refused(A, override) == f"--set {override}: {message}"


@pytest.mark.parametrize(
    ("override", "problem", "better"),
    [
        ("inputs.a=[/a, b", "expected ',' or ']', but got the end of the argument", "'inputs.a=[/a, b]'"),
        ("inputs.a=[/a,", "expected the node content, got the end of the argument", "'inputs.a=[/a]'"),
        ("inputs.a={path: /a", "expected ',' or '}', but got the end of the argument", "'inputs.a={path: /a}'"),
        ("inputs.a=*.jpg", "expected alphabetic or numeric character, got '.'", "'inputs.a=\"*.jpg\"'"),
        ("inputs.a=[@x, b", "found character '@' that cannot start any token", '\'inputs.a=["@x", "b"]\''),
        ("inputs.a=a: b: c", "mapping values are not allowed here", "'inputs.a=\"a: b: c\"'"),
        ('inputs.a="x y', "found unexpected end of stream", "'inputs.a=\"x y\"'"),
    ],
)
def test_invalid_yaml_is_reported_with_the_correction(override: str, problem: str, better: str) -> None:
    key, _, value = override.partition("=")
    line = refused(A, override)
    wrong = f"--set {override}: {key}: expected a YAML value, got {value!r}: {problem}"
    assert line == f"{wrong}. Write --set {better}"
    (word,) = shlex.split(better)
    settings(A, word)


def test_every_mistake_has_its_own_whole_line() -> None:
    assert refused(A + "pairs:\n  threshold: -1\n  rotations: 3\n", "plot.pairs=x").splitlines() == [
        "x.yaml:3: pairs.threshold: expected a number of at least 0, got -1",
        "x.yaml:4: pairs.rotations: expected true or false, got 3",
        "--set plot.pairs=x: plot.pairs: expected a whole number or all, YAML read the text 'x'",
    ]


@pytest.mark.parametrize(
    ("roots", "message"),
    [
        ("['']", "inputs.a[0]: expected the path of a folder or an image file, got ''"),
        ("[/x, null]", "inputs.a[1]: expected the path of a folder or an image file, got None"),
        (
            "['s3://b?token=abc']",
            "inputs.a[0]: expected a URL without a query or a fragment, got 's3://b?***'; keys and "
            "tokens belong into storage.s3, or into the environment",
        ),
        ("[{pth: /x}]", "inputs.a[0]: expected a path or {path: ...}, got a mapping with the unknown key 'pth'"),
        (r'["a\0b"]', r"inputs.a[0]: expected a folder or an image file of this machine, got 'a\x00b'"),
    ],
)
def test_an_input_is_a_path(roots: str, message: str) -> None:
    assert refused(f"inputs: {{a: {roots}}}") == f"x.yaml:1: {message}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "x.yaml: inputs.a: expected folders or image files, got none; for example --set inputs.a=[~/Photos]"),
        ("- a\n", "x.yaml:1: expected keys and values, such as `run: holiday`, got a list"),
        ("pairs:\n  same: [\n", "x.yaml:3: is not YAML: expected the node content, but found '<stream end>'"),
        ("a: !!python/name:os.system\n", "x.yaml:1: is not YAML: could not determine a constructor for the tag"),
        ("run: a\npairs: {}\npairs: {}\n", "x.yaml:3: pairs is given here and in line 2; keep one of them"),
        ("pairs: {same: any,\n same: any}\n", "x.yaml:2: pairs.same is given here and in line 1; keep one of them"),
    ],
)
def test_a_file_that_is_not_a_config_is_one_line(text: str, message: str) -> None:
    (line,) = refused(text).splitlines()
    assert line.startswith(message)


def test_marked_inputs_and_named_ones_are_references(tmp_path: Path) -> None:
    inputs = {
        "a": [{"path": "/x", "reference": True}, {"path": "/y", "reference": False}, "/z"],
        "reference": ["/z/old"],
    }
    config = from_mapping({"run": "x", "inputs": inputs}, STAGES)
    assert config.params["inputs"].a == ("/x", "/y", "/z")
    assert config.params["inputs"].reference == ("/z/old", "/x")
    again = from_mapping({"run": "x", "inputs": config.as_dict()["inputs"]}, STAGES)
    assert again.params["inputs"] == config.params["inputs"], "what is shown can be used"


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({"a": ["/x"], "reference": ["/y"]}, r"inputs\.reference\[0\]: /y is in neither inputs\.a nor inputs\.b"),
        ({"a": [{"path": "/x", "reference": "yes"}]}, r"inputs\.a\[0\]: expected reference: true or false, got 'yes'"),
        ({"a": ["/x"], "reference": "/y"}, r"inputs\.reference\[0\]: /y is in neither inputs\.a nor inputs\.b"),
    ],
)
def test_references_outside_the_inputs_are_reported(inputs: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        from_mapping({"run": "x", "inputs": inputs}, STAGES)


@pytest.mark.parametrize(
    ("scheduler", "said"),
    [
        ({"kind": "slurm", "adapt": {"minimum": 1}}, r"scheduler\.adapt: maximum is missing; expected a value"),
        ({"tls": {"ca_file": "x"}}, r"scheduler\.tls: cert, key are missing; expected a value"),
        (
            {"kind": "slurm", "adapt": {"min": 5}},
            r"scheduler\.adapt\.min: unknown key; did you mean scheduler\.adapt\.minimum\?",
        ),
        ({"kind": "slurm", "adapt": 5}, r"scheduler\.adapt: expected"),
    ],
)
def test_keys_inside_a_key_are_named_too(scheduler: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said) as told:
        from_mapping({"run": "x", "inputs": {"a": ["/x"]}, "scheduler": scheduler}, STAGES)
    assert len(str(told.value).splitlines()) == 1


def test_an_unreadable_file_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def said(name: str) -> str:
        with pytest.raises(ConfigError) as caught:
            load(name, STAGES)
        return str(caught.value)

    Path("latin.yaml").write_bytes("run: caf\xe9".encode("latin-1"))
    Path("folder.yaml").mkdir()
    assert said("none.yaml").startswith("none.yaml: no such file; ")
    assert said("folder.yaml").startswith("folder.yaml: is a folder; ")
    assert said("latin.yaml").startswith("latin.yaml: is not UTF-8 text; ")

    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)  # root may read whatever chmod says
    assert said("latin.yaml") == "latin.yaml: can't be read (Permission denied)"


@pytest.mark.parametrize(
    ("output", "root", "inside"),
    [
        ("photos/out", "photos", True),
        ("out", "out/x/pictures", True),
        ("out", "out/x", True),
        ("link/out", "photos", True),
        ("out", "out/y", False),
        ("out", "out/x-images", False),
        ("photos-out", "photos", False),
    ],
)
def test_nothing_is_written_into_an_input(output: str, root: str, inside: bool) -> None:
    Path("photos").mkdir()
    Path("link").symlink_to("photos")
    text = f"run: x\noutput: {output}\ninputs: {{a: [/elsewhere], b: [{root}]}}\n"
    if inside:
        assert refused(text).startswith(
            f"x.yaml:2: output: {Path.cwd() / output}/x overlaps inputs.b ({Path.cwd() / root})"
        )
    else:
        assert settings(text)("run") == "x"


@pytest.mark.parametrize(
    ("scheduler", "got"), [({}, "neither"), ({"address": "tcp://x:1", "scheduler_file": "y"}, "both")]
)
def test_kind_address_needs_one_address(scheduler: dict[str, str], got: str) -> None:
    data = {"run": "x", "inputs": {"a": ["/photos"]}, "scheduler": {"kind": "address", **scheduler}}
    with pytest.raises(ConfigError, match=rf"^config: scheduler\.address: kind address expects one of .*, got {got};"):
        from_mapping(data, STAGES)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pairs: {qqq: 1}", "pairs.qqq: unknown key; valid keys: threshold, rotations, same"),
        ("inputs: {A: []}", "inputs.A: unknown key; did you mean inputs.a?"),
        (
            "qqq: 1",
            "qqq: unknown key; valid keys: run, output, storage, inputs, companions, partition, thumbnail, pairs, "
            "cluster, plot, scheduler",
        ),
        ("thumbnail: {size: [64]}", "thumbnail.size: expected a longer list, got [64]"),
        ("thumbnail: {size: [64.0, 64]}", "thumbnail.size[0]: expected a whole number, got 64.0"),
        ("pairs: {1: 2}", "expected a key that is text, got 1; put it in quotes"),
        ("[1, 2]: 3", "expected a key that is text, got a list or a mapping; put it in quotes"),
        ("pairs: &a [*a]", "expected an alias outside its own anchor; write the value out"),
        (r'thumbnail: {size: "a\nb"}', r"thumbnail.size: expected a list, got the text 'a\nb'"),
        (
            r'thumbnail: {background: "\ud800"}',
            r"""thumbnail: expected text that UTF-8 can hold, got {"background": "\ud800"}""",
        ),
    ],
)
def test_no_yaml_is_too_odd_for_one_line(text: str, message: str) -> None:
    assert refused(f"\n{text}\n").encode("utf-8", "backslashreplace").decode() == f"x.yaml:2: {message}"


def bomb(first: str, level: str, levels: int) -> str:
    """Return YAML lines of which each repeats the line before ten times by aliases, in the form `level`."""
    lines = [f"a0: &a0 {first}"]
    lines += [f"a{n}: &a{n} {level.format(before=', '.join([f'*a{n - 1}'] * 10))}" for n in range(1, levels)]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    "text",
    [
        bomb("[x, x]", "[{before}]", 10),
        bomb("{x: 1}", "{{y: [{before}]}}", 10),
        bomb("{x: 1}", "{{<<: [{before}]}}", 10),
        "a: &a [" + "x, " * 200 + "]\nb: [" + "*a, " * 200 + "]\n",
    ],
    ids=["lists", "mappings", "merges", "flat"],
)
def test_aliases_that_stand_for_too_much_are_refused(text: str) -> None:
    """Ten lines with aliases may expand to billions of values, which exhaust time and memory."""
    said = "expected aliases that repeat at most 10,000 keys and values, got more; write the values out"
    assert re.fullmatch(rf"x\.yaml:\d+: {said}", refused(text))
    inner = "{" + ", ".join(text.splitlines()) + "}"
    assert refused(A, f"plot={inner}") == f"--set plot={inner}: {said}"


def test_aliases_that_stand_for_little_are_followed() -> None:
    assert settings(A + "run: &name one\noutput: *name\n")("output") == str(Path.cwd() / "one")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("pairs.threshold=", "expected a value after =, or null for no value: --set pairs.threshold=null"),
        ("pairs={same: any, same: any}", "pairs.same is given here and in line 1; keep one of them"),
        ("inputs.a=[null]", "inputs.a[0]: expected the path of a folder or an image file, got None"),
        ("pairs.threshold.x=1", 'pairs.threshold: expected a number, got {"x": 1}'),
        ("plto.pairs=1", "plto: unknown key; did you mean plot?"),
    ],
)
def test_an_override_is_never_taken_for_the_files(override: str, message: str) -> None:
    assert refused(A + "pairs: {threshold: 3}\n", override) == f"--set {override}: {message}"


def test_a_date_is_a_name() -> None:
    assert settings(A + "run: 2024-05-01\n")("run") == "2024-05-01"


def test_possible_secrets_are_not_shown() -> None:
    section = {
        "kind": "ssh",
        "dask_config": {"distributed": {"comm": {"tls": {"ciphers": "hush"}}}, "a.b": 7},
        "cluster": {
            "hosts": ["node1"],
            "connect_options": {"username": "me", "password": "hush", "client_keys": ["hush"]},
        },
    }
    config = from_mapping({"run": "x", "inputs": {"a": ["/photos"]}, "scheduler": section}, STAGES)
    shown = config.as_dict()["scheduler"]
    assert shown["dask_config"] == {"distributed": {"comm": {"tls": {"ciphers": "***"}}}, "a.b": "***"}
    options = {"username": "me", "password": "***", "client_keys": ["***"]}
    assert shown["cluster"] == {"hosts": ["node1"], "connect_options": options}
    assert config.scheduler.cluster == section["cluster"], "what runs is as it was given"
