"""Accuracy, its interval, and confusion."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from recordings import make_recording, make_trials, random_recording
from scipy.stats import binomtest

from spikebridge.bridge.errors import SpecError
from spikebridge.bridge.recording import Recording
from spikebridge.validation.accuracy import accuracy, changed_decisions, confusion, wilson_interval


def deciding(decisions: list[int], labels: list[int], *, speakers: bool = True) -> Recording:
    trials = make_trials(np.random.default_rng(0), samples=len(labels), classes=3, speakers=speakers)
    trials = replace(trials, labels=np.array(labels))
    return make_recording(trials, {}, steps=5, scores=np.eye(3)[decisions])


def test_groups_are_counted_apart() -> None:
    found = accuracy(deciding([0, 1, 2, 0, 1, 0], [0, 1, 0, 0, 0, 1]))  # samples 2 and 5 are of the unseen speaker
    assert found.all is not None
    assert found.seen is not None
    assert found.unseen is not None
    assert (found.all.hits, found.all.samples) == (3, 6)
    assert (found.seen.hits, found.seen.samples) == (3, 4)
    assert (found.unseen.hits, found.unseen.samples) == (0, 2)
    assert found.seen.value == 0.75


def test_a_group_without_samples_is_none() -> None:
    unknown = accuracy(deciding([0, 1], [0, 1], speakers=False))
    assert unknown.all is not None
    assert (unknown.seen, unknown.unseen) == (None, None)
    recording = deciding([0, 1], [0, 1])  # two samples, both of seen speakers
    assert accuracy(recording).unseen is None


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_is_that_of_scipy(case: tuple[int, int]) -> None:
    hits, samples = case
    low, high = wilson_interval(hits, samples)
    expected = binomtest(hits, samples).proportion_ci(confidence_level=0.95, method="wilson")
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert 0.0 <= low <= hits / samples <= high <= 1.0


def test_the_interval_of_a_published_example() -> None:
    # Newcombe 1998 (Stat. Med. 17:857), table I, method 3: 81 of 263 gives 0.2553 to 0.3662.
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)


@pytest.mark.parametrize(("hits", "samples"), [(0, 0), (3, 2), (-1, 2)])
def test_impossible_counts_are_refused(hits: int, samples: int) -> None:
    with pytest.raises(SpecError, match="no interval"):
        wilson_interval(hits, samples)


def test_confusion_counts_true_rows_and_decided_columns() -> None:
    counts = confusion(deciding([0, 1, 2, 0, 1, 0], [0, 1, 0, 0, 0, 1]))
    assert counts.tolist() == [[2, 1, 1], [1, 1, 0], [0, 0, 0]]


def test_confusion_holds_every_sample() -> None:
    recording = random_recording(samples=40)
    counts = confusion(recording)
    assert counts.sum() == 40
    found = accuracy(recording).all
    assert found is not None
    assert np.trace(counts) == found.hits


def test_changed_decisions_are_a_share_of_all() -> None:
    changed = changed_decisions(deciding([0, 1, 2, 0], [0, 0, 0, 0]), deciding([0, 2, 2, 1], [0, 0, 0, 0]))
    assert changed is not None
    assert (changed.hits, changed.samples) == (2, 4)


def test_the_speaker_who_chose_the_epoch_is_neither_seen_nor_unseen() -> None:
    recording = random_recording()
    trials = recording.trials
    assert trials.seen is not None
    held_out = ~trials.seen & (np.arange(trials.n_samples) % 2 == 0)
    assert held_out.any()
    found = accuracy(replace(recording, trials=replace(trials, held_out=held_out)))
    before = accuracy(recording)
    assert found.seen == before.seen
    assert found.unseen is not None
    assert found.held_out is not None
    assert before.unseen is not None
    assert found.unseen.samples + found.held_out.samples == before.unseen.samples
    assert found.unseen.hits + found.held_out.hits == before.unseen.hits
    with pytest.raises(SpecError, match="fitted on and held out"):
        replace(trials, held_out=np.ones(trials.n_samples, dtype=np.bool_))
