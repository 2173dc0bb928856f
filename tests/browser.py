"""A page as a browser shows it: Chromium without a window, by its command line alone, so that no driver is needed."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from matplotlib.image import imread

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "microsoft-edge", "chrome")
TIMEOUT_S = 180

# The page is in a frame of the width asked for: windows have a least width. A frame from `srcdoc` may be looked into by
# the page around it, and nothing has to be changed or added within.
AROUND = """<!DOCTYPE html><meta charset="utf-8"><body style="margin:0">
<iframe id="page" style="width:{width}px;height:1000px;border:0" srcdoc="{page}"></iframe><pre id="found"></pre>
<script>
document.getElementById("page").addEventListener("load", async (event) => {{
  const inside = event.target.contentDocument, root = inside.documentElement;
  await Promise.allSettled([...inside.images].map((image) => image.decode()));
  const shown = (all) => [...all].filter((one) => one.getClientRects().length).map((one) => one.textContent.trim());
  document.getElementById("found").textContent = JSON.stringify({{
    headings: shown(inside.querySelectorAll("h1, h2, h3")),
    scroll_width: root.scrollWidth,
    client_width: root.clientWidth,
    images: inside.images.length,
    broken_images: [...inside.images].filter((image) => !image.naturalWidth).length,
    requests: event.target.contentWindow.performance.getEntriesByType("resource")
      .map((entry) => entry.name).filter((name) => !name.startsWith("data:")),
  }});
}});
</script>
"""


@dataclass(frozen=True, slots=True)
class Rendered:
    """A page in a browser: visible headings, widths in pixels, images, addresses it asked for, its console."""

    headings: list[str]
    scroll_width: int
    client_width: int
    images: int
    broken_images: int
    requests: list[str]
    console: list[str]


def browser() -> str:
    """The first of the known browsers on PATH; skips the test if there is none."""
    found = next((path for name in NAMES if (path := shutil.which(name)) is not None), None)
    if found is None:
        pytest.skip(f"no browser on PATH: looked for {', '.join(NAMES)}")
    return found


def render_page(page: Path, width: int) -> Rendered:
    """Open a page at a width of so many pixels."""
    with TemporaryDirectory() as folder:
        around = Path(folder) / "around.html"
        around.write_text(AROUND.format(width=width, page=html.escape(page.read_text(encoding="utf-8"))))
        with _started("--dump-dom", "--virtual-time-budget=20000", around.as_uri()) as (out, errors):
            text = out
        console = [line for line in errors.splitlines() if ":CONSOLE" in line]
    found = re.search(r'<pre id="found">(.+?)</pre>', text, re.DOTALL)
    assert found is not None, f"the browser did not load the page:\n{errors}"
    return Rendered(**json.loads(html.unescape(found[1])), console=console)


def photograph(page: Path, width: int, height: int, target: Path) -> np.ndarray:
    """The upper part of a page as (height, width, 3) in 0 .. 1, also written as PNG."""
    with _started(f"--window-size={width},{height}", f"--screenshot={target}", page.resolve().as_uri()) as (_, errors):
        assert target.is_file(), f"the browser took no picture:\n{errors}"
    return imread(target)[..., :3]


@contextmanager
def _started(*arguments: str) -> Iterator[tuple[str, str]]:
    """Output and errors of a browser with an empty profile and no network."""
    with TemporaryDirectory() as profile:
        command = [browser(), "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run"]
        command += [f"--user-data-dir={profile}", "--enable-logging=stderr", "--host-resolver-rules=MAP * ~NOTFOUND"]
        done = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
        assert done.returncode == 0, done.stderr
        yield done.stdout, done.stderr
