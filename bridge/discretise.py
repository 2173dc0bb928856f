"""A network on a grid of steps: exact propagators and whole-step delays, computed once for every executor.

Subthreshold dynamics is linear, so one step of length h is exact (Rotter & Diesmann 1999, Biol. Cybern. 81:381): with
the state x = (u, w, i, c) of membrane potential, adaptation, exponential synaptic current and constant current,
x(t + h) = expm(G h) x(t). The generator G is linear in four rates, G = sum_r rate_r B_r, which lets NumPy and PyTorch
build it from the same constants.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import expm

from spikebridge.bridge.arrays import FloatArray, IntArray
from spikebridge.bridge.errors import SpecError
from spikebridge.bridge.spec import NetworkSpec, Population, Projection, SynapseKind
from spikebridge.bridge.timing import aligned_delay_ms, aligned_delay_to_steps, off_grid, timestep, whole_steps

GENERATOR_BASIS: FloatArray = np.array(
    [
        # 1 / tau_u:  u' = -u - w + i + c
        [[-1, -1, 1, 1], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]],
        # 1 / tau_w:  w' = -w
        [[0, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]],
        # a / tau_w:  w' = a u
        [[0, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]],
        # 1 / tau_syn:  i' = -i
        [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, -1, 0], [0, 0, 0, 0]],
    ],
    dtype=np.float64,
)
GENERATOR_BASIS.setflags(write=False)


@dataclass(frozen=True, slots=True, eq=False)
class Propagator:
    """One exact step of one population; every field has shape (n,). `x_y` is the response of x to y after one step.

    A step of a free neuron is, in this order of operations and with terms of value 0 left out,

        u <- u_u u + u_w w + u_i i + u_c c
        w <- w_u u + w_w w + w_i i + w_c c        (with the old u)
        i <- i_i i

    and of a refractory one: u unchanged, w <- frozen_w_u u + frozen_w_w w, i <- i_i i.
    """

    u_u: FloatArray
    u_w: FloatArray
    u_i: FloatArray
    u_c: FloatArray
    w_u: FloatArray
    w_w: FloatArray
    w_i: FloatArray
    w_c: FloatArray
    i_i: FloatArray
    frozen_w_u: FloatArray
    frozen_w_w: FloatArray


def propagator(population: Population, tau_syn_ms: float | None, step_ms: float) -> Propagator:
    """The exact step of a population; also at complex eigenvalues and equal time constants, where closed forms fail.

    Args:
        population: time constants in milliseconds.
        tau_syn_ms: decay of exponential synapses, None for other kinds.
        step_ms: length of the step.
    """
    rate_w = 1.0 / population.tau_adaptation_ms
    rate_syn = np.zeros(population.size) if tau_syn_ms is None else np.full(population.size, 1.0 / tau_syn_ms)
    coupling = population.adaptation_coupling
    rates = np.stack([1.0 / population.tau_membrane_ms, rate_w, coupling * rate_w, rate_syn], axis=-1)
    step = expm(step_ms * (rates[:, :, None, None] * GENERATOR_BASIS).sum(axis=1))
    frozen_w_w = np.exp(-step_ms * rate_w)
    frozen_w_u = -coupling * np.expm1(-step_ms * rate_w)
    u, w, i = (np.ascontiguousarray(step[:, row].T) for row in range(3))
    return Propagator(
        u_u=u[0],
        u_w=u[1],
        u_i=u[2],
        u_c=u[3],
        w_u=w[0],
        w_w=w[1],
        w_i=w[2],
        w_c=w[3],
        i_i=i[2],
        frozen_w_u=frozen_w_u,
        frozen_w_w=frozen_w_w,
    )


@dataclass(frozen=True, slots=True, eq=False)
class GridPopulation:
    """A population on a grid.

    Attributes:
        refractory_steps: r; after a spike in step k, frozen in k + 1 .. k + r - 1, free in k + r.
        synapse: kind of the synapses onto it (delta where nothing projects onto it).
        pulse_steps: width of a pulse in steps, 0 for other kinds.
        tau_syn_ms: decay of exponential synapses, None for other kinds.
    """

    population: Population
    propagator: Propagator
    refractory_steps: int
    synapse: SynapseKind
    pulse_steps: int
    tau_syn_ms: float | None


@dataclass(frozen=True, slots=True, eq=False)
class GridProjection:
    """A projection on a grid: a spike of step k with a delay of m steps is delivered in step k + m; (E,) delays."""

    projection: Projection
    delay_steps: IntArray


@dataclass(frozen=True, slots=True, eq=False)
class GridNetwork:
    """A network on a grid, as every executor runs it.

    Attributes:
        n_steps: steps per sample.
        roundings: what was no multiple of the step and was rounded, in words.
    """

    spec: NetworkSpec
    step_ms: float
    n_steps: int
    populations: tuple[GridPopulation, ...]
    projections: tuple[GridProjection, ...]
    roundings: tuple[str, ...]

    @property
    def max_delay_steps(self) -> int:
        """The longest delay in steps, 0 without synapses."""
        return max((int(p.delay_steps.max()) for p in self.projections if p.delay_steps.size), default=0)


def discretise(spec: NetworkSpec, step_ms: float) -> GridNetwork:
    """Put a network on a grid of `step_ms`.

    Delays go to the nearest step and refractory periods to `timestep`, as in Brian2; what changes is listed. Where a
    projection has a latency, its delays change by the difference between what the training grid adds by itself and what
    this one does.

    Raises:
        SpecError: the duration or the pulse width is no multiple of the step, or the step is not above 0.
    """
    if not np.isfinite(step_ms) or step_ms <= 0:
        raise SpecError(f"step_ms is {step_ms}; it must be above 0")
    n_steps = whole_steps("duration", spec.duration_ms, step_ms)
    notes: list[str] = []
    populations = tuple(_grid_population(spec, p, step_ms, notes) for p in spec.populations)
    projections = tuple(_grid_projection(spec, p, step_ms, notes) for p in spec.projections)
    return GridNetwork(spec, step_ms, n_steps, populations, projections, tuple(notes))


def projection_delay_steps(spec: NetworkSpec, projection: Projection, step_ms: float) -> IntArray:
    """(E,) delays of a projection in whole steps of `step_ms`, its latency included: what every executor's queues wait.

    Args:
        spec: the network of the projection, for its training step.
        projection: one of its projections.
        step_ms: the grid.
    """
    return aligned_delay_to_steps(projection.delay_ms, projection.latency_steps, spec.training_step_ms, step_ms)


def _grid_projection(spec: NetworkSpec, projection: Projection, step_ms: float, notes: list[str]) -> GridProjection:
    left_ms = aligned_delay_ms(projection.delay_ms, projection.latency_steps, spec.training_step_ms, step_ms)
    moved = int((off_grid(left_ms, step_ms) | (left_ms < 0)).sum())
    if moved:
        notes.append(f"{moved} of {left_ms.size} delays of {projection.label} were rounded to {step_ms} ms")
    return GridProjection(projection, projection_delay_steps(spec, projection, step_ms))


def _grid_population(spec: NetworkSpec, population: Population, step_ms: float, notes: list[str]) -> GridPopulation:
    incoming = spec.onto(population.name)
    kind, pulse_ms, tau_syn_ms = incoming[0].receptor if incoming else (SynapseKind.DELTA, None, None)
    refractory_steps = int(timestep(population.refractory_ms, step_ms))
    if bool(off_grid(population.refractory_ms, step_ms)):
        notes.append(
            f"refractory period of {population.name}: {population.refractory_ms} ms became {refractory_steps} steps "
            f"of {step_ms} ms"
        )
    pulse_steps = 0
    if pulse_ms is not None:
        pulse_steps = whole_steps(f"pulse width onto {population.name}", pulse_ms, step_ms)
        if pulse_steps == 0:
            raise SpecError(f"a step of {step_ms} ms is longer than the pulse of {pulse_ms} ms onto {population.name}")
    return GridPopulation(
        population, propagator(population, tau_syn_ms, step_ms), refractory_steps, kind, pulse_steps, tau_syn_ms
    )
