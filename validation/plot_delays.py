"""Distribution of the learned delays of every projection."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spikebridge.bridge.arrays import FloatArray
from spikebridge.bridge.spec import NetworkSpec, Projection
from spikebridge.validation.formatting import Table, number, percent, whole
from spikebridge.validation.picture import (
    INK,
    REFERENCE_COLOUR,
    Picture,
    data_uri,
    legend_above,
    new_figure,
    report_style,
    tidy,
)

MAX_BINS = 60
MAX_PANELS_IN_A_ROW = 3

NOTES = (
    (
        "Delay",
        "Time from a spike to its arrival at the synapse's target, a parameter of each synapse that is trained "
        "for feed-forward projections: Khalfaoui-Hassani, Pellegrini & Masquelier 2023 (dilated convolution with "
        "learnable spacings); Hammouamri, Khalfaoui-Hassani & Masquelier 2024, who learn delays with it.",
    ),
    (
        "Absolute weight",
        "Of the exported synapses, batch normalisation folded in; in units of the target's potential (docs/model.md).",
    ),
)


def delays_picture(network: NetworkSpec) -> Picture:
    """Delays per projection, counted and weighted."""
    table = _summary(network)
    return Picture(
        key="delays",
        title="Delays of the trained network",
        caption=(
            "Bars: share of synapses at each delay. Outline: share of their total absolute weight, so that where the "
            "outline is above the bars, strong synapses have that delay. These are the delays after training; what "
            "they were before is not part of the network."
        ),
        alternative="Histograms of delays. "
        + " ".join(f"{row[0]}: median {row[4]} ms, from {row[2]} to {row[5]} ms." for row in table.rows),
        image=data_uri(draw_delays(network)),
        tables=(table,),
        notes=NOTES,
    )


@report_style()
def draw_delays(network: NetworkSpec) -> Figure:
    """The figure of `delays_picture`: one panel per projection."""
    n = max(1, len(network.projections))
    columns = min(n, MAX_PANELS_IN_A_ROW)
    rows = math.ceil(n / columns)
    figure = new_figure(0.5 + 2.4 * rows)
    panels = figure.subplots(rows, columns, squeeze=False, sharey=False).ravel()
    for axes in panels[len(network.projections) :]:
        axes.set_visible(False)
    longest_ms = max((float(p.delay_ms.max(initial=0.0)) for p in network.projections), default=0.0)
    for axes, projection in zip(panels, network.projections, strict=False):
        _draw_projection(axes, projection, network.training_step_ms)
        axes.set_xlim(-network.training_step_ms, longest_ms + network.training_step_ms)
    if network.projections:
        legend_above(figure, panels[0])
    return figure


def delay_edges_ms(delay_ms: FloatArray, step_ms: float) -> FloatArray:
    """Edges of the bins, centred on multiples of the training step, which is where exported delays lie.

    One bin per step, or per several steps where that were more than `MAX_BINS` bins.
    """
    longest = math.ceil(float(delay_ms.max(initial=0.0)) / step_ms - 1e-6)
    steps_per_bin = math.ceil((longest + 1) / MAX_BINS)
    n_bins = math.ceil((longest + 1) / steps_per_bin)
    return (np.arange(n_bins + 1, dtype=np.float64) * steps_per_bin - 0.5) * step_ms


def _draw_projection(axes: Axes, projection: Projection, step_ms: float) -> None:
    delays, weights = projection.delay_ms, np.abs(projection.weight)
    edges = delay_edges_ms(delays, step_ms)
    axes.set_title(projection.label.replace("->", " → "))
    axes.set_xlabel("delay (ms)")
    axes.set_ylabel("share (%)")
    tidy(axes)
    if delays.size == 0:
        return
    counted = np.histogram(delays, edges)[0] / delays.size
    axes.stairs(100 * counted, edges, fill=True, color=REFERENCE_COLOUR, alpha=0.45, label="of synapses")
    if weights.sum() > 0:
        weighted = np.histogram(delays, edges, weights=weights)[0] / weights.sum()
        axes.stairs(100 * weighted, edges, color=INK, lw=1.3, label="of absolute weight")


def _summary(network: NetworkSpec) -> Table:
    rows = []
    for p in network.projections:
        d = p.delay_ms
        if d.size == 0:
            rows.append((p.label, "0", *("undefined",) * 6))
            continue
        weight = np.abs(p.weight)
        weighted = float(np.average(d, weights=weight)) if weight.sum() > 0 else None
        row = (p.label, whole(d.size), number(d.min(), 1), number(float(d.mean()), 1), number(float(np.median(d)), 1))
        rows.append((*row, number(d.max(), 1), number(weighted, 1), percent(float((d == 0).mean()))))
    columns = ("projection", "synapses", "shortest", "mean", "median", "longest", "mean by |weight|", "no delay")
    return Table("Delays per projection, in ms", columns, tuple(rows))
