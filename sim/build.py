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
from spikebridge.bridge.spikes import SpikeTrains
from spikebridge.sim.layout import Layout
from spikebridge.sim.sources import Source, build_source


@dataclass(frozen=True, slots=True, eq=False)
class Built:
    """The Brian2 objects that are run and read.

    Attributes:
        network: everything that runs, and nothing else.
        spike_monitors: by spiking population.
        readout_monitor: potentials of the readout population after each step's propagation.
    """

    network: Any
    spike_monitors: dict[str, Any]
    readout_monitor: Any


def build(grid: GridNetwork, inputs: Mapping[str, SpikeTrains], layout: Layout) -> Built:
    """Build the Network; on the active device.

    Args:
        grid: the network on its grid.
        inputs: what is played in, by input name, on the same grid.
        layout: where each sample runs.
    """
    clock = brian2.Clock(dt=grid.step_ms * brian2.ms)
    sources: dict[str, Source] = {name: build_source(name, trains, layout, clock) for name, trains in inputs.items()}
    models = {g.population.name: brian_model(g) for g in grid.populations}
    groups = {g.population.name: _group(g, models[g.population.name], layout, clock) for g in grid.populations}
    synapses = []
    for projection in grid.projections:
        edges = projection.projection
        model, target = models[edges.target], groups[edges.target]
        if edges.source in sources:
            source = sources[edges.source]
        else:
            source = Source(groups[edges.source], grid.spec.sizes[edges.source], bits=1)
        if edges.weight.size:
            synapses.append(_synapses(projection, source, target, grid.spec.sizes[edges.target], model, layout, clock))
    monitors = {
        name: brian2.SpikeMonitor(groups[name], name=f"{name}_spikes") for name in grid.spec.spiking_populations
    }
    readout = brian2.StateMonitor(
        groups[grid.spec.readout.population], "u", record=True, clock=clock, when="after_groups", name="readout_trace"
    )
    objects = [source.group for source in sources.values()]
    network = brian2.Network(*objects, *groups.values(), *synapses, *monitors.values(), readout)
    return Built(network, monitors, readout)


def _group(grid: GridPopulation, model: BrianModel, layout: Layout, clock: Any) -> Any:
    threshold = model.threshold
    if threshold is not None and layout.rounds > 1:
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
        name=grid.population.name,
    )
    for name, values in model.constants.items():
        unit = brian2.second if name.startswith("tau_") else 1
        setattr(group, name, np.tile(values, layout.lanes) * unit)
    group.run_regularly(model.deliver, clock=clock, when="after_synapses", name=f"{grid.population.name}_deliver")
    if layout.rounds > 1:
        keep = f"_keep = int(t_in_timesteps % {layout.period_steps} != 0)\n"
        code = keep + "\n".join(f"{name} = {name} * _keep" for name in model.state)
        group.run_regularly(code, clock=clock, when="before_groups", name=f"{grid.population.name}_start")
    return group


def _synapses(
    grid: GridProjection, source: Source, target: Any, target_size: int, model: BrianModel, layout: Layout, clock: Any
) -> Any:
    edges = grid.projection
    on_pre = {"pre": model.on_pre} | ({} if model.off_pre is None else {"off": model.off_pre})
    synapses = brian2.Synapses(
        source.group,
        target,
        "weight : 1 (constant)",
        on_pre=on_pre,
        namespace={},
        clock=clock,
        name=f"{edges.source}_to_{edges.target}",
    )
    lane, first, bit = source.copies(layout.lanes)
    synapses.connect(
        i=_tiled(first, edges.source_index.astype(np.int64)),
        j=_tiled(lane * target_size, edges.target_index.astype(np.int64)),
    )
    weights: FloatArray = (2.0**bit[:, None] * edges.weight).ravel()
    synapses.weight = weights
    delay = np.tile(grid.delay_steps, lane.size)
    synapses.pre.delay = delay * clock.dt
    if model.off_pre is not None:
        synapses.off.delay = (delay + model.off_steps) * clock.dt
    return synapses


def _tiled(first: IntArray, index: IntArray) -> IntArray:
    """`index` once per copy, each moved by that copy's first neuron."""
    return (first[:, None] + index).ravel()
