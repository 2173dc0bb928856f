"""How often the search for patterns finds some among independent neurons, by kind of neuron and kind of surrogate.

    python benchmarks/patterns.py [--sets 100] [--processes bursts regular] [--surrogates pattern_jitter]

Neurons fire independently given the rate that is written beside each process, so that whatever is found is a false
positive, or that rate. Per process, data sets are tested as `spikebridge patterns` tests a data set (sizes 3 to 6,
5 %), against one surrogate each of as many other data sets: where surrogates keep what the neurons do, all are draws
of one distribution. Prints a table for docs/patterns.md.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import get_args

import numpy as np

from spikebridge.bridge.arrays import FloatArray, IntArray
from spikebridge.validation.patterns_decide import independent_positives
from spikebridge.validation.patterns_mining import largest_counts, mine, windows
from spikebridge.validation.patterns_parameters import PatternParameters, SurrogateKind
from spikebridge.validation.patterns_spikes import TrialSpikes
from spikebridge.validation.patterns_surrogates import make_surrogate, window_phase_ms

NEURONS, TRIALS, DURATION_MS = 40, 40, 500.0
LEAST_INTERVAL_MS = 5.0


def smooth(time_ms: FloatArray, place: FloatArray) -> FloatArray:
    """A rate that rises and falls once in a trial, as a share of the highest; the same in all trials."""
    return np.asarray(0.5 - 0.5 * np.cos(2 * np.pi * time_ms / DURATION_MS) + 0 * place)


def sharp(time_ms: FloatArray, place: FloatArray) -> FloatArray:
    """High for 10 ms, 200 ms after the start of every trial."""
    return np.where(np.abs(time_ms - 205.0) < 5.0, 1.0, 0.1) + 0 * place


def sharp_elsewhere(time_ms: FloatArray, place: FloatArray) -> FloatArray:
    """High for 10 ms, in every trial at another time."""
    return np.where(np.abs(time_ms - 50.0 - 400.0 * place) < 5.0, 1.0, 0.1)


def varying(time_ms: FloatArray, place: FloatArray) -> FloatArray:
    """High in a quarter of the trials, low in the others."""
    return np.where(place < 0.25, 1.0, 0.2) + 0 * time_ms


type Rate = Callable[[FloatArray, FloatArray], FloatArray]


def events(rng: np.random.Generator, highest_hz: float, rate: Rate, least_ms: float) -> tuple[FloatArray, IntArray]:
    """Times, and neurons within trials, of an inhomogeneous Poisson process with a refractory period."""
    n = int(rng.poisson(highest_hz * DURATION_MS / 1000.0 * NEURONS * TRIALS))
    time_ms, train = rng.uniform(0.0, DURATION_MS, n), rng.integers(0, NEURONS * TRIALS, n)
    place = rng.random(TRIALS)[train // NEURONS]
    kept = rng.random(n) < rate(time_ms, place)
    return refractory(time_ms[kept], train[kept], least_ms)


def refractory(time_ms: FloatArray, train: IntArray, least_ms: float) -> tuple[FloatArray, IntArray]:
    """Without what follows another event of the same train too soon, or lies outside the trial."""
    inside = (time_ms >= 0) & (time_ms < DURATION_MS)
    time_ms, train = time_ms[inside], train[inside]
    order = np.lexsort((time_ms, train))
    time_ms, train = time_ms[order], train[order]
    free = (np.diff(time_ms, prepend=-np.inf) >= least_ms) | (np.diff(train, prepend=-1) != 0)
    return time_ms[free], train[free]


def poisson(rate: Rate, highest_hz: float) -> Callable[[np.random.Generator], TrialSpikes]:
    """Single spikes."""
    return lambda rng: as_trials(*events(rng, highest_hz, rate, LEAST_INTERVAL_MS))


def bursts(rng: np.random.Generator) -> TrialSpikes:
    """Bursts of 1 to 4 spikes with intervals of 22 +- 1 ms, at a smooth rate."""
    start_ms, train = events(rng, 4.0, smooth, 100.0)
    spikes = rng.integers(1, 5, start_ms.size)
    number = np.arange(spikes.sum()) - np.repeat(np.cumsum(spikes) - spikes, spikes)
    intervals = np.where(number == 0, 0.0, rng.normal(22.0, 1.0, number.size))
    since = np.cumsum(intervals) - np.repeat(np.cumsum(intervals)[np.cumsum(spikes) - spikes], spikes)
    return as_trials(*refractory(np.repeat(start_ms, spikes) + since, np.repeat(train, spikes), LEAST_INTERVAL_MS))


def regular(rng: np.random.Generator) -> TrialSpikes:
    """Intervals of 100 +- 20 ms (gamma of shape 25) all through the trial, from a random time on."""
    many = int(2 * DURATION_MS / 100.0) + 10
    time_ms = np.cumsum(rng.gamma(25.0, 100.0 / 25.0, (NEURONS * TRIALS, many)), axis=1) - 300.0
    train = np.repeat(np.arange(NEURONS * TRIALS), many)
    return as_trials(*refractory(time_ms.ravel(), train, LEAST_INTERVAL_MS))


def as_trials(time_ms: FloatArray, train: IntArray) -> TrialSpikes:
    """Trains are numbered by trial, then neuron."""
    return TrialSpikes(time_ms, train % NEURONS, train // NEURONS, NEURONS, TRIALS, DURATION_MS)


PROCESSES: dict[str, tuple[str, Callable[[np.random.Generator], TrialSpikes]]] = {
    "poisson": ("Poisson, refractory, smooth rate", poisson(smooth, 12.0)),
    "bursts": ("bursts of up to 4 spikes every 22 ms, smooth rate", bursts),
    "regular": ("regular, every 100 ms", regular),
    "varying": ("Poisson, rate differs between trials", poisson(varying, 12.0)),
    "sharp": ("Poisson, rate high for 10 ms at the same time in all trials", poisson(sharp, 40.0)),
    "sharp_elsewhere": ("Poisson, rate high for 10 ms at another time in every trial", poisson(sharp_elsewhere, 40.0)),
}


def largest(spikes: TrialSpikes, parameters: PatternParameters) -> IntArray:
    """What is compared: how often the most frequent pattern of each size occurs."""
    assert parameters.min_occurrences is not None
    found = windows(spikes, parameters)
    return largest_counts(mine(found, parameters, parameters.min_occurrences, filtered=False), parameters)


def least_occurrences(spikes: TrialSpikes, parameters: PatternParameters) -> PatternParameters:
    """The lowest number at which this data set has at most 1,000 candidates."""
    for count in range(20, 2, -1):
        if len(mine(windows(spikes, parameters), parameters, count, filtered=False)) > 1000:
            return replace(parameters, min_occurrences=count + 1)
    return replace(parameters, min_occurrences=3)


def false_positives(
    process: str, kinds: Sequence[SurrogateKind], sets: int, seed: int = 0
) -> dict[str, tuple[int, int]]:
    """By kind of surrogate: data sets with patterns, and all of them.

    Args:
        process: of `PROCESSES`.
        kinds: of surrogates.
        sets: how many data sets are tested; as many others make surrogates.
        seed: of everything.
    """
    rng = np.random.default_rng([seed, list(PROCESSES).index(process)])
    make = PROCESSES[process][1]
    tested, others = [make(rng) for _ in range(sets)], [make(rng) for _ in range(sets)]
    parameters = least_occurrences(make(rng), PatternParameters())
    counts = np.array([largest(spikes, parameters) for spikes in tested])
    found = {}
    for kind in kinds:
        chosen = replace(parameters, surrogate=kind)
        made = [make_surrogate(spikes, chosen, window_phase_ms(chosen, i), rng) for i, spikes in enumerate(others)]
        chance = np.array([largest(spikes, chosen) for spikes in made])
        share = independent_positives(counts, chance, chosen.alpha)
        found[str(kind)] = (share.hits, share.samples)
    return found


def main() -> None:
    """Print the table, row by row."""
    kinds = get_args(SurrogateKind.__value__)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=int, default=100)
    parser.add_argument("--processes", nargs="+", default=list(PROCESSES), choices=list(PROCESSES))
    parser.add_argument("--surrogates", nargs="+", default=list(kinds), choices=kinds)
    options = parser.parse_args()
    print("|", " | ".join(["independent neurons", *(f"`{kind}`" for kind in options.surrogates)]), "|")
    print("|---" * (1 + len(options.surrogates)) + "|")
    for process in options.processes:
        found = false_positives(process, options.surrogates, options.sets)
        cells = [f"{hits} of {all_sets}" for hits, all_sets in found.values()]
        print("|", " | ".join([PROCESSES[process][0], *cells]), "|", flush=True)


if __name__ == "__main__":
    main()
