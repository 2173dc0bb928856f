"""The test against surrogates, on counts whose p-values are known."""

import numpy as np
import pytest
from elephant.spade import _get_pvalue_spec
from pattern_data import poisson_spikes

from spikebridge.validation.patterns_mining import Concept, largest_counts, mine, windows
from spikebridge.validation.patterns_parameters import PatternParameters
from spikebridge.validation.patterns_significance import compare_with_chance, reduce_patterns, significant_concepts
from spikebridge.validation.patterns_spikes import Planted, plant
from spikebridge.validation.patterns_surrogates import make_surrogate
from spikebridge.validation.patterns_tasks import recovers

P = PatternParameters()


def test_p_values_count_surrogates_that_reach_the_data() -> None:
    null = np.zeros((99, 4), dtype=np.int64)
    null[:, 0] = np.arange(99)
    null[:10, 1] = 7
    test = compare_with_chance(np.array([90, 7, 1, 0]), null, 0.05)
    assert test.p_values.tolist() == pytest.approx([10 / 100, 11 / 100, 1 / 100, 1.0])
    # As rare as the third one is, beside it, only the largest count of the first size (98); as rare as the first one
    # also 90 to 97; as rare as the second one also 89, and ten surrogates with a count of 7.
    assert test.corrected.tolist() == pytest.approx([10 / 100, 21 / 100, 2 / 100, 1.0])
    assert test.thresholds.tolist() == [0, 0, 1, 0]


@pytest.mark.parametrize("shared", [0.0, 0.7, 1.0])
@pytest.mark.parametrize("levels", [4, 30, 10_000])
def test_of_data_and_surrogates_alike_no_more_than_the_level_are_significant(shared: float, levels: int) -> None:
    """For certain, not only on average: however the sizes depend on each other, and with ties or without."""
    rng = np.random.default_rng(levels)
    common, own = rng.random((100, 1)), rng.random((100, 4))
    everyone = np.floor(levels * (shared * common + (1 - shared) * own)).astype(np.int64)
    significant = sum(
        compare_with_chance(counts, np.delete(everyone, i, axis=0), 0.05).any for i, counts in enumerate(everyone)
    )
    assert significant <= 5
    if levels == 10_000:
        assert significant >= 2


def test_p_values_are_those_of_elephant_but_never_zero() -> None:
    rng = np.random.default_rng(0)
    null = np.sort(rng.integers(3, 12, (100, 4)), axis=1)[:, ::-1]
    spectrum = _get_pvalue_spec(null.astype(float), 3, 6, 3, 100, P.window_bins, "#")
    for size, count, theirs in spectrum:
        observed = np.zeros(4, dtype=np.int64)
        observed[int(size) - 3] = int(count)
        ours = compare_with_chance(observed, null, 0.05).p_values[int(size) - 3]
        assert ours == pytest.approx((1 + 100 * float(theirs)) / 101)


def test_a_planted_pattern_is_significant_and_reduced_to_itself() -> None:
    made = plant(poisson_spikes(), 5, 18, 60.0, np.random.default_rng(1))
    assert made is not None
    spikes, planted = made
    null = np.array(
        [
            largest_counts(mine(windows(make_surrogate(spikes, P, 0.0, np.random.default_rng(i)), P), P, 3), P)
            for i in range(100)
        ]
    )
    found = windows(spikes, P)
    concepts = mine(found, P, 3)
    test = compare_with_chance(largest_counts(concepts, P), null, 0.05)
    assert test.any
    significant = significant_concepts(concepts, test.thresholds, P)
    starts = [(c, np.array([i for i, w in enumerate(found.items) if set(c.items) <= set(w)])) for c in significant]
    kept = reduce_patterns(starts, test.thresholds, P)
    assert 0 < len(kept) < len(significant)
    assert any(recovers(significant[index], planted, P) for index in kept)
    for index in kept:  # none that only exists because of others: all hold most of the planted neurons
        assert len({item // P.window_bins for item in significant[index].items} & set(planted.neurons)) >= 2


def test_thresholds_select_by_size_and_count() -> None:
    small, large = Concept((0, 12, 24), 9), Concept(tuple(range(0, 96, 12)), 4)
    assert significant_concepts([small, large], np.array([10, 0, 0, 4]), P) == [large]
    assert significant_concepts([small, large], np.array([9, 0, 0, 5]), P) == [small]
    assert significant_concepts([small, large], np.zeros(4, dtype=np.int64), P) == []


def test_recovery_allows_one_spike_less_and_one_bin() -> None:
    planted = Planted((1, 5, 7, 9), (0.0, 11.0, 24.0, 40.0), 10)

    def items(*pairs: tuple[int, int]) -> Concept:
        return Concept(tuple(sorted(neuron * 12 + lag for neuron, lag in pairs)), 10)

    assert recovers(items((1, 0), (5, 2), (7, 4), (9, 8)), planted, P)
    assert recovers(items((5, 0), (7, 2), (9, 6)), planted, P)  # without its first spike
    assert recovers(items((1, 0), (5, 3), (7, 5)), planted, P)
    assert not recovers(items((1, 0), (5, 2)), planted, P)
    assert not recovers(items((1, 0), (5, 2), (7, 9)), planted, P)
    assert not recovers(items((1, 0), (2, 2), (3, 4), (4, 8)), planted, P)
