"""Inputs played backwards."""

import numpy as np
from recordings import make_trials

from spikebridge.bridge.spikes import bin_events
from spikebridge.validation.reversed_trials import reversed_trials


def test_events_are_mirrored_and_counts_stay() -> None:
    trials = make_trials(np.random.default_rng(0), samples=6, classes=3, duration_s=0.5)
    back = reversed_trials(trials, 500.0)
    for sample in range(6):
        before, after = trials.events.select([sample]), back.events.select([sample])
        assert np.array_equal(before.channel, after.channel)
        assert np.allclose(before.time_s + after.time_s, 0.5, atol=1e-4)
    assert np.array_equal(back.labels, trials.labels)
    assert np.allclose(reversed_trials(back, 500.0).events.time_s, trials.events.time_s, atol=1e-4)


def test_events_at_the_start_stay_and_those_past_the_end_go() -> None:
    trials = make_trials(np.random.default_rng(0), samples=6, classes=3, duration_s=0.5)
    early = reversed_trials(trials, 300.0)
    assert 0 < early.events.time_s.size == int((trials.events.time_s < 0.3).sum())
    at_start = reversed_trials(reversed_trials(trials, 500.0), 500.0)
    trains, report = bin_events(at_start.events, 10.0, 50)
    assert report.spikes_dropped == 0
    assert trains.n_spikes == trials.events.time_s.size
