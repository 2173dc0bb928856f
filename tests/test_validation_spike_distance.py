"""Distances and coincidences of constructed trains, whose values are known, and against Elephant."""

import elephant.spike_train_dissimilarity
import neo
import numpy as np
import pytest
import quantities as pq
from hypothesis import given, settings
from hypothesis import strategies as st
from recordings import make_trains, random_trains

from spikebridge.bridge.errors import SpecError
from spikebridge.bridge.spikes import SpikeTrains
from spikebridge.validation.coincidence import coincident_share
from spikebridge.validation.spike_distance import van_rossum

TAU_MS = 10.0


def one_train(*steps: int, step_ms: float = 1.0) -> SpikeTrains:
    """One neuron in one sample of 400 ms."""
    spikes = [(0, step, 0) for step in steps]
    return make_trains(spikes, samples=1, steps=round(400 / step_ms), neurons=1, step_ms=step_ms)


def elephants(trains: SpikeTrains, sample: int, neuron: int) -> neo.SpikeTrain:
    one = trains.select([sample])
    times = one.centre_ms[one.neuron == neuron]
    return neo.SpikeTrain(times, units=pq.ms, t_stop=1000.0 * trains.duration_s)


def test_a_spike_lies_at_the_centre_of_its_step() -> None:
    assert one_train(0, 7, step_ms=10.0).centre_ms.tolist() == [5.0, 75.0]
    assert one_train(70, step_ms=0.1).centre_ms.tolist() == pytest.approx([7.05])


def test_identical_trains_have_no_distance_also_with_counts_above_one() -> None:
    trains = random_trains(np.random.default_rng(0), samples=5, steps=60, neurons=7, rate_hz=30.0)
    double = SpikeTrains.from_counts(2 * np.asarray(trains.counts()), trains.step_ms)
    for same in (trains, double):
        found = van_rossum(same, same)
        assert found.apart.tolist() == [0.0] * 35
        assert found.normalised == 0.0
        assert coincident_share(same, same) == 1.0


@pytest.mark.parametrize("shift", [1, 3, 10, 40])
def test_a_shifted_spike_has_the_distance_of_the_closed_form(shift: int) -> None:
    """Squared distance 2 (1 - exp(-d / tau)), van Rossum 2001 in Elephant's normalisation; 1 from the empty train."""
    found = van_rossum(one_train(100), one_train(100 + shift), TAU_MS)
    decayed = np.exp(-shift / TAU_MS)
    assert found.apart.tolist() == pytest.approx([2 * (1 - decayed)])
    assert (found.reference.tolist(), found.other.tolist()) == ([1.0], [1.0])
    assert found.normalised == pytest.approx(np.sqrt(1 - decayed))


def test_one_spike_against_none_is_one_apart_and_two_empty_trains_are_the_same() -> None:
    alone = van_rossum(one_train(50), one_train())
    assert alone.apart.tolist() == [1.0]
    assert alone.normalised == 1.0
    assert van_rossum(one_train(), one_train(50)).normalised == 1.0
    empty = van_rossum(one_train(), one_train())
    assert empty.apart.tolist() == [0.0]
    assert empty.normalised == 0.0


def test_spikes_far_from_each_other_are_as_different_as_an_empty_train() -> None:
    assert van_rossum(one_train(10), one_train(390), TAU_MS).normalised == pytest.approx(1.0)
    assert van_rossum(one_train(10), one_train(390), 1e9).normalised == pytest.approx(0.0, abs=1e-3)


