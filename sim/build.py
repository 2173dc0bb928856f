"""A network on its grid as an explicit Brian2 `Network`, many samples at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import brian2
import numpy as np

from spikebridge.bridge.arrays import FloatArray, IntArray
from spikebridge.bridge.discretise import GridNetwork, GridPopulation, GridProjection
from spikebridge.bridge.disturbance import Disturbance
from spikebridge.bridge.equations import BrianModel, brian_model
from spikebridge.bridge.equations_disturbed import EDGE, FAILURE, SAMPLE, SEED, disturbed_model, failing
from spikebridge.bridge.equations_physical import physical_model
from spikebridge.bridge.physical import PhysicalUnits
from spikebridge.bridge.spikes import SpikeTrains
from spikebridge.sim.disturbances import FUNCTIONS
from spikebridge.sim.layout import Layout
from spikebridge.sim.sources import Source, SourceSize, build_source

CLOCK = "grid_clock"
"""Name of the one clock of a network."""

UNITS: dict[str, Any] = {"1": 1} | {
    name: getattr(brian2, name) for name in ("second", "volt", "amp", "farad", "siemens", "ohm")
}


DTYPES = {SEED: np.int64}
"""Of variables that are not of Brian2's type for their kind."""


@dataclass(frozen=True, slots=True, eq=False)
class Disturbed:
    """A disturbance, and (lanes,) the number among the trials of the sample that each lane runs."""

    disturbance: Disturbance
    samples: IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """A population in all lanes: neuron lane * size + k of `group` is neuron k of the population in that lane."""

    group: Any
    size: int
    model: BrianModel


@dataclass(frozen=True, slots=True, eq=False)
class Built:
    """The Brian2 objects that are run and read.

    Attributes:
        network: everything that runs, and nothing else.
        populations: by name.
        spike_monitors: by name of the spiking population.
        readout_monitor: potentials of the readout population after each step's propagation.
    """

    network: Any
    populations: dict[str, Target]
    spike_monitors: dict[str, Any]
    readout_monitor: Any


def build(
    grid: GridNetwork,
    inputs: Mapping[str, SpikeTrains],
    layout: Layout,
    physical: PhysicalUnits | None = None,
    fixed: Mapping[str, SourceSize] | None = None,
    disturbed: Disturbed | None = None,
) -> Built:
    """Build the Network on the active device; every object runs on one clock and resolves names in no namespace.

    Args:
        grid: the network on its grid.
        inputs: what is played in, by input name, on the same grid.
        layout: where each sample runs.
        physical: run in mV, pA, pF and nS instead of without units.
        fixed: sizes of the spike generators, by input name; not given, they are as large as what they play.
        disturbed: how, and with which samples; the layout must have one round then, in which a lane has one sample.
    """
    # Every name is given, so that generated sources do not depend on what else is alive in this process.
    clock = brian2.Clock(dt=grid.step_ms * brian2.ms, name=CLOCK)
    one_by_one = disturbed is not None
    disturbance = None if disturbed is None else disturbed.disturbance
    # Numbered, because Brian2 makes further names out of these, which must not meet another population's.
    sources = {
        name: build_source(
            f"input_{order}_{name}", trains, layout, clock, (fixed or {}).get(name), one_by_one=one_by_one
        )
        for order, (name, trains) in enumerate(inputs.items())
    }
    models = [population_model(grid, order, physical, disturbance) for order in range(len(grid.populations))]
    targets = {
        g.population.name: _population(f"population_{order}_{g.population.name}", g, models[order], layout, clock)
        for order, g in enumerate(grid.populations)
    }
    sources |= {name: Source(targets[name].group, targets[name].size, bits=1) for name in grid.spec.spiking_populations}
    synapses = [
        _synapses(order, p, sources[p.projection.source], targets[p.projection.target], layout.lanes, clock)
        for order, p in enumerate(grid.projections)
        if p.projection.weight.size
    ]
    monitors = {
        name: brian2.SpikeMonitor(targets[name].group, name=f"{targets[name].group.name}_spikes")
        for name in grid.spec.spiking_populations
    }
    read = targets[grid.spec.readout.population]
    readout = brian2.StateMonitor(
        read.group,
        read.model.potential,
        record=True,
        clock=clock,
        when="after_groups",
        name="readout_trace",
    )
    groups = [sources[name].group for name in inputs] + [target.group for target in targets.values()]
    if disturbed is not None:
        _set_disturbance(disturbed, targets.values(), synapses)
    whole = brian2.Network(groups, synapses, monitors, readout, name="grid_network")
    return Built(whole, targets, monitors, readout)


