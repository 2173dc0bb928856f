"""Everything about one place where two recordings differ: what had reached the neuron, and its membrane in each."""

from __future__ import annotations

from dataclasses import dataclass

from spikebridge.bridge.errors import SpecError
from spikebridge.bridge.network_file import network_sha256
from spikebridge.bridge.recording import Recording
from spikebridge.bridge.spec import NetworkSpec
from spikebridge.bridge.timing import delay_to_steps
from spikebridge.validation.diverge import Divergence, Place
from spikebridge.validation.membrane import Trace, driver, reconstruct
from spikebridge.validation.neuron_differences import neuron_differences
from spikebridge.validation.presynaptic import (
    Arrivals,
    SourceDifference,
    SourceDifferences,
    arrivals_at,
    played_inputs,
)

MEMORY = 3.0
"""Membrane time constants shown before the difference: after three, 5 % of a potential is left."""
MIN_STEPS_BEFORE, MIN_STEPS_AFTER = 12, 4


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """One of the two recordings.

    Attributes:
        label: `A` or `B`.
        file: name of the recording's file, for readers.
        network: what it ran; None if that was not given.
        network_file: name of that file, or None.
    """

    label: str
    file: str
    recording: Recording
    network: NetworkSpec | None = None
    network_file: str | None = None

    def __post_init__(self) -> None:
        if self.network is None:
            return
        found = network_sha256(self.network)
        if found != self.recording.network_sha256:
            raise SpecError(
                f"{self.file} ran network {self.recording.network_sha256[:12]}..., {self.network_file} is "
                f"{found[:12]}...; give the network that was recorded"
            )
        sizes = {name: self.network.population(name).size for name in self.network.spiking_populations}
        if sizes != {name: trains.n_neurons for name, trains in self.recording.spikes.items()}:
            raise SpecError(f"{self.file} did not record the populations of {self.network_file}, {sizes}")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the first differences of a population come from, over the samples it is affected in.

    Attributes:
        itself: the first place by itself, with every spike that had reached the neuron the same; None without.
        samples_itself: samples whose first difference is of that kind.
        samples_inputs: samples whose first difference follows a spike that had reached the neuron and differed.
        sources: the populations of those spikes, in the network's order.
    """

    population: str
    itself: Place | None
    samples_itself: int
    samples_inputs: int
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Closeup:
    """A place, seen closely.

    Attributes:
        sides: A and B.
        earlier: differing spikes that had reached the neuron; empty if its inputs were the same.
        traces: of A and of B, each in the network it ran; None where that was not given.
        in_other_network: the trace of the side without network, in that of the other side; None if both have theirs.
        arrivals: of A and of B in the window shown, each with its network's delays; None where that was not given.
        network_differences: what differs at the neuron between the two networks; None unless both are known.
        first_step, last_step: the window shown, both included.
    """

    place: Place
    sides: tuple[Side, Side]
    earlier: tuple[SourceDifference, ...]
    traces: tuple[Trace | None, Trace | None]
    in_other_network: Trace | None
    arrivals: tuple[Arrivals | None, Arrivals | None]
    network_differences: tuple[str, ...] | None
    first_step: int
    last_step: int

    @property
    def same_network(self) -> bool:
        """Whether both recordings are of one network."""
        return self.sides[0].recording.network_sha256 == self.sides[1].recording.network_sha256


def origins(divergence: Divergence, a: Side, b: Side) -> tuple[Origin, ...]:
    """For every population that differs: by itself, or because of its inputs.

    Raises:
        SpecError: neither network is known, or a recording is a replay of something else.
    """
    differences = _source_differences(a, b)
    found = []
    for population in divergence.populations:
        earlier = {place: differences.before(place) for place in population.firsts}
        itself = [place for place, spikes in earlier.items() if not spikes]
        sources = {spike.source for spikes in earlier.values() for spike in spikes}
        if earlier:
            found.append(
                Origin(
                    population.population,
                    itself[0] if itself else None,
                    len(itself),
                    len(earlier) - len(itself),
                    tuple(name for name in a.recording.spikes if name in sources),
                )
            )
    return tuple(found)


def look_closely(place: Place, a: Side, b: Side) -> Closeup:
    """Replay the neuron in both recordings and collect what had reached it.

    Raises:
        SpecError: as `origins`.
    """
    sides = (a, b)
    known = _known_networks(a, b)
    first, last = _window(place, known[0], a.recording)
    drivers = (driver(a.recording, b.recording), driver(b.recording, a.recording))
    traces: list[Trace | None] = []
    arrivals: list[Arrivals | None] = []
    in_other_network = None
    for side, driven_by in zip(sides, drivers, strict=True):
        trace = reconstruct(side.network or known[0], side.recording, driven_by, place, last + 1)
        if side.network is None:
            in_other_network = trace
            traces.append(None)
            arrivals.append(None)
        else:
            sources = {**played_inputs(side.network, driven_by), **driven_by.spikes}
            traces.append(trace)
            arrivals.append(arrivals_at(side.network, sources, place, first, last))
    return Closeup(
        place=place,
        sides=sides,
        earlier=_source_differences(a, b).before(place),
        traces=(traces[0], traces[1]),
        in_other_network=in_other_network,
        arrivals=(arrivals[0], arrivals[1]),
        network_differences=neuron_differences(a.network, b.network, place.population, place.neuron)
        if a.network is not None and b.network is not None
        else None,
        first_step=first,
        last_step=last,
    )


def _known_networks(a: Side, b: Side) -> list[NetworkSpec]:
    known = [side.network for side in (a, b) if side.network is not None]
    if not known:
        raise SpecError("the causes of a difference are in the network, and neither that of A nor that of B was given")
    return known


def _source_differences(a: Side, b: Side) -> SourceDifferences:
    ours, theirs = driver(a.recording, b.recording), driver(b.recording, a.recording)
    return SourceDifferences(ours, theirs, _known_networks(a, b))


def _window(place: Place, network: NetworkSpec, recording: Recording) -> tuple[int, int]:
    """First and last step shown."""
    tau_ms = network.population(place.population).tau_membrane_ms[place.neuron]
    before = max(MIN_STEPS_BEFORE, int(delay_to_steps(MEMORY * tau_ms, recording.step_ms)))
    after = max(MIN_STEPS_AFTER, before // 4)
    return max(0, place.step - before), min(recording.n_steps - 1, place.step + after)
