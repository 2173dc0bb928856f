"""The picture of a first difference: what arrived at the neuron, what was recorded of it, its membrane by replay.

Everything of step k is drawn at the start of step k. A is a wide pale line and round marks, B a thin broken line and
square marks.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from spikebridge.validation.closeup import Closeup
from spikebridge.validation.divergence_text import what, where
from spikebridge.validation.membrane import Trace
from spikebridge.validation.picture import (
    INK,
    PALE,
    QUIET,
    REFERENCE_COLOUR,
    SIMULATION_COLOUR,
    new_figure,
    report_style,
    tidy,
)
from spikebridge.validation.presynaptic import Arrivals

# One row per source while their names can be read, then one label per population.
MAX_NAMED_ROWS = 24
MAX_MARKED_STEPS = 60

type Row = tuple[str, int]


@dataclass(frozen=True, slots=True)
class _Look:
    """How one recording is drawn."""

    label: str
    colour: str
    marker: str
    line_width: float
    line_style: Literal["-", "--"]
    alpha: float
    hatch: str


LOOKS = (
    _Look("A", REFERENCE_COLOUR, "o", 4.5, "-", 0.5, "////"),
    _Look("B", SIMULATION_COLOUR, "s", 1.6, "--", 1.0, "\\\\\\\\"),
)


@report_style()
def draw_divergence(closeup: Closeup) -> Figure:
    """Arrivals, recorded spikes (or potentials of a readout), u, and w where the neuron has adaptation."""
    place = closeup.place
    step_ms = closeup.sides[0].recording.step_ms
    rows = _rows(closeup)
    adaptive = any(trace is not None and trace.adaptation is not None for trace in closeup.traces)
    heights = {"arrivals": float(np.clip(0.15 * len(rows) + 0.3, 0.8, 3.6))}
    heights |= {"recorded": 0.55} if place.spiking else {}
    heights |= {"u": 2.6} | ({"w": 1.4} if adaptive else {})
    figure = new_figure(1.9 + sum(heights.values()))
    panels = dict(
        zip(
            heights,
            figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=list(heights.values()))[:, 0],
            strict=True,
        )
    )
    _draw_arrivals(panels["arrivals"], closeup, rows)
    if place.spiking:
        _draw_recorded(panels["recorded"], closeup)
    _draw_potential(panels["u"], closeup)
    if adaptive:
        _draw_adaptation(panels["w"], closeup)
    for axes in panels.values():
        axes.axvline(place.time_ms, color=INK, linewidth=0.8, linestyle=":", zorder=0)
        tidy(axes)
    last = panels[list(panels)[-1]]
    last.set_xlabel("time from the start of the sample (ms)")
    last.set_xlim((closeup.first_step - 0.5) * step_ms, (closeup.last_step + 0.5) * step_ms)
    figure.align_ylabels(list(panels.values()))
    figure.suptitle(f"{where(place)[0].upper()}{where(place)[1:]}\n{what(place)}", fontsize=11.0, x=0.01, ha="left")
    _legend(figure, closeup)
    return figure


def _rows(closeup: Closeup) -> list[Row]:
    """Every source with an arrival in the window, in the network's order, then by neuron."""
    seen = {
        (source, int(neuron))
        for arrivals in closeup.arrivals
        if arrivals is not None
        for source, neuron in zip(arrivals.source, arrivals.neuron, strict=True)
    }
    order: list[str] = []
    for side in closeup.sides:
        order += [] if side.network is None else [name for name in side.network.sizes if name not in order]
    return sorted(seen, key=lambda row: (order.index(row[0]), row[1]))


def _counted(arrivals: Arrivals | None, rows: list[Row]) -> Counter[tuple[int, int, float]]:
    """How often something arrives, by row, step and weight."""
    if arrivals is None:
        return Counter()
    position = {row: k for k, row in enumerate(rows)}
    sources = [
        position[source, neuron] for source, neuron in zip(arrivals.source, arrivals.neuron.tolist(), strict=True)
    ]
    return Counter(zip(sources, arrivals.step.tolist(), arrivals.weight.tolist(), strict=True))


