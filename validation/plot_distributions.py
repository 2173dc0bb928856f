"""Cumulative distributions of several statistics, population by population, for the executors side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter

from spikebridge.validation.activity_tables import reasons_table, spread_table
from spikebridge.validation.observations import Definition, Observations
from spikebridge.validation.picture import (
    INK,
    QUIET,
    REFERENCE_COLOUR,
    SIMULATION_COLOUR,
    Picture,
    data_uri,
    new_figure,
    report_style,
    tidy,
)

STYLES: tuple[dict[str, Any], ...] = (
    {"color": REFERENCE_COLOUR, "ls": "-", "lw": 3.2, "alpha": 0.55},
    {"color": INK, "ls": "--", "lw": 1.3},
    {"color": SIMULATION_COLOUR, "ls": "-.", "lw": 1.3},
)
MAX_POINTS = 400
CONTROL_STYLE: dict[str, Any] = {"color": QUIET, "ls": ":", "lw": 1.8}


@dataclass(frozen=True, slots=True)
class Panel:
    """One statistic of a figure.

    Attributes:
        statistic: what is shown.
        expected: value of Poisson neurons, marked by a line; None for no line.
        control: key of the statistic after a control, drawn for the first executor; None for none.
    """

    statistic: Definition
    expected: float | None = None
    control: str | None = None


@dataclass(frozen=True, slots=True)
class Words:
    """Anchor, title and caption of a figure."""

    key: str
    title: str
    caption: str


type Seen = Mapping[str, Mapping[str, Mapping[str, Observations]]]
"""By label of the executor, row of the figure (a population, or the network) and key of the statistic."""


def distributions_picture(
    words: Words, panels: Sequence[Panel], shown: Mapping[str, str], seen: Seen, definitions: Sequence[Definition]
) -> Picture:
    """A figure with a column per panel and a row per population.

    Args:
        words: title and caption; how lines are drawn is added to it.
        panels: columns.
        shown: title by label, of at most three executors whose lines are drawn; the first is the reference.
        seen: observations of all executors; the tables list every one.
        definitions: of all statistics that the tables list and the notes explain.
    """
    middle = []
    for name, found in seen[next(iter(shown))].items():
        means = ", ".join(f"{p.statistic.title} {_in_words(found[p.statistic.key].mean)}" for p in panels)
        middle.append(f"{name}: {means}.")
    return Picture(
        key=words.key,
        title=words.title,
        caption=(
            f"{words.caption} A line rises by the share of values up to there (the height at a value is the share that "
            "is at most as large); n is the number of values of the first executor."
        ),
        alternative=f"Cumulative distributions. Means of {next(iter(shown.values()))}: " + " ".join(middle),
        image=data_uri(draw_distributions(panels, shown, seen)),
        tables=tuple(t for t in (spread_table(definitions, seen), reasons_table(definitions, seen)) if t is not None),
        notes=tuple((d.title, f"{d.definition} {d.source}") for d in definitions),
    )


@report_style()
def draw_distributions(panels: Sequence[Panel], shown: Mapping[str, str], seen: Seen) -> Figure:
    """The figure of `distributions_picture`."""
    rows = list(seen[next(iter(shown))])
    figure = new_figure(0.9 + 2.1 * max(1, len(rows)))
    grid = figure.subplots(max(1, len(rows)), len(panels), squeeze=False, sharex="col", sharey=True)
    lines: dict[str, Line2D] = {}
    for axes_row, name in zip(grid, rows, strict=False):
        for axes, panel in zip(axes_row, panels, strict=True):
            lines |= _draw_panel(axes, panel, shown, {label: seen[label][name] for label in shown})
        axes_row[0].set_ylabel(f"{name}\nshare of values")
    for axes, panel in zip(grid[-1], panels, strict=True):
        unit = "" if panel.statistic.unit in ("", "share") else f" ({panel.statistic.unit})"
        axes.set_xlabel(_wrapped(panel.statistic.title + unit))
        if axes.get_xlim()[1] >= 10_000:
            axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    for axes in grid.flat:
        axes.set_ylim(-0.02, 1.02)
        tidy(axes)
    if lines:
        figure.legend(
            list(lines.values()), list(lines), loc="outside upper left", ncols=5, frameon=False, handletextpad=0.5
        )
    return figure


def _draw_panel(
    axes: Axes, panel: Panel, shown: Mapping[str, str], seen: Mapping[str, Mapping[str, Observations]]
) -> dict[str, Line2D]:
    lines: dict[str, Line2D] = {}
    for (label, title), style in zip(shown.items(), STYLES, strict=False):
        values = seen[label][panel.statistic.key].values
        if values.size:
            (lines[title],) = axes.plot(*_cumulative(values), **style)
    first = seen[next(iter(shown))]
    if panel.control is not None and first[panel.control].values.size:
        (lines["samples exchanged"],) = axes.plot(*_cumulative(first[panel.control].values), **CONTROL_STYLE)
    n = first[panel.statistic.key].n_defined
    if not lines:
        axes.text(0.5, 0.5, "undefined", ha="center", va="center", color=QUIET, transform=axes.transAxes)
    else:
        axes.set_title(f"n = {n:,}", loc="right", fontsize=8.5, color=QUIET, pad=3)
    if panel.expected is not None and lines:
        lines["Poisson"] = axes.axvline(panel.expected, color=QUIET, lw=0.9, zorder=0)
    return lines


def _cumulative(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Corners of the distribution function; what repeats is one step, so that a picture stays small."""
    points, counts = np.unique(values, return_counts=True)
    share = np.cumsum(counts) / values.size
    if points.size > MAX_POINTS:
        kept = np.unique(np.searchsorted(share, np.linspace(share[0], 1.0, MAX_POINTS)).clip(0, points.size - 1))
        points, share = points[kept], share[kept]
    return np.repeat(points, 2), np.concatenate([[0.0], np.repeat(share[:-1], 2), share[-1:]])


def _in_words(mean: float | None) -> str:
    return "undefined" if mean is None else f"{mean:.3g}"


def _wrapped(text: str, width: int = 26) -> str:
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) > width and lines[-1]:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(lines)
