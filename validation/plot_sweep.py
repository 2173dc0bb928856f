"""Accuracy against rate of all trials of a sweep, and the frontier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spikebridge.validation.formatting import Table, number, percent
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
from spikebridge.validation.sweep_result import SweepResult, SweptTrial, deviation

WIDE = 20.0
"""Rates that differ by more than this factor are drawn on a logarithmic axis."""
BOUNDARY: Mapping[str, Any] = {"color": REFERENCE_COLOUR, "lw": 1.0, "ls": "--", "zorder": 1}


def frontier_picture(result: SweepResult) -> Picture:
    """All trials, the frontier with its spread over seeds."""
    points = "; ".join(
        f"trial {trial.number}, {percent(trial.mean_accuracy)} at {number(trial.mean_rate_hz)} Hz"
        for trial in result.frontier
    )
    return Picture(
        key="frontier-picture",
        title="Accuracy and rate",
        caption=(
            "Filled squares with their trial's number are the frontier: no other trial was more accurate and as quiet, "
            "or quieter and as accurate. Bars are standard deviations over seeds. Open circles are trials that another "
            "one beats, crosses those that were stopped early, at the mean of the realisations they had. What lies "
            "below and to the right of the dashed line is beaten by the frontier."
        ),
        alternative=f"The frontier: {points}." if points else "No trial has ended.",
        image=data_uri(draw_frontier(result)),
        tables=(_table(result.trials),),
    )


@report_style()
def draw_frontier(result: SweepResult) -> Figure:
    """The figure of `frontier_picture`."""
    figure = new_figure(5.0)
    axes = figure.subplots()
    for trials, marker, face, colour, label in (
        (result.stopped, "x", QUIET, QUIET, "stopped early"),
        (result.dominated, "o", "white", SIMULATION_COLOUR, "beaten by another trial"),
    ):
        shown = [trial for trial in trials if trial.accuracy]
        if shown:
            _points(axes, shown, marker, markerfacecolor=face, color=colour, label=label)
    rates = [trial.mean_rate_hz for trial in result.trials if trial.mean_rate_hz is not None]
    frontier = sorted(result.frontier, key=lambda trial: trial.mean_rate_hz or 0.0)
    if frontier:
        _frontier(axes, frontier)
        (rate_hz,), (accuracy,) = _means(frontier[-1:])
        axes.plot([rate_hz, max(rates)], [accuracy, accuracy], **BOUNDARY)
    if rates and min(rates) > 0 and max(rates) / min(rates) > WIDE:
        axes.set_xscale("log")
    axes.set_xlabel("mean rate of hidden neurons on validation samples (Hz)")
    axes.set_ylabel("validation accuracy (%)")
    tidy(axes)
    legend_above(figure, axes)
    return figure


def _points(axes: Axes, trials: Sequence[SweptTrial], marker: str, **style: Any) -> None:
    rates, accuracies = _means(trials)
    axes.plot(rates, accuracies, marker, ls="", markersize=6, **style)


def _frontier(axes: Axes, trials: Sequence[SweptTrial]) -> None:
    rates, accuracies = _means(trials)
    axes.step(rates, accuracies, where="post", **BOUNDARY)
    axes.errorbar(
        rates,
        accuracies,
        xerr=[deviation(trial.rate_hz) or 0.0 for trial in trials],
        yerr=[100 * (deviation(trial.accuracy) or 0.0) for trial in trials],
        fmt="s",
        color=REFERENCE_COLOUR,
        markersize=7,
        elinewidth=1.2,
        capsize=2.5,
        label="frontier",
    )
    for place, (trial, rate, accuracy) in enumerate(zip(trials, rates, accuracies, strict=True)):
        # To both sides in turn: neighbours on the frontier are often close.
        side, alignment = ((6, "left"), (-6, "right"))[place % 2]
        axes.annotate(
            str(trial.number),
            (rate, accuracy),
            xytext=(side, 5),
            textcoords="offset points",
            ha=alignment,
            color=INK,
            fontsize=9,
        )


def _means(trials: Sequence[SweptTrial]) -> tuple[list[float], list[float]]:
    """Rates in Hz, accuracies in percent."""
    return [trial.mean_rate_hz or 0.0 for trial in trials], [100 * (trial.mean_accuracy or 0.0) for trial in trials]


def _table(trials: Sequence[SweptTrial]) -> Table:
    rows = tuple(
        (
            str(trial.number),
            "frontier" if trial.file is not None else "stopped" if trial.stopped is not None else "beaten",
            spread(trial.accuracy, 100.0, 1),
            spread(trial.rate_hz, 1.0, 2),
            str(len(trial.accuracy)),
        )
        for trial in trials
    )
    return Table("Every trial", ("trial", "", "accuracy (%)", "rate (Hz)", "realisations"), rows)


def spread(values: tuple[float, ...], factor: float, digits: int) -> str:
    """Mean ± standard deviation of values times a factor; `none` without values."""
    if not values:
        return "none"
    mean, error = factor * sum(values) / len(values), deviation(values)
    return f"{mean:.{digits}f}" + ("" if error is None else f" ± {factor * error:.{digits}f}")
