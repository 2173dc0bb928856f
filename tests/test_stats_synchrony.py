"""Synchrony: known trains, Elephant's functions on the same trains, and the control that exchanges samples."""

from typing import Any

import elephant.statistics
import numpy as np
import pytest
import quantities as pq
from elephant.spike_train_synchrony import spike_contrast
from hypothesis import given, settings
from hypothesis import strategies as st
from recordings import make_trains, random_trains

from spikebridge.bridge.spikes import SpikeTrains
from spikebridge.validation.criteria import Criteria
from spikebridge.validation.neo_trains import neo_trains
from spikebridge.validation.shuffle import shuffle_samples
from spikebridge.validation.stats_synchrony import (
    NO_INTERVAL,
    NO_SPIKE,
    ONE_BIN,
    ONE_NEURON,
    population_fanos,
    spike_contrasts,
    synchrony_statistics,
)
from spikebridge.validation.trains import order_by_train


def by_elephant(trains: SpikeTrains) -> list[float]:
    found = []
    for sample in range(trains.n_samples):
        each = neo_trains(trains, sample)
        if any(len(train) > 1 for train in each):
            found.append(float(spike_contrast(each)))
    return found


def test_equal_trains_are_fully_synchronous_and_scattered_ones_are_not() -> None:
    same = [(0, step, neuron) for step in (20, 70) for neuron in range(4)]
    assert spike_contrasts(make_trains(same, samples=1, steps=100, neurons=4)).values.tolist() == [1.0]
    rng = np.random.default_rng(0)
    scattered = random_trains(rng, samples=5, steps=1000, neurons=20, rate_hz=5.0, step_ms=1.0)
    mean = spike_contrasts(scattered).mean
    assert mean is not None
    assert mean < 0.35


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 79), st.integers(0, 3)), max_size=70),
    st.sampled_from([0.5, 1.0, 3.0, 10.0, 12.5]),
)
def test_all_samples_at_once_equal_elephant_to_the_last_bit(spikes: list[tuple[int, int, int]], step_ms: float) -> None:
    trains = make_trains(spikes, samples=3, steps=80, neurons=4, step_ms=step_ms)
    assert spike_contrasts(trains).values.tolist() == by_elephant(trains)


@pytest.mark.parametrize("step_ms", [0.1, 1.0])
def test_fine_grids_equal_elephant_too(step_ms: float) -> None:
    rng = np.random.default_rng(4)
    trains = random_trains(rng, samples=3, steps=round(800 / step_ms), neurons=30, rate_hz=2.0, step_ms=step_ms)
    expected = by_elephant(trains)
    assert len(expected) == 3
    assert spike_contrasts(trains).values.tolist() == expected


def test_spike_contrast_is_undefined_where_elephant_refuses() -> None:
    lonely = make_trains([(0, 3, 0), (0, 5, 1)], samples=2, steps=100, neurons=2)
    seen = spike_contrasts(lonely)
    assert (seen.mean, dict(seen.undefined)) == (None, {NO_INTERVAL: 2})
    single = spike_contrasts(make_trains([(0, 3, 0), (0, 9, 0)], samples=1, steps=100, neurons=1))
    assert dict(single.undefined) == {ONE_NEURON: 1}
    short = spike_contrasts(make_trains([(0, 0, 0), (0, 1, 0)], samples=1, steps=15, neurons=2, step_ms=1.0))
    assert "shorter" in next(iter(short.undefined))


def test_the_population_fano_factor_of_known_counts() -> None:
    # Bins of 2 steps: 4, 0, 0, 0: mean 1, variance 3. The second sample is silent.
    trains = make_trains([(0, t, n) for t in (0, 1) for n in (0, 1)], samples=2, steps=8, neurons=2)
    seen = population_fanos(trains, 20.0)
    assert seen.values.tolist() == [3.0]
    assert dict(seen.undefined) == {NO_SPIKE: 1}
    assert dict(population_fanos(trains, 80.0).undefined) == {ONE_BIN: 2}
    assert "no whole number" in next(iter(population_fanos(trains, 25.0).undefined))


def test_the_population_fano_factor_equals_elephants_of_the_bins() -> None:
    trains = random_trains(np.random.default_rng(8), samples=3, steps=80, neurons=6, rate_hz=15.0)
    expected = []
    for sample in range(3):
        pooled = np.sort(np.concatenate([train.magnitude for train in neo_trains(trains, sample)]))
        bins = [pooled[(pooled >= 40 * k) & (pooled < 40 * (k + 1))] * pq.ms for k in range(20)]
        expected.append(elephant.statistics.fanofactor(bins))
    assert population_fanos(trains, 40.0).values == pytest.approx(expected, rel=1e-12)


def test_independent_poisson_neurons_give_one() -> None:
    rng = np.random.default_rng(2)
    trains = random_trains(rng, samples=20, steps=5000, neurons=30, rate_hz=5.0, step_ms=1.0)
    assert population_fanos(trains, 10.0).mean == pytest.approx(1.0, abs=0.06)


def trains_of(trains: SpikeTrains, samples: np.ndarray, neuron: int) -> list[list[int]]:
    """The steps of one neuron in each of some samples, sorted so that their order does not matter."""
    parts = [trains.select([s]) for s in samples]
    return sorted(part.step[part.neuron == neuron].tolist() for part in parts)


def test_exchanging_samples_keeps_every_train_within_its_class() -> None:
    trains = random_trains(np.random.default_rng(3), samples=12, steps=60, neurons=5, rate_hz=10.0)
    labels = np.arange(12) % 3
    other = shuffle_samples(trains, labels)
    assert not np.array_equal(order_by_train(other).train, order_by_train(trains).train)
    for label in range(3):
        samples = np.flatnonzero(labels == label)
        for neuron in range(5):
            assert trains_of(other, samples, neuron) == trains_of(trains, samples, neuron)
    alone = shuffle_samples(trains, np.arange(12))
    assert np.array_equal(alone.step, trains.step)
    assert np.array_equal(alone.offsets, trains.offsets)


def test_the_control_loses_synchrony_of_single_samples_and_keeps_that_of_the_class() -> None:
    rng = np.random.default_rng(6)
    when = rng.integers(5, 95, 30)
    own = [(s, int(when[s]) + k, n) for s in range(30) for n in range(10) for k in (0, 3)]
    locked = [(s, 50 + k, n) for s in range(30) for n in range(10) for k in (0, 3)]
    labels = np.zeros(30, dtype=np.int64)
    found: dict[str, dict[str, Any]] = {}
    for name, spikes in (("own", own), ("locked", locked)):
        trains = make_trains(spikes, samples=30, steps=100, neurons=10)
        found[name] = {s.key: s.observe(trains, labels).mean for s in synchrony_statistics(Criteria())}
    for key in ("spike_contrast", "population_fano"):
        assert found["locked"][key] == found["locked"][f"{key}_shuffled"]
        assert found["own"][f"{key}_shuffled"] < 0.6 * found["own"][key]
