"""Values per neuron: constructed trains with known values, and Elephant's own on the same train."""

import neo
import numpy as np
import pytest
import quantities as pq
from elephant.statistics import cv, cv2, isi, lv, lvr, mean_firing_rate
from recordings import make_trains, random_trains

from spikebridge.bridge.errors import SpecError
from spikebridge.validation.compare_values import Values, neuron_values


def regular(interval: int, spikes: int, neuron: int = 0) -> list[tuple[int, int, int]]:
    return [(0, 3 + interval * k, neuron) for k in range(spikes)]


def test_a_regular_train_has_no_variation() -> None:
    found = neuron_values(make_trains(regular(4, 10), samples=1, steps=50, neurons=1))
    assert {key: found[key].values.tolist() for key in ("isi_cv", "cv2", "lv", "lvr")} == {
        "isi_cv": [0.0],
        "cv2": [0.0],
        "lv": [0.0],
        "lvr": [0.0],
    }
    assert found["rate_hz"].values.tolist() == [10 / 0.5]


def test_alternating_intervals_have_the_value_of_the_formula() -> None:
    steps = np.cumsum([0, 1, 3, 1, 3, 1, 3, 1, 3])
    found = neuron_values(make_trains([(0, int(s), 0) for s in steps], samples=1, steps=20, neurons=1))
    assert found["isi_cv"].values == pytest.approx([1 / 2])  # deviation 1, mean 2
    assert found["cv2"].values == pytest.approx([2 * 2 / 4])
    assert found["lv"].values == pytest.approx([3 * (2 / 4) ** 2])
    assert found["lvr"].values == pytest.approx([3 * (1 - 4 * 3 / 16) * (1 + 4 * 5 / 40)])


def test_on_one_train_every_value_is_that_of_elephant() -> None:
    rng = np.random.default_rng(3)
    trains = random_trains(rng, samples=1, steps=4000, neurons=5, rate_hz=30.0, step_ms=1.0)
    found = neuron_values(trains)
    for neuron in range(5):
        times = trains.time_ms[trains.neuron == neuron]
        intervals = isi(times)
        assert found["isi_cv"].values[neuron] == pytest.approx(cv(intervals))
        assert found["cv2"].values[neuron] == pytest.approx(cv2(intervals))
        assert found["lv"].values[neuron] == pytest.approx(lv(intervals))
        assert found["lvr"].values[neuron] == pytest.approx(lvr(intervals * pq.ms, R=5 * pq.ms))
        train = neo.SpikeTrain(times, units=pq.ms, t_stop=4000.0)
        rate = mean_firing_rate(train, t_start=0 * pq.ms, t_stop=4000 * pq.ms).rescale(pq.Hz).magnitude
        assert found["rate_hz"].values[neuron] == pytest.approx(float(rate))


def test_intervals_do_not_reach_across_trials() -> None:
    in_one = make_trains([(0, k, 0) for k in range(0, 60, 10)], samples=1, steps=60, neurons=1)
    in_many = make_trains([(k, 10 * k, 0) for k in range(6)], samples=6, steps=60, neurons=1)
    assert neuron_values(in_one)["isi_cv"].values.size == 1
    assert neuron_values(in_many)["isi_cv"].values.size == 0


def test_what_is_undefined_is_left_out_and_counted() -> None:
    spikes = [*regular(2, 10, neuron=0), (0, 7, 1)]  # one spike; neuron 2 is silent
    found = neuron_values(make_trains(spikes, samples=1, steps=50, neurons=3))
    assert (found["isi_cv"].values.size, found["isi_cv"].n_undefined) == (1, 2)
    assert (found["burst_fraction"].values.size, found["burst_fraction"].n_undefined) == (2, 1)
    assert found["burst_fraction"].values.tolist() == [1.0, 0.0]
    assert (found["rate_hz"].values == 0).sum() == 1


@pytest.mark.parametrize(("samples", "neurons"), [(0, 3), (2, 0), (0, 0)])
def test_an_empty_population_has_no_values(samples: int, neurons: int) -> None:
    found = neuron_values(make_trains([], samples=samples, steps=20, neurons=neurons))
    assert {values.values.size for values in found.values()} == {0}


def test_equal_steps_of_one_neuron_are_no_division_by_zero() -> None:
    found = neuron_values(make_trains([(0, 5, 0)] * 8, samples=1, steps=20, neurons=1))
    assert [found[key].values.size for key in ("isi_cv", "cv2", "lv", "lvr")] == [0, 0, 0, 0]


def test_values_that_are_not_finite_or_too_many_are_refused() -> None:
    with pytest.raises(SpecError, match="one finite value per neuron"):
        Values("x", "X", "", "", np.array([1.0, np.nan]), 2)
    with pytest.raises(SpecError, match="3 values of 2 neurons"):
        Values("x", "X", "", "", np.ones(3), 2)
