"""Statistics on constructed trains whose values are known, and against Elephant on the same trains."""

import elephant.statistics
import numpy as np
import pytest
import quantities as pq
from hypothesis import given, settings
from hypothesis import strategies as st
from recordings import make_trains, random_trains

from spikebridge.bridge.errors import SpecError
from spikebridge.bridge.spikes import SpikeTrains
from spikebridge.validation.bursts import BurstCriterion, in_burst
from spikebridge.validation.neo_trains import neo_train, neo_trains
from spikebridge.validation.statistics import (
    Criteria,
    Observations,
    hyperactive_neurons,
    isi_cvs,
    rates_hz,
    silent_neurons,
    spikes_in_bursts,
    standard_statistics,
)


def one_train(*steps: int, n_steps: int = 100, step_ms: float = 10.0) -> SpikeTrains:
    return make_trains([(0, step, 0) for step in steps], samples=1, steps=n_steps, neurons=1, step_ms=step_ms)


@pytest.fixture(scope="module")
def busy() -> SpikeTrains:
    return random_trains(np.random.default_rng(3), samples=6, steps=80, neurons=10, rate_hz=15.0)


def test_a_neo_train_has_units_and_ends_with_the_sample(busy: SpikeTrains) -> None:
    train = neo_train(busy, 4, 7)
    expected = busy.select([4])
    assert train.units == pq.ms
    assert train.t_start == 0 * pq.ms
    assert train.t_stop == 800 * pq.ms
    assert train.magnitude.tolist() == expected.time_ms[expected.neuron == 7].tolist()
    assert train.annotations == {"sample": 4, "neuron": 7}


def test_neo_trains_hold_every_neuron_and_spike(busy: SpikeTrains) -> None:
    for sample in range(busy.n_samples):
        trains = neo_trains(busy, sample)
        assert len(trains) == busy.n_neurons
        assert sum(len(train) for train in trains) == np.diff(busy.offsets)[sample]
    silent = neo_trains(one_train(), 0)
    assert [len(train) for train in silent] == [0]


@pytest.mark.parametrize(("sample", "neuron"), [(6, 0), (-1, 0), (0, 10), (0, -1)])
def test_a_train_that_does_not_exist_is_refused(busy: SpikeTrains, sample: int, neuron: int) -> None:
    with pytest.raises(SpecError, match="does not exist"):
        neo_train(busy, sample, neuron)


def test_rates_equal_those_of_elephant(busy: SpikeTrains) -> None:
    expected = [
        np.mean(
            [elephant.statistics.mean_firing_rate(neo_train(busy, s, n)).rescale("Hz") for s in range(busy.n_samples)]
        )
        for n in range(busy.n_neurons)
    ]
    assert rates_hz(busy).values == pytest.approx(expected, rel=1e-12)


def test_the_rate_of_a_known_train() -> None:
    assert rates_hz(one_train(0, 20, 99)).values.tolist() == [3.0]  # 3 spikes in 1 s
    assert rates_hz(one_train(0, 20, 99, step_ms=1.0)).values.tolist() == [30.0]  # in 0.1 s


def test_the_cv_of_known_trains() -> None:
    assert isi_cvs(one_train(3, 13, 23, 33)).mean == 0.0
    # Intervals of 10 and 30 steps: mean 20, standard deviation 10.
    assert isi_cvs(one_train(0, 10, 40)).mean == pytest.approx(0.5)


@pytest.mark.parametrize("steps", [(), (4,), (4, 90)])
def test_the_cv_of_too_few_spikes_is_undefined(steps: tuple[int, ...]) -> None:
    cvs = isi_cvs(one_train(*steps))
    assert cvs.mean is None
    assert cvs.quartiles is None
    assert (cvs.n_defined, cvs.n_total) == (0, 1)


def test_the_cv_of_spikes_in_one_step_is_undefined() -> None:
    assert isi_cvs(one_train(4, 4, 4)).n_defined == 0
    assert (
        isi_cvs(make_trains([(0, 4, 0)] * 3 + [(0, s, 1) for s in (1, 2, 4)], samples=1, steps=9, neurons=2)).n_defined
        == 1
    )


def test_undefined_trains_do_not_enter_the_mean() -> None:
    spikes = [(0, step, 0) for step in (0, 10, 40)] + [(0, 5, 1)] + [(1, step, 0) for step in (0, 10, 20)]
    cvs = isi_cvs(make_trains(spikes, samples=2, steps=50, neurons=3))
    assert sorted(cvs.values.tolist()) == pytest.approx([0.0, 0.5])
    assert (cvs.n_defined, cvs.n_total) == (2, 6)
    assert cvs.mean == pytest.approx(0.25)


