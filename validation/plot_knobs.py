"""One picture per knob: accuracy, rates and a few statistics against its amount."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, NullLocator

from spikebridge.bridge.knobs import REVERSED, Knob
from spikebridge.validation.knob_analysis import KnobAnalysis, Point, Spread
from spikebridge.validation.picture import (
    COLOURS,
    INK,
    REFERENCE_COLOUR,
    legend_above,
    new_figure,
    report_style,
    tidy,
)
from spikebridge.validation.plot_refinement import LINES, MARKERS

DOTS = ((1, 1.5), (1, 4), (3, 1.5, 1, 1.5), (3, 4), (6, 2, 1, 2))
"""Of the levels of the network as it is: each like no other, also without colour."""
TICK_SHARE = 0.11
"""Of the axis: amounts that are closer to the one before have no number."""
HATCHES = ("", "////", "....", "xxxx", "\\\\\\\\")


@dataclass(frozen=True, slots=True)
class Panel:
    """One of the small multiples.

    Attributes:
        key: of the statistic.
        label: of the axis, with the unit.
        factor: from the statistic's unit to that of the axis.
        whole: whether it is one of the whole network.
    """

    key: str
    label: str
    factor: float = 1.0
    whole: bool = False


PANELS = (
    Panel("rate_hz", "mean rate (Hz)"),
    Panel("decision_latency_ms", "latency to decision (ms)", whole=True),
    Panel("spike_contrast", "synchrony (SPIKE-contrast)"),
    Panel("isi_lv", "local variation (LV)"),
    Panel("burst_fraction", "spikes in bursts (%)", 100.0),
)


@report_style()
def draw_knob(analysis: KnobAnalysis, knob: Knob) -> Figure:
    """Small multiples that share the axis of amounts; the input played backwards as bars."""
    figure = new_figure(5.6)
    panels = figure.subplots(2, 3, sharex=True)
    points = analysis.points(knob)
    bars = knob.key == REVERSED
    shown = [point for point in points if not (knob.logarithmic and point.amount <= 0)]
    x = np.arange(len(shown), dtype=np.float64) if bars else np.array([point.amount for point in shown])
    _draw_accuracy(panels[0, 0], analysis, shown, x, bars=bars)
    for axes, panel in zip(panels.ravel()[1:], PANELS, strict=True):
        names: Sequence[str | None] = [None] if panel.whole else analysis.populations
        for index, name in enumerate(names):
            spreads = [point.statistic(name, panel.key) for point in shown]
            before = analysis.undisturbed.summary(name, panel.key).value
            _draw_series(axes, panel, index, name, x, spreads, before, len(names), bars=bars)
        axes.set_ylabel(panel.label)
        axes.set_ylim(0.0, 1.08 * axes.get_ylim()[1])
    for axes in panels.ravel():
        tidy(axes)
        _amount_axis(axes, knob, shown, x)
    for axes in panels[1]:
        axes.set_xlabel("" if bars else knob.axis)
    legend_above(figure, panels[0, 1], columns=6)
    return figure


def _draw_accuracy(axes: Axes, analysis: KnobAnalysis, shown: Sequence[Point], x: np.ndarray, *, bars: bool) -> None:
    known = [(at, point, share) for at, point in zip(x, shown, strict=True) if (share := point.interval) is not None]
    mean = np.array([100.0 * (point.accuracy.mean or 0.0) for _, point, _ in known])
    ends = np.array([(100.0 * share.low, 100.0 * share.high) for *_, share in known]).reshape(-1, 2).T
    places = np.array([at for at, *_ in known])
    error = np.maximum(np.abs(ends - mean), 0.0)
    if bars:
        axes.bar(places, mean, 0.6, color="white", edgecolor=INK, hatch="////", yerr=error, capsize=3)
    else:
        axes.errorbar(places, mean, error, color=INK, marker="o", ms=5, capsize=3, elinewidth=1.0)
        for at, point, _ in known:
            if len(point.draws) > 1:
                values = [100.0 * value for value in point.accuracy.values]
                axes.plot([at] * len(values), values, "_", color=INK, ms=9, mew=1.0, alpha=0.7)
    before, chance = analysis.undisturbed.accuracy, 100.0 * analysis.origin.chance
    levels = [axes.axhline(chance, color=INK, ls=":", lw=1.3, zorder=1, label=f"chance, {chance:.1f}%")]
    if before is not None:
        value = 100.0 * before.value
        label = f"undisturbed, {value:.1f}%"
        levels.append(axes.axhline(value, color=REFERENCE_COLOUR, ls="--", lw=1.3, zorder=1, label=label))
    # Above the panel, where it covers no point.
    axes.legend(
        handles=levels[::-1],
        loc="lower left",
        bbox_to_anchor=(-0.02, 1.0),
        ncols=2,
        fontsize=8.5,
        frameon=False,
        handlelength=1.6,
        columnspacing=0.8,
        borderpad=0.1,
    )
    axes.set_ylim(0.0, min(105.0, max([*ends[1], chance, 0.0 if before is None else 100 * before.value]) + 8.0))
    axes.set_ylabel("accuracy (%)")


def _draw_series(
    axes: Axes,
    panel: Panel,
    index: int,
    name: str | None,
    x: np.ndarray,
    spreads: Sequence[Spread],
    before: float | None,
    series: int,
    *,
    bars: bool,
) -> None:
    """One population, or the network, with its standard deviation over draws; what is undefined has no marker."""
    colour = INK if name is None else COLOURS[index % len(COLOURS)]
    defined = [
        (at, panel.factor * spread.mean, panel.factor * (spread.deviation or 0.0))
        for at, spread in zip(x, spreads, strict=True)
        if spread.mean is not None
    ]
    places, mean, deviation = np.array(defined).reshape(-1, 3).T
    if bars:
        width = 0.7 / series
        offset = (index - (series - 1) / 2) * width
        hatch = HATCHES[index % len(HATCHES)]
        axes.bar(places + offset, mean, width, color="white", edgecolor=colour, hatch=hatch, label=name)
        return
    axes.errorbar(
        places,
        mean,
        deviation,
        color=colour,
        capsize=3,
        elinewidth=1.0,
        label=name,
        marker=MARKERS[index % len(MARKERS)],
        linestyle=LINES[index % len(LINES)],
        ms=5,
    )
    if before is not None:
        label = None if name is None else f"{name} undisturbed"
        dots = DOTS[index % len(DOTS)]
        axes.axhline(panel.factor * before, color=colour, ls=(0, dots), lw=1.0, zorder=1, label=label)


def _amount_axis(axes: Axes, knob: Knob, shown: Sequence[Point], x: np.ndarray) -> None:
    if knob.key == REVERSED:
        axes.set_xticks(x, ["as it was" if point.undisturbed else "backwards" for point in shown])
        axes.set_xlim(-0.6, len(shown) - 0.4)
        return
    places = np.log(x) if knob.logarithmic else x
    if knob.logarithmic:
        axes.set_xscale("log")
        axes.set_xlim(x.min() / 1.25, x.max() * 1.25)
        span = float(np.ptp(places)) + 2 * np.log(1.25)
    else:
        span = max(float(np.ptp(x)), 1.0)
        axes.set_xlim(x.min() - 0.06 * span, x.max() + 0.06 * span)
    # Amounts that lie close together would write over each other.
    ticks: list[int] = []
    for k, place in enumerate(places):
        if not ticks or place - places[ticks[-1]] >= TICK_SHARE * span:
            ticks.append(k)
    axes.set_xticks(x[ticks], [f"{x[k]:g}" for k in ticks])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