def _draw_arrivals(axes: Axes, closeup: Closeup, rows: list[Row]) -> None:
    """Triangles up for excitation and down for inhibition, larger for larger weights; framed if only one has it."""
    step_ms = closeup.sides[0].recording.step_ms
    ours, theirs = (_counted(arrivals, rows) for arrivals in closeup.arrivals)
    both_known = all(arrivals is not None for arrivals in closeup.arrivals)
    everything = ours | theirs
    largest = max((abs(weight) for _, _, weight in everything), default=1.0)
    for marker, sign in (("^", 1.0), ("v", -1.0)):
        points = [(step * step_ms, row, abs(weight)) for row, step, weight in everything if weight * sign > 0]
        if points:
            x, y, size = (np.array(column) for column in zip(*points, strict=True))
            axes.scatter(x, y, s=8.0 + 60.0 * size / largest, marker=marker, color=INK, linewidths=0.0, alpha=0.75)
    if both_known:
        for look, only in zip(LOOKS, (ours - theirs, theirs - ours), strict=True):
            time_ms, position = [step * step_ms for _, step, _ in only], [row for row, _, _ in only]
            axes.scatter(
                time_ms,
                position,
                s=150.0,
                marker=look.marker,
                facecolors="none",
                edgecolors=look.colour,
                linewidths=1.6,
            )
    _label_rows(axes, rows)
    known = [side.label for side, arrivals in zip(closeup.sides, closeup.arrivals, strict=True) if arrivals is not None]
    axes.set_ylabel("arrivals\nfrom" if both_known else f"arrivals in {known[0]}\nfrom")
    if not rows:
        axes.text(0.5, 0.5, "nothing arrives", transform=axes.transAxes, ha="center", va="center", color=QUIET)


def _label_rows(axes: Axes, rows: list[Row]) -> None:
    axes.set_ylim(-1.0, max(len(rows), 1))
    axes.invert_yaxis()
    if len(rows) <= MAX_NAMED_ROWS:
        axes.set_yticks(range(len(rows)), [f"{source} {neuron}" for source, neuron in rows], fontsize=8.0)
        return
    groups: dict[str, list[int]] = {}
    for k, (source, _) in enumerate(rows):
        groups.setdefault(source, []).append(k)
    axes.set_yticks([float(np.mean(positions)) for positions in groups.values()], list(groups))
    for positions in list(groups.values())[1:]:
        axes.axhline(positions[0] - 0.5, color=PALE, linewidth=0.8)


def _draw_recorded(axes: Axes, closeup: Closeup) -> None:
    """One row per recording; a cross where the replay does not do what was recorded."""
    for row, (side, look, trace) in enumerate(zip(closeup.sides, LOOKS, closeup.traces, strict=True)):
        trains = side.recording.spikes[closeup.place.population].select([closeup.place.sample])
        mine = trains.step[trains.neuron == closeup.place.neuron]
        shown = mine[(mine >= closeup.first_step) & (mine <= closeup.last_step)]
        axes.plot(shown * trains.step_ms, np.full(shown.size, row), look.marker, color=look.colour, markersize=7.0)
        if trace is not None:
            wrong = trace.unexplained[trace.unexplained >= closeup.first_step] * trains.step_ms
            axes.plot(wrong, np.full(wrong.size, row), "x", color=INK, markersize=9.0, markeredgewidth=1.8)
    axes.set_ylim(1.6, -0.6)
    axes.set_yticks([0, 1], ["A", "B"])
    axes.set_ylabel("spikes")


def _draw_potential(axes: Axes, closeup: Closeup) -> None:
    step_ms = closeup.sides[0].recording.step_ms
    known = [trace for trace in closeup.traces if trace is not None]
    for look, trace in zip(LOOKS, closeup.traces, strict=True):
        if trace is None:
            continue
        _draw_line(axes, closeup, trace.potential, look)
        if trace.threshold is None:
            steps = np.arange(closeup.first_step, closeup.last_step + 1)
            axes.plot(steps * step_ms, trace.recorded[steps], look.marker, color=look.colour, markersize=4.0)
        for step in np.flatnonzero(trace.frozen):
            if closeup.first_step <= step <= closeup.last_step:
                span = axes.axvspan((step - 0.5) * step_ms, (step + 0.5) * step_ms, facecolor="none", linewidth=0.0)
                span.set(edgecolor=look.colour, hatch=look.hatch, alpha=0.35)
    axes.set_ylabel("u\n(dimensionless)")
    thresholds = {trace.threshold for trace in known if trace.threshold is not None}
    for threshold in thresholds:
        axes.axhline(threshold, color=INK, linewidth=1.0, linestyle="-.")
        axes.annotate(
            "θ", (1.0, threshold), xycoords=("axes fraction", "data"), xytext=(3, -3), textcoords="offset points"
        )
    _mark_place(axes, closeup)


