"""The commented configs that come with the program, in a clone and in a wheel."""

from __future__ import annotations

from pathlib import Path

import stages
from pipeline.messages.errors import ConfigError
from pipeline.messages.words import did_you_mean


def examples() -> dict[str, Path]:
    """Return the files of all examples by name.

    A wheel has the examples inside the package; a clone, beside the package."""
    package = Path(stages.__path__[0])
    return {path.stem: path for place in (package.parent, package) for path in sorted(place.glob("configs/*.yaml"))}


def example(name: str) -> str:
    """Return the text of an example, for a file in the current folder.

    Raises ConfigError.

    The schema line names the installed schema by its absolute path, so that editors find the schema offline."""
    from pipeline.config.schema import SCHEMA_FILE

    files = examples()
    if name not in files:
        hint = did_you_mean(name, files)
        raise ConfigError(f"--example: expected one of {', '.join(files)}, got {name!r}{hint}")
    file = files[name]
    text = file.read_text(encoding="utf-8").replace(f"configs/{name}.yaml", f"{name}.yaml")
    return text.replace(f"$schema={SCHEMA_FILE}", f"$schema={file.with_name(SCHEMA_FILE)}")
