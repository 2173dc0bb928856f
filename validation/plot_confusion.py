"""Confusion matrices: which classes are taken for which."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spikebridge.bridge.arrays import IntArray
from spikebridge.validation.accuracy import confusion
from spikebridge.validation.formatting import Table, whole
from spikebridge.validation.labelled import Labelled
from spikebridge.validation.picture import INK, Picture, data_uri, new_figure, report_style

# More classes than this, and the numbers no longer fit into their cells: the table below has them.
MAX_CLASSES_WITH_NUMBERS = 24

NOTES = (
    (
        "Confusion matrix",
        "Number of samples by their true class and by the class that was decided for, which is the "
        "one with the highest score. The usual definition; shares are of the samples of the true class.",
    ),
)


def confusion_picture(reference: Labelled, simulation: Labelled) -> Picture:
    """Confusion matrices of both executors side by side."""
    matrices = [(executor, confusion(executor.recording)) for executor in (reference, simulation)]
    cells = int((matrices[0][1] != matrices[1][1]).sum())
    agree = "Both matrices are equal." if cells == 0 else f"They differ in {whole(cells)} cells."
    return Picture(
        key="confusion",
        title="Which classes are confused",
        caption=(
            "A row is a true class, a column what the network decided; numbers are samples, shading is the share of "
            f"the row. {agree}"
        ),
        alternative=f"Two confusion matrices. {agree}",
        image=data_uri(draw_confusion(reference, simulation)),
        tables=tuple(_counts(executor, matrix) for executor, matrix in matrices),
        notes=NOTES,
    )


@report_style()
def draw_confusion(reference: Labelled, simulation: Labelled) -> Figure:
    """The figure of `confusion_picture`."""
    figure = new_figure(5.0)
    for axes, executor in zip(figure.subplots(1, 2), (reference, simulation), strict=True):
        _draw_matrix(axes, confusion(executor.recording), executor.recording.trials.class_names)
        axes.set_title(executor.title)
        axes.set_xlabel("decided")
        axes.set_ylabel("true")
    return figure


def _draw_matrix(axes: Axes, counts: IntArray, names: tuple[str, ...]) -> None:
    total = counts.sum(axis=1, keepdims=True)
    share = np.divide(counts, total, out=np.zeros(counts.shape), where=total > 0)
    axes.imshow(share, cmap="Blues", vmin=0.0, vmax=1.0, aspect="equal")
    ticks = np.arange(len(names))
    size = max(5.0, min(9.0, 110.0 / max(1, len(names))))
    axes.set_xticks(ticks, names, rotation=90 if max(map(len, names)) > 2 else 0, fontsize=size)
    axes.set_yticks(ticks, names, fontsize=size)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    if len(names) > MAX_CLASSES_WITH_NUMBERS:
        return
    for row, column in zip(*np.nonzero(counts), strict=True):
        colour = "white" if share[row, column] > 0.55 else INK
        axes.text(column, row, str(counts[row, column]), ha="center", va="center", fontsize=size, color=colour)


def _counts(executor: Labelled, counts: IntArray) -> Table:
    names = executor.recording.trials.class_names
    rows = tuple((name, *(whole(int(n)) for n in row)) for name, row in zip(names, counts, strict=True))
    return Table(f"Samples by true class (row) and decision (column), {executor.title}", ("true class", *names), rows)
