"""Data sets for tests of the search for patterns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from recordings import make_recording, make_trials

from spikebridge.bridge.recording import Recording
from spikebridge.bridge.spikes import SpikeTrains
from spikebridge.validation.patterns_parameters import PatternParameters
from spikebridge.validation.patterns_spikes import TrialSpikes, plant

# Small, so that a whole analysis takes a second or two.
SMALL = PatternParameters(
    surrogates=80,
    min_occurrences=3,
    planted_spikes=(4,),
    planted_occurrences=(3, 12),
    planted_sets=4,
    required_power=0.5,  # four of four planted patterns have an interval that begins at 51 %
    independent_sets=20,
)


def poisson_spikes(
    seed: int = 0, *, neurons: int = 20, trials: int = 20, duration_ms: float = 500.0, rate_hz: float = 3.0
) -> TrialSpikes:
    """Independent neurons of one rate: no patterns but by chance."""
    rng = np.random.default_rng(seed)
    n = int(rng.poisson(neurons * trials * duration_ms / 1000.0 * rate_hz))
    return TrialSpikes(
        rng.uniform(0.0, duration_ms, n),
        rng.integers(0, neurons, n),
        rng.integers(0, trials, n),
        neurons,
        trials,
        duration_ms,
    )


def locked_spikes(seed: int = 0, *, neurons: int = 20, trials: int = 20) -> TrialSpikes:
    """Independent neurons that fire, each with a chance of a half, 200 to 206 ms after the start of every trial."""
    spikes = poisson_spikes(seed, neurons=neurons, trials=trials, rate_hz=2.0)
    rng = np.random.default_rng([seed, 1])
    trial, neuron = np.nonzero(rng.random((trials, neurons)) < 0.5)
    return replace(
        spikes,
        time_ms=np.concatenate([spikes.time_ms, rng.uniform(200.0, 206.0, trial.size)]),
        neuron=np.concatenate([spikes.neuron, neuron]),
        trial=np.concatenate([spikes.trial, trial]),
    )


def with_pattern(spikes: TrialSpikes, size: int = 5, occurrences: int = 15, seed: int = 1) -> TrialSpikes:
    """The same with a planted pattern."""
    made = plant(spikes, size, occurrences, 60.0, np.random.default_rng(seed))
    assert made is not None
    return made[0]


def as_recording(*populations: TrialSpikes, classes: int = 1, step_ms: float = 0.1) -> Recording:
    """A recording of these populations; trials belong to the classes in turn."""
    first = populations[0]
    steps = round(first.duration_ms / step_ms)
    trials = make_trials(np.random.default_rng(0), samples=first.n_trials, classes=classes, duration_s=0.5)
    trials = replace(trials, labels=np.arange(first.n_trials) % classes)
    spikes = {}
    for index, population in enumerate(populations, start=1):
        step = np.minimum((population.time_ms / step_ms).astype(np.int32), steps - 1)
        order = np.lexsort((population.neuron, step, population.trial))
        counts = np.bincount(population.trial, minlength=population.n_trials)
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        neuron = population.neuron.astype(np.int32)
        spikes[f"hidden{index}"] = SpikeTrains(
            step[order], neuron[order], offsets, steps, population.n_neurons, step_ms
        )
    return make_recording(trials, spikes, steps=steps, step_ms=step_ms, executor="brian2-cpp")


def run_here(
    work: Callable[[Any, Any], Any], jobs: Sequence[Any], tasks: Iterable[tuple[int, Any]], /
) -> Iterator[tuple[int, Any]]:
    """One search after another in this process."""
    for number, (job, chunk) in enumerate(tasks):
        yield number, work(jobs[job], chunk)
