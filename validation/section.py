"""A chapter of `report.html`."""

from __future__ import annotations

from dataclasses import dataclass

from spikebridge.validation.formatting import Table
from spikebridge.validation.picture import Picture


@dataclass(frozen=True, slots=True)
class Section:
    """A chapter.

    Attributes:
        key: anchor.
        title: heading.
        introduction: what it asks and how it was answered.
        tables: shown open, before the pictures.
        notes: (term, explanation) pairs, after the tables.
        pictures: figures; their tables are folded away.
    """

    key: str
    title: str
    introduction: str
    tables: tuple[Table, ...] = ()
    notes: tuple[tuple[str, str], ...] = ()
    pictures: tuple[Picture, ...] = ()
