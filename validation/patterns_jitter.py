"""Pattern jitter: bursts move as a whole, within windows of time.

Harrison & Geman 2009, Neural Comput. 21:1244; Amarasingham et al. 2012, J. Neurophysiol. 107:517.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from spikebridge.bridge.arrays import BoolArray, FloatArray, IntArray
from spikebridge.validation.patterns_spikes import TrialSpikes

# Bursts move in steps of this share of a bin.
PLACES_PER_BIN = 5
# Of a step: rounding errors of times are below, differences between times are above.
TOLERANCE = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class _Bursts:
    """Spikes of a neuron that follow each other closely, and single ones.

    Attributes:
        of_spike: (E,) burst of each spike.
        start_ms, span_ms: (B,) of its first spike, and to its last one.
        train: (B,) trains are a neuron in a trial.
        rank: (B,) of a burst in its train, from 0.
    """

    of_spike: IntArray
    start_ms: FloatArray
    span_ms: FloatArray
    train: IntArray
    rank: IntArray


def pattern_jitter(
    spikes: TrialSpikes,
    jitter_ms: float,
    phase_ms: float,
    kept_ms: float,
    bin_ms: float,
    rng: np.random.Generator,
) -> TrialSpikes:
    """A uniform draw from all data sets with the same bursts in the same windows.

    Time is cut into windows. Spikes of a neuron that follow each other within `kept_ms` are a burst. Its first spike is
    moved within its window, in steps of a fifth of a bin, and takes the others along; bursts of a neuron stay more than
    `kept_ms` apart, and within the trial. So the bursts of the result are those of the data, in the same windows, and
    the data are one of the equally likely results. Numbers of possible trains are counted from the last burst to the
    first, and places drawn from the first to the last.

    Args:
        spikes: the data set.
        jitter_ms: length of the windows.
        phase_ms: where a window begins.
        kept_ms: intervals up to this are kept.
        bin_ms: of the analysis.
        rng: of this surrogate.

    Returns:
        The surrogate, its spikes in order of trial, neuron and time.
    """
    order = np.lexsort((spikes.time_ms, spikes.neuron, spikes.trial))
    spikes = replace(spikes, time_ms=spikes.time_ms[order], neuron=spikes.neuron[order], trial=spikes.trial[order])
    if spikes.time_ms.size == 0:
        return spikes
    least_ms = kept_ms + bin_ms / 1000.0
    bursts = _bursts(spikes, least_ms)
    places = int(np.ceil(PLACES_PER_BIN * jitter_ms / bin_ms))
    step_ms = jitter_ms / places
    in_window = (bursts.start_ms - phase_ms) / jitter_ms
    own = np.minimum(np.floor((in_window - np.floor(in_window)) * places).astype(np.int64), places - 1)
    place_ms = (bursts.start_ms - own * step_ms)[:, None] + step_ms * np.arange(places)
    possible = (place_ms >= 0) & (place_ms + bursts.span_ms[:, None] <= spikes.duration_ms)
    possible[np.arange(own.size), own] = True
    drawn = _draw(bursts, place_ms, possible, least_ms, step_ms, rng)
    moved = place_ms[np.arange(own.size), drawn] - bursts.start_ms
    return replace(spikes, time_ms=spikes.time_ms + moved[bursts.of_spike])


def _bursts(spikes: TrialSpikes, least_ms: float) -> _Bursts:
    train = spikes.trial * spikes.n_neurons + spikes.neuron
    new_train = np.diff(train, prepend=-1) != 0
    new_burst = new_train | (np.diff(spikes.time_ms, prepend=0.0) > least_ms)
    first = np.flatnonzero(new_burst)
    last = np.append(first[1:], train.size) - 1
    of_train = np.cumsum(new_train[first]) - 1
    rank = np.arange(first.size) - np.flatnonzero(new_train[first])[of_train]
    start = spikes.time_ms[first]
    return _Bursts(np.cumsum(new_burst) - 1, start, spikes.time_ms[last] - start, of_train, rank)


def _draw(
    bursts: _Bursts,
    place_ms: FloatArray,
    possible: BoolArray,
    least_ms: float,
    step_ms: float,
    rng: np.random.Generator,
) -> IntArray:
    """(B,) the place of every burst, so that every possible train is equally likely."""
    places = place_ms.shape[1]
    by_rank = [np.flatnonzero(bursts.rank == rank) for rank in range(int(bursts.rank.max()) + 1)]
    end_ms = place_ms + bursts.span_ms[:, None]
    # In how many ways the train goes on from each place, but for a factor per burst.
    ways = possible.astype(np.float64)
    # A burst before the last one of its train is followed by the next row: bursts are in order.
    for rank in range(len(by_rank) - 1, 0, -1):
        after = by_rank[rank]
        before = after - 1
        beyond = np.cumsum(ways[after][:, ::-1], axis=1)[:, ::-1]
        beyond = np.concatenate([beyond, np.zeros((after.size, 1))], axis=1)
        next_place = (end_ms[before] + least_ms - place_ms[after, 0][:, None]) / step_ms
        first = np.clip(np.ceil(next_place - TOLERANCE), 0, places).astype(np.int64)
        ways[before] *= np.take_along_axis(beyond, first, axis=1)
        ways[before] /= ways[before].max(axis=1, keepdims=True)
    drawn = np.zeros(bursts.rank.size, dtype=np.int64)
    for rank, here in enumerate(by_rank):
        weight = ways[here]
        if rank:
            free_from = end_ms[here - 1, drawn[here - 1]] + least_ms - TOLERANCE * step_ms
            weight = np.where(place_ms[here] >= free_from[:, None], weight, 0.0)
        below = np.cumsum(weight, axis=1)
        drawn[here] = (below <= rng.random((here.size, 1)) * below[:, -1:]).sum(axis=1)
    np.minimum(drawn, places - 1, out=drawn)  # rounding
    return drawn