def test_cvs_equal_those_of_elephant(busy: SpikeTrains) -> None:
    every = [train for sample in range(busy.n_samples) for train in neo_trains(busy, sample)]
    expected = [float(elephant.statistics.cv(elephant.statistics.isi(train))) for train in every if len(train) >= 3]
    assert len(expected) > 20
    assert sorted(isi_cvs(busy).values) == pytest.approx(sorted(expected), rel=1e-12)


def test_trains_do_not_leak_into_each_other() -> None:
    # Neuron 0 ends where neuron 1 begins; sample 1 begins where sample 0 ends.
    spikes = [(0, 98, 0), (0, 99, 0), (0, 0, 1), (0, 1, 1), (1, 0, 1), (1, 1, 1)]
    trains = make_trains(spikes, samples=2, steps=100, neurons=2)
    assert isi_cvs(trains).n_defined == 0
    assert spikes_in_bursts(trains, BurstCriterion()).mean == 0.0


@pytest.mark.parametrize(
    ("steps", "fraction"),
    [
        pytest.param((10, 11, 12), 1.0, id="three neighbours"),
        pytest.param((10, 12, 14), 1.0, id="intervals of exactly 20 ms"),
        pytest.param((10, 12, 15), 0.0, id="one interval too long"),
        pytest.param((10, 11), 0.0, id="two spikes are no burst"),
        pytest.param((10, 11, 12, 50, 60, 90), 0.5, id="a burst and single spikes"),
        pytest.param((10, 11, 12, 50, 51, 53, 55, 90), 0.875, id="two bursts"),
        pytest.param((), None, id="no spike"),
    ],
)
def test_the_burst_fraction_of_known_trains(steps: tuple[int, ...], fraction: float | None) -> None:
    assert spikes_in_bursts(one_train(*steps), BurstCriterion()).mean == fraction


def test_the_burst_threshold_survives_steps_that_are_no_binary_fractions() -> None:
    assert spikes_in_bursts(one_train(3, 203, 403, n_steps=1000, step_ms=0.1), BurstCriterion()).mean == 1.0
    assert spikes_in_bursts(one_train(3, 203, 404, n_steps=1000, step_ms=0.1), BurstCriterion()).mean == 0.0


def naive_in_burst(steps: list[int], max_steps: int, min_spikes: int) -> int:
    bursting, run = 0, [steps[0]] if steps else []
    for step in steps[1:]:
        if step - run[-1] <= max_steps:
            run.append(step)
        else:
            bursting += len(run) if len(run) >= min_spikes else 0
            run = [step]
    return bursting + (len(run) if len(run) >= min_spikes else 0)


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 39), st.integers(0, 1)), max_size=60), st.integers(2, 5))
def test_bursts_are_those_of_a_naive_search(spikes: list[tuple[int, int, int]], min_spikes: int) -> None:
    trains = make_trains(spikes, samples=2, steps=40, neurons=2)
    expected = sum(
        naive_in_burst(sorted(t for s, t, n in spikes if (s, n) == (sample, neuron)), 2, min_spikes)
        for sample in range(2)
        for neuron in range(2)
    )
    assert in_burst(trains, BurstCriterion(max_isi_ms=20.0, min_spikes=min_spikes)).sum() == expected


@pytest.mark.parametrize(("max_isi_ms", "min_spikes"), [(0.0, 3), (float("nan"), 3), (20.0, 1)])
def test_a_meaningless_criterion_is_refused(max_isi_ms: float, min_spikes: int) -> None:
    with pytest.raises(SpecError, match="of a burst"):
        BurstCriterion(max_isi_ms, min_spikes)


def test_silent_and_hyperactive_neurons() -> None:
    spikes = [(1, 3, 0)] + [(0, step, 2) for step in range(60)] + [(1, step, 2) for step in range(60)]
    trains = make_trains(spikes, samples=2, steps=100, neurons=4)  # rates: 0.5, 0, 60, 0 Hz
    assert silent_neurons(trains).mean == 0.5
    assert hyperactive_neurons(trains, 50.0).mean == 0.25
    assert hyperactive_neurons(trains, 60.0).mean == 0.0


def test_no_samples_leave_everything_undefined() -> None:
    nothing = make_trains([], samples=0, steps=10, neurons=3)
    for statistic in standard_statistics():
        assert statistic.observe(nothing).mean is None


def test_quartiles() -> None:
    assert Observations(np.arange(5.0), 9).quartiles == (0.0, 1.0, 2.0, 3.0, 4.0)


def test_definitions_state_the_parameters_in_use() -> None:
    criteria = Criteria(hyperactive_hz=33.0, burst=BurstCriterion(max_isi_ms=7.5, min_spikes=4))
    definitions = {statistic.key: statistic.definition for statistic in standard_statistics(criteria)}
    assert "7.5 ms" in definitions["burst_fraction"]
    assert "at least 4 spikes" in definitions["burst_fraction"]
    assert "33 Hz" in definitions["hyperactive_fraction"]
