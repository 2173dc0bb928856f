"""A recording with the name under which reports and files know it."""

from __future__ import annotations

from dataclasses import dataclass

from spikebridge.bridge import physical
from spikebridge.bridge.recording import Recording

TRAINING = "training"
GRID = "grid"
REPLAY = "replay"
PHYSICAL = "physical"


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """A recording and its label: `training`, `grid`, `replay`, `physical`, or `step_1` and the like."""

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
    return GRID if simulation.step_ms == reference.step_ms else f"step_{simulation.step_ms:g}"


def is_physical(recording: Recording) -> bool:
    """Whether the network ran in mV, pA, pF and nS; the recording itself is dimensionless."""
    return recording.provenance.get("units", "").startswith(physical.PHYSICAL)
