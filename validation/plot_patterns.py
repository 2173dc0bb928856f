"""Pictures of a search for patterns: counts against chance, what would have been found, and the largest pattern."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from spikebridge.bridge.arrays import BoolArray
from spikebridge.validation.formatting import Table, counted, number, share, whole
from spikebridge.validation.patterns_result import Found, PatternAnalysis
from spikebridge.validation.picture import (
    COLOURS,
    INK,
    PALE,
    QUIET,
    REFERENCE_COLOUR,
    SIMULATION_COLOUR,
    Picture,
    data_uri,
    legend_above,
    new_figure,
    report_style,
    tidy,
)


def size_names(analysis: PatternAnalysis) -> list[str]:
    """`3`, `4`, ..., `6+`."""
    p = analysis.parameters
    return [str(size) for size in range(p.min_spikes, p.max_spikes)] + [f"{p.max_spikes}+"]


def counts_picture(analysis: PatternAnalysis) -> Picture:
    """Largest counts of the data beside those of surrogates."""
    columns = ("data set", *(f"{name} spikes" for name in size_names(analysis)))
    rows = tuple(
        (
            _title(found),
            *(
                f"{whole(int(seen))} (chance {whole(int(low))} to {whole(int(high))}, p = {number(float(p), 3)})"
                for seen, low, high, p in zip(
                    found.observed, found.chance.min(axis=0), found.chance.max(axis=0), found.p_values, strict=True
                )
            ),
        )
        for found in analysis.found
    )
    n = analysis.parameters.surrogates
    caption = f"Occurrences of the most frequent pattern, range over {n} surrogates, p before correction over sizes"
    return Picture(
        key="counts",
        title="How often the most frequent pattern of each size occurs",
        caption=(
            "One dot per class: how often the most frequent pattern of that many spikes, or more, occurs in its "
            "trials; filled where it is significant, a ring where it is not, a cross where surrogates do not fit the "
            f"class. Grey bars: the range over the {n} surrogates of that class, the tick their median. Zero means "
            "that none occurred often enough."
        ),
        alternative="; ".join(
            f"{_title(found)}: {', '.join(str(int(count)) for count in found.observed)}" for found in analysis.found
        ),
        image=data_uri(draw_counts(analysis)),
        tables=(Table(caption, columns, rows),),
    )


@report_style()
def draw_counts(analysis: PatternAnalysis) -> Figure:
    """The figure of `counts_picture`: a panel per population."""
    names = analysis.populations
    figure = new_figure(0.5 + 2.6 * len(names))
    panels = figure.subplots(len(names), 1, squeeze=False)[:, 0]
    for axes, name in zip(panels, names, strict=True):
        sets = [found for found in analysis.found if found.data.population == name]
        _draw_population(axes, sets, len(size_names(analysis)), analysis.parameters.alpha)
        axes.set_title(name, loc="left")
        axes.set_xticks(range(len(size_names(analysis))), [f"{size} spikes" for size in size_names(analysis)])
        axes.set_ylabel("occurrences")
        axes.set_ylim(bottom=0)
        tidy(axes)
    legend_above(figure, panels[0])
    return figure


def _draw_population(axes: Axes, sets: list[Found], sizes: int, alpha: float) -> None:
    places = (np.arange(len(sets)) - (len(sets) - 1) / 2) * 0.8 / max(len(sets), 1)
    width = 0.5 / max(len(sets), 1)
    for index, (place, found) in enumerate(zip(places, sets, strict=True)):
        x = np.arange(sizes) + place
        low, middle, high = np.quantile(found.chance, [0.0, 0.5, 1.0], axis=0)
        label = "range of surrogates, median" if index == 0 else None
        axes.bar(x, np.maximum(high - low, 0.15), width, low, color=PALE, label=label)
        axes.hlines(middle, x - width / 2, x + width / 2, color=QUIET, lw=1.2)
        above, trusted = found.significant_sizes(alpha), found.trusted(alpha)
        kinds: tuple[tuple[str, BoolArray, dict[str, Any]], ...] = (
            ("data, significant", above & trusted, {"marker": "o", "color": SIMULATION_COLOUR}),
            ("data, significant but not counted", above & (not trusted), {"marker": "x", "color": SIMULATION_COLOUR}),
            ("data, not significant", ~above, {"marker": "o", "color": INK, "markerfacecolor": "none"}),
        )
        for name, chosen, style in kinds:
            label = name if index == 0 else None
            axes.plot(x[chosen], found.observed[chosen], ls="none", markersize=4.5, label=label, **style)


def power_picture(analysis: PatternAnalysis) -> Picture:
    """Share of planted patterns that were found."""
    p = analysis.parameters
    rows = []
    for name in analysis.populations:
        for size in p.planted_spikes:
            cells = [analysis.power(name, size, count) for count in p.planted_occurrences]
            rows.append(
                (
                    f"{name}: {size} spikes",
                    *("not possible" if cell is None else f"{share(cell)}, n = {cell.samples}" for cell in cells),
                )
            )
    columns = ("pattern", *(f"{count} times" for count in p.planted_occurrences))
    return Picture(
        key="power",
        title="What would have been found",
        caption=(
            "Share of patterns that were found after they had been planted into surrogates of the data, in percent, by "
            f"number of spikes and of occurrences, over all classes. Framed: the whole 95% "
            f"interval is at {p.required_power:.0%} or more. Crossed: "
            "could not be planted, because too few neurons fire so often."
        ),
        alternative="; ".join(f"{row[0]}: {', '.join(row[1:])}" for row in rows),
        image=data_uri(draw_power(analysis)),
        tables=(Table("Planted patterns found, with the 95% interval of Wilson", columns, tuple(rows)),),
    )


@report_style()
def draw_power(analysis: PatternAnalysis) -> Figure:
    """The figure of `power_picture`: a map per population."""
    p, names = analysis.parameters, analysis.populations
    figure = new_figure(0.9 + 0.5 * len(p.planted_spikes))
    panels = figure.subplots(1, len(names), squeeze=False)[0]
    for axes, name in zip(panels, names, strict=True):
        for row, size in enumerate(p.planted_spikes):
            for column, count in enumerate(p.planted_occurrences):
                _draw_cell(axes, analysis, name, (row, column), (size, count))
        axes.set_xlim(-0.5, len(p.planted_occurrences) - 0.5)
        axes.set_ylim(-0.5, len(p.planted_spikes) - 0.5)
        axes.set_xticks(range(len(p.planted_occurrences)), [str(count) for count in p.planted_occurrences])
        axes.set_yticks(range(len(p.planted_spikes)), [str(size) for size in p.planted_spikes])
        axes.set_xlabel("occurrences")
        axes.set_ylabel("spikes")
        axes.set_title(name, loc="left")
        tidy(axes)
    return figure


def _draw_cell(axes: Axes, analysis: PatternAnalysis, name: str, place: tuple[int, int], cell: tuple[int, int]) -> None:
    power = analysis.power(name, *cell)
    row, column = place
    value = 0.0 if power is None else power.value
    strong = cell in analysis.detectable(name)
    axes.barh(row, 0.9, 0.86, column - 0.45, color=REFERENCE_COLOUR, alpha=0.08 + 0.62 * value, lw=0)
    if strong:
        axes.barh(row, 0.9, 0.86, column - 0.45, facecolor="none", edgecolor=INK, lw=1.4)
    text = "×" if power is None else f"{100 * value:.0f}"
    axes.text(column, row, text, ha="center", va="center", color=INK, fontweight="bold" if strong else "normal")


def pattern_picture(analysis: PatternAnalysis) -> Picture | None:
    """The largest pattern of the data sets that count, with the spikes around it; None if there is none."""
    ranked = [
        (len(pattern["neurons"]), len(pattern["times_ms"]), -index, found, pattern)
        for index, found in enumerate(analysis.trusted)
        for pattern in found.patterns
    ]
    if not ranked:
        return None
    size, count, _, found, pattern = max(ranked, key=lambda entry: entry[:3])
    rows = tuple(
        (str(neuron), number(lag, 0)) for neuron, lag in zip(pattern["neurons"], pattern["lags_ms"], strict=True)
    )
    return Picture(
        key="pattern",
        title=f"The largest pattern: {size} spikes, {counted(count, 'time')}, {_title(found)}",
        caption=(
            "Every row is one occurrence, aligned to its first bin; each marker is a spike of one neuron of the "
            "pattern (the order of neurons is that of the table), grey lines are all spikes of those neurons nearby."
            + (f" Shown are the first {MOST_ROWS} of {whole(count)} occurrences." if count > MOST_ROWS else "")
        ),
        alternative=f"{counted(count, 'occurrence')} of neurons {', '.join(map(str, pattern['neurons']))} with lags of "
        f"{', '.join(f'{lag:g}' for lag in pattern['lags_ms'])} ms.",
        image=data_uri(draw_pattern(found, pattern, analysis.parameters.bin_ms, analysis.parameters.window_ms)),
        tables=(Table("Neurons and the bins of their spikes, in ms after the first", ("neuron", "lag (ms)"), rows),),
    )


MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*")
MOST_ROWS = 40


@report_style()
def draw_pattern(found: Found, pattern: dict[str, list[float]], bin_ms: float, window_ms: float) -> Figure:
    """The figure of `pattern_picture`: a row per occurrence, at most 40."""
    spikes = found.data.spikes
    figure = new_figure(3.6)
    axes = figure.subplots()
    occurrences = list(zip(pattern["trials"], pattern["times_ms"], strict=True))[:MOST_ROWS]
    for row, (trial, start) in enumerate(occurrences):
        for index, (neuron, lag) in enumerate(zip(pattern["neurons"], pattern["lags_ms"], strict=True)):
            own = spikes.time_ms[(spikes.trial == trial) & (spikes.neuron == neuron)] - start
            axes.vlines(own[np.abs(own) < 2 * window_ms], row - 0.35, row + 0.35, color=PALE, lw=1.0)
            hit = own[(own >= lag - bin_ms / 1000) & (own < lag + bin_ms)]
            marker = MARKERS[index % len(MARKERS)]
            label = f"neuron {int(neuron)}, {lag:g} ms" if row == 0 else None
            axes.plot(
                hit[:1],
                [row],
                marker,
                markersize=4.2,
                color=COLOURS[index % len(COLOURS)],
                label=label,
                markeredgewidth=0,
            )
    axes.set_xlim(-window_ms / 2, 1.5 * window_ms)
    axes.set_ylim(len(occurrences) - 0.4, -0.6)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("time after the first bin of the occurrence (ms)")
    axes.set_ylabel("occurrence")
    tidy(axes)
    legend_above(figure, axes, columns=4)
    return figure


def _title(found: Found) -> str:
    return f"{found.data.population}, {found.data.class_name}"