def test_different_grids_are_compared_at_the_centres_of_their_steps() -> None:
    """Step 12 of 10 ms is 125 ms, and so is the boundary between steps 124 and 125 of 1 ms."""
    found = van_rossum(one_train(12, step_ms=10.0), one_train(124, 125, step_ms=1.0), TAU_MS)
    kept = np.exp(-0.5 / TAU_MS)
    within = np.exp(-1.0 / TAU_MS)
    assert found.apart.tolist() == pytest.approx([3 + 2 * within - 4 * kept])
    shifted = van_rossum(one_train(12, step_ms=10.0), one_train(1245, step_ms=0.1), TAU_MS)
    assert shifted.apart.tolist() == pytest.approx([2 * (1 - np.exp(-0.45 / TAU_MS))])


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([0.5, 2.0, 5.0, 10.0, 20.0]),
    st.sampled_from([1.0, 10.0, 100.0]),
    st.floats(0.5, 60.0),
)
def test_every_train_has_the_distance_that_elephant_gives_it(
    seed: int, step_ms: float, tau_ms: float, rate_hz: float
) -> None:
    """Random trains on two grids, silent ones and repeated spikes included."""
    rng = np.random.default_rng(seed)
    samples, neurons, duration_ms = 2, 3, 400.0
    ours = random_trains(rng, samples=samples, steps=40, neurons=neurons, rate_hz=rate_hz)
    steps = round(duration_ms / step_ms)
    counts = rng.poisson(rng.exponential(rate_hz, neurons) * step_ms / 1000.0, (samples, steps, neurons))
    theirs = SpikeTrains.from_counts(counts, step_ms)
    found = van_rossum(ours, theirs, tau_ms)
    empty = neo.SpikeTrain([], units=pq.ms, t_stop=duration_ms)
    for sample in range(samples):
        for neuron in range(neurons):
            trains = [elephants(t, sample, neuron) for t in (ours, theirs)]
            expected = elephant.spike_train_dissimilarity.van_rossum_distance([*trains, empty], tau_ms * pq.ms)
            place = sample * neurons + neuron
            # The square root of a rounding error of 1e-16 is 1e-8.
            assert np.sqrt(found.apart[place]) == pytest.approx(expected[0, 1], abs=1e-6)
            assert np.sqrt(found.reference[place]) == pytest.approx(expected[0, 2], abs=1e-6)
            assert np.sqrt(found.other[place]) == pytest.approx(expected[1, 2], abs=1e-6)
    total = found.reference.sum() + found.other.sum()
    assert found.normalised == pytest.approx(np.sqrt(found.apart.sum() / total) if total else 0.0)
    assert 0.0 <= found.normalised <= 1.0


def test_coincidences_are_counted_per_neuron_and_sample_within_the_window() -> None:
    reference = make_trains(
        [(0, 100, 0), (0, 200, 0), (0, 399, 1), (1, 0, 0)], samples=2, steps=400, neurons=2, step_ms=1
    )
    # Exactly 5 ms late; 6 ms early; another neuron's; the other sample's, which follows at once.
    other = make_trains([(0, 105, 0), (0, 194, 0), (0, 399, 0), (1, 0, 1)], samples=2, steps=400, neurons=2, step_ms=1)
    assert coincident_share(reference, other, 5.0) == 0.25
    assert coincident_share(reference, other, 6.0) == 0.5
    assert coincident_share(reference, other, 4.0) == 0.0


def test_coincidence_asks_for_the_reference_s_spikes_alone() -> None:
    few, many = one_train(100), one_train(100, 200, 300)
    assert coincident_share(few, many) == 1.0
    assert coincident_share(many, few) == pytest.approx(1 / 3)
    assert coincident_share(few, one_train()) == 0.0
    assert coincident_share(one_train(), few) is None


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.1, 1.0, 10.0]), st.sampled_from([0.0, 2.0, 5.0, 15.0]))
def test_coincidence_is_what_looking_at_every_pair_gives(seed: int, step_ms: float, window_ms: float) -> None:
    rng = np.random.default_rng(seed)
    ours = random_trains(rng, samples=3, steps=30, neurons=4, rate_hz=12.0)
    theirs = random_trains(rng, samples=3, steps=round(300 / step_ms), neurons=4, rate_hz=12.0, step_ms=step_ms)
    hits = [
        bool(
            (
                np.abs(theirs.centre_ms[(theirs.sample == sample) & (theirs.neuron == neuron)] - time_ms)
                <= window_ms + 1e-6
            ).any()
        )
        for sample, neuron, time_ms in zip(ours.sample, ours.neuron, ours.centre_ms, strict=True)
    ]
    expected = float(np.mean(hits)) if hits else None
    assert coincident_share(ours, theirs, window_ms) == expected


def test_trains_without_a_counterpart_and_impossible_parameters_are_refused() -> None:
    two = make_trains([], samples=1, steps=400, neurons=2, step_ms=1.0)
    for compare in (van_rossum, coincident_share):
        with pytest.raises(SpecError, match=r"\(1, 2\)"):
            compare(one_train(3), two)
    for wrong in (0.0, -1.0, np.inf, np.nan):
        with pytest.raises(SpecError, match="time constant of a van Rossum"):
            van_rossum(one_train(3), one_train(3), wrong)
    for wrong in (-1.0, np.inf, np.nan):
        with pytest.raises(SpecError, match="window of coincidences"):
            coincident_share(one_train(3), one_train(3), wrong)
