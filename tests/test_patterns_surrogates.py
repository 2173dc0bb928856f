"""Surrogates: what each kind keeps, and that all data sets which agree in it are equally likely."""

from collections import Counter
from dataclasses import replace
from typing import get_args

import elephant.spike_train_surrogates as elephant_surrogates
import neo
import numpy as np
import pytest
import quantities as pq
from pattern_data import poisson_spikes

from spikebridge.validation.patterns_jitter import pattern_jitter
from spikebridge.validation.patterns_parameters import PatternParameters, SurrogateKind
from spikebridge.validation.patterns_spikes import TrialSpikes
from spikebridge.validation.patterns_surrogates import (
    make_independent,
    make_surrogate,
    trial_exchange,
    trial_shift,
    window_phase_ms,
    window_rotation,
)

P = PatternParameters()
KINDS: tuple[SurrogateKind, ...] = get_args(SurrogateKind.__value__)
PHASE_MS = 13.0


def trains(spikes: TrialSpikes) -> dict[tuple[int, int], list[float]]:
    """Spike times by trial and neuron."""
    order = np.lexsort((spikes.time_ms, spikes.neuron, spikes.trial))
    found: dict[tuple[int, int], list[float]] = {}
    for trial, neuron, time in zip(spikes.trial[order], spikes.neuron[order], spikes.time_ms[order], strict=True):
        found.setdefault((int(trial), int(neuron)), []).append(float(time))
    return found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rate_hz", [0.0, 3.0, 60.0])
def test_no_neuron_loses_a_spike_and_none_leaves_the_trial(kind: SurrogateKind, rate_hz: float) -> None:
    spikes = poisson_spikes(neurons=5, rate_hz=rate_hz)
    made = make_surrogate(spikes, replace(P, surrogate=kind), PHASE_MS, np.random.default_rng(0))
    assert np.array_equal(np.bincount(made.neuron, minlength=5), np.bincount(spikes.neuron, minlength=5))
    assert np.all((made.time_ms >= 0) & (made.time_ms <= spikes.duration_ms))
    assert rate_hz == 0 or trains(made) != trains(spikes)


def bursts(times: list[float]) -> list[list[float]]:
    """Spikes that follow each other within 60 ms."""
    found: list[list[float]] = []
    for time in times:
        if found and time - found[-1][-1] <= 60.0:
            found[-1].append(time)
        else:
            found.append([time])
    return found


@pytest.mark.parametrize("rate_hz", [3.0, 12.0, 30.0])
def test_pattern_jitter_moves_bursts_as_a_whole_within_their_windows(rate_hz: float) -> None:
    spikes = poisson_spikes(rate_hz=rate_hz)
    made = pattern_jitter(spikes, 50.0, PHASE_MS, 60.0, 5.0, np.random.default_rng(0))
    before, after = trains(spikes), trains(made)
    assert before.keys() == after.keys()
    moved = []
    for key, times in before.items():
        assert [len(burst) for burst in bursts(times)] == [len(burst) for burst in bursts(after[key])]
        for one, other in zip(bursts(times), bursts(after[key]), strict=True):
            assert np.diff(one) == pytest.approx(np.diff(other), abs=1e-6)
            assert np.floor((one[0] - PHASE_MS) / 50.0) == np.floor((other[0] - PHASE_MS) / 50.0 + 1e-9)
            moved.append(other[0] - one[0])
    assert np.std(moved) > 10.0


