"""A network as a Brian2 project whose numbers all come at run time: one source text per shape, whatever the values.

What stays in the generated code is the shape: names, sizes, model equations, which projections there are. Weights,
delays, edges and their number, time constants, refractory periods, the time step, inputs and durations are read by the
main loop (`sample_loop.h`), in the order in which `parameters` lists the values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import brian2
import numpy as np

from spikebridge.bridge.discretise import GridNetwork, GridPopulation, GridProjection
from spikebridge.bridge.disturbance import Disturbance
from spikebridge.bridge.equations_disturbed import EDGE, FAILURE, SAMPLE, SEED
from spikebridge.bridge.physical import PhysicalUnits
from spikebridge.sim.build import CLOCK, Target, neurons, population_model, unconnected
from spikebridge.sim.disturbances import FUNCTIONS
from spikebridge.sim.edges import LaneEdges, lane_edges

# Brian2 writes the step into the generated code; the main loop overwrites it with that of the simulation.
NOMINAL_STEP_MS = 0.1

type Values = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class StreamBuilt:
    """A Brian2 network without numbers.

    Attributes:
        network: everything that runs, on one clock.
        clock: that clock.
        inputs: spike generators by input name; neuron lane * size + channel is that channel.
        populations: by name.
        synapses: one object per projection, in the network's order.
        lanes: copies side by side.
        disturbance: whose numbers the parameters hold, None for none.
    """

    network: Any
    clock: Any
    inputs: dict[str, Any]
    populations: dict[str, Target]
    synapses: tuple[Any, ...]
    lanes: int
    disturbance: Disturbance | None = None


def build_stream(
    grid: GridNetwork,
    lanes: int,
    capacity: int,
    physical: PhysicalUnits | None = None,
    disturbance: Disturbance | None = None,
) -> StreamBuilt:
    """Build on the active standalone device.

    Args:
        grid: the network on its grid.
        lanes: copies side by side.
        capacity: spikes per channel that an input must be able to play in one step, on average over its channels. An
            input plays counts as repeated spikes, which the array of a generator must have room for.
        physical: run in mV, pA, pF and nS instead of without units.
        disturbance: noise and failures; whether there is one is part of the shape, how large it is is a number.
    """
    clock = brian2.Clock(dt=NOMINAL_STEP_MS * brian2.ms, name=CLOCK)
    inputs = {
        node.name: brian2.SpikeGeneratorGroup(
            lanes * capacity * node.size,
            [],
            [] * brian2.second,
            clock=clock,
            name=f"input_{order}_{node.name}",
        )
        for order, node in enumerate(grid.spec.inputs)
    }
    populations = {
        g.population.name: neurons(
            f"population_{order}_{g.population.name}",
            g,
            population_model(grid, order, physical, disturbance),
            lanes,
            clock,
        )
        for order, g in enumerate(grid.populations)
    }
    if disturbance is not None:
        for target in populations.values():
            _number_samples(target, clock)
    synapses = tuple(_synapses(order, p, inputs, populations, clock) for order, p in enumerate(grid.projections))
    groups = [*inputs.values(), *(target.group for target in populations.values())]
    network = brian2.Network(*groups, *synapses, name="network")
    return StreamBuilt(network, clock, inputs, populations, synapses, lanes, disturbance)


def _number_samples(target: Target, clock: Any) -> None:
    """Neurons take over the number of the sample that their lane runs; in a compiled simulation it changes."""
    code = f"{SAMPLE} = sample_in_lane(i // {target.size})"
    group = target.group
    group.namespace["sample_in_lane"] = FUNCTIONS["sample_in_lane"]
    group.run_regularly(code, clock=clock, when="start", name=f"{group.name}_sample")


def _synapses(
    order: int, grid: GridProjection, inputs: dict[str, Any], populations: dict[str, Target], clock: Any
) -> Any:
    source, target = grid.projection.source, populations[grid.projection.target]
    group = inputs[source] if source in inputs else populations[source].group
    synapses = unconnected(order, group, target, clock)
    synapses.connect(condition=False)  # none yet: the main loop reads how many there are
    return synapses


@dataclass(frozen=True, slots=True, eq=False)
class Parameter:
    """One array that the main loop loads.

    Attributes:
        variable: the Brian2 variable it is the value of.
        values: makes its values, which can be large.
    """

    variable: Any
    values: Callable[[], Values]


def parameters(built: StreamBuilt, grid: GridNetwork) -> Iterator[Parameter]:
    """Every number of a network, in the order in which the main loop loads them."""
    step_s = grid.step_ms / 1000.0
    yield Parameter(built.clock.variables["dt"], lambda: np.array([step_s]))
    for population in grid.populations:
        yield from _population_parameters(built, population, step_s)
    for synapses, projection in zip(built.synapses, grid.projections, strict=True):
        target = built.populations[projection.projection.target]
        edges = _Edges(projection, built.lanes, grid.spec.sizes)
        yield from _synapse_parameters(synapses, target, edges, step_s)
        if built.disturbance is not None:
            yield from _failure_parameters(synapses, target, edges, built.disturbance)


def _population_parameters(built: StreamBuilt, grid: GridPopulation, step_s: float) -> Iterator[Parameter]:
    target = built.populations[grid.population.name]
    for name, values in target.model.constants.items():
        yield Parameter(target.group.variables[name], partial(np.tile, values, built.lanes))
    if target.model.refractory_steps:
        period = np.array([target.model.refractory_steps * step_s])
        yield Parameter(target.group.variables["t_ref"], lambda: period)
    if built.disturbance is not None:
        seed = np.array([built.disturbance.seed])
        yield Parameter(target.group.variables[SEED], lambda: seed)


class _Edges:
    """The edges of one projection in all lanes, made when they are first needed."""

    def __init__(self, grid: GridProjection, lanes: int, sizes: Mapping[str, int]) -> None:
        self._make = partial(lane_edges, grid, lanes, sizes)

    @cached_property
    def all(self) -> LaneEdges:
        return self._make()


def _synapse_parameters(synapses: Any, target: Target, edges: _Edges, step_s: float) -> Iterator[Parameter]:
    variables, model = synapses.variables, target.model
    yield Parameter(variables["N"], lambda: np.array([edges.all.size], np.int32))
    yield Parameter(variables["_synaptic_pre"], lambda: edges.all.source)
    yield Parameter(variables["_synaptic_post"], lambda: edges.all.target)
    yield Parameter(variables["weight"], lambda: edges.all.weight)
    yield Parameter(synapses.pre.variables["delay"], lambda: edges.all.delay_steps * step_s)
    if model.off_pre is not None:
        yield Parameter(synapses.off.variables["delay"], lambda: (edges.all.delay_steps + model.off_steps) * step_s)


def _failure_parameters(synapses: Any, target: Target, edges: _Edges, disturbance: Disturbance) -> Iterator[Parameter]:
    variables = synapses.variables
    yield Parameter(variables[EDGE], lambda: edges.all.edge)
    yield Parameter(variables[FAILURE], lambda: np.array([disturbance.transmission_failure]))
    for counter in target.model.counters:
        yield Parameter(variables[counter], lambda: np.zeros(edges.all.size))
