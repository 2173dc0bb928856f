"""From what Brian2 monitored to spikes, scores and readout potentials per sample."""

from __future__ import annotations

import brian2
import numpy as np

from spikebridge.bridge.arrays import FloatArray, IntArray
from spikebridge.bridge.decoding import decode
from spikebridge.bridge.discretise import GridNetwork
from spikebridge.bridge.errors import SpecError
from spikebridge.bridge.spikes import SpikeTrains
from spikebridge.sim.build import Built
from spikebridge.sim.engine import Simulated
from spikebridge.sim.layout import Layout


def read_simulated(built: Built, grid: GridNetwork, layout: Layout, samples: int, *, keep_readout: bool) -> Simulated:
    """What the network did with the first `samples` samples of a layout; the rest of its lanes ran without one.

    Raises:
        SpecError: as `require_finite`.
    """
    require_finite(built)
    spec = grid.spec
    spikes = {name: read_spikes(name, built, grid, layout, samples) for name in spec.spiking_populations}
    readout = read_readout(built, grid, layout, samples)
    scores = decode(readout, spec.readout.decoding, step_ms=grid.step_ms, training_step_ms=spec.training_step_ms)
    return Simulated(spikes, scores, readout if keep_readout else None)


def require_finite(built: Built) -> None:
    """Refuse a run in which a state variable is NaN or infinite at the end; such a neuron just never spikes.

    Raises:
        SpecError: naming population, variable and neuron.
    """
    for name, target in built.populations.items():
        for variable in target.model.state:
            bad = ~np.isfinite(np.asarray(getattr(target.group, variable)[:]))
            if bad.any():
                raise diverged(name, variable, target.size, np.flatnonzero(bad) % target.size)


def diverged(population: str, variable: str, size: int, neurons: IntArray) -> SpecError:
    """The error for neurons (with repetitions) of which a variable is not finite at the end of a sample."""
    found = np.unique(neurons)
    return SpecError(
        f"the simulation diverged: {variable} of {found.size} of {size} neurons of {population!r} is not finite, first "
        f"neuron {found[0]}; look at its weights"
    )


def read_spikes(name: str, built: Built, grid: GridNetwork, layout: Layout, samples: int) -> SpikeTrains:
    """The spikes of one population, by sample and step of the sample."""
    monitor, size = built.spike_monitors[name], built.populations[name].size
    step = np.round(np.asarray(monitor.t / (grid.step_ms * brian2.ms))).astype(np.int64)
    lane, neuron = np.divmod(np.asarray(monitor.i[:], dtype=np.int64), size)
    sample = layout.sample(lane, step)
    taken = np.flatnonzero(sample < samples)  # in the last round some lanes run without a sample
    # A GPU records the spikes of a step in any order.
    taken = taken[np.lexsort((neuron[taken], step[taken], sample[taken]))]
    offsets = np.zeros(samples + 1, dtype=np.int64)
    np.cumsum(np.bincount(sample[taken], minlength=samples), out=offsets[1:])
    return SpikeTrains(
        (step[taken] % layout.period_steps).astype(np.int32),
        neuron[taken].astype(np.int32),
        offsets,
        grid.n_steps,
        size,
        grid.step_ms,
    )


def read_readout(built: Built, grid: GridNetwork, layout: Layout, samples: int) -> FloatArray:
    """Potentials (samples, steps, classes) of the readout after each step's propagation, dimensionless."""
    model = built.populations[grid.spec.readout.population].model
    trace = np.asarray(getattr(built.readout_monitor, model.potential)[:])  # (lanes * classes, total steps)
    traces = trace.reshape(layout.lanes, -1, trace.shape[1])
    readout = np.empty((samples, grid.n_steps, traces.shape[1]))
    every = np.arange(samples, dtype=np.int64)
    for sample, lane, start in zip(every, layout.lane(every), layout.start_step(every), strict=True):
        readout[sample] = traces[lane, :, start : start + grid.n_steps].T / model.potential_unit
    return readout