def possible(first: float, second: float) -> set[tuple[int, int]]:
    """Where two bursts may be, by hand: windows of 20 ms from 0, steps of 2 ms, more than 60 ms apart (and 0.01)."""
    starts = [[time % 2 + 20 * (time // 20) + 2 * place for place in range(10)] for time in (first, second)]
    return {(round(10 * a), round(10 * b)) for a in starts[0] for b in starts[1] if b - a > 60.01 and b <= 100.0}


def test_all_data_sets_with_the_same_bursts_are_equally_likely() -> None:
    """Also from where a surrogate left them: a surrogate of a surrogate is distributed as a surrogate is."""
    n = 40_000
    start = (9.5, 75.0)
    expected = possible(*start)
    assert 10 < len(expected) < 100  # the distance is a constraint
    for first, second in (start, *[(a / 10, b / 10) for a, b in list(expected)[:3]]):
        assert possible(first, second) == expected
        spikes = TrialSpikes(np.tile([first, second], n), np.zeros(2 * n, int), np.repeat(np.arange(n), 2), 1, n, 100.0)
        made = pattern_jitter(spikes, 20.0, 0.0, 60.0, 10.0, np.random.default_rng(1))
        found = Counter((round(10 * a), round(10 * b)) for a, b in made.time_ms.reshape(n, 2).tolist())
        assert set(found) == expected
        mean = n / len(expected)
        assert max(abs(count - mean) for count in found.values()) < 5 * np.sqrt(mean)


def test_window_rotation_keeps_the_counts_of_windows() -> None:
    spikes = poisson_spikes(rate_hz=30.0)
    made = window_rotation(spikes, 50.0, PHASE_MS, np.random.default_rng(0))

    def counts(one: TrialSpikes) -> Counter[tuple[int, int, int]]:
        window = np.floor((one.time_ms - PHASE_MS) / 50.0).astype(int)
        return Counter(zip(one.trial.tolist(), one.neuron.tolist(), window.tolist(), strict=True))

    assert counts(made) == counts(spikes)
    # One rotation for all spikes of a neuron in a window: intervals are kept around the window.
    key = (spikes.trial * 20 + spikes.neuron) * 12 + np.floor((spikes.time_ms - PHASE_MS) / 50.0).astype(int) + 1
    whole = (spikes.time_ms >= PHASE_MS) & (spikes.time_ms < PHASE_MS + 450.0)
    turned = np.mod(made.time_ms - spikes.time_ms, 50.0)
    for one in np.unique(key[whole])[:200]:
        phases = np.exp(2j * np.pi * turned[key == one] / 50.0)
        assert np.abs(phases - phases[0]).max() < 1e-6


def test_trial_exchange_keeps_trains_and_the_rate_over_trials() -> None:
    spikes = poisson_spikes(rate_hz=8.0)
    made = trial_exchange(spikes, np.random.default_rng(0))
    for neuron in range(20):
        ours, theirs = (sorted(times for (_, n), times in trains(one).items() if n == neuron) for one in (spikes, made))
        assert ours == theirs
    assert np.array_equal(made.time_ms, spikes.time_ms)
    # To which trial each one went, by neuron.
    went = [
        dict(zip(spikes.trial[spikes.neuron == n].tolist(), made.trial[spikes.neuron == n].tolist(), strict=True))
        for n in range(20)
    ]
    shared = went[0].keys() & went[1].keys()
    assert len(shared) > 10
    assert sum(went[0][trial] == went[1][trial] for trial in shared) <= 4


def test_trial_shifts_are_those_of_elephant() -> None:
    """One shift per neuron and trial, modulo the trial, uniform in +-25 ms, as Elephant's."""
    spikes = poisson_spikes(neurons=4, trials=400)
    shifted = trial_shift(spikes, 25.0, np.random.default_rng(0))
    assert np.array_equal(shifted.neuron, spikes.neuron)
    assert np.array_equal(shifted.trial, spikes.trial)
    moved = (shifted.time_ms - spikes.time_ms + 250.0) % 500.0 - 250.0
    key = spikes.trial * 4 + spikes.neuron
    spread = [np.ptp(moved[key == one]) for one in np.unique(key)]
    assert max(spread) < 1e-9
    _, first = np.unique(key, return_index=True)
    ours = np.sort(moved[first])
    one = [neo.SpikeTrain([250.0] * pq.ms, t_stop=500 * pq.ms) for _ in range(len(first))]
    np.random.seed(0)  # noqa: NPY002 - Elephant draws from NumPy's global generator
    theirs = np.sort([float(t.magnitude[0]) - 250 for t in elephant_surrogates.trial_shifting(one, 25 * pq.ms)[0]])
    assert ours.min() >= -25.0
    assert ours.max() <= 25.0
    assert np.abs(ours - theirs).max() < 4.0  # both are uniform: about 1,500 draws, quantiles within 3 standard errors


def test_independent_neurons_are_exchanged_trials_or_jittered_where_those_are_the_surrogates() -> None:
    spikes = poisson_spikes()
    exchanged = make_independent(spikes, P, PHASE_MS, np.random.default_rng(0))
    assert np.array_equal(exchanged.time_ms, spikes.time_ms)
    exchange = replace(P, surrogate="trial_exchange")
    jittered = make_independent(spikes, exchange, PHASE_MS, np.random.default_rng(0))
    assert trains(jittered).keys() == trains(spikes).keys()
    assert not np.array_equal(np.sort(jittered.time_ms), np.sort(spikes.time_ms))


def test_windows_of_a_data_set_begin_at_one_random_time() -> None:
    phases = [window_phase_ms(P, stream) for stream in range(200)]
    assert phases[0] == window_phase_ms(P, 0)
    assert 0 <= min(phases) < 5
    assert 45 < max(phases) < 50
