"""A network on its grid as an explicit Brian2 `Network`, many samples at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import brian2
import numpy as np

from spikebridge.bridge.arrays import FloatArray, IntArray
from spikebridge.bridge.discretise import GridNetwork, GridPopulation, GridProjection
from spikebridge.bridge.equations import BrianModel, brian_model
from spikebridge.bridge.equations_physical import physical_model
from spikebridge.bridge.physical import PhysicalUnits
from spikebridge.bridge.spikes import SpikeTrains
from spikebridge.sim.layout import Layout
from spikebridge.sim.sources import Source, build_source

UNITS: dict[str, Any] = {"1": 1} | {
    name: getattr(brian2, name) for name in ("second", "volt", "amp", "farad", "siemens", "ohm")
}


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
    grid: GridNetwork, inputs: Mapping[str, SpikeTrains], layout: Layout, physical: PhysicalUnits | None = None
) -> Built:
    """Build the Network on the active device; every object runs on one clock and resolves names in no namespace.

    Args:
        grid: the network on its grid.
        inputs: what is played in, by input name, on the same grid.
        layout: where each sample runs.
        physical: run in mV, pA, pF and nS instead of without units.
    """
    clock = brian2.Clock(dt=grid.step_ms * brian2.ms)
    # Numbered, because Brian2 makes further names out of these, which must not meet another population's.
    sources = {
        name: build_source(f"input_{order}_{name}", trains, layout, clock)
        for order, (name, trains) in enumerate(inputs.items())
    }
    targets = {
        g.population.name: _population(f"population_{order}_{g.population.name}", g, layout, clock, physical)
        for order, g in enumerate(grid.populations)
    }
    sources |= {name: Source(targets[name].group, targets[name].size, bits=1) for name in grid.spec.spiking_populations}
    synapses = [
        _synapses(
            f"synapses_{order}",
            projection,
            sources[projection.projection.source],
            targets[projection.projection.target],
            layout.lanes,
            clock,
        )
        for order, projection in enumerate(grid.projections)
        if projection.projection.weight.size
    ]
    monitors = {
        name: brian2.SpikeMonitor(targets[name].group, name=f"{targets[name].group.name}_spikes")
        for name in grid.spec.spiking_populations
    }
    readout = brian2.StateMonitor(
        targets[grid.spec.readout.population].group,
        targets[grid.spec.readout.population].model.potential,
        record=True,
        clock=clock,
        when="after_groups",
        name="readout_trace",
    )
    groups = [sources[name].group for name in inputs] + [target.group for target in targets.values()]
    return Built(brian2.Network(groups, synapses, monitors, readout), targets, monitors, readout)


def _population(name: str, grid: GridPopulation, layout: Layout, clock: Any, physical: PhysicalUnits | None) -> Target:
    model = brian_model(grid) if physical is None else physical_model(grid, physical)
    threshold = model.threshold
    if threshold is not None and layout.rounds > 1:
        # Nothing may fire between two samples.
        threshold += f" and t_in_timesteps % {layout.period_steps} < {layout.active_steps}"
    group = brian2.NeuronGroup(
        layout.lanes * grid.population.size,
        model.equations,
        method=lambda *_: model.update,
        threshold=threshold,
        reset=model.reset,
        refractory=model.refractory_steps * clock.dt if model.refractory_steps else False,
        clock=clock,
        namespace={},
        name=name,
    )
    for constant, values in model.constants.items():
        setattr(group, constant, np.tile(values, layout.lanes) * UNITS[model.units[constant]])
    group.run_regularly(model.deliver, clock=clock, when="after_synapses", name=f"{name}_deliver")
    if layout.rounds > 1:
        # A state that is not finite stays so, which is found at the end of the run.
        keep = f"_keep = int(t_in_timesteps % {layout.period_steps} != 0)\n"
        code = keep + "\n".join(f"{variable} = {variable} * _keep" for variable in model.state)
        group.run_regularly(code, clock=clock, when="before_groups", name=f"{name}_start")
    return Target(group, grid.population.size, model)


def _synapses(name: str, grid: GridProjection, source: Source, target: Target, lanes: int, clock: Any) -> Any:
    """One projection: its edges once per lane and per bit of the source."""
    edges, model = grid.projection, target.model
    pathways = {"pre": model.on_pre} | ({} if model.off_pre is None else {"off": model.off_pre})
    synapses = brian2.Synapses(
        source.group,
        target.group,
        model.synapse,
        on_pre=pathways,
        clock=clock,
        namespace={},
        name=name,
    )
    lane, first, bit = source.copies(lanes)
    synapses.connect(i=_repeated(first, edges.source_index), j=_repeated(lane * target.size, edges.target_index))
    weight: FloatArray = 2.0 ** bit[:, None] * edges.weight
    synapses.weight = weight.ravel()
    delay_steps = np.tile(grid.delay_steps, lane.size)
    synapses.pre.delay = delay_steps * clock.dt
    if model.off_pre is not None:
        synapses.off.delay = (delay_steps + model.off_steps) * clock.dt
    return synapses


def _repeated(first: IntArray, index: np.ndarray) -> IntArray:
    """`index` once per copy, moved by that copy's first neuron."""
    return (first[:, None] + index.astype(np.int64)).ravel()
