"""A page: one HTML file that needs nothing else, and its numbers as JSON beside it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from spikebridge.bridge.storage import atomic_path
from spikebridge.validation.section import Section
from spikebridge.validation.verdict import Verdict

TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """What was found, ready to be written as one page.

    Attributes:
        title: heading.
        verdict: the result in words.
        cards: (value, what it is) of the few numbers that come first.
        sections: chapters with tables and pictures.
        numbers: what the JSON file beside the page holds, under documented keys.
    """

    title: str
    verdict: Verdict
    cards: tuple[tuple[str, str], ...]
    sections: tuple[Section, ...]
    numbers: dict[str, Any]


def write_page(report: Report, directory: Path, stem: str) -> tuple[Path, Path]:
    """Write `<stem>.html` and `<stem>.json` into a directory, each whole or not at all.

    Returns:
        Both paths, HTML first.

    Raises:
        DataError: there is no space for them.
    """
    paths = (Path(directory) / f"{stem}.html", Path(directory) / f"{stem}.json")
    texts = (render_html(report), json.dumps(report.numbers, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    for path, text in zip(paths, texts, strict=True):
        with atomic_path(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return paths


def render_html(report: Report) -> str:
    """The page as one HTML file."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html").render(report=report)
