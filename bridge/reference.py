"""The executable meaning of a network: a float64 NumPy loop over steps, written to be read. Oracle of the tests.

Order within a step, in every executor: propagate the state; test the threshold; deliver the spikes that are due (those
emitted this step with zero delay included); reset. An effect delivered in step k is first propagated in step k + 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from spikebridge.bridge.arrays import BoolArray, FloatArray, IntArray
from spikebridge.bridge.discretise import GridNetwork, GridPopulation, GridProjection
from spikebridge.bridge.disturbance import Disturbance, noise_per_step
from spikebridge.bridge.errors import SpecError
from spikebridge.bridge.spec import Population, Reset, SynapseKind
from spikebridge.bridge.spikes import SpikeTrains

NEVER = -(2**40)


@dataclass(slots=True)
class _State:
    """u, w, i and the running pulse current p, each (samples, neurons); `last_spike` in steps."""

    u: FloatArray
    w: FloatArray
    i: FloatArray
    p: FloatArray
    last_spike: IntArray


@dataclass(frozen=True, slots=True, eq=False)
class _Chance:
    """A disturbance, and what draws for it."""

    disturbance: Disturbance
    rng: np.random.Generator


class _Queue:
    """Arrivals per future step: a ring of (steps, samples, neurons)."""

    def __init__(self, length: int, samples: int, neurons: int) -> None:
        self._ring = np.zeros((length, samples, neurons))

    def add(self, step: int, arrivals: FloatArray) -> None:
        self._ring[step % len(self._ring)] += arrivals

    def take(self, step: int) -> FloatArray:
        due: FloatArray = self._ring[step % len(self._ring)].copy()
        self._ring[step % len(self._ring)] = 0.0
        return due


def run_reference(
    network: GridNetwork,
    inputs: Mapping[str, SpikeTrains],
    *,
    until: int | None = None,
    adaptation: dict[str, FloatArray] | None = None,
    disturbance: Disturbance | None = None,
) -> tuple[dict[str, SpikeTrains], dict[str, FloatArray]]:
    """Run a network on all samples at once.

    Args:
        network: the network on its grid.
        inputs: one entry per input of the network, on the same grid.
        until: stop after this many steps (default: the whole sample).
        adaptation: if given, receives w (samples, steps, neurons) after each step's propagation for every population.
        disturbance: noise and failures, drawn by NumPy's generator: in distribution those of Brian2, not one by one.

    Returns:
        Spikes per spiking population, and potentials (samples, steps, neurons) after each step's propagation for
        every population.
    """
    check_inputs(network, inputs)
    n_steps = network.n_steps if until is None else until
    samples = next(iter(inputs.values())).n_samples
    counts = {name: trains.counts(np.float64).astype(np.float64, copy=False) for name, trains in inputs.items()}
    states, queues, potentials, rasters = {}, {}, {}, {}
    for grid in network.populations:
        name, size = grid.population.name, grid.population.size
        states[name] = _at_rest(samples, size)
        queues[name] = _Queue(network.max_delay_steps + grid.pulse_steps + 1, samples, size)
        potentials[name] = np.zeros((samples, n_steps, size))
        if adaptation is not None:
            adaptation[name] = np.zeros((samples, n_steps, size))
        rasters[name] = np.zeros((samples, network.n_steps, size), dtype=np.int8)
    chance = None if disturbance is None else _Chance(disturbance, np.random.default_rng(disturbance.seed))
    carriers = [(p, _carriers_per_delay(p, network, chance)) for p in network.projections]
    pulse_steps = {g.population.name: g.pulse_steps for g in network.populations}
    for step in range(n_steps):
        spiked: dict[str, FloatArray | BoolArray] = {name: values[:, step] for name, values in counts.items()}
        for grid in network.populations:
            name, state = grid.population.name, states[grid.population.name]
            free = step - state.last_spike >= grid.refractory_steps
            _propagate(grid, state, free)
            if chance is not None:
                _add_noise(grid.population, state, free, chance, network.step_ms)
            potentials[name][:, step] = state.u
            if adaptation is not None:
                adaptation[name][:, step] = state.w
            fires = (state.u >= grid.population.threshold) & free & grid.population.spiking
            state.last_spike = np.where(fires, step, state.last_spike)
            spiked[name] = fires
            rasters[name][:, step] = fires
        for projection, per_delay in carriers:
            _emit(projection, per_delay, spiked, queues, step, pulse_steps[projection.projection.target])
        for grid in network.populations:
            name = grid.population.name
            _deliver(grid, states[name], queues[name].take(step), step)
            _reset(grid, states[name], np.asarray(spiked[name], dtype=np.bool_))
    spiking = network.spec.spiking_populations
    return {name: SpikeTrains.from_counts(rasters[name], network.step_ms) for name in spiking}, potentials


def check_inputs(network: GridNetwork, inputs: Mapping[str, SpikeTrains]) -> None:
    """Refuse inputs that are not the network's, or on another grid.

    Raises:
        SpecError: naming the input and what differs.
    """
    wanted = {node.name: node.size for node in network.spec.inputs}
    if not wanted:
        raise SpecError("the network has no input, so nothing says how many samples there are; give it one")
    if set(inputs) != set(wanted):
        raise SpecError(f"the network has inputs {sorted(wanted)}, got {sorted(inputs)}")
    samples = {trains.n_samples for trains in inputs.values()}
    if len(samples) > 1:
        raise SpecError(f"inputs have different numbers of samples: {sorted(samples)}")
    for name, trains in inputs.items():
        expected = (wanted[name], network.n_steps, network.step_ms)
        if (trains.n_neurons, trains.n_steps, trains.step_ms) != expected:
            raise SpecError(
                f"input {name!r} has {trains.n_neurons} channels, {trains.n_steps} steps of {trains.step_ms} ms; "
                f"the network wants {expected[0]}, {expected[1]} steps of {expected[2]} ms"
            )


def _at_rest(samples: int, size: int) -> _State:
    zeros = np.zeros((samples, size))
    return _State(zeros, zeros, zeros, zeros, np.full((samples, size), NEVER))


def _propagate(grid: GridPopulation, state: _State, free: BoolArray) -> None:
    p, population = grid.propagator, grid.population
    constant = population.bias + state.p if grid.synapse is SynapseKind.PULSE else population.bias
    u = p.u_u * state.u
    w = state.w
    if population.adaptive:
        u = u + p.u_w * state.w
        w = p.w_u * state.u + p.w_w * state.w
    if grid.synapse is SynapseKind.EXPONENTIAL:
        u = u + p.u_i * state.i
        if population.adaptive:
            w = w + p.w_i * state.i
        state.i = p.i_i * state.i
    u = u + p.u_c * constant
    if population.adaptive:
        w = w + p.w_c * constant
        state.w = np.where(free, w, p.frozen_w_u * state.u + p.frozen_w_w * state.w)
    state.u = np.where(free, u, state.u)


def _add_noise(population: Population, state: _State, free: BoolArray, chance: _Chance, step_ms: float) -> None:
    if population.spiking:
        amplitude = noise_per_step(population, chance.disturbance.membrane_noise, step_ms)
        state.u = np.where(free, state.u + amplitude * chance.rng.standard_normal(state.u.shape), state.u)


type _Carrier = Callable[[FloatArray], FloatArray]
"""From the spikes (samples, sources) of a step to what arrives of them at the targets (samples, targets)."""


def _carriers_per_delay(grid: GridProjection, network: GridNetwork, chance: _Chance | None) -> dict[int, _Carrier]:
    """What the synapses of each delay do: a product with their weights, unless some of it is lost."""
    edges = grid.projection
    shape = (network.spec.sizes[edges.source], network.spec.sizes[edges.target])
    carriers: dict[int, _Carrier] = {}
    for delay in np.unique(grid.delay_steps):
        picked = grid.delay_steps == delay
        source, target, weight = edges.source_index[picked], edges.target_index[picked], edges.weight[picked]
        if chance is None:
            matrix = np.zeros(shape)
            np.add.at(matrix, (source, target), weight)
            carriers[int(delay)] = partial(_carry, matrix)
        else:
            carriers[int(delay)] = partial(_carry_some, source, target, weight, shape[1], chance)
    return carriers


def _carry(matrix: FloatArray, spikes: FloatArray) -> FloatArray:
    arrivals: FloatArray = spikes @ matrix
    return arrivals


def _carry_some(
    source: IntArray,
    target: IntArray,
    weight: FloatArray,
    n_targets: int,
    chance: _Chance,
    spikes: FloatArray,
) -> FloatArray:
    """The same where every synapse loses some of the spikes."""
    arrived = chance.rng.binomial(spikes[:, source].astype(np.int64), 1.0 - chance.disturbance.transmission_failure)
    arrivals = np.zeros((n_targets, len(spikes)))
    np.add.at(arrivals, target, (arrived * weight).T)
    return arrivals.T


def _emit(
    grid: GridProjection,
    per_delay: dict[int, _Carrier],
    spiked: Mapping[str, FloatArray | BoolArray],
    queues: Mapping[str, _Queue],
    step: int,
    pulse_steps: int,
) -> None:
    source = np.asarray(spiked[grid.projection.source], dtype=np.float64)
    if not source.any():
        return
    for delay, carry in per_delay.items():
        arrivals = carry(source)
        queues[grid.projection.target].add(step + delay, arrivals)
        if pulse_steps:
            queues[grid.projection.target].add(step + delay + pulse_steps, -arrivals)


def _deliver(grid: GridPopulation, state: _State, arrivals: FloatArray, step: int) -> None:
    match grid.synapse:
        case SynapseKind.DELTA:
            # A neuron that spikes in this step is refractory already (Brian2's rule), unless it has no t_ref at all.
            blocked = step - state.last_spike < grid.refractory_steps
            state.u = np.where(blocked, state.u, state.u + arrivals)
        case SynapseKind.PULSE:
            state.p = state.p + arrivals
        case SynapseKind.EXPONENTIAL:
            state.i = state.i + arrivals


def _reset(grid: GridPopulation, state: _State, fired: BoolArray) -> None:
    population = grid.population
    after = state.u - population.threshold if population.reset is Reset.SUBTRACT else population.reset_value
    state.u = np.where(fired, after, state.u)
    state.w = np.where(fired, state.w + population.adaptation_jump, state.w)
