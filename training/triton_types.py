"""What the kernels of the neuron model work on, as tuples: arrays by name, and the constants they are compiled for."""

from __future__ import annotations

from typing import Any, NamedTuple


class Kind(NamedTuple):
    """Which model runs, known to the compiler.

    Attributes:
        steps, size: of a sample, and neurons.
        synapse, surrogate: numbers of `spikebridge.training.fused_types`.
        pulse_steps: of `pulse` synapses.
        refractory_steps: 0 where nothing spikes.
        adaptive, spiking, to_value, reset_value, slope_while_frozen: as in `NeuronTensors`.
        lag: delay of the recurrent synapses in steps; -1 without recurrence.
        width: of the surrogate.
    """

    steps: int
    size: int
    synapse: int
    pulse_steps: int
    refractory_steps: int
    adaptive: bool
    spiking: bool
    to_value: bool
    reset_value: float
    lag: int
    surrogate: int
    width: float
    slope_while_frozen: bool

    @property
    def jumps(self) -> bool:
        """Whether arrivals are jumps of the potential."""
        return self.synapse == 0

    @property
    def pulses(self) -> bool:
        """Whether arrivals are constant currents for a while."""
        return self.synapse == 1

    @property
    def decays(self) -> bool:
        """Whether arrivals are currents that decay."""
        return self.synapse == 2

    @property
    def long_pulses(self) -> bool:
        """Whether a pulse is longer than a step."""
        return self.synapse == 1 and self.pulse_steps > 1

    @property
    def freezes(self) -> bool:
        """Whether there are steps in which a neuron is frozen."""
        return self.refractory_steps > 1

    @property
    def waits(self) -> bool:
        """Whether refractoriness does anything: for r = 1 only jumps are lost, in the step of the spike."""
        return self.refractory_steps > 1 or (self.refractory_steps == 1 and self.synapse == 0)


class Tile(NamedTuple):
    """How much of a population one program runs: samples, neurons, and numbers of a sum at a time."""

    rows: int
    columns: int
    depth: int


class Parameters(NamedTuple):
    """Propagator entries (11, n), bias, threshold and adaptation jump (3, n), recurrent weights (n, n).

    Recurrent weights are from source to target on the way forward, from target to source on the way back.
    """

    step: Any
    vectors: Any
    recurrent: Any


class Traces(NamedTuple):
    """What happened, (batch, steps, n), as in `spikebridge.training.fused_types.Traces`.

    What a model has no use for is any other array, and neither written nor read. `held` are int8.
    """

    raw: Any
    due: Any
    spikes: Any
    potentials: Any
    reached: Any
    held: Any
    w: Any
    current: Any


class Adjoints(NamedTuple):
    """Gradients, (batch, steps, n): of the outputs, given; of all arrivals, and of u and w after each propagation.

    `constant` are those of the constant current, where pulses are longer than a step.
    """

    of_spikes: Any
    of_potentials: Any
    due: Any
    u: Any
    w: Any
    constant: Any


class Entries(NamedTuple):
    """Parameters of the neurons of a program, (1, columns) each."""

    u_u: Any
    u_w: Any
    u_i: Any
    u_c: Any
    w_u: Any
    w_w: Any
    w_i: Any
    w_c: Any
    i_i: Any
    frozen_w_u: Any
    frozen_w_w: Any
    bias: Any
    theta: Any
    jump: Any
