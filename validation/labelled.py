"""A recording with the name under which reports and files know it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from spikebridge.bridge import physical
from spikebridge.bridge.recording import Recording

TRAINING = "training"
GRID = "grid"
REPLAY = "replay"
CONTINUOUS = "continuous"
PHYSICAL = "physical"

# The coarsest step that stands for continuous time: the one at which Brian2 is commonly run.
CONTINUOUS_STEP_MS = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """A recording and its label: `training`, `grid`, `replay`, `continuous`, `physical`, or `step_1` and the like."""

    label: str
    recording: Recording

    @property
    def title(self) -> str:
        """Label and executor, for readers."""
        return f"{self.label} ({self.recording.executor})"


def simulation_label(reference: Recording, simulation: Recording) -> str:
    """`physical` in physical units; else `grid` on the reference's step, `step_<ms>` on another one (`step_0.5`)."""
    if is_physical(simulation):
        return PHYSICAL
    return GRID if simulation.step_ms == reference.step_ms else _step_label(simulation)


def is_physical(recording: Recording) -> bool:
    """Whether the network ran in mV, pA, pF and nS; the recording itself is dimensionless."""
    return recording.provenance.get("units", "").startswith(physical.PHYSICAL)


def name_continuous(simulations: Mapping[str, Recording]) -> dict[str, Recording]:
    """The same simulations by label, the finest `step_<ms>` of at most 0.1 ms called `continuous`.

    That on the training's grid stays `grid`, and what has a label of its own keeps it.
    """
    fine = [
        (simulation.step_ms, label)
        for label, simulation in simulations.items()
        if label == _step_label(simulation) and simulation.step_ms <= CONTINUOUS_STEP_MS
    ]
    finest = min(fine)[1] if fine else None
    return {CONTINUOUS if label == finest else label: found for label, found in simulations.items()}


def _step_label(simulation: Recording) -> str:
    return f"step_{simulation.step_ms:g}"
