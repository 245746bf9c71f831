"""Make images with known duplicates, and show the clusters that a run found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from pipeline.messages.errors import ConfigError
from stages.comparing.text import human_bytes, human_mse, one_line

if TYPE_CHECKING:
    from rich.console import Console

    from stages.commands.results.tables import Results

MARKER_FILE = ".made-by-fast-diff-demo"
SIZE = (640, 480)
SCENES = ("meadow", "harbour", "desert", "forest", "city", "glacier")
FILES = {
    "meadow": [("meadow.jpg", "no", 92), ("copies/meadow.jpg", "no", 92), ("copies/meadow (1).jpg", "no", 92)],
    "harbour": [("harbour.png", "no", 0), ("harbour small.jpg", "half", 85), ("it's the harbour.webp", "no", 80)],
    "desert": [("desert.jpg", "no", 92), ("desert, recompressed.jpg", "no", 40)],
    "forest": [("forest.jpg", "no", 92), ("forest turned.jpg", "90°", 90), ("forest upside down.jpg", "180°", 90)],
    "city": [("city.jpg", "no", 92)],
    "glacier": [("glacier 🧊.png", "no", 0), ("glacier <small>.jpg", "half", 85)],
    "portrait": [("portrait.jpg", "no", 92), ("portrait half.jpg", "half", 75), ("portrait turned.png", "90°", 0)],
}
"""Files of each scene: name, change of the picture, and quality."""
CHANGES: Mapping[str, Callable[[Image.Image], Image.Image]] = {
    "no": lambda image: image,
    "half": lambda image: image.resize((image.width // 2, image.height // 2), Image.Resampling.LANCZOS),
    "90°": lambda image: image.transpose(Image.Transpose.ROTATE_90),
    "180°": lambda image: image.transpose(Image.Transpose.ROTATE_180),
}


def make_images(folder: Path) -> dict[str, list[Path]]:
    """Make the images, the same at every call; return the files that show each scene.

    Raises ConfigError for a folder that holds other files."""
    if folder.exists() and not (folder / MARKER_FILE).exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"{folder} exists and was not made by the demo; name another folder: fast-diff demo FOLDER")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MARKER_FILE).touch()
        return _make(folder)
    except OSError as error:
        message = f"{folder} can't be written ({error.strerror}); name another: fast-diff demo FOLDER"
        raise ConfigError(message) from error


def _make(folder: Path) -> dict[str, list[Path]]:
    pictures = {name: scene(seed) for seed, name in enumerate(SCENES)} | {"portrait": portrait()}
    made: dict[str, list[Path]] = {}
    for name, files in FILES.items():
        for file, change, quality in files:
            path = folder / file
            path.parent.mkdir(exist_ok=True)
            if not path.exists():
                CHANGES[change](pictures[name]).save(path, quality=quality)  # PNG ignores the quality
            made.setdefault(name, []).append(path)
    broken = folder / "broken.jpg"
    if not broken.exists():
        broken.write_bytes((folder / "city.jpg").read_bytes()[:9_000])
    return made


def portrait() -> Image.Image:
    """Return a photograph: Grace Hopper's portrait, sample data of Matplotlib."""
    import matplotlib

    with Image.open(Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg") as image:
        return image.convert("RGB")


def scene(seed: int) -> Image.Image:
    """Return a landscape of sky, hills, a sun and grain, determined by the seed."""
    random = np.random.default_rng(seed)
    sky, ground = random.integers(30, 226, (2, 3)), random.integers(20, 200, (2, 3))
    image = Image.fromarray(gradient(*sky))
    draw = ImageDraw.Draw(image)
    x, y, radius = random.integers((60, 40, 25), (SIZE[0] - 60, 160, 60)).tolist()
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=tuple((255 - sky[0] // 3).tolist()))
    across = np.linspace(0, 1, SIZE[0])
    for hill in range(5):
        waves = sum(np.sin(across * f + random.uniform(0, 6)) * 60 / f for f in random.uniform(3, 30, 4))
        heights = np.linspace(190, 420, 5)[hill] + np.asarray(waves) * 1.6
        share = hill / 4
        colour = (ground[0] * (1 - share) + ground[1] * share).astype(int)
        line = list(zip(range(SIZE[0]), heights.tolist(), strict=True))
        draw.polygon([(0, SIZE[1]), *line, (SIZE[0], SIZE[1])], fill=tuple(colour.tolist()))
    grain = random.normal(0, 6, (SIZE[1], SIZE[0], 3))
    soft = np.asarray(image.filter(ImageFilter.GaussianBlur(1.2)), np.float64)
    return Image.fromarray(np.clip(soft + grain, 0, 255).astype(np.uint8))


def gradient(top: NDArray[np.int64], bottom: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Return a vertical gradient between two colours, shape (height, width, 3)."""
    share = np.linspace(0, 1, SIZE[1])[:, None, None]
    return np.broadcast_to(top * (1 - share) + bottom * share, (SIZE[1], SIZE[0], 3)).astype(np.uint8)


def show(results: Results, console: Console) -> None:
    """Print the clusters, the images that could not be read, and where the report is."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title="Clusters", title_justify="left", caption="★ keeper", caption_justify="left")
    for column in ("", "image"):
        table.add_column(column)
    for column in ("pixels", "size", "MSE"):
        table.add_column(column, justify="right")
    last = None
    folder = Path(results.summary["config"]["inputs"]["a"][0])
    for row in results.clusters().to_dict("records"):
        if last not in (None, row["cluster"]):
            table.add_section()
        last = row["cluster"]
        star, mse = ("★", "") if row["keeper"] else ("", human_mse(row["mse_to_keeper"]))
        pixels, size = f"{row['width']}x{row['height']}", human_bytes(row["bytes"])
        table.add_row(star, Text(one_line(str(Path(row["path"]).relative_to(folder)))), pixels, size, mse)
    console.print(table)
    for row in results.failures().to_dict("records"):
        console.print(Text(one_line(f"unreadable  {Path(row['path']).name}: {row['error_detail']}")))
    console.print(Text(one_line(f"look at     {results.report}")), soft_wrap=True)
