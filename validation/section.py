"""A chapter of `report.html`."""

from __future__ import annotations

from dataclasses import dataclass

from spikebridge.validation.formatting import Table
from spikebridge.validation.picture import Picture


@dataclass(frozen=True, slots=True)
class Folded:
    """Tables to look something up in: shown when the reader opens them.

    Attributes:
        summary: what is in them.
        tables: at least one.
        notes: (term, explanation) pairs, after the tables.
    """

    summary: str
    tables: tuple[Table, ...]
    notes: tuple[tuple[str, str], ...] = ()


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
        folded: tables that are folded away, last.
        findings: what it found, sentence by sentence, shown after the introduction.
    """

    key: str
    title: str
    introduction: str
    tables: tuple[Table, ...] = ()
    notes: tuple[tuple[str, str], ...] = ()
    pictures: tuple[Picture, ...] = ()
    folded: tuple[Folded, ...] = ()
    findings: tuple[str, ...] = ()
