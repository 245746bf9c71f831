"""Read the options of a model from the YAML file beside the model."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

INPUT_SIDE = Annotated[int, Field(ge=4, le=4096)]
ChannelValues = Annotated[tuple[float, ...], Field(min_length=1, max_length=3)]


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class ModelOptions:
    """Options of a model's input and output.

    An option of None has the value of the model itself, or the default.

    size    (width, height) of an image
    layout  order of the axes
    mean    one number, or one per channel, to subtract from the values 0 to 255; default 0
    scale   one number, or one per channel, to multiply the differences by; default 1/255
    output  name of the output with the vectors; default: the first output"""

    size: tuple[INPUT_SIDE, INPUT_SIDE] | None = None
    layout: Literal["nchw", "nhwc"] | None = None
    mean: ChannelValues | None = None
    scale: ChannelValues | None = None
    output: str | None = None

    def filled(self, other: ModelOptions) -> ModelOptions:
        """Return these options; each option of None gets its value from `other`."""
        names = (field.name for field in fields(self))
        return replace(self, **{name: getattr(other, name) for name in names if getattr(self, name) is None})


def options_path(model: Path) -> Path:
    """Return the path of the YAML file beside a model."""
    return model.with_suffix(".yaml")


def read_options(model: Path) -> ModelOptions:
    """Return the options in the YAML file beside a model; without a file, all options are None.

    Raises:
        ValueError: the file can't be read, or has wrong keys or values; the message begins with the file's path."""
    import yaml

    path = options_path(model)
    try:
        data = yaml.safe_load(path.read_bytes())
    except FileNotFoundError:
        return ModelOptions()
    except OSError as error:
        raise ValueError(f"{path} can't be read ({error.strerror}); allow reading, or delete the file") from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{path}: expected YAML, got other text; correct the file") from error
    if data is None:
        return ModelOptions()
    if not isinstance(data, Mapping):
        raise ValueError(f"{path}: expected keys such as size: [224, 224], got {str(data)[:40]!r}; correct the file")
    lists = {
        key: [value] if key in ("mean", "scale") and isinstance(value, int | float) else value
        for key, value in data.items()
    }
    try:
        return TypeAdapter(ModelOptions).validate_python(lists)
    except ValidationError as error:
        raise ValueError(f"{path}: {_problem(error)}; correct the file") from error


def _problem(error: ValidationError) -> str:
    """Return the first problem of a YAML file as one line."""
    first: Any = error.errors(include_url=False)[0]
    key = ".".join(map(str, first["loc"]))
    known = ", ".join(field.name for field in fields(ModelOptions))
    if first["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        return f"{key}: expected one of the keys {known}"
    text = f"{first['msg'][:1].lower()}{first['msg'][1:]}"
    return f"{key}: {text}, got {str(first['input'])[:40]!r}"


def digest_of_model(model: Path) -> str:
    """Return the SHA-256, in hex, of a model's file and the options beside the model.

    Raises:
        OSError: the model can't be read.
        ValueError: the YAML file beside the model is wrong."""
    weights = _digest_of_file(model, _state(model))
    options = json.dumps(asdict(read_options(model)), sort_keys=True)
    return hashlib.sha256(f"{weights} {options}".encode()).hexdigest()


def _state(model: Path) -> tuple[int, int, int]:
    found = model.stat()
    return found.st_size, found.st_mtime_ns, found.st_ino


@functools.lru_cache(maxsize=4)
def _digest_of_file(model: Path, state: tuple[int, int, int]) -> str:
    """Return the SHA-256 of a file; the result is cached while `state` stays equal."""
    with model.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
