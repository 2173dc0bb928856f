"""What a further analysis of a run adds to its report: every one the same way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from spikebridge.validation.section import Section

CHAPTERS = ("patterns", "knobs")
"""Keys of all chapters, in the order of the report; `report.json` has each, null where it was not run."""


@dataclass(frozen=True, slots=True, eq=False)
class Chapter:
    """An analysis as a part of the report.

    Attributes:
        key: of its numbers in `report.json`, one of `CHAPTERS`.
        sentence: for the summary at the top.
        cards: (value, what it is) for the summary.
        sections: of the page; their keys start with that of the chapter.
        numbers: what it found, under documented keys.
    """

    key: str
    sentence: str
    cards: tuple[tuple[str, str], ...]
    sections: tuple[Section, ...]
    numbers: dict[str, Any]

    def __post_init__(self) -> None:
        if self.key not in CHAPTERS:
            raise ValueError(f"chapter {self.key!r} is none of {CHAPTERS}")


def chapter_numbers(chapters: Sequence[Chapter]) -> dict[str, Any]:
    """The keys of `report.json` that chapters fill; null for those that were not run."""
    return dict.fromkeys(CHAPTERS) | {chapter.key: chapter.numbers for chapter in chapters}
