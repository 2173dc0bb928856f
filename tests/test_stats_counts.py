"""Fano factors and correlations of spike counts: known counts, and Elephant's functions on the same trains."""

import elephant.conversion
import elephant.spike_train_correlation
import elephant.statistics
import neo
import numpy as np
import pytest
import quantities as pq
from recordings import make_trains, random_trains

from spikebridge.bridge.spikes import SpikeTrains
from spikebridge.validation.neo_trains import neo_trains
from spikebridge.validation.stats_correlation import CONSTANT, LEFT_OUT, count_correlations, residual_correlations
from spikebridge.validation.stats_fano import NO_CLASSES, NO_SPIKE, ONE_SAMPLE, fano_factors

LABELS = np.array([0, 0, 0, 1, 1, 1])


@pytest.fixture(scope="module")
def busy() -> SpikeTrains:
    return random_trains(np.random.default_rng(5), samples=6, steps=80, neurons=7, rate_hz=20.0)


def counted(counts: list[list[int]], n_steps: int = 20) -> SpikeTrains:
    """Neuron n fires `counts[sample][neuron]` times in every sample, from its first step on."""
    spikes = [(s, t, n) for s, row in enumerate(counts) for n, count in enumerate(row) for t in range(count)]
    return make_trains(spikes, samples=len(counts), steps=n_steps, neurons=len(counts[0]))


def test_the_fano_factor_of_known_counts() -> None:
    # Neuron 0: counts 1, 3 in class 0 (mean 2, variance 1) and 4, 4 in class 1. Neuron 1 fires in class 1 alone: 0, 2.
    seen = fano_factors(counted([[1, 0], [3, 0], [4, 0], [4, 2]]), np.array([0, 0, 1, 1]))
    assert seen.values.tolist() == [0.5, 0.0, 1.0]
    assert (seen.n_total, dict(seen.undefined)) == (4, {NO_SPIKE: 1})


def test_windows_are_compared_at_the_same_time_of_samples() -> None:
    # 3 spikes in the first window in both samples; 2 and 0 in the second; a third of 50 ms is no whole window.
    spikes = [(s, t, 0) for s in (0, 1) for t in (0, 3, 9)] + [(0, 10, 0), (0, 19, 0), (1, 22, 0)]
    trains = make_trains(spikes, samples=2, steps=25, neurons=1)
    seen = fano_factors(trains, np.zeros(2, dtype=np.int64), 100.0)
    assert seen.values.tolist() == [0.0, 1.0]
    assert seen.n_total == 2


def test_fano_factors_equal_those_of_elephant(busy: SpikeTrains) -> None:
    each = [neo_trains(busy, sample) for sample in range(6)]
    whole = [
        elephant.statistics.fanofactor([each[s][n] for s in np.flatnonzero(label == LABELS)])
        for label in (0, 1)
        for n in range(7)
    ]
    assert fano_factors(busy, LABELS).values == pytest.approx([f for f in whole if not np.isnan(f)], rel=1e-12)
    windows = [
        elephant.statistics.fanofactor(
            [
                each[s][n][(each[s][n] >= 200 * w * pq.ms) & (each[s][n] < 200 * (w + 1) * pq.ms)]
                for s in np.flatnonzero(label == LABELS)
            ]
        )
        for label in (0, 1)
        for w in range(4)
        for n in range(7)
    ]
    seen = fano_factors(busy, LABELS, 200.0)
    assert seen.values == pytest.approx([f for f in windows if not np.isnan(f)], rel=1e-12)
    assert seen.n_total == len(windows)


def test_a_fano_factor_needs_classes_and_two_samples(busy: SpikeTrains) -> None:
    unknown = fano_factors(busy, None)
    assert (unknown.mean, dict(unknown.undefined)) == (None, {NO_CLASSES: 7})
    alone = fano_factors(busy, np.arange(6))
    assert (alone.mean, dict(alone.undefined)) == (None, {ONE_SAMPLE: 42})


@pytest.mark.parametrize(("window_ms", "reason"), [(25.0, "no whole number"), (900.0, "shorter than 900 ms")])
def test_windows_that_do_not_fit_are_undefined(busy: SpikeTrains, window_ms: float, reason: str) -> None:
    for seen in (fano_factors(busy, LABELS, window_ms), count_correlations(busy, window_ms, 100)):
        assert seen.mean is None
        assert reason in next(iter(seen.undefined))


def test_the_correlation_of_known_counts() -> None:
    same = counted([[1, 1, 3], [2, 2, 2], [3, 3, 1]])
    assert count_correlations(same, 200.0, 100).values == pytest.approx([1.0, -1.0, -1.0])


def test_correlations_equal_those_of_elephant_on_samples_one_after_another(busy: SpikeTrains) -> None:
    joined = [
        neo.SpikeTrain(
            np.concatenate([neo_trains(busy, s)[n].magnitude + 800.0 * s for s in range(6)]), units="ms", t_stop=4800.0
        )
        for n in range(7)
    ]
    binned = elephant.conversion.BinnedSpikeTrain(joined, bin_size=100 * pq.ms)
    expected = elephant.spike_train_correlation.correlation_coefficient(binned)[np.triu_indices(7, k=1)]
    seen = count_correlations(busy, 100.0, 100)
    assert seen.n_defined == 21
    assert seen.values == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_what_the_class_explains_is_no_residual_correlation() -> None:
    # Both fire more in class 1; within classes neuron 1 goes against neuron 0.
    trains = counted([[1, 3], [2, 2], [3, 1], [11, 13], [12, 12], [13, 11]])
    assert count_correlations(trains, 200.0, 100).mean == pytest.approx(1.0, abs=0.1)
    assert residual_correlations(trains, LABELS, 100).values == pytest.approx([-1.0])


def test_pairs_with_a_constant_neuron_are_undefined() -> None:
    trains = counted([[1, 0, 2], [2, 0, 1], [3, 0, 2]])
    for seen in (count_correlations(trains, 200.0, 100), residual_correlations(trains, np.zeros(3, np.int64), 100)):
        assert (seen.n_defined, seen.n_total, dict(seen.undefined)) == (1, 3, {CONSTANT: 2})
    # Classes of one sample leave nothing to correlate, and 3 equal counts are constant to the last bit.
    assert residual_correlations(trains, np.arange(3), 100).n_defined == 0
    assert residual_correlations(counted([[7, 7]] * 3), np.zeros(3, np.int64), 100).n_defined == 0


def test_large_populations_are_sampled_and_say_so(busy: SpikeTrains) -> None:
    every = count_correlations(busy, 100.0, 7)
    some = count_correlations(busy, 100.0, 4)
    assert (some.n_defined, some.n_total, dict(some.undefined)) == (6, 21, {LEFT_OUT: 15})
    assert all(np.isclose(every.values, value).any() for value in some.values)
    assert count_correlations(busy, 100.0, 4).values.tolist() == some.values.tolist()
    assert residual_correlations(busy, None, 4).undefined == {NO_CLASSES: 21}
