"""Accuracy, decisions, rates and spike times against the time step."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, NullLocator

from spikebridge.validation.formatting import Table, number, percent, signed_percent
from spikebridge.validation.picture import (
    COLOURS,
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
from spikebridge.validation.refinement import Refinement, StepResult
from spikebridge.validation.refinement_numbers import DEFINITIONS

# Every population has its own marker and line style too.
MARKERS = ("o", "s", "^", "D", "v")
LINES = ("-", "--", "-.", (0, (1, 1.2)), (0, (5, 1, 1, 1, 1, 1)))


def refinement_picture(refinement: Refinement, spike_times: Table) -> Picture:
    """Four panels against the time step, on a logarithmic axis; `spike_times` are the distances as a table."""
    return Picture(
        key="refinement",
        title="Accuracy, rates and spike times against the time step",
        caption=(
            "Every point is one simulation of the same network on the same inputs; the grey line marks the step of the "
            "training. Top: bars are 95% intervals, the blue broken line is the training. Bottom left: large open blue "
            "markers are the training. Bottom right: distances as defined below; dotted is what the grids alone "
            "explain, broken thin lines what the same neurons have in another sample."
        ),
        alternative="Four panels against the time step. " + " ".join(_in_words(step) for step in refinement.steps),
        image=data_uri(draw_refinement(refinement)),
        tables=(_rates_table(refinement), spike_times),
        notes=(
            (
                "Accuracy, decisions changed",
                "Shares of samples with the interval of Wilson 1927 (J. Am. Stat. Assoc. 22:209).",
            ),
            ("Distance", DEFINITIONS["distance"]),
            ("Distance of binning", DEFINITIONS["distance_of_binning"]),
            ("Coincident", DEFINITIONS["coincidence"]),
            ("Another sample", DEFINITIONS["unrelated"]),
        ),
    )


@report_style()
def draw_refinement(refinement: Refinement) -> Figure:
    """The figure of `refinement_picture`."""
    figure = new_figure(6.4)
    panels = figure.subplots(2, 2, sharex=True)
    (top_left, top_right), (bottom_left, bottom_right) = panels
    _draw_shares(top_left, refinement, "accuracy", "accuracy (%)")
    _draw_shares(top_right, refinement, "decisions_changed", "decisions changed (%)")
    _draw_rates(bottom_left, refinement)
    _draw_distances(bottom_right, refinement)
    for axes in panels.ravel():
        axes.axvline(refinement.training.step_ms, color=QUIET, lw=0.8, zorder=0)
        tidy(axes)
    _log_axis(bottom_left, refinement)
    for axes in panels[1]:
        axes.set_xlabel("time step (ms)")
    return figure


def _in_words(step: StepResult) -> str:
    accuracy = percent(None if step.accuracy is None else step.accuracy.value)
    rates = ", ".join(f"{name} {number(p.rate_hz)} Hz" for name, p in step.populations.items())
    return f"{step.step_ms:g} ms: accuracy {accuracy}; {rates}."


def _log_axis(axes: Axes, refinement: Refinement) -> None:
    steps = sorted({refinement.training.step_ms, *(step.step_ms for step in refinement.steps)})
    axes.set_xscale("log")
    axes.set_xticks(steps, [f"{ms:g}" for ms in steps])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlim(steps[0] / 1.35, steps[-1] * 1.35)


def _draw_shares(axes: Axes, refinement: Refinement, key: str, title: str) -> None:
    """A share of samples with its interval per step; the training's accuracy as a line."""
    found = [(step.step_ms, getattr(step, key)) for step in refinement.steps]
    shown = [(step_ms, share) for step_ms, share in found if share is not None]
    x = np.array([step_ms for step_ms, _ in shown])
    value, low, high = (100.0 * np.array([getattr(s, end) for _, s in shown]) for end in ("value", "low", "high"))
    axes.errorbar(
        x, value, (value - low, high - value), fmt="o-", color=SIMULATION_COLOUR, ecolor=INK, elinewidth=1.1, capsize=3
    )
    # Room for a whole marker at 0 %, and for the training's name above its line.
    axes.margins(y=0.14)
    if key == "accuracy" and refinement.training.accuracy is not None:
        training = 100.0 * refinement.training.accuracy.value
        axes.axhline(training, color=REFERENCE_COLOUR, ls="--", lw=1.4, zorder=1)
        axes.annotate(
            f"broken line: training, {training:.1f}%",
            (0.0, 1.0),
            (0, 3),
            xycoords="axes fraction",
            textcoords="offset points",
            color=REFERENCE_COLOUR,
            fontsize=9.5,
        )
    axes.set_ylabel(title)


