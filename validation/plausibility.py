"""Published ranges of cortical activity, and which of a network's statistics lie inside.

Lying inside proves nothing: a range is wide, of other animals, areas and stimuli, and a network can be inside all of
them and resemble no brain. Lying outside is a reason to look.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from spikebridge.bridge.errors import DataError
from spikebridge.validation.compare_activity import Activity
from spikebridge.validation.plausibility_values import CARD_STATISTICS, CardValue, card_values

RANGES = Path(__file__).parent / "plausibility.toml"

CAVEAT = (
    "Being inside a published range proves nothing: ranges are wide, come from other animals, areas, stimuli and "
    "methods, and a network can lie inside all of them and resemble no brain. Being outside is a reason to look."
)

_TEXTS = ("id", "statistic", "species", "area", "condition", "finding", "differs", "citation")
_OPTIONAL = ("low", "high", "doi")


class Place(StrEnum):
    """Where a value lies."""

    INSIDE = "inside"
    BELOW = "below"
    ABOVE = "above"
    UNDEFINED = "undefined"


@dataclass(frozen=True, slots=True)
class PublishedRange:
    """What a source found.

    Attributes:
        id: unique name.
        statistic: key of `CARD_STATISTICS`.
        low, high: bounds, both included; None for an open side.
        species, area, condition: of which animal, where, in what state and by what method.
        finding: what the source says.
        differs: how the value here differs from the one there.
        citation: in full.
        doi: where it is certain.
    """

    id: str
    statistic: str
    low: float | None
    high: float | None
    species: str
    area: str
    condition: str
    finding: str
    differs: str
    citation: str
    doi: str | None = None

    def place(self, value: float | None) -> Place:
        """Where a value lies."""
        if value is None:
            return Place.UNDEFINED
        if self.low is not None and value < self.low:
            return Place.BELOW
        if self.high is not None and value > self.high:
            return Place.ABOVE
        return Place.INSIDE


@dataclass(frozen=True, slots=True)
class Judgement:
    """A population's value against one published range."""

    activity: str
    population: str
    published: PublishedRange
    found: CardValue

    @property
    def place(self) -> Place:
        """Where the value lies."""
        return self.published.place(self.found.value)


def plausibility_card(activities: Sequence[Activity], ranges: Sequence[PublishedRange]) -> tuple[Judgement, ...]:
    """Every population of every activity against every range."""
    judged = []
    for activity in activities:
        for population, trains in activity.populations.items():
            values = card_values(trains, activity.labels)
            judged += [Judgement(activity.name, population, each, values[each.statistic]) for each in ranges]
    return tuple(judged)


def load_ranges(path: Path = RANGES) -> tuple[PublishedRange, ...]:
    """Read a file of published ranges.

    Raises:
        DataError: missing, no TOML, or an entry with a missing, unknown or impossible field; names the entry.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise DataError(f"cannot be read as TOML ({error})", path=path) from error
    entries = content.get("range")
    if set(content) != {"range"} or not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
        raise DataError("must consist of tables [[range]], see docs/compare.md", path=path)
    ranges = tuple(_published(entry, number, path) for number, entry in enumerate(entries, start=1))
    ids = [each.id for each in ranges]
    if len(set(ids)) < len(ids):
        raise DataError(f"the same id occurs twice among {', '.join(sorted(ids))}; give each range its own", path=path)
    return ranges


def _published(entry: dict[str, Any], number: int, path: Path) -> PublishedRange:
    name = f"range {number} ({entry.get('id', 'without id')})"
    unknown = sorted(set(entry) - set(_TEXTS) - set(_OPTIONAL))
    if unknown:
        raise DataError(
            f"unknown; known are {', '.join((*_TEXTS, *_OPTIONAL))}", path=path, field=f"{name}: {unknown[0]}"
        )
    for key in (*_TEXTS, *(["doi"] if "doi" in entry else [])):
        if not (isinstance(entry.get(key), str) and entry[key].strip()):
            raise DataError("must be a text that is not empty", path=path, field=f"{name}: {key}")
    if entry["statistic"] not in CARD_STATISTICS:
        known = ", ".join(CARD_STATISTICS)
        raise DataError(
            f"{entry['statistic']!r} is not computed; known are {known}", path=path, field=f"{name}: statistic"
        )
    for key in ("low", "high"):
        bound = entry.get(key)
        number_given = isinstance(bound, int | float) and not isinstance(bound, bool) and math.isfinite(bound)
        if bound is not None and not number_given:
            raise DataError("must be a finite number; leave it out for an open side", path=path, field=f"{name}: {key}")
    low, high = entry.get("low"), entry.get("high")
    if low is None and high is None:
        raise DataError("give low, high or both", path=path, field=name)
    if low is not None and high is not None and low > high:
        raise DataError(f"low ({low}) is above high ({high})", path=path, field=name)
    bounds = [None if bound is None else float(bound) for bound in (low, high)]
    return PublishedRange(low=bounds[0], high=bounds[1], doi=entry.get("doi"), **{key: entry[key] for key in _TEXTS})
