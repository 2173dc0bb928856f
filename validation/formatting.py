"""Numbers as a reader wants them, and tables of them."""

from __future__ import annotations

from dataclasses import dataclass

from spikebridge.validation.accuracy import Estimate, Proportion

UNDEFINED = "undefined"


@dataclass(frozen=True, slots=True)
class Table:
    """A table of text; the first column names its row.

    Attributes:
        caption: what the numbers are, with units where the columns do not say them.
        columns: (C,) headings.
        rows: each (C,).
    """

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def whole(value: int) -> str:
    """A count with a comma between thousands."""
    return f"{value:,}"


def counted(value: int, noun: str, plural: str | None = None) -> str:
    """A count with its noun, in the plural (by default with an s) unless it is 1."""
    return f"{whole(value)} {noun if value == 1 else plural or noun + 's'}"


def number(value: float | None, digits: int = 2) -> str:
    """A fixed number of decimals, or `undefined`."""
    return UNDEFINED if value is None else f"{value:,.{digits}f}"


def percent(value: float | None) -> str:
    """A share of 0 .. 1 in percent with one decimal, or `undefined`."""
    return UNDEFINED if value is None else f"{value:.1%}"


def signed_percent(value: float | None) -> str:
    """A relative change in percent with its sign and one decimal, or `undefined`."""
    return UNDEFINED if value is None else f"{value:+.1%}"


def small(value: float | None) -> str:
    """A difference that is zero or tiny, or `not recorded`."""
    if value is None:
        return "not recorded"
    return "0" if value == 0 else f"{value:.2g}"


def share(proportion: Proportion | Estimate | None) -> str:
    """Percent with the ends of its 95% interval, or `no samples`."""
    if proportion is None:
        return "no samples"
    return f"{proportion.value:.1%} ({100 * proportion.low:.1f} to {100 * proportion.high:.1f})"