def _mark_place(axes: Axes, closeup: Closeup) -> None:
    """A ring on each trace in the differing step; the numbers are in the legend and in the text."""
    for look, trace in zip(LOOKS, closeup.traces, strict=True):
        if trace is not None:
            u = trace.potential[closeup.place.step]
            ring = axes.plot([closeup.place.time_ms], [u], look.marker, color=look.colour)
            ring[0].set(markersize=10.0, markerfacecolor="none", markeredgewidth=1.6)


def _draw_adaptation(axes: Axes, closeup: Closeup) -> None:
    for look, trace in zip(LOOKS, closeup.traces, strict=True):
        if trace is not None and trace.adaptation is not None:
            _draw_line(axes, closeup, trace.adaptation, look)
    axes.set_ylabel("w\n(dimensionless)")


def _draw_line(axes: Axes, closeup: Closeup, values: np.ndarray, look: _Look) -> None:
    steps = np.arange(closeup.first_step, closeup.last_step + 1)
    (line,) = axes.plot(steps * closeup.sides[0].recording.step_ms, values[steps], color=look.colour, alpha=look.alpha)
    line.set(linewidth=look.line_width, linestyle=look.line_style)
    if steps.size <= MAX_MARKED_STEPS:
        line.set(marker=look.marker, markersize=5.0 if look.label == "A" else 3.5)


def _legend(figure: Figure, closeup: Closeup) -> None:
    """What each mark means; only marks that occur."""
    handles: list[Line2D | Patch] = []
    for side, look, trace in zip(closeup.sides, LOOKS, closeup.traces, strict=True):
        text = f"{side.label}: {side.file} ({side.recording.executor}){_at_place(trace, closeup)}"
        handle = Line2D([], [], color=look.colour, marker=look.marker, linestyle=look.line_style, label=text)
        handle.set_linewidth(look.line_width)
        handles.append(handle)
    if any(trace is not None and trace.threshold is not None for trace in closeup.traces):
        handles.append(Line2D([], [], color=INK, linestyle="-.", linewidth=1.0, label="θ, threshold"))
    weights = np.concatenate([np.zeros(1), *(a.weight for a in closeup.arrivals if a is not None)])
    for marker, name, occurs in (("^", "excitatory", (weights > 0).any()), ("v", "inhibitory", (weights < 0).any())):
        if occurs:
            handles.append(Line2D([], [], color=INK, marker=marker, linestyle="", label=f"{name} arrival"))
    for look, trace in zip(LOOKS, closeup.traces, strict=True):
        shown = slice(closeup.first_step, closeup.last_step + 1)
        if trace is not None and trace.frozen[shown].any():
            handle_patch = Patch(facecolor="none", edgecolor=look.colour, hatch=look.hatch, linewidth=0.0)
            handle_patch.set_label(f"{look.label} refractory")
            handles.append(handle_patch)
    handles += _legend_of_differences(closeup)
    figure.legend(handles=handles, loc="outside lower left", ncols=2, frameon=False, handlelength=2.4)


def _legend_of_differences(closeup: Closeup) -> list[Line2D | Patch]:
    found: list[Line2D | Patch] = []
    if all(arrivals is not None for arrivals in closeup.arrivals):
        rows = _rows(closeup)
        ours, theirs = (_counted(arrivals, rows) for arrivals in closeup.arrivals)
        for look, only in zip(LOOKS, (ours - theirs, theirs - ours), strict=True):
            if only:
                handle = Line2D([], [], color=look.colour, marker=look.marker, linestyle="", markersize=10.0)
                handle.set(markerfacecolor="none", markeredgewidth=1.6, label=f"arrives only in {look.label}")
                found.append(handle)
    shown = [t.unexplained[t.unexplained >= closeup.first_step] for t in closeup.traces if t is not None]
    if closeup.place.spiking and any(steps.size for steps in shown):
        cross = Line2D([], [], color=INK, marker="x", linestyle="", markersize=9.0, markeredgewidth=1.8)
        cross.set_label("replay does not do what was recorded")
        found.append(cross)
    return found


def _at_place(trace: Trace | None, closeup: Closeup) -> str:
    if trace is None:
        return ", no trace: its network was not given"
    u = trace.potential[closeup.place.step]
    distance = trace.distance(closeup.place.step)
    return f"\nu = {u:.9g}" + ("" if distance is None else f", u - θ = {distance:+.3g}")
