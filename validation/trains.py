"""Spikes ordered by train, where a train is one neuron in one sample."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spikebridge.bridge.arrays import Int32Array, IntArray
from spikebridge.bridge.spikes import SpikeTrains


@dataclass(frozen=True, slots=True, eq=False)
class OrderedSpikes:
    """All spikes of a population ordered by train, then by step.

    Attributes:
        step: (E,) step of each spike.
        train: (E,) `sample * n_neurons + neuron`, rising.
        start, count: (K,) of each train that has a spike: where it starts in `step`, and how many it has.
        n_trains: number of trains, silent ones included.
    """

    step: Int32Array
    train: IntArray
    start: IntArray
    count: IntArray
    n_trains: int


def order_by_train(trains: SpikeTrains) -> OrderedSpikes:
    """Sort a population's spikes by train."""
    train = trains.sample * trains.n_neurons + trains.neuron
    # Stable: within a sample, spikes are already in the order of their steps.
    order = np.argsort(train, kind="stable")
    train = train[order]
    _, start, count = np.unique(train, return_index=True, return_counts=True)
    return OrderedSpikes(
        trains.step[order],
        train,
        start.astype(np.int64),
        count.astype(np.int64),
        trains.n_samples * trains.n_neurons,
    )
