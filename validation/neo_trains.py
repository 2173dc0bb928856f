"""Spike trains as Neo objects, with units: the form in which Elephant and other tools of the field take them."""

from __future__ import annotations

import neo
import numpy as np
import quantities as pq

from spikebridge.bridge.errors import SpecError
from spikebridge.bridge.spikes import SpikeTrains


def neo_train(trains: SpikeTrains, sample: int, neuron: int) -> neo.SpikeTrain:
    """One neuron in one sample, in ms from the start of the sample, ending with the sample.

    A spike's time is the start of its step; a count above one is a repeated time.

    Raises:
        SpecError: no such sample or neuron.
    """
    if not 0 <= neuron < trains.n_neurons:
        raise SpecError(f"neuron {neuron} does not exist; there are 0 .. {trains.n_neurons - 1}")
    return neo_trains(trains, sample)[neuron]


def neo_trains(trains: SpikeTrains, sample: int) -> list[neo.SpikeTrain]:
    """Every neuron in one sample, in order; silent neurons are empty trains.

    Raises:
        SpecError: no such sample.
    """
    if not 0 <= sample < trains.n_samples:
        raise SpecError(f"sample {sample} does not exist; there are 0 .. {trains.n_samples - 1}")
    one = trains.select([sample])
    order = np.argsort(one.neuron, kind="stable")
    ends = np.cumsum(np.bincount(one.neuron, minlength=one.n_neurons))
    stop_ms = one.n_steps * one.step_ms
    return [
        neo.SpikeTrain(times, units=pq.ms, t_stop=stop_ms, sample=sample, neuron=neuron)
        for neuron, times in enumerate(np.split(one.time_ms[order], ends[:-1]))
    ]
