"""Frequent patterns of a data set, by Elephant's compiled miner.

Elephant's `concepts_mining` builds a dense matrix of windows x (neurons x bins) and its windows in Python; here only
the windows themselves are made, and given to the same miner and filter. Results are the same
(`tests/test_patterns_mining.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spikebridge.bridge.arrays import IntArray
from spikebridge.bridge.errors import SpikebridgeError
from spikebridge.validation.elephant_functions import spade
from spikebridge.validation.patterns_parameters import PatternParameters
from spikebridge.validation.patterns_spikes import TrialSpikes

# Longer patterns are found as their parts of this many spikes.
MOST_SPIKES = 30


@dataclass(frozen=True, slots=True, eq=False)
class Windows:
    """One window per bin with spikes, beginning there. No window reaches into the next trial.

    Attributes:
        start_bin: (W,) on the axis of all trials, each `bins_per_trial` bins and a gap of one window long.
        items: W lists of items, neuron * window_bins + lag in bins; a neuron counts once per bin.
        stride: bins from the start of a trial to that of the next.
    """

    start_bin: IntArray
    items: list[list[int]]
    stride: int


@dataclass(frozen=True, slots=True)
class Concept:
    """A pattern that occurs: a closed set of items, of which no larger one occurs as often.

    Attributes:
        items: neuron * window_bins + lag in bins, rising.
        occurrences: in how many windows.
    """

    items: tuple[int, ...]
    occurrences: int


def require_miner() -> None:
    """Refuse to go on without the compiled miner.

    Raises:
        SpikebridgeError: Elephant was installed without it; its substitute in Python is a hundred times slower.
    """
    if not spade.HAVE_FIM:
        raise SpikebridgeError(
            "elephant.spade_src.fim, the compiled miner, is missing from this installation of Elephant; install a "
            "wheel of Elephant (pip install --force-reinstall --only-binary elephant elephant), or a C++ compiler first"
        )


def binned(spikes: TrialSpikes, parameters: PatternParameters) -> tuple[IntArray, IntArray, int]:
    """Bin (on the axis of all trials) and neuron of each occupied bin, sorted by bin; and the stride of trials.

    A thousandth of a bin is tolerated, as everywhere, so that a spike at the start of a bin belongs to it.
    """
    per_trial = int(np.ceil(spikes.duration_ms / parameters.bin_ms - 1e-3))
    stride = per_trial + parameters.window_bins
    within = np.minimum(np.floor(spikes.time_ms / parameters.bin_ms + 1e-3).astype(np.int64), per_trial - 1)
    flat = np.unique((spikes.trial * stride + within) * spikes.n_neurons + spikes.neuron)
    return flat // spikes.n_neurons, flat % spikes.n_neurons, stride


def windows(spikes: TrialSpikes, parameters: PatternParameters) -> Windows:
    """All windows of a data set."""
    bins, neurons, stride = binned(spikes, parameters)
    starts = np.unique(bins)
    first, last = np.searchsorted(bins, starts), np.searchsorted(bins, starts + parameters.window_bins)
    many = last - first
    ends = np.cumsum(many)
    spike = np.arange(many.sum()) + np.repeat(first - (ends - many), many)
    flat = (neurons[spike] * parameters.window_bins + bins[spike] - np.repeat(starts, many)).tolist()
    items = [flat[a:b] for a, b in zip((ends - many).tolist(), ends.tolist(), strict=True)]
    return Windows(starts, items, stride)


def mine(
    found: Windows, parameters: PatternParameters, min_occurrences: int, *, filtered: bool = True
) -> list[Concept]:
    """Closed patterns of at least `min_spikes` neurons that occur in at least so many windows.

    Later parts of a pattern that only occur within it are left out (Elephant's filter for moving windows), unless not
    `filtered`.
    """
    items = found.items
    if len(items) < min_occurrences:
        return []
    if all(window == items[0] for window in items):  # the miner would return nothing
        lasting = len({item // parameters.window_bins for item in items[0]}) >= parameters.min_spikes
        return [Concept(tuple(items[0]), len(items))] if lasting else []
    mined = spade.fim.fpgrowth(
        tracts=items,
        target="c",
        supp=-min_occurrences,
        zmin=parameters.min_spikes,
        zmax=MOST_SPIKES,
        report="a",
        algo="s",
        winlen=parameters.window_bins,
        min_neu=parameters.min_spikes,
        threads=0,
        verbose=4,
    )
    kept = spade._filter_for_moving_window_subsets(mined, parameters.window_bins) if filtered else mined
    return sorted((Concept(tuple(sorted(intent)), int(count)) for intent, count in kept), key=_order)


def largest_counts(concepts: list[Concept], parameters: PatternParameters) -> IntArray:
    """(Z,) how often the most frequent pattern of each tested size or larger occurs; 0 where there is none.

    Larger ones count too, as in Elephant: a pattern of five spikes contains patterns of four that occur as often.
    """
    largest = np.zeros(parameters.tested_sizes, dtype=np.int64)
    for concept in concepts:
        index = min(len(concept.items), parameters.max_spikes) - parameters.min_spikes
        largest[index] = max(largest[index], concept.occurrences)
    return np.maximum.accumulate(largest[::-1])[::-1]


def occurrences(found: Windows, concept: Concept) -> IntArray:
    """(O,) indices of the windows in which a pattern occurs."""
    wanted = set(concept.items)
    return np.array([index for index, window in enumerate(found.items) if wanted.issubset(window)], dtype=np.int64)


def _order(concept: Concept) -> tuple[int, int, tuple[int, ...]]:
    return -len(concept.items), -concept.occurrences, concept.items
