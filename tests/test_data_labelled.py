"""Labelled events: checked on construction, selectable, and turned into trials; pooling of their channels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikebridge.bridge.errors import SpecError
from spikebridge.bridge.spikes import Events
from spikebridge.training.data.labelled import LabelledEvents
from spikebridge.training.data.pooling import pool_channels

EVENTS = Events(np.array([0.1, 0.2, 0.3]), np.array([0, 699, 5]), np.array([0, 1, 1, 3]), 700)
GOOD: dict[str, Any] = {
    "events": EVENTS,
    "labels": [0, 1, 1],
    "speakers": [7, 8, 7],
    "class_names": ("a", "b"),
    "source": "somewhere",
    "source_sha256": "0" * 64,
}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"labels": [0, 1]}, "2 labels, but there are 3 samples"),
        ({"labels": [0, 1, 2]}, r"labels must be 0 \.\. 1"),
        ({"labels": [0, -1, 1]}, r"found -1 \.\. 1"),
        ({"labels": [0.0, 1.0, 1.0]}, "expected integers"),
        ({"speakers": [1, 2]}, "2 speakers, but there are 3 samples"),
    ],
)
def test_inconsistent_samples_are_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(SpecError, match=words):
        LabelledEvents(**GOOD | change)


def test_selection_keeps_order_and_source() -> None:
    data = LabelledEvents(**GOOD)
    part = data.select([2, 0])
    assert part.labels.tolist() == [1, 0]
    assert part.speakers is not None
    assert part.speakers.tolist() == [7, 7]
    assert part.events.time_s.tolist() == [0.2, 0.3, 0.1]
    assert (part.n_samples, part.n_classes, part.source) == (2, 2, "somewhere")
    assert data.select([]).n_samples == 0
    assert data.select(np.array([True, False, True])).labels.tolist() == [0, 1]


def test_arrays_are_frozen_copies() -> None:
    labels = np.array([0, 1, 1])
    data = LabelledEvents(**GOOD | {"labels": labels})
    labels[0] = 1
    assert data.labels[0] == 0
    with pytest.raises(ValueError, match="read-only"):
        data.labels[0] = 1


def test_trials_say_which_speakers_were_seen() -> None:
    trials = LabelledEvents(**GOOD).trials([7])
    assert trials.seen is not None
    assert trials.seen.tolist() == [True, False, True]
    assert trials.class_names == ("a", "b")


def test_trials_without_known_speakers() -> None:
    for data in (LabelledEvents(**GOOD), LabelledEvents(**GOOD | {"speakers": None})):
        trials = data.trials(None)
        assert trials.speakers is None
        assert trials.seen is None
    with pytest.raises(SpecError, match="names no speakers"):
        LabelledEvents(**GOOD | {"speakers": None}).trials([7])


def test_pooling_merges_neighbours_and_keeps_every_spike() -> None:
    pooled = pool_channels(EVENTS)
    assert pooled.n_channels == 140
    assert pooled.channel.tolist() == [0, 139, 1]
    np.testing.assert_array_equal(pooled.time_s, EVENTS.time_s)


@given(group=st.integers(1, 20), n_channels=st.integers(1, 50), seed=st.integers(0, 99))
def test_pooled_counts_are_sums_over_groups(group: int, n_channels: int, seed: int) -> None:
    channel = np.random.default_rng(seed).integers(0, group * n_channels, 200, dtype=np.int32)
    events = Events(np.zeros(200), channel, np.array([0, 200]), group * n_channels)
    before = np.bincount(channel, minlength=group * n_channels)
    after = np.bincount(pool_channels(events, n_channels).channel, minlength=n_channels)
    np.testing.assert_array_equal(after, before.reshape(n_channels, group).sum(axis=1))


@pytest.mark.parametrize("n_channels", [0, -1, 141, 701])
def test_uneven_pooling_names_the_valid_sizes(n_channels: int) -> None:
    with pytest.raises(SpecError, match=r"choose from \[1, 2, 4, 5, 7, .*, 140, 175, 350, 700\]"):
        pool_channels(EVENTS, n_channels)
