"""The parity ladder at a glance: what was compared, what came out, and how to run what was not."""

from __future__ import annotations

from spikebridge.validation.evidence import Evidence
from spikebridge.validation.formatting import Table, counted, percent, signed_percent, small, whole
from spikebridge.validation.labelled import CONTINUOUS, GRID, PHYSICAL, REPLAY
from spikebridge.validation.parity import Parity
from spikebridge.validation.refinement import Refinement, StepResult
from spikebridge.validation.section import Section

NOT_RUN = "not run"

QUESTIONS = {
    GRID: "Is every spike the same on the training's grid?",
    REPLAY: "Is it so for each population alone, on recorded spikes?",
    "refinement": "What changes at other time steps?",
    CONTINUOUS: "What is left in continuous time (0.1 ms or less)?",
    PHYSICAL: "Is every spike the same in mV, pA, pF and nS?",
}
COMMANDS = {
    GRID: "spikebridge simulate NETWORK --inputs REFERENCE --out grid.h5",
    REPLAY: "the same with --replay",
    "refinement": "the same with --step-ms 0.5, or stages.finer_steps_ms = [0.5] for run",
    CONTINUOUS: "the same with --step-ms 0.1, or stages.continuous = true for run",
    PHYSICAL: "the same with --physical, or stages.physical = true for run",
}


def ladder_section(evidence: Evidence) -> Section:
    """One row per rung."""
    refinement = evidence.refinement
    results = {
        GRID: _parity(_on_grid(evidence)),
        REPLAY: _parity(evidence.parity.get(REPLAY)),
        "refinement": _steps(refinement),
        CONTINUOUS: _continuous(refinement),
        PHYSICAL: _parity(evidence.parity.get(PHYSICAL)),
    }
    rows: list[tuple[str, ...]] = [
        (f"{rung}. {name.capitalize()}", QUESTIONS[name], result, COMMANDS[name] if result == NOT_RUN else "")
        for rung, (name, result) in enumerate(results.items(), start=1)
    ]
    columns = ["rung", "question", "result", "to run it"]
    if not any(row[-1] for row in rows):
        columns, rows = columns[:-1], [row[:-1] for row in rows]
    return Section(
        key="ladder",
        title="What was compared",
        introduction=(
            "Five rungs, each of which rests on the one above. Rungs 1, 2 and 5 must not differ in a single spike; "
            "rungs 3 and 4 measure what a network that was trained on a coarse grid loses off it."
        ),
        tables=(Table("The parity ladder", tuple(columns), tuple(rows)),),
    )


def _on_grid(evidence: Evidence) -> Parity | None:
    """`grid`, or another simulation on the training's grid where a caller gave it a name of his own."""
    others = (parity for label, parity in evidence.parity.items() if label not in (REPLAY, PHYSICAL))
    return evidence.parity.get(GRID) or next(others, None)


def _parity(parity: Parity | None) -> str:
    if parity is None:
        return NOT_RUN
    if parity.ok:
        return f"the same: {counted(parity.spikes, 'spike')} in {counted(parity.samples, 'sample')}, 0 mismatches"
    if parity.mismatches == 0:
        return f"spikes the same, readout differs by {small(parity.readout_max_difference)}"
    return (
        f"different: {counted(parity.mismatches, 'mismatch', 'mismatches')} in {counted(parity.spikes, 'spike')}, "
        f"{whole(parity.samples_affected)} of {counted(parity.samples, 'sample')} affected"
    )


def _steps(refinement: Refinement) -> str:
    steps = [step for step in refinement.other_steps if step is not refinement.continuous]
    if not steps:
        return NOT_RUN
    return "accuracy " + ", ".join(f"{_accuracy(step)} at {step.step_ms:g} ms" for step in steps)


def _continuous(refinement: Refinement) -> str:
    found = refinement.continuous
    if found is None:
        return NOT_RUN
    text = f"accuracy {_accuracy(found)} against {_accuracy(refinement.training)} in training"
    largest = found.largest_rate_change
    return text if largest is None else f"{text}, rate of {largest[0]} {signed_percent(largest[1])}"


def _accuracy(step: StepResult) -> str:
    return percent(None if step.accuracy is None else step.accuracy.value)