def _draw_rates(axes: Axes, refinement: Refinement) -> None:
    for index, (name, training) in enumerate(refinement.training.populations.items()):
        points = [(s.step_ms, s.populations[name].rate_hz) for s in refinement.steps]
        defined = np.array([(step_ms, rate) for step_ms, rate in points if rate is not None]).reshape(-1, 2)
        _line(axes, index, name, defined[:, 0], defined[:, 1])
        if training.rate_hz is not None:
            # Around the point of the grid simulation, which is the same; it stands alone where that was not run.
            (mark,) = axes.plot(refinement.training.step_ms, training.rate_hz, MARKERS[index % len(MARKERS)], ms=10)
            mark.set(markerfacecolor="none", markeredgecolor=REFERENCE_COLOUR, markeredgewidth=1.4)
            if index == 0:
                mark.set_label("training")
    axes.margins(y=0.14)
    axes.set_ylim(bottom=0.0)
    axes.set_ylabel("mean rate (Hz)")
    if refinement.training.populations:
        _legend_above(axes)


def _draw_distances(axes: Axes, refinement: Refinement) -> None:
    x = np.array([step.step_ms for step in refinement.steps])
    for index, name in enumerate(refinement.training.populations):
        changes = [step.populations[name] for step in refinement.steps]
        colour = COLOURS[index % len(COLOURS)]
        if name in refinement.unrelated:
            level = refinement.unrelated[name].distance
            (unrelated,) = axes.plot([x.min(), x.max()], [level, level], color=colour, ls=(0, (8, 3)), lw=0.9)
            unrelated.set(marker=MARKERS[index % len(MARKERS)], markersize=4.0, markerfacecolor="none")
            unrelated.set_label("another sample" if index == 0 else None)
        _line(axes, index, name, x, np.array([change.distance for change in changes]))
        (binning,) = axes.plot(x, [change.distance_of_binning for change in changes], ":", color=colour, lw=1.2)
        binning.set(marker=MARKERS[index % len(MARKERS)], markersize=3.0, markerfacecolor="none")
        binning.set_label("binning alone" if index == 0 else None)
    axes.set_ylim(-0.05, 1.05)
    axes.set_ylabel("distance from training (0 to 1)")
    if refinement.training.populations:
        _legend_above(axes)


def _legend_above(axes: Axes) -> None:
    """Where it covers no point."""
    axes.legend(frameon=False, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2, borderaxespad=0.2, columnspacing=1)


def _line(axes: Axes, index: int, name: str, x: np.ndarray, y: np.ndarray) -> None:
    """A population in a colour, marker and line style of its own."""
    axes.plot(
        x,
        y,
        color=COLOURS[index % len(COLOURS)],
        marker=MARKERS[index % len(MARKERS)],
        linestyle=LINES[index % len(LINES)],
        ms=5,
        label=name,
    )


def _rates_table(refinement: Refinement) -> Table:
    names = list(refinement.training.populations)
    rows = []
    for step in (refinement.training, *refinement.steps):
        cells = [number(step.populations[name].rate_hz) for name in names]
        changes = [signed_percent(step.populations[name].rate_change) for name in names]
        rows.append((step.label, f"{step.step_ms:g}", *cells, *changes))
    columns = ("run", "step (ms)", *(f"{name} (Hz)" for name in names), *(f"{name}, change" for name in names))
    return Table("Mean rate per population and its change against the training", columns, tuple(rows))
