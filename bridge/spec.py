"""What a network is: one continuous-time definition, in physical units, that every executor reads.

A population of adaptive leaky integrate-and-fire neurons (adLIF) obeys

    tau_u du/dt = -u - w + I(t)        frozen while refractory
    tau_w dw/dt = -w + a u             never frozen
    spike when u >= theta and not refractory:
        u <- u - theta  or  u <- u_reset;   w <- w + b;   refractory for t_ref

with u and w dimensionless and 0 at the start of every sample. The LIF neuron is a = b = 0. The adaptation is that of
Brette & Gerstner 2005 (J. Neurophysiol. 94:3637) without the exponential term, in the dimensionless form of Bittar &
Garner 2022 (Front. Neurosci. 16:865897).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from types import MappingProxyType

import numpy as np

from spikebridge.bridge.arrays import FloatArray, Int32Array, frozen_float_vector, frozen_int_vector, require_range
from spikebridge.bridge.decoding import Decoding
from spikebridge.bridge.errors import SpecError


class Reset(StrEnum):
    """What a spike does to the membrane potential."""

    SUBTRACT = "subtract"
    TO_VALUE = "to_value"


class SynapseKind(StrEnum):
    """What one spike of weight W does at its target, after the delay."""

    DELTA = "delta"
    """u jumps by W; dropped if the target is refractory."""
    PULSE = "pulse"
    """A rectangular current of amplitude W and width `pulse_ms`: its charge is W times the width."""
    EXPONENTIAL = "exponential"
    """A current that jumps by W and decays with `tau_syn_ms`."""


@dataclass(frozen=True, slots=True, eq=False)
class Input:
    """A source of spikes that is played in: `size` channels."""

    name: str
    size: int

    def __post_init__(self) -> None:
        _check_name_and_size(self.name, self.size)


@dataclass(frozen=True, slots=True, eq=False)
class Population:
    """Neurons with one equation and one set of parameters each. Vectors are (size,); scalars are broadcast.

    Attributes:
        tau_membrane_ms: tau_u.
        tau_adaptation_ms: tau_w; without effect where a = b = 0.
        adaptation_coupling: a, dimensionless, above -1 (at -1 the resting state is no longer stable).
        adaptation_jump: b, dimensionless.
        threshold: theta, above 0.
        bias: constant part of I(t), for example a folded batch normalisation; dimensionless.
        reset, reset_value: `subtract` takes theta off u; `to_value` sets u to `reset_value`, below theta.
        refractory_ms: t_ref, at least 0.
        spiking: False for a leaky integrator that never spikes (a readout).
    """

    name: str
    size: int
    tau_membrane_ms: FloatArray
    tau_adaptation_ms: FloatArray
    adaptation_coupling: FloatArray
    adaptation_jump: FloatArray
    threshold: FloatArray
    bias: FloatArray
    reset: Reset = Reset.SUBTRACT
    reset_value: float = 0.0
    refractory_ms: float = 0.0
    spiking: bool = True

    def __post_init__(self) -> None:
        _check_name_and_size(self.name, self.size)
        for name in _NEURON_VECTORS:
            value = frozen_float_vector(f"population {self.name!r}: {name}", getattr(self, name), self.size)
            object.__setattr__(self, name, value)
        where = f"population {self.name!r}: "
        require_range(where + "tau_membrane_ms", self.tau_membrane_ms, 0.0)
        require_range(where + "tau_adaptation_ms", self.tau_adaptation_ms, 0.0)
        require_range(where + "adaptation_coupling", self.adaptation_coupling, -1.0)
        require_range(where + "threshold", self.threshold, 0.0)
        object.__setattr__(self, "reset", Reset(self.reset))
        if not np.isfinite(self.refractory_ms) or self.refractory_ms < 0:
            raise SpecError(f"{where}refractory_ms is {self.refractory_ms}; it must be at least 0")
        if not np.isfinite(self.reset_value) or (self.reset_value >= self.threshold).any():
            raise SpecError(f"{where}reset_value is {self.reset_value}; it must lie below every threshold")
        if not self.spiking and self.adaptive:
            raise SpecError(f"{where}a population that never spikes has no adaptation: set a = b = 0")

    @property
    def adaptive(self) -> bool:
        """Whether any neuron has adaptation. Without it w stays 0 and every executor leaves it out."""
        return bool(self.adaptation_coupling.any() or self.adaptation_jump.any())


_NEURON_VECTORS = (
    "tau_membrane_ms",
    "tau_adaptation_ms",
    "adaptation_coupling",
    "adaptation_jump",
    "threshold",
    "bias",
)


@dataclass(frozen=True, slots=True, eq=False)
class Projection:
    """Synapses from one population (or input) to another, or to itself: one edge per synapse.

    Attributes:
        source, target: names.
        source_index, target_index: (E,) int32 neuron indices.
        weight: (E,) dimensionless, in units of the target's potential.
        delay_ms: (E,) at least 0; on the training grid.
        synapse: kind; all projections onto one population share kind, `pulse_ms` and `tau_syn_ms`.
        pulse_ms: width of a pulse; only for `pulse`.
        tau_syn_ms: decay of the current; only for `exponential`.
        latency_steps: what a grid adds to every delay by itself, in steps of that grid: 1/2, or 1 from neurons that
            jumps drive over their threshold; 0 leaves delays alone. On another grid than that of the training, delays
            change by the difference (`spikebridge.bridge.timing.aligned_delay_ms`).
    """

    source: str
    target: str
    source_index: Int32Array
    target_index: Int32Array
    weight: FloatArray
    delay_ms: FloatArray
    synapse: SynapseKind
    pulse_ms: float | None = None
    tau_syn_ms: float | None = None
    latency_steps: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.latency_steps <= 1:
            raise SpecError(f"projection {self.label}: latency_steps is {self.latency_steps}; it must be 0 .. 1")
        for name in ("source_index", "target_index"):
            label = f"projection {self.label}: {name}"
            object.__setattr__(self, name, frozen_int_vector(label, getattr(self, name), dtype=np.int32))
        n = self.source_index.size
        if self.target_index.size != n:
            raise SpecError(f"projection {self.label}: {n} source indices but {self.target_index.size} target indices")
        for name in ("weight", "delay_ms"):
            value = frozen_float_vector(f"projection {self.label}: {name}", getattr(self, name), n)
            object.__setattr__(self, name, value)
        require_range(f"projection {self.label}: delay_ms", self.delay_ms, 0.0, strict=False)
        object.__setattr__(self, "synapse", SynapseKind(self.synapse))
        for name, kind in (("pulse_ms", SynapseKind.PULSE), ("tau_syn_ms", SynapseKind.EXPONENTIAL)):
            value, wanted = getattr(self, name), self.synapse is kind
            if wanted != (value is not None):
                raise SpecError(
                    f"projection {self.label}: {name} is {value}; {kind} synapses need it, others have none"
                )
            if wanted and not (np.isfinite(value) and value > 0):
                raise SpecError(f"projection {self.label}: {name} is {value}; it must be above 0")

    @property
    def label(self) -> str:
        """`source->target`, as messages and files name it."""
        return f"{self.source}->{self.target}"

    @property
    def receptor(self) -> tuple[SynapseKind, float | None, float | None]:
        """What must agree between all projections onto one population."""
        return self.synapse, self.pulse_ms, self.tau_syn_ms


@dataclass(frozen=True, slots=True)
class Readout:
    """Which population is read, and the rule that turns its potentials into class scores."""

    population: str
    decoding: Decoding

    def __post_init__(self) -> None:
        object.__setattr__(self, "decoding", Decoding(self.decoding))


@dataclass(frozen=True, slots=True)
class Decision:
    """Something an export had to decide, with what it decided: shown wherever the network is."""

    subject: str
    text: str


@dataclass(frozen=True, slots=True, eq=False)
class NetworkSpec:
    """A whole network, its readout and the grid it was trained on.

    Attributes:
        training_step_ms: the step of the training grid.
        duration_ms: length of a sample; the state is reset to 0 before each.
        decisions: what the export decided (refractoriness, rounding, folding).
        metadata: free text about the origin (versions, seeds, checksums of the data).
    """

    inputs: tuple[Input, ...]
    populations: tuple[Population, ...]
    projections: tuple[Projection, ...]
    readout: Readout
    training_step_ms: float
    duration_ms: float
    decisions: tuple[Decision, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "metadata", MappingProxyType(dict(self.metadata)))
        for name in ("training_step_ms", "duration_ms"):
            if not (np.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise SpecError(f"{name} is {getattr(self, name)}; it must be above 0")
        names = [node.name for node in self.nodes]
        doubled = {name for name in names if names.count(name) > 1}
        if doubled:
            raise SpecError(f"names are used twice: {sorted(doubled)}")
        for projection in self.projections:
            self._check_projection(projection)
        self._check_readout()

    def __reduce__(self) -> tuple[type[NetworkSpec], tuple[object, ...]]:
        """Pickled for workers of other processes; the read-only view of `metadata` cannot be."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return NetworkSpec, tuple((values | {"metadata": dict(self.metadata)}).values())

    def _check_projection(self, projection: Projection) -> None:
        sizes = self.sizes
        for role, name in (("source", projection.source), ("target", projection.target)):
            if name not in sizes:
                raise SpecError(f"projection {projection.label}: no {role} named {name!r}; there are {sorted(sizes)}")
            index = projection.source_index if role == "source" else projection.target_index
            if index.size and (index.min() < 0 or index.max() >= sizes[name]):
                raise SpecError(f"projection {projection.label}: {role} indices must be 0 .. {sizes[name] - 1}")
        if any(projection.target == node.name for node in self.inputs):
            raise SpecError(f"projection {projection.label}: an input cannot be a target")
        if any(projection.source == p.name and not p.spiking for p in self.populations):
            raise SpecError(
                f"projection {projection.label}: {projection.source!r} never spikes, so it cannot be a source"
            )
        for other in self.projections:
            if other.target == projection.target and other.receptor != projection.receptor:
                raise SpecError(
                    f"projections {other.label} and {projection.label} act on the same population with different "
                    f"synapses ({other.synapse}, {projection.synapse}); give them one kind with the same constants"
                )

    def _check_readout(self) -> None:
        spiking = {p.name: p.spiking for p in self.populations}
        if self.readout.population not in spiking:
            raise SpecError(
                f"readout population {self.readout.population!r} does not exist; there are {sorted(spiking)}"
            )
        if spiking[self.readout.population]:
            raise SpecError(f"readout population {self.readout.population!r} spikes; a readout is a leaky integrator")

    @property
    def nodes(self) -> tuple[Input | Population, ...]:
        """Inputs, then populations."""
        return (*self.inputs, *self.populations)

    @property
    def sizes(self) -> dict[str, int]:
        """Size of every input and population by name."""
        return {node.name: node.size for node in self.nodes}

    def population(self, name: str) -> Population:
        """The population of that name."""
        for population in self.populations:
            if population.name == name:
                return population
        raise SpecError(f"no population named {name!r}; there are {[p.name for p in self.populations]}")

    def onto(self, target: str) -> tuple[Projection, ...]:
        """All projections onto a population, in order."""
        return tuple(p for p in self.projections if p.target == target)

    @property
    def spiking_populations(self) -> tuple[str, ...]:
        """Names of the populations that spike, in order."""
        return tuple(p.name for p in self.populations if p.spiking)


def _check_name_and_size(name: str, size: int) -> None:
    if not (name.isidentifier() and name.isascii()):
        raise SpecError(f"{name!r} is no valid name: ASCII letters, digits and underscores, not starting with a digit")
    if size < 1:
        raise SpecError(f"{name!r} has size {size}; it must be at least 1")
