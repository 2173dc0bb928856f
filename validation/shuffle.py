"""Spikes with their samples exchanged within classes: a control that keeps what the stimulus locks and nothing else."""

from __future__ import annotations

import numpy as np

from spikebridge.bridge.arrays import IntArray
from spikebridge.bridge.spikes import SpikeTrains


def shuffle_samples(trains: SpikeTrains, labels: IntArray, seed: int = 0) -> SpikeTrains:
    """Give every train of a neuron to another sample of the same class, independently for every neuron.

    Rates, intervals and the course of the response to a class stay; what neurons did together in one sample is lost. A
    class with one sample stays as it is.

    Args:
        trains: spikes of one population.
        labels: (S,) class of each sample.
        seed: of the permutations.
    """
    rng = np.random.default_rng(seed)
    target = np.tile(np.arange(trains.n_samples)[:, None], (1, trains.n_neurons))
    for label in np.unique(labels):
        samples = np.flatnonzero(labels == label)
        order = np.argsort(rng.random((samples.size, trains.n_neurons)), axis=0)
        target[samples] = samples[order]
    sample = target[trains.sample, trains.neuron]
    by_sample = np.argsort(sample, kind="stable")
    offsets = np.concatenate([[0], np.cumsum(np.bincount(sample, minlength=trains.n_samples))])
    return SpikeTrains(
        trains.step[by_sample],
        trains.neuron[by_sample],
        offsets,
        trains.n_steps,
        trains.n_neurons,
        trains.step_ms,
    )
