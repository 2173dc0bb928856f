"""Distribution of firing rates over the neurons of each population, for both executors."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spikebridge.validation.formatting import Table, number, whole
from spikebridge.validation.labelled import Labelled
from spikebridge.validation.picture import (
    INK,
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
from spikebridge.validation.statistics import rates_hz, standard_statistics

N_BINS = 30
RATE = next(statistic for statistic in standard_statistics() if statistic.key == "rate_hz")


def rates_picture(reference: Labelled, simulation: Labelled, executors: tuple[Labelled, ...]) -> Picture:
    """Rates per neuron over all samples.

    Args:
        reference: filled histogram.
        simulation: outlined histogram.
        executors: all whose quartiles the table lists.
    """
    table = _quartiles(executors)
    return Picture(
        key="rates",
        title="Firing rates of single neurons",
        caption=(
            "Left: how many neurons fire at which rate, over all samples; filled bars are "
            f"{reference.title}, the black outline {simulation.title}. Right: the same neurons one by one; a neuron on "
            "the diagonal fires equally often in both."
        ),
        alternative="Histograms of firing rates. "
        + " ".join(f"{row[0]}: median {row[5]} Hz, maximum {row[7]} Hz." for row in table.rows),
        image=data_uri(draw_rates(reference, simulation)),
        tables=(table,),
        notes=((RATE.title, f"{RATE.definition} {RATE.source}"),),
    )


@report_style()
def draw_rates(reference: Labelled, simulation: Labelled) -> Figure:
    """The figure of `rates_picture`: a row per population."""
    populations = list(reference.recording.spikes)
    figure = new_figure(0.6 + 2.5 * max(1, len(populations)))
    panels = figure.subplots(max(1, len(populations)), 2, squeeze=False, width_ratios=[2.2, 1.0])
    for (left, right), name in zip(panels, populations, strict=False):
        ours = rates_hz(reference.recording.spikes[name]).values
        theirs = rates_hz(simulation.recording.spikes[name]).values
        top = float(max(ours.max(initial=0.0), theirs.max(initial=0.0))) or 1.0
        edges = np.linspace(0.0, top, N_BINS + 1)
        left.hist(ours, edges, color=REFERENCE_COLOUR, alpha=0.45, label=reference.title)
        left.hist(theirs, edges, histtype="step", color=INK, lw=1.4, label=simulation.title)
        left.set_ylabel(f"{name}\nneurons")
        left.set_xlabel("firing rate (Hz)")
        left.set_xlim(0.0, 1.02 * top)
        tidy(left)
        if ours.size == theirs.size:
            _draw_pairs(right, ours, theirs, top)
        right.set_xlabel(f"{reference.label} (Hz)")
        right.set_ylabel(f"{simulation.label} (Hz)")
    legend_above(figure, panels[0][0])
    return figure


def _draw_pairs(axes: Axes, ours: np.ndarray, theirs: np.ndarray, top: float) -> None:
    axes.plot([0.0, top], [0.0, top], color=QUIET, lw=0.8, zorder=0)
    axes.plot(ours, theirs, "o", markersize=3.2, color=SIMULATION_COLOUR, markerfacecolor="none", markeredgewidth=0.8)
    axes.set_aspect("equal", adjustable="box")
    axes.set_xlim(-0.03 * top, 1.05 * top)
    axes.set_ylim(-0.03 * top, 1.05 * top)
    axes.set_yticks(axes.get_xticks())
    axes.set_xlim(-0.03 * top, 1.05 * top)
    axes.set_ylim(-0.03 * top, 1.05 * top)
    tidy(axes)


def _quartiles(executors: tuple[Labelled, ...]) -> Table:
    rows = []
    for name in executors[0].recording.spikes:
        for executor in executors:
            rates = rates_hz(executor.recording.spikes[name])
            values = rates.quartiles or (None,) * 5
            row = (name, executor.title, whole(rates.n_total), *(number(value) for value in values), number(rates.mean))
            rows.append(row)
    numbers = ("minimum", "lower quartile", "median", "upper quartile", "maximum", "mean")
    columns = ("population", "executor", "neurons", *numbers)
    return Table("Firing rate per neuron over all samples, in Hz", columns, tuple(rows))
