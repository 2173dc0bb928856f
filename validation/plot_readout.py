"""Readout potentials of one sample, from which the class is decided."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spikebridge.validation.compatibility import on_same_grid
from spikebridge.validation.formatting import Table, number, small
from spikebridge.validation.labelled import Labelled
from spikebridge.validation.picture import (
    INK,
    PALE,
    REFERENCE_COLOUR,
    SIMULATION_COLOUR,
    Picture,
    data_uri,
    legend_above,
    new_figure,
    report_style,
    tidy,
)

NOTES = (
    (
        "Readout",
        "A leaky integrator per class that never spikes, after Bittar & Garner 2022 (Front. Neurosci. 16:865897).",
    ),
    (
        "Score",
        "What the class is decided by: the decoding of the readout's potentials that network.h5 names. The "
        "decision is the class with the highest score. A definition of the network (docs/model.md).",
    ),
)


def readout_picture(reference: Labelled, simulation: Labelled, sample: int) -> Picture | None:
    """Readout potentials of both executors; None unless both kept them."""
    if reference.recording.readout is None or simulation.recording.readout is None:
        return None
    names = reference.recording.trials.class_names
    true = names[int(reference.recording.trials.labels[sample])]
    decided = [names[int(executor.recording.decisions[sample])] for executor in (reference, simulation)]
    outcome = (
        f"The true class is “{true}”; {reference.title} decided for “{decided[0]}”, "
        f"{simulation.title} for “{decided[1]}”."
    )
    return Picture(
        key="readout",
        title=f"Readout in sample {sample}",
        caption=(
            f"Potential of each class's readout, a leaky integrator that never spikes. {outcome} Wide pale lines are "
            f"{reference.title}, thin broken lines on top of them {simulation.title}; classes that are neither true "
            "nor decided for are grey."
        ),
        alternative=f"Readout potentials of sample {sample}. {outcome}",
        image=data_uri(draw_readout(reference, simulation, sample)),
        tables=(_scores(reference, simulation, sample),),
        notes=NOTES,
    )


@report_style()
def draw_readout(reference: Labelled, simulation: Labelled, sample: int) -> Figure:
    """The figure of `readout_picture`; an executor without potentials is left out."""
    figure = new_figure(3.1)
    axes = figure.subplots()
    trials = reference.recording.trials
    true = int(trials.labels[sample])
    shown = {int(executor.recording.decisions[sample]) for executor in (reference, simulation)} | {true}
    for executor, is_reference in ((reference, True), (simulation, False)):
        for k in sorted(range(len(trials.class_names)), key=lambda k: k in shown):
            _draw_class(axes, executor, sample, k, is_reference=is_reference, quiet=k not in shown, true=k == true)
    axes.set_xlim(0.0, reference.recording.n_steps * reference.recording.step_ms)
    axes.set_xlabel("time from the start of the sample (ms)")
    axes.set_ylabel("readout potential\n(dimensionless)")
    tidy(axes)
    legend_above(figure, axes, columns=3)
    return figure


def _draw_class(
    axes: Axes, executor: Labelled, sample: int, k: int, *, is_reference: bool, quiet: bool, true: bool
) -> None:
    recording = executor.recording
    if recording.readout is None:
        return
    # The potential of step k is the one after its propagation: it belongs to the end of the step.
    time_ms = np.arange(1, recording.n_steps + 1) * recording.step_ms
    colour = PALE if quiet else REFERENCE_COLOUR if true else SIMULATION_COLOUR
    kind = "true class" if true else "decided for, wrongly"
    label = None if quiet else f"“{recording.trials.class_names[k]}” ({kind}), {executor.label}"
    (line,) = axes.plot(time_ms, recording.readout[sample, :, k], label=label)
    if is_reference:
        line.set(color=colour, linewidth=1.0 if quiet else 4.5, alpha=0.55)
    else:
        line.set(color=PALE if quiet else INK, linewidth=0.8 if quiet else 1.3, linestyle="--" if true else ":")


def _scores(reference: Labelled, simulation: Labelled, sample: int) -> Table:
    ours, theirs = reference.recording, simulation.recording
    same_grid = on_same_grid(ours, theirs)
    rows = []
    for k, name in enumerate(ours.trials.class_names):
        marks = [
            mark
            for mark, is_it in (
                ("true", k == ours.trials.labels[sample]),
                (f"decided by {reference.label}", k == ours.decisions[sample]),
                (f"decided by {simulation.label}", k == theirs.decisions[sample]),
            )
            if is_it
        ]
        difference = "not on one grid"
        if same_grid and ours.readout is not None and theirs.readout is not None:
            difference = small(float(np.abs(ours.readout[sample, :, k] - theirs.readout[sample, :, k]).max()))
        scores = [number(float(recording.scores[sample, k]), 4) for recording in (ours, theirs)]
        rows.append((name, *scores, difference, ", ".join(marks)))
    return Table(
        f"Scores of sample {sample} (by the network's decoding rule) and largest difference of the potentials",
        ("class", f"score, {reference.label}", f"score, {simulation.label}", "largest difference", "remark"),
        tuple(rows),
    )
