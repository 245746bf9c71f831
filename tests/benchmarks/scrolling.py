"""Measure frames per second while the report's page scrolls through many clusters, against a plain list.

    .venv/bin/python -m tests.benchmarks.scrolling [--clusters 50000] [--seconds 5]

Both pages scroll by 40 pixels per frame in headless Chromium, which draws on the processor. The plain list has one line
of text for each cluster. Also prints the longest pause between two frames.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from tests.end_to_end.large_page import large_page

SCROLL = """seconds => new Promise(done => {
    const frames = [performance.now()];
    const step = now => {
        frames.push(now);
        scrollBy(0, 40);
        if (now - frames[1] < 1000 * seconds) requestAnimationFrame(step);
        else done(frames.slice(1));
    };
    requestAnimationFrame(step);
})"""


def scrolled(browser: Any, page: Path, seconds: float) -> tuple[float, float]:
    """Return frames per second, and the longest pause in milliseconds."""
    opened = browser.new_page(viewport={"width": 1400, "height": 900})
    opened.goto(page.as_uri())
    opened.wait_for_timeout(1_000)
    frames = opened.evaluate(SCROLL, seconds)
    assert opened.evaluate("scrollY") > 0
    opened.close()
    pauses = [later - earlier for earlier, later in zip(frames, frames[1:], strict=False)]
    return 1_000 * len(pauses) / sum(pauses), max(pauses)


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--clusters", type=int, default=50_000)
    parser.add_argument("--seconds", type=float, default=5.0)
    options = parser.parse_args()
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as started:
        folder = Path(scratch)
        lines = "".join(f"<li>cluster {number}" for number in range(options.clusters))
        bare = folder / "bare.html"
        bare.write_text(f"<!doctype html><title>bare</title><ul>{lines}</ul>")
        page = large_page(folder, options.clusters, 3)
        browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        (floor, floor_pause), (ours, pause) = (scrolled(browser, each, options.seconds) for each in (bare, page))
        browser.close()
    print(f"bare list of {options.clusters:,} lines  {floor:5.1f} frames a second, longest pause {floor_pause:.0f} ms")
    print(f"the page, {options.clusters:,} clusters   {ours:5.1f} frames a second, longest pause {pause:.0f} ms")
    print(f"ratio {ours / floor:.2f}")


if __name__ == "__main__":
    _main()
