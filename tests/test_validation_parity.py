"""Spike-for-spike comparison: planted differences are found where they are, and nothing else is."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from recordings import make_recording, make_trains, make_trials, random_recording, random_trains, with_spikes

from spikebridge.bridge.errors import SpecError
from spikebridge.bridge.recording import Recording
from spikebridge.bridge.spikes import SpikeTrains
from spikebridge.validation.parity import READOUT_TOLERANCE, compare_spikes, spike_differences

SAMPLES, STEPS, NEURONS = 3, 6, 4
Spikes = list[tuple[int, int, int]]
spikes_lists = st.lists(
    st.tuples(st.integers(0, SAMPLES - 1), st.integers(0, STEPS - 1), st.integers(0, NEURONS - 1)), max_size=40
)


def trains_of(spikes: Spikes) -> SpikeTrains:
    return make_trains(spikes, samples=SAMPLES, steps=STEPS, neurons=NEURONS)


def recording_of(spikes: Spikes, executor: str = "pytorch") -> Recording:
    trials = make_trials(np.random.default_rng(0), samples=SAMPLES, classes=2)
    return make_recording(trials, {"hidden": trains_of(spikes)}, steps=STEPS, executor=executor)


def naive_mismatches(a: Spikes, b: Spikes) -> int:
    return ((Counter(a) - Counter(b)) + (Counter(b) - Counter(a))).total()


@given(spikes_lists)
def test_a_recording_equals_itself(spikes: Spikes) -> None:
    parity = compare_spikes(recording_of(spikes), recording_of(spikes, "brian2"))
    assert parity.ok
    assert (parity.spikes, parity.other_spikes, parity.mismatches, parity.samples_affected) == (
        len(spikes),
        len(spikes),
        0,
        0,
    )
    assert parity.first_mismatch is None
    assert parity.first_broken_population is None


@given(spikes_lists, spikes_lists)
def test_the_count_is_that_of_a_naive_multiset_difference(a: Spikes, b: Spikes) -> None:
    parity = compare_spikes(recording_of(a), recording_of(b, "brian2"))
    assert parity.mismatches == naive_mismatches(a, b)
    differing = (Counter(a) - Counter(b)) + (Counter(b) - Counter(a))
    assert parity.samples_affected == len({sample for sample, _, _ in differing})
    if differing:
        first = min(differing, key=lambda place: (place[1], place[0], place[2]))
        found = parity.first_mismatch
        assert found is not None
        assert (found.sample, found.step, found.neuron) == first
        assert (found.reference_spikes, found.other_spikes) == (a.count(first), b.count(first))
        assert found.executor == ("pytorch" if a.count(first) > b.count(first) else "brian2")


@given(spikes_lists, spikes_lists)
def test_the_count_is_symmetric(a: Spikes, b: Spikes) -> None:
    there, back = spike_differences(trains_of(a), trains_of(b)), spike_differences(trains_of(b), trains_of(a))
    assert there.n_mismatches == back.n_mismatches
    assert there.excess.tolist() == (-back.excess).tolist()


BASE: Spikes = [(0, 1, 2), (0, 4, 1), (1, 2, 0), (2, 3, 3)]


@pytest.mark.parametrize(
    ("other", "mismatches", "place", "who", "counts"),
    [
        pytest.param([*BASE[:2], (1, 3, 0), BASE[3]], 2, (0, 1, 2), "pytorch", (1, 0), id="one spike moved later"),
        pytest.param([*BASE[:2], (1, 1, 0), BASE[3]], 2, (0, 1, 1), "brian2", (0, 1), id="one spike moved earlier"),
        pytest.param([*BASE[:3]], 1, (3, 2, 3), "pytorch", (1, 0), id="one spike missing"),
        pytest.param([*BASE, BASE[1]], 1, (1, 0, 4), "brian2", (1, 2), id="one spike doubled"),
        pytest.param([*BASE, (1, 0, 3)], 1, (3, 1, 0), "brian2", (0, 1), id="one spike too many"),
    ],
)
def test_a_planted_difference_is_found(
    other: Spikes, mismatches: int, place: tuple[int, int, int], who: str, counts: tuple[int, int]
) -> None:
    parity = compare_spikes(recording_of(BASE), recording_of(other, "brian2"))
    assert not parity.ok
    assert parity.mismatches == mismatches
    assert parity.samples_affected == 1
    first = parity.first_mismatch
    assert first is not None
    assert (first.neuron, first.sample, first.step) == place
    assert first.time_ms == pytest.approx(10.0 * place[2])
    assert (first.population, first.executor) == ("hidden", who)
    assert (first.reference_spikes, first.other_spikes) == counts


def test_the_first_broken_population_is_the_first_in_the_network_and_the_first_mismatch_the_first_in_time() -> None:
    reference = random_recording(sizes=(5, 5, 5))
    late, early = (5, 40, 2), (7, 10, 3)
    other = reference
    for name, (sample, step, neuron) in (("hidden2", late), ("hidden3", early)):
        counts = np.array(other.spikes[name].counts(np.int32))
        counts[sample, step, neuron] += 1
        other = with_spikes(other, name, SpikeTrains.from_counts(counts, reference.step_ms))
    parity = compare_spikes(reference, other)
    assert parity.first_broken_population == "hidden2"
    first = parity.first_mismatch
    assert first is not None
    assert (first.population, first.sample, first.step, first.neuron) == ("hidden3", *early)
    assert [p.mismatches for p in parity.populations] == [0, 1, 1]
    assert parity.samples_affected == 2


def test_at_equal_steps_the_population_that_comes_first_is_named() -> None:
    reference = random_recording(sizes=(5, 5))
    other = reference
    for name, sample in (("hidden1", 9), ("hidden2", 0)):
        counts = np.array(other.spikes[name].counts(np.int32))
        counts[sample, 3, 1] += 1
        other = with_spikes(other, name, SpikeTrains.from_counts(counts, reference.step_ms))
    first = compare_spikes(reference, other).first_mismatch
    assert first is not None
    assert (first.population, first.sample) == ("hidden1", 9)


@pytest.mark.parametrize(("shift", "ok"), [(0.5 * READOUT_TOLERANCE, True), (2.0 * READOUT_TOLERANCE, False)])
def test_the_readout_must_agree_too(shift: float, ok: bool) -> None:
    reference = random_recording()
    assert reference.readout is not None
    readout = reference.readout.copy()
    readout[3, 7, 1] += shift
    parity = compare_spikes(reference, replace(reference, readout=readout))
    assert parity.mismatches == 0
    assert parity.readout_max_difference == pytest.approx(shift, rel=1e-3)
    assert parity.ok is ok


def test_without_potentials_the_scores_must_agree() -> None:
    reference = random_recording()
    other = replace(reference, readout=None)
    assert compare_spikes(reference, other).readout_max_difference is None
    assert compare_spikes(reference, other).ok
    assert not compare_spikes(reference, replace(other, scores=other.scores + 1e-6)).ok


def test_changed_decisions_are_counted() -> None:
    reference = random_recording()
    scores = reference.scores.copy()
    scores[4] = -scores[4]
    assert compare_spikes(reference, replace(reference, scores=scores)).decisions_changed == 1


def test_a_diverged_readout_is_refused() -> None:
    reference = random_recording()
    assert reference.readout is not None
    readout = reference.readout.copy()
    readout[0, 0, 0] = np.nan
    with pytest.raises(SpecError, match="not finite"):
        compare_spikes(reference, replace(reference, readout=readout))


def other_trials(recording: Recording) -> Recording:
    labels = recording.trials.labels.copy()
    labels[0] = (labels[0] + 1) % len(recording.trials.class_names)
    return replace(recording, trials=replace(recording.trials, labels=labels))


def other_inputs(recording: Recording) -> Recording:
    events = recording.trials.events
    moved = replace(events, time_s=events.time_s * 0.5)
    return replace(recording, trials=replace(recording.trials, events=moved))


def other_step(recording: Recording) -> Recording:
    halved = {
        name: replace(trains, step=trains.step * 2, n_steps=trains.n_steps * 2, step_ms=trains.step_ms / 2)
        for name, trains in recording.spikes.items()
    }
    return replace(recording, spikes=halved, n_steps=recording.n_steps * 2, step_ms=recording.step_ms / 2, readout=None)


def other_size(recording: Recording) -> Recording:
    larger = replace(recording.spikes["hidden1"], n_neurons=recording.spikes["hidden1"].n_neurons + 1)
    return with_spikes(recording, "hidden1", larger)


def other_names(recording: Recording) -> Recording:
    return replace(recording, spikes={name + "_": trains for name, trains in recording.spikes.items()})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (other_trials, "trials differ in labels"),
        (other_inputs, "trials differ in input spikes"),
        (lambda r: replace(r, trials=replace(r.trials, source_sha256="0" * 64)), "trials differ in source"),
        (other_step, "grids differ.* 50 steps of 10 ms.* 100 of 5 ms"),
        (other_size, "populations differ: 'hidden1' has 8 neurons"),
        (other_names, r"populations differ.* lacks \['hidden1', 'hidden2'\]"),
        (lambda r: replace(r, network_sha256="0" * 64), "networks differ"),
    ],
)
def test_recordings_that_do_not_belong_together_are_refused(change: object, message: str) -> None:
    reference = random_recording()
    assert callable(change)
    with pytest.raises(SpecError, match=message):
        compare_spikes(reference, change(reference))


def test_fewer_samples_are_refused() -> None:
    reference = random_recording()
    few = np.arange(5)
    assert reference.readout is not None
    other = replace(
        reference,
        trials=reference.trials.select(few),
        spikes={name: trains.select(few) for name, trains in reference.spikes.items()},
        scores=reference.scores[:5],
        readout=reference.readout[:5],
    )
    with pytest.raises(SpecError, match="the number of samples"):
        compare_spikes(reference, other)


def test_another_network_is_compared_on_demand() -> None:
    reference = random_recording()
    parity = compare_spikes(reference, replace(reference, network_sha256="0" * 64), same_network=False)
    assert parity.mismatches == 0
    assert not parity.same_network


def test_a_million_spikes_are_compared_at_once() -> None:
    rng = np.random.default_rng(1)
    trains = random_trains(rng, samples=100, steps=100, neurons=300, rate_hz=60.0)
    assert trains.n_spikes > 1_000_000
    step = trains.step.copy()
    late = np.flatnonzero(step == 50)[:5]
    step[late] -= 1
    moved = SpikeTrains(step, trains.neuron, trains.offsets, trains.n_steps, trains.n_neurons, trains.step_ms)
    assert spike_differences(trains, moved).n_mismatches == naive_counts(trains, moved)


def naive_counts(a: SpikeTrains, b: SpikeTrains) -> int:
    return int(np.abs(a.counts(np.int64).astype(np.int64) - b.counts(np.int64).astype(np.int64)).sum())


def test_trains_of_different_shape_are_refused() -> None:
    with pytest.raises(SpecError, match="cannot be compared"):
        spike_differences(trains_of(BASE), make_trains(BASE, samples=SAMPLES, steps=STEPS, neurons=NEURONS + 1))
