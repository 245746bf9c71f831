"""Make the pictures of the README from the demo's images: `python -m tests.end_to_end.screenshots`

Runs this program over the images of `fast-diff demo` and verifies the run, as a person would in a terminal. Writes the
report's page, seen in Chromium, to `.github/images/report.png`, and the output of the commands to
`.github/images/terminal.svg`."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright
from rich.console import Console
from rich.text import Text

IMAGES = Path(__file__).parents[2] / ".github" / "images"
NAMES = ("chromium", "chromium-browser", "google-chrome")
VIEW = {"width": 1200, "height": 1020}
COLOURS = 256
"""Colours of the picture of the page, which keep the file small."""
COLUMNS = 124
COMMANDS = ("fast-diff run ~/Pictures", "fast-diff verify outputs/Pictures")
SVG = """<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
text {{ font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: {char_height}px; }}
{styles}
</style>
<defs>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""
"""A drawing that loads no font from the network, unlike rich's own one."""
SHORTEN = """home => {
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
    while (walker.nextNode()) walker.currentNode.nodeValue = walker.currentNode.nodeValue.replaceAll(home, "~")
}"""
"""Script that shows paths below the home folder as a shell does: the real folder is a temporary one."""


def main() -> None:
    """Write both pictures."""
    browser = next(filter(None, map(shutil.which, NAMES)), None)
    if browser is None:
        sys.exit(f"no browser: expected one of {', '.join(NAMES)} on this machine")
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="fast-diff-") as name:
        home = Path(name)
        run("fast-diff demo Pictures --quiet", home)
        said = [run(command, home) for command in COMMANDS]
        (IMAGES / "terminal.svg").write_text(terminal(said))
        (IMAGES / "report.png").write_bytes(page(home, browser))


def run(command: str, home: Path) -> str:
    """Run a command in a home folder; return what it prints, with colours, as at the prompt of a shell."""
    environment = os.environ | {"HOME": str(home), "FORCE_COLOR": "1", "COLUMNS": str(COLUMNS)}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    ended = subprocess.run(["bash", "-c", command], cwd=home, env=environment, capture_output=True, text=True)
    if ended.returncode:
        sys.exit(f"{command}: exit code {ended.returncode}\n{ended.stderr}")
    return ended.stdout.replace(str(home), "~")


def terminal(said: list[str]) -> str:
    """Return a drawing of the commands and of what they print."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    for command, text in zip(COMMANDS, said, strict=True):
        console.print(Text.assemble(("$ ", "green"), (command, "bold")))
        console.print(Text.from_ansi(text.rstrip()), soft_wrap=True)
    return console.export_svg(title="fast-diff", code_format=SVG, unique_id="terminal")


def page(home: Path, browser: str) -> bytes:
    """Return a picture of the report's page as PNG."""
    path = home / "outputs" / "Pictures" / "report" / "index.html"
    with sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        view = chromium.new_page(viewport=VIEW, color_scheme="light")
        view.goto(path.as_uri())
        view.wait_for_load_state("networkidle")
        view.evaluate(SHORTEN, str(home))
        picture = Image.open(io.BytesIO(view.screenshot())).convert("RGB")
        chromium.close()
    small = io.BytesIO()
    picture.quantize(COLOURS, dither=Image.Dither.NONE).save(small, "PNG", optimize=True)
    return small.getvalue()


if __name__ == "__main__":
    main()
