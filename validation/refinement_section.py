"""The chapter of `report.html` on what changes with the time step."""

from __future__ import annotations

from spikebridge.validation.formatting import Table, number, percent, share, signed_percent
from spikebridge.validation.plot_refinement import refinement_picture
from spikebridge.validation.refinement import PopulationChange, Refinement, StepResult
from spikebridge.validation.section import Section

INTRODUCTION = (
    "The same network and the same inputs at other time steps; inputs arrive at their true times instead of in the "
    "bins of the training. Nothing here has to be equal: it shows how far the trained network depends on the step. "
    "Continuous is the finest step of at most 0.1 ms, where the refractory period alone limits the rate."
)


def refinement_section(refinement: Refinement) -> Section | None:
    """The chapter; None if nothing ran at another step than the training's."""
    if not refinement.other_steps:
        return None
    return Section(
        key="refinement",
        title="What changes with the time step?",
        introduction=INTRODUCTION,
        tables=(_decisions_table(refinement),),
        pictures=(refinement_picture(refinement, _populations_table(refinement)),),
    )


def _decisions_table(refinement: Refinement) -> Table:
    rows = []
    for step in (refinement.training, *refinement.steps):
        lost = refinement.accuracy_lost_points(step)
        changed = "–" if step is refinement.training else share(step.decisions_changed)
        difference = "–" if step is refinement.training or lost is None else f"{0.0 - lost:+.1f}"
        rows.append((step.label, f"{step.step_ms:g}", share(step.accuracy), difference, changed, _largest(step)))
    columns = (
        "run",
        "step (ms)",
        "accuracy",
        "against training (points)",
        "decisions changed",
        "largest change of a rate",
    )
    caption = "Accuracy and changed decisions over all samples, in percent with the 95% interval, and rates"
    return Table(caption, columns, tuple(rows))


def _largest(step: StepResult) -> str:
    largest = step.largest_rate_change
    if largest is None:
        return "undefined"
    return "none" if largest[1] == 0 else f"{signed_percent(largest[1])} ({largest[0]})"


def _populations_table(refinement: Refinement) -> Table:
    rows: list[tuple[str, ...]] = []
    for name, training in refinement.training.populations.items():
        rows.append((f"{name}: training", f"{refinement.training.step_ms:g}", number(training.rate_hz), *("–",) * 4))
        rows += [
            (f"{name}: {step.label}", f"{step.step_ms:g}", *_cells(step.populations[name])) for step in refinement.steps
        ]
        if name in refinement.unrelated:
            scale = refinement.unrelated[name]
            cells = (number(scale.distance, 3), "–", percent(scale.coincidence))
            rows.append((f"{name}: another sample", f"{refinement.training.step_ms:g}", "–", "–", *cells))
    columns = (
        "population and run",
        "step (ms)",
        "rate (Hz)",
        "against training",
        "distance",
        "binning alone",
        "coincident",
    )
    caption = "Rates and spike times per population, against the training's; the distance is 0 .. 1"
    return Table(caption, columns, tuple(rows))


def _cells(change: PopulationChange) -> tuple[str, ...]:
    return (
        number(change.rate_hz),
        signed_percent(change.rate_change),
        number(change.distance, 3),
        number(change.distance_of_binning, 3),
        percent(change.coincidence),
    )
