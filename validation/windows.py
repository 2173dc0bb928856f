"""Spike counts in windows of equal length that never cross the end of a sample."""

from __future__ import annotations

import numpy as np

from spikebridge.bridge.arrays import IntArray
from spikebridge.bridge.spikes import SpikeTrains
from spikebridge.bridge.timing import off_grid


def window_steps(trains: SpikeTrains, window_ms: float) -> int | str:
    """Length of a window in steps, or in words why this grid has no such windows."""
    if bool(off_grid(window_ms, trains.step_ms)):
        return f"{window_ms:g} ms are no whole number of steps of {trains.step_ms:g} ms"
    steps = round(window_ms / trains.step_ms)
    if steps > trains.n_steps:
        return f"a sample is shorter than {window_ms:g} ms"
    return steps


def neuron_counts(trains: SpikeTrains, steps: int) -> IntArray:
    """(S, W, N) spikes of every neuron in every whole window of `steps` steps; the rest at the end is left out."""
    n_windows = trains.n_steps // steps
    window = trains.step // steps
    whole = window < n_windows
    flat = (trains.sample[whole] * n_windows + window[whole]) * trains.n_neurons + trains.neuron[whole]
    shape = (trains.n_samples, n_windows, trains.n_neurons)
    return np.bincount(flat, minlength=int(np.prod(shape))).reshape(shape).astype(np.int64)


def population_counts(trains: SpikeTrains, steps: int) -> IntArray:
    """(S, W) spikes of the whole population in every whole window of `steps` steps."""
    n_windows = trains.n_steps // steps
    window = trains.step // steps
    whole = window < n_windows
    flat = trains.sample[whole] * n_windows + window[whole]
    return np.bincount(flat, minlength=trains.n_samples * n_windows).reshape(-1, n_windows).astype(np.int64)
