"""Rasters of one sample: the input, then every population with both executors on top of each other."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spikebridge.bridge.recording import Recording
from spikebridge.validation.compatibility import on_same_grid
from spikebridge.validation.elephant_functions import mean_firing_rate
from spikebridge.validation.formatting import Table, counted, number, whole
from spikebridge.validation.labelled import Labelled
from spikebridge.validation.neo_trains import neo_trains
from spikebridge.validation.parity import spike_differences
from spikebridge.validation.picture import (
    INK,
    REFERENCE_COLOUR,
    SIMULATION_COLOUR,
    Picture,
    data_uri,
    legend_above,
    new_figure,
    report_style,
    tidy,
)

# Above this many markers a panel is embedded as pixels: every marker of a vector picture costs about 80 bytes.
MAX_VECTOR_MARKERS = 3000

NOTES = (
    (
        "Mean rate",
        "Spikes of a neuron in this sample by its duration, averaged over neurons, by Elephant's "
        "mean_firing_rate (elephant.statistics).",
    ),
    (
        "Mismatch",
        "A spike of one neuron in one step that only one of the two fired; one that moved counts twice. A "
        "definition of this project (docs/model.md, the parity ladder).",
    ),
)


def typical_sample(recording: Recording) -> int:
    """The sample whose number of spikes, over all populations, is the median (the lower one of an even number)."""
    total = sum((np.diff(trains.offsets) for trains in recording.spikes.values()), np.zeros(recording.trials.n_samples))
    return int(np.argsort(total, kind="stable")[(total.size - 1) // 2])


def raster_picture(reference: Labelled, simulation: Labelled, sample: int, why: str) -> Picture:
    """Both executors overlaid in one sample, with the spikes counted per population.

    Args:
        reference: drawn as open circles.
        simulation: drawn as dots.
        sample: which sample.
        why: the reason for this one, for the caption.
    """
    trials = reference.recording.trials
    label = trials.class_names[int(trials.labels[sample])]
    time_s = trials.events.select([sample]).time_s
    n_late = int((time_s >= reference.recording.duration_s).sum())
    late = f" ({counted(n_late, 'later one')} not shown)" if n_late else ""
    table = _counts(reference, simulation, sample)
    marks = (
        "A dot in every circle means that both fired the same spikes. A diamond frames a spike that only one fired."
        if on_same_grid(reference.recording, simulation.recording)
        else "They ran on different grids, so that small shifts are expected."
    )
    return Picture(
        key="raster",
        title=f"Spikes in sample {sample}, “{label}”",
        caption=(
            f"Sample {sample} is {why}. Top: the {whole(time_s.size - n_late)} input spikes at their true times{late}. "
            f"Below: the spikes of each population, {reference.title} as open circles and {simulation.title} as dots, "
            f"each at the start of its step. {marks}"
        ),
        alternative=f"Raster of sample {sample}. " + " ".join(f"{row[0]}: {', '.join(row[1:])}." for row in table.rows),
        image=data_uri(draw_raster(reference, simulation, sample)),
        tables=(table,),
        notes=NOTES,
    )


@report_style()
def draw_raster(reference: Labelled, simulation: Labelled, sample: int) -> Figure:
    """The figure of `raster_picture`."""
    populations = list(reference.recording.spikes)
    figure = new_figure(1.9 + 2.1 * len(populations))
    panels = figure.subplots(
        1 + len(populations), 1, sharex=True, squeeze=False, height_ratios=[1.0, *(1.5 for _ in populations)]
    )[:, 0]
    _draw_input(panels[0], reference.recording, sample)
    for axes, name in zip(panels[1:], populations, strict=True):
        _draw_population(axes, reference, simulation, name, sample)
    panels[-1].set_xlabel("time from the start of the sample (ms)")
    panels[-1].set_xlim(0.0, reference.recording.n_steps * reference.recording.step_ms)
    figure.align_ylabels(list(panels))
    legend_above(figure, panels[1] if populations else panels[0])
    return figure


def _draw_input(axes: Axes, recording: Recording, sample: int) -> None:
    events = recording.trials.events.select([sample])
    many = events.time_s.size > MAX_VECTOR_MARKERS
    axes.plot(events.time_s * 1000.0, events.channel, ",", color=INK, alpha=0.6, rasterized=many)
    axes.set_ylim(-0.5, events.n_channels - 0.5)
    axes.set_ylabel("input\nchannel")
    tidy(axes)


def _draw_population(axes: Axes, reference: Labelled, simulation: Labelled, name: str, sample: int) -> None:
    ours = reference.recording.spikes[name].select([sample])
    theirs = simulation.recording.spikes[name].select([sample])
    many = ours.n_spikes + theirs.n_spikes > MAX_VECTOR_MARKERS
    circles = axes.plot(ours.time_ms, ours.neuron, "o", color=REFERENCE_COLOUR, label=reference.title, rasterized=many)
    circles[0].set(markersize=5.0, markerfacecolor="none", markeredgewidth=0.9)
    dots = axes.plot(
        theirs.time_ms, theirs.neuron, "o", color=SIMULATION_COLOUR, label=simulation.title, rasterized=many
    )
    dots[0].set(markersize=2.0)
    if on_same_grid(reference.recording, simulation.recording):
        wrong = spike_differences(ours, theirs)
        if wrong.step.size:
            frames = axes.plot(wrong.step * ours.step_ms, wrong.neuron, "D", color=INK, label="only one fired")
            frames[0].set(markersize=9.0, markerfacecolor="none", markeredgewidth=1.2)
    margin = 1.0 + 0.02 * ours.n_neurons
    axes.set_ylim(-margin, ours.n_neurons - 1 + margin)
    axes.set_ylabel(f"{name}\nneuron")
    tidy(axes)


def _counts(reference: Labelled, simulation: Labelled, sample: int) -> Table:
    rows = []
    for name, trains in reference.recording.spikes.items():
        other = simulation.recording.spikes[name]
        different = "not on one grid"
        if on_same_grid(reference.recording, simulation.recording):
            different = whole(spike_differences(trains.select([sample]), other.select([sample])).n_mismatches)
        row = [name]
        for spikes in (trains, other):
            per_train = [float(mean_firing_rate(train).rescale("Hz")) for train in neo_trains(spikes, sample)]
            row += [whole(int(np.diff(spikes.offsets)[sample])), number(float(np.mean(per_train)))]
        rows.append((*row, different))
    columns = [f"{what}, {e.label}" for e in (reference, simulation) for what in ("spikes", "mean rate (Hz)")]
    caption = f"Spikes and mean rate per neuron in sample {sample}"
    return Table(caption, ("population", *columns, "mismatches"), tuple(rows))
