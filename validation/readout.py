"""The readout's potentials, from the spikes that a recording holds.

Recordings at fine steps keep scores but no potentials. The readout never spikes and has no adaptation: it is a linear
filter of what arrives, so that its potentials follow from the recorded spikes, up to rounding, without a simulation.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.signal import lfilter

from spikebridge.bridge.arrays import FloatArray
from spikebridge.bridge.discretise import GridNetwork, GridPopulation, GridProjection
from spikebridge.bridge.spec import SynapseKind
from spikebridge.bridge.spikes import SpikeTrains


def readout_potentials(grid: GridNetwork, spikes: Mapping[str, SpikeTrains]) -> FloatArray:
    """Potentials of the readout after each step's propagation, (classes, samples, steps).

    Args:
        grid: the network on the grid of the spikes.
        spikes: of every input and population that projects onto the readout.
    """
    name = grid.spec.readout.population
    (readout,) = (p for p in grid.populations if p.population.name == name)
    n_samples = next(iter(spikes.values())).n_samples
    arrivals = np.zeros((readout.population.size, n_samples, grid.n_steps))
    for projection in grid.projections:
        if projection.projection.target == name:
            _add_arrivals(arrivals, projection, spikes[projection.projection.source])
    return _potentials(readout, arrivals)


def _add_arrivals(arrivals: FloatArray, grid: GridProjection, trains: SpikeTrains) -> None:
    """Add the weight of every synapse that a spike passes, in the step in which it is delivered."""
    edges = grid.projection
    order = np.argsort(edges.source_index, kind="stable")
    fan_out = np.bincount(edges.source_index, minlength=trains.n_neurons)
    first = np.cumsum(fan_out) - fan_out
    per_spike = fan_out[trains.neuron]
    # Spike by spike the places of its neuron's synapses in `order`.
    within = np.arange(per_spike.sum()) - np.repeat(np.cumsum(per_spike) - per_spike, per_spike)
    synapse = order[np.repeat(first[trains.neuron], per_spike) + within]
    step = np.repeat(trains.step, per_spike) + grid.delay_steps[synapse]
    arrives = step < arrivals.shape[2]
    sample = np.repeat(trains.sample, per_spike)
    flat = np.ravel_multi_index((edges.target_index[synapse][arrives], sample[arrives], step[arrives]), arrivals.shape)
    arrivals += np.bincount(flat, edges.weight[synapse][arrives], minlength=arrivals.size).reshape(arrivals.shape)


def _potentials(readout: GridPopulation, arrivals: FloatArray) -> FloatArray:
    """u[t] = u_u u[t - 1] + what was delivered up to step t - 1; the state before the first step is 0."""
    p, population = readout.propagator, readout.population
    driven = np.zeros_like(arrivals)
    for neuron, arriving in enumerate(arrivals):
        match readout.synapse:
            case SynapseKind.DELTA:
                current = p.u_u[neuron] * arriving
            case SynapseKind.PULSE:
                ended = np.zeros_like(arriving)
                ended[:, readout.pulse_steps :] = arriving[:, : max(arriving.shape[1] - readout.pulse_steps, 0)]
                current = p.u_c[neuron] * np.cumsum(arriving - ended, axis=1)
            case SynapseKind.EXPONENTIAL:
                current = p.u_i[neuron] * lfilter([1.0], [1.0, -p.i_i[neuron]], arriving, axis=1)
        driven[neuron, :, 1:] = current[:, :-1]
        driven[neuron] += p.u_c[neuron] * population.bias[neuron]
        driven[neuron] = lfilter([1.0], [1.0, -p.u_u[neuron]], driven[neuron], axis=1)
    return driven