def _set_disturbance(disturbed: Disturbed, targets: Iterable[Target], synapses: Iterable[Any]) -> None:
    for target in targets:
        setattr(target.group, SAMPLE, np.repeat(disturbed.samples, target.size))
        setattr(target.group, SEED, disturbed.disturbance.seed)
    for projection in synapses:
        setattr(projection, FAILURE, disturbed.disturbance.transmission_failure)


def population_model(
    grid: GridNetwork, order: int, physical: PhysicalUnits | None, disturbance: Disturbance | None
) -> BrianModel:
    """The model of the population at a place in the network."""
    population = grid.populations[order]
    model = brian_model(population) if physical is None else physical_model(population, physical)
    if disturbance is None:
        return model
    return disturbed_model(model, population, disturbance, order=order, step_ms=grid.step_ms)


def _population(name: str, grid: GridPopulation, model: BrianModel, layout: Layout, clock: Any) -> Target:
    # Nothing may fire between two samples.
    gate = f"t_in_timesteps % {layout.period_steps} < {layout.active_steps}" if layout.rounds > 1 else None
    target = neurons(name, grid, model, layout.lanes, clock, gate)
    group = target.group
    for constant, values in model.constants.items():
        setattr(group, constant, np.tile(values, layout.lanes) * UNITS[model.units[constant]])
    if model.refractory_steps:
        group.t_ref = model.refractory_steps * clock.dt
    if layout.rounds > 1:
        # A state that is not finite stays so, which is found at the end of the run.
        keep = f"_keep = int(t_in_timesteps % {layout.period_steps} != 0)\n"
        code = keep + "\n".join(f"{variable} = {variable} * _keep" for variable in model.state)
        group.run_regularly(code, clock=clock, when="before_groups", name=f"{name}_start")
    return target


def neurons(
    name: str, grid: GridPopulation, model: BrianModel, lanes: int, clock: Any, gate: str | None = None
) -> Target:
    """A population in all lanes, its constants not yet set; spikes only while `gate` holds."""
    threshold = model.threshold
    group = brian2.NeuronGroup(
        lanes * grid.population.size,
        model.equations,
        method=lambda *_: model.update,
        threshold=threshold if threshold is None or gate is None else f"{threshold} and {gate}",
        reset=model.reset,
        refractory="t_ref" if model.refractory_steps else False,
        clock=clock,
        dtype=DTYPES,
        namespace=_namespace(model),
        name=name,
    )
    group.run_regularly(model.deliver, clock=clock, when="after_synapses", name=f"{name}_deliver")
    return Target(group, grid.population.size, model)


def _namespace(model: BrianModel) -> dict[str, Any]:
    """What the names in a model can mean: nothing but the functions that it calls."""
    return {name: FUNCTIONS[name] for name in model.calls}


def _synapses(order: int, grid: GridProjection, source: Source, target: Target, lanes: int, clock: Any) -> Any:
    """One projection: its edges once per lane and per bit of the source."""
    edges, model = grid.projection, target.model
    synapses = unconnected(order, source.group, target, clock)
    lane, first, factor = source.copies(lanes)
    synapses.connect(i=_repeated(first, edges.source_index), j=_repeated(lane * target.size, edges.target_index))
    weight: FloatArray = factor[:, None] * edges.weight
    synapses.weight = weight.ravel()
    if model.calls:
        # Of the lanes it does not matter which: they run different samples. The copies of a channel fail one by one.
        copy = np.arange(lane.size) % (lane.size // lanes)
        setattr(synapses, EDGE, _repeated(copy * edges.weight.size, np.arange(edges.weight.size)))
    delay_steps = np.tile(grid.delay_steps, lane.size)
    synapses.pre.delay = delay_steps * clock.dt
    if model.off_pre is not None:
        synapses.off.delay = (delay_steps + model.off_steps) * clock.dt
    return synapses


def unconnected(order: int, source_group: Any, target: Target, clock: Any) -> Any:
    """The synapses of the projection at a place in the network, before there are any."""
    model = target.model
    pathways = {"pre": model.on_pre} | ({} if model.off_pre is None else {"off": model.off_pre})
    if model.calls:
        pathways = {pathway: failing(code, pathway, order) for pathway, code in pathways.items()}
    return brian2.Synapses(
        source_group,
        target.group,
        model.synapse,
        on_pre=pathways,
        clock=clock,
        namespace=_namespace(model),
        name=f"synapses_{order}",
    )


def _repeated(first: IntArray, index: np.ndarray) -> IntArray:
    """`index` once per copy, moved by that copy's first neuron."""
    return (first[:, None] + index.astype(np.int64)).ravel()
