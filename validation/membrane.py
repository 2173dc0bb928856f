"""The membrane potential that a recorded neuron must have had, found by replay.

A recording holds spikes, not membranes. But a neuron's potential follows from the spikes that reached it, and those are
recorded: the population alone, driven by the spikes that the recording has for its sources (itself included), run by
the NumPy reference. Where that run does other than what was recorded, the recorded spikes do not follow from the
recorded inputs, and the executor did not run the network that the file describes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from spikebridge.bridge.arrays import BoolArray, FloatArray, IntArray
from spikebridge.bridge.discretise import discretise
from spikebridge.bridge.errors import SpecError
from spikebridge.bridge.recording import Recording
from spikebridge.bridge.reference import run_reference
from spikebridge.bridge.replay import replay_inputs, replay_network
from spikebridge.bridge.spec import NetworkSpec
from spikebridge.validation.diverge import Place
from spikebridge.validation.parity import READOUT_TOLERANCE
from spikebridge.validation.presynaptic import played_inputs


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """One neuron in one sample from its start, by replay; arrays are (T,), one entry per step.

    Attributes:
        potential: u after each step's propagation, on which the threshold is tested.
        adaptation: w, likewise; None if the neuron has none.
        threshold: theta; None for the readout.
        fires: in which steps the replayed neuron spikes.
        frozen: in which steps it is refractory.
        recorded: what was recorded of it: numbers of spikes, or potentials of the readout.
        others_unexplained: other neurons of the population whose recorded spikes, or potentials, are not those of the
            replay, up to the step of the place.
    """

    potential: FloatArray
    adaptation: FloatArray | None
    threshold: float | None
    fires: BoolArray
    frozen: BoolArray
    recorded: FloatArray
    others_unexplained: tuple[int, ...]

    def __post_init__(self) -> None:
        shapes = {values.shape for values in (self.potential, self.fires, self.frozen, self.recorded)}
        if len(shapes) > 1:
            raise SpecError(f"a trace needs one value of each kind per step, got shapes {sorted(shapes)}")

    @property
    def unexplained(self) -> IntArray:
        """Steps in which the recording does not follow from the recorded inputs."""
        if self.threshold is None:
            return np.flatnonzero(np.abs(self.potential - self.recorded) > READOUT_TOLERANCE)
        return np.flatnonzero(self.recorded != self.fires)

    def first_unexplained(self, step: int) -> int | None:
        """The first such step up to `step`, included; None if the recording is explained so far."""
        found = self.unexplained
        return int(found[0]) if found.size and found[0] <= step else None

    def distance(self, step: int) -> float | None:
        """Potential minus threshold in a step: at least 0 where theta is reached; None for the readout."""
        return None if self.threshold is None else float(self.potential[step]) - self.threshold


def driver(recording: Recording, other: Recording) -> Recording:
    """The recording whose spikes drove `recording`: itself, or, for a replay, the `other` if that was replayed.

    Raises:
        SpecError: a replay of spikes that are not those of `other`.
    """
    replayed = recording.provenance.get("replay", "no")
    if replayed == "no":
        return recording
    is_whole = other.provenance.get("replay", "no") == "no"
    if is_whole and (replayed, recording.network_sha256) == (f"spikes of {other.executor}", other.network_sha256):
        return other
    raise SpecError(
        f"the recording of {recording.executor} is a replay, driven by the {replayed} and not by its own; compare it "
        "with the recording that was replayed"
    )


def population_alone(spec: NetworkSpec, population: str) -> NetworkSpec:
    """The replay of one population: all recorded spikes as inputs, projections onto this population only.

    The readout stays, unconnected, because a network must have one.
    """
    replayed = replay_network(spec)
    kept = {population, spec.readout.population}
    return replace(
        replayed,
        populations=tuple(p for p in replayed.populations if p.name in kept),
        projections=replayed.onto(population),
    )


def reconstruct(spec: NetworkSpec, recording: Recording, driven_by: Recording, place: Place, until: int) -> Trace:
    """Replay the population of `place` in its sample.

    Args:
        spec: the network.
        recording: what the trace is to explain.
        driven_by: the recording whose spikes reached the neurons: `driver(recording, ...)`.
        place: population, neuron and sample.
        until: number of steps to run.

    Raises:
        SpecError: the recording is not of such a network: other populations, sizes or inputs.
    """
    one = driven_by.select(np.array([place.sample]))
    grid = discretise(population_alone(spec, place.population), recording.step_ms)
    name, neuron = place.population, place.neuron
    inputs = replay_inputs(spec, played_inputs(spec, one), one.spikes)
    adaptation: dict[str, FloatArray] = {}
    spikes, potentials = run_reference(grid, inputs, until=until, adaptation=adaptation)
    (alone,) = (p for p in grid.populations if p.population.name == name)
    adaptive = bool(alone.population.adaptation_coupling[neuron] or alone.population.adaptation_jump[neuron])
    if place.spiking:
        fires = spikes[name].counts()[0, :until].astype(np.bool_)
        recorded = recording.spikes[name].select([place.sample]).counts(np.float64)[0, :until]
        wrong = recorded != fires
    elif recording.readout is not None:
        fires = np.zeros((until, alone.population.size), dtype=np.bool_)
        recorded = recording.readout[place.sample, :until]
        wrong = np.abs(recorded - potentials[name][0]) > READOUT_TOLERANCE
    else:
        raise SpecError(f"the recording of {recording.executor} kept no readout potentials")
    unexplained = np.flatnonzero(wrong[: place.step + 1].any(axis=0))
    return Trace(
        potential=potentials[name][0, :, neuron],
        adaptation=adaptation[name][0, :, neuron] if adaptive else None,
        threshold=float(alone.population.threshold[neuron]) if place.spiking else None,
        fires=fires[:, neuron],
        frozen=_frozen(fires[:, neuron], alone.refractory_steps),
        recorded=np.asarray(recorded[:, neuron], dtype=np.float64),
        others_unexplained=tuple(int(k) for k in unexplained if k != neuron),
    )


def _frozen(fires: BoolArray, refractory_steps: int) -> BoolArray:
    """After a spike in step k, steps k + 1 .. k + r - 1."""
    frozen = np.zeros_like(fires)
    for step in np.flatnonzero(fires):
        frozen[step + 1 : step + refractory_steps] = True
    return frozen
