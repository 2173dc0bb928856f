"""Spikes of one population in the trials of one class, and patterns planted into them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from spikebridge.bridge.arrays import FloatArray, IntArray
from spikebridge.bridge.spikes import SpikeTrains


@dataclass(frozen=True, slots=True, eq=False)
class TrialSpikes:
    """One data set.

    Attributes:
        time_ms: (E,) from the start of the trial, 0 .. duration_ms.
        neuron, trial: (E,) of each spike.
        n_neurons, n_trials: how many there are.
        duration_ms: of a trial.
    """

    time_ms: FloatArray
    neuron: IntArray
    trial: IntArray
    n_neurons: int
    n_trials: int
    duration_ms: float


@dataclass(frozen=True, slots=True)
class Planted:
    """A pattern that was planted.

    Attributes:
        neurons: of its spikes, all different.
        lags_ms: of its spikes after the first one, whose lag is 0.
        occurrences: how often.
    """

    neurons: tuple[int, ...]
    lags_ms: tuple[float, ...]
    occurrences: int


def trial_spikes(trains: SpikeTrains, samples: IntArray) -> TrialSpikes:
    """The given samples of a recording as trials, in that order."""
    chosen = trains.select(samples)
    return TrialSpikes(
        chosen.time_ms,
        chosen.neuron.astype(np.int64),
        chosen.sample,
        chosen.n_neurons,
        chosen.n_samples,
        chosen.n_steps * chosen.step_ms,
    )


def plant(
    spikes: TrialSpikes, size: int, occurrences: int, window_ms: float, rng: np.random.Generator
) -> tuple[TrialSpikes, Planted] | None:
    """Move spikes so that they form a pattern; every neuron keeps its number of spikes over all trials.

    Each occurrence lies in another trial, at a random time; for each of its spikes a random one of that neuron is
    taken away elsewhere. Lags are uniform within the window and not rounded to bins; there is no jitter.

    Args:
        spikes: where to plant, usually a surrogate.
        size: spikes of the pattern, each of another neuron.
        occurrences: how often it occurs.
        window_ms: its lags are below this.
        rng: for neurons, lags, trials and times.

    Returns:
        The spikes and what was planted; None if the trials or the spikes are too few.
    """
    fired = np.bincount(spikes.neuron, minlength=spikes.n_neurons)
    able = np.flatnonzero(fired >= occurrences)
    if able.size < size or spikes.n_trials < occurrences or spikes.duration_ms <= window_ms:
        return None
    neurons = rng.choice(able, size, replace=False)
    lags = np.concatenate([[0.0], np.sort(rng.uniform(0.0, window_ms, size - 1))])
    trials = rng.choice(spikes.n_trials, occurrences, replace=False)
    starts = rng.uniform(0.0, spikes.duration_ms - window_ms, occurrences)
    time_ms, trial = spikes.time_ms.copy(), spikes.trial.copy()
    for neuron, lag in zip(neurons, lags, strict=True):
        moved = rng.choice(np.flatnonzero(spikes.neuron == neuron), occurrences, replace=False)
        time_ms[moved] = starts + lag
        trial[moved] = trials
    planted = Planted(tuple(neurons.tolist()), tuple(lags.tolist()), occurrences)
    return replace(spikes, time_ms=time_ms, trial=trial), planted
