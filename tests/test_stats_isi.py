"""Irregularity from intervals: known trains, and Elephant's functions on the same trains."""

import elephant.statistics
import numpy as np
import pytest
import quantities as pq
from hypothesis import given, settings
from hypothesis import strategies as st
from recordings import make_trains, random_trains

from spikebridge.bridge.spikes import SpikeTrains
from spikebridge.validation.neo_trains import neo_trains
from spikebridge.validation.stats_isi import NO_TIME_BETWEEN, TOO_FEW, cv2s, isi_cvs, lvrs, lvs


def one_train(*steps: int, step_ms: float = 10.0) -> SpikeTrains:
    return make_trains([(0, step, 0) for step in steps], samples=1, steps=100, neurons=1, step_ms=step_ms)


def by_elephant(trains: SpikeTrains) -> dict[str, list[float]]:
    """Elephant's values of every train with at least 3 spikes, not all in one step, in the order of trains."""
    found: dict[str, list[float]] = {"cv": [], "cv2": [], "lv": [], "lvr": []}
    for sample in range(trains.n_samples):
        for train in neo_trains(trains, sample):
            intervals = elephant.statistics.isi(train)
            if len(intervals) >= 2 and (intervals[:-1] + intervals[1:]).magnitude.all():
                found["cv"].append(float(elephant.statistics.cv(intervals)))
                found["cv2"].append(float(elephant.statistics.cv2(intervals)))
                found["lv"].append(float(elephant.statistics.lv(intervals)))
                found["lvr"].append(float(elephant.statistics.lvr(intervals, R=5 * pq.ms)))
    return found


def test_a_regular_train_has_no_variation() -> None:
    clock = one_train(3, 13, 23, 33)
    assert [cv2s(clock).mean, lvs(clock).mean, lvrs(clock, 5.0).mean] == [0.0, 0.0, 0.0]


def test_known_intervals() -> None:
    # Intervals of 100 and 300 ms: Cv2 = 2 * 200 / 400, Lv = 3 * (200 / 400)^2, and 1 - 4 * 100 * 300 / 400^2 = 1 / 4.
    train = one_train(0, 10, 40)
    assert cv2s(train).values.tolist() == [1.0]
    assert lvs(train).values.tolist() == [0.75]
    assert lvrs(train, 0.0).mean == pytest.approx(0.75)
    assert lvrs(train, 5.0).mean == pytest.approx(0.75 * (1 + 4 * 5 / 400))
    # The same on another grid: Cv2 and Lv have no unit, LvR compares intervals with R.
    fine = one_train(0, 10, 40, step_ms=1.0)
    assert (cv2s(fine).mean, lvs(fine).mean) == (1.0, 0.75)
    assert lvrs(fine, 5.0).mean == pytest.approx(0.75 * (1 + 4 * 5 / 40))


@pytest.mark.parametrize("steps", [(), (4,), (4, 90)])
def test_too_few_spikes_are_undefined_and_counted(steps: tuple[int, ...]) -> None:
    train = one_train(*steps)
    for seen in (isi_cvs(train), cv2s(train), lvs(train), lvrs(train, 5.0)):
        assert seen.mean is None
        assert (seen.n_defined, seen.n_total, dict(seen.undefined)) == (0, 1, {TOO_FEW: 1})


def test_spikes_without_time_between_are_undefined_for_another_reason() -> None:
    spikes = [(0, 4, 0)] * 3 + [(0, s, 1) for s in (1, 2, 4)] + [(0, 5, 2)]
    trains = make_trains(spikes, samples=1, steps=9, neurons=4)
    for seen in (isi_cvs(trains), cv2s(trains), lvs(trains), lvrs(trains, 5.0)):
        assert (seen.n_defined, seen.n_total) == (1, 4)
        assert dict(seen.undefined) == {TOO_FEW: 2, NO_TIME_BETWEEN: 1}


def test_intervals_never_reach_across_trains_or_samples() -> None:
    spikes = [(0, 98, 0), (0, 99, 0), (0, 0, 1), (0, 1, 1), (1, 0, 1), (1, 1, 1)]
    trains = make_trains(spikes, samples=2, steps=100, neurons=2)
    assert [seen.n_defined for seen in (cv2s(trains), lvs(trains), lvrs(trains, 5.0))] == [0, 0, 0]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 59), st.integers(0, 2)), max_size=60),
    st.sampled_from([0.1, 1.0, 10.0]),
)
def test_all_trains_at_once_equal_elephant_train_by_train(spikes: list[tuple[int, int, int]], step_ms: float) -> None:
    trains = make_trains(list(set(spikes)), samples=2, steps=60, neurons=3, step_ms=step_ms)
    expected = by_elephant(trains)
    assert sorted(isi_cvs(trains).values) == pytest.approx(sorted(expected["cv"]), rel=1e-9, abs=1e-12)
    assert cv2s(trains).values == pytest.approx(expected["cv2"], rel=1e-9, abs=1e-12)
    assert lvs(trains).values == pytest.approx(expected["lv"], rel=1e-9, abs=1e-12)
    assert lvrs(trains, 5.0).values == pytest.approx(expected["lvr"], rel=1e-9, abs=1e-12)


def test_long_poisson_trains_have_the_expected_values() -> None:
    trains = random_trains(np.random.default_rng(1), samples=4, steps=50_000, neurons=6, rate_hz=20.0, step_ms=1.0)
    for seen in (cv2s(trains), lvs(trains)):
        assert seen.mean == pytest.approx(1.0, abs=0.05)
    with_lower_rates = isi_cvs(trains)
    assert with_lower_rates.mean == pytest.approx(1.0, abs=0.05)
