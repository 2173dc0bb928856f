"""The search itself: Elephant's results, on windows made here."""

import numpy as np
import pytest
import quantities as pq
from elephant import spade
from elephant.conversion import BinnedSpikeTrain
from pattern_data import poisson_spikes, with_pattern

from spikebridge.bridge.arrays import IntArray
from spikebridge.bridge.errors import SpikebridgeError
from spikebridge.validation.patterns_mining import (
    Concept,
    binned,
    largest_counts,
    mine,
    occurrences,
    require_miner,
    windows,
)
from spikebridge.validation.patterns_parameters import PatternParameters
from spikebridge.validation.patterns_spikes import TrialSpikes, plant

P = PatternParameters()


def occupied(spikes: TrialSpikes) -> IntArray:
    """(neurons, bins) 1 where there is a spike."""
    bins, neurons, stride = binned(spikes, P)
    dense = np.zeros((spikes.n_neurons, stride * spikes.n_trials), dtype=np.int64)
    dense[neurons, bins] = 1
    return dense


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_patterns_and_their_windows_are_those_of_elephant(seed: int) -> None:
    spikes = with_pattern(poisson_spikes(seed, rate_hz=8.0), occurrences=8)
    dense = occupied(spikes)
    length = dense.shape[1] * P.bin_ms
    trains = BinnedSpikeTrain(dense, bin_size=P.bin_ms * pq.ms, t_start=0 * pq.ms, t_stop=length * pq.ms)
    expected, _ = spade.concepts_mining(
        trains, P.bin_ms * pq.ms, P.window_bins, min_spikes=3, min_occ=3, min_neu=3, max_spikes=30, report="a"
    )
    found = windows(spikes, P)
    ours = {
        (concept.items, tuple(found.start_bin[occurrences(found, concept)].tolist())) for concept in mine(found, P, 3)
    }
    assert len(ours) > 10
    assert ours == {(tuple(sorted(map(int, items))), tuple(map(int, extent))) for items, extent in expected}
    unfiltered = mine(found, P, 3, filtered=False)
    assert largest_counts(unfiltered, P).tolist() == largest_counts(mine(found, P, 3), P).tolist()


def test_no_window_reaches_into_the_next_trial() -> None:
    # Neurons 0 .. 2 fire 5 ms before the end of each trial and 5 ms after the start of the next: no common window.
    time = np.concatenate([np.full(30, 495.0), np.full(60, 5.0)])
    neuron = np.concatenate([np.zeros(30), np.repeat([1, 2], 30)]).astype(np.int64)
    spikes = TrialSpikes(time, neuron, np.tile(np.arange(30), 3), 3, 30, 500.0)
    assert mine(windows(spikes, P), P, 2) == []
    together = TrialSpikes(np.full(90, 200.0), neuron, np.tile(np.arange(30), 3), 3, 30, 500.0)
    assert mine(windows(together, P), P, 2) == [Concept((0, 12, 24), 30)]


def test_largest_counts_include_larger_patterns() -> None:
    concepts = [Concept((0, 12, 24), 4), Concept((0, 12, 24, 36), 6), Concept(tuple(range(0, 96, 12)), 5)]
    assert largest_counts(concepts, P).tolist() == [6, 6, 5, 5]
    assert largest_counts([], P).tolist() == [0, 0, 0, 0]


def test_an_empty_data_set_has_no_patterns() -> None:
    spikes = poisson_spikes(rate_hz=0.0)
    assert mine(windows(spikes, P), P, 2) == []


def test_a_planted_pattern_keeps_the_spikes_of_every_neuron() -> None:
    spikes = poisson_spikes()
    made = plant(spikes, 5, 12, 60.0, np.random.default_rng(3))
    assert made is not None
    changed, planted = made
    count = np.bincount(spikes.neuron, minlength=20)
    assert np.array_equal(np.bincount(changed.neuron, minlength=20), count)
    assert len(set(planted.neurons)) == 5
    assert planted.lags_ms[0] == 0.0
    assert max(planted.lags_ms) < 60.0
    starts = changed.time_ms[(changed.neuron == planted.neurons[0])]
    together = 0
    for start, trial in zip(starts, changed.trial[changed.neuron == planted.neurons[0]], strict=True):
        hits = [
            np.any(np.abs(changed.time_ms[(changed.neuron == n) & (changed.trial == trial)] - start - lag) < 1e-9)
            for n, lag in zip(planted.neurons, planted.lags_ms, strict=True)
        ]
        together += all(hits)
    assert together == 12
    assert plant(spikes, 5, int(count.max()) + 1, 60.0, np.random.default_rng(3)) is None


def test_without_the_compiled_miner_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spade, "HAVE_FIM", False)
    with pytest.raises(SpikebridgeError, match="compiled miner"):
        require_miner()
