"""Validation splits: whole speakers where known, an equal share of every class where not."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikebridge.bridge.errors import ConfigError
from spikebridge.bridge.spikes import Events
from spikebridge.training.data.labelled import LabelledEvents
from spikebridge.training.data.split import split_validation


def _data(labels: npt.ArrayLike, speakers: npt.ArrayLike | None = None) -> LabelledEvents:
    labels = np.asarray(labels, dtype=np.int64)
    events = Events(np.zeros(0), np.zeros(0, int), np.zeros(labels.size + 1, int), 1)
    who: Any = speakers
    return LabelledEvents(events, labels, who, tuple("abcdefghij"), "digits", "0" * 64)


FOUR_SPEAKERS = np.repeat([3, 5, 8, 9], [40, 40, 10, 10])


@given(
    speakers=st.lists(st.integers(0, 6), min_size=2, max_size=80).filter(lambda s: len(set(s)) > 1),
    fraction=st.floats(0.01, 0.99),
    seed=st.integers(0, 2**32),
)
def test_no_speaker_is_on_both_sides(speakers: list[int], fraction: float, seed: int) -> None:
    split = split_validation(_data(np.zeros(len(speakers)), speakers), fraction=fraction, seed=seed)
    assert split.method == "speaker"
    assert split.fitted_speakers is not None
    assert split.held_out_speakers is not None
    assert sorted([*split.train, *split.validation]) == list(range(len(speakers)))
    assert {speakers[i] for i in split.train} == set(split.fitted_speakers)
    assert {speakers[i] for i in split.validation} == set(split.held_out_speakers)
    assert split.fitted_speakers
    assert split.held_out_speakers
    assert not set(split.fitted_speakers) & set(split.held_out_speakers)


@given(fraction=st.floats(0.01, 0.99), seed=st.integers(0, 100))
def test_number_of_speakers_brings_the_share_closest(fraction: float, seed: int) -> None:
    speakers = np.repeat(np.arange(10), 20)
    split = split_validation(_data(np.zeros(200), speakers), fraction=fraction, seed=seed)
    held_out = split.validation.size // 20
    assert 1 <= held_out <= 9
    assert all(abs(held_out / 10 - fraction) <= abs(n / 10 - fraction) for n in range(1, 10))


def test_split_is_deterministic_and_the_seed_matters() -> None:
    data = _data(np.zeros(100), FOUR_SPEAKERS)
    held_out = [split_validation(data, fraction=0.2, seed=seed).held_out_speakers for seed in range(20)]
    assert held_out == [split_validation(data, fraction=0.2, seed=seed).held_out_speakers for seed in range(20)]
    assert len(set(held_out)) > 1


def test_held_out_speakers_do_not_depend_on_the_order_of_samples() -> None:
    order = np.random.default_rng(0).permutation(100)
    for seed in range(10):
        one = split_validation(_data(np.zeros(100), FOUR_SPEAKERS), fraction=0.3, seed=seed)
        two = split_validation(_data(np.zeros(100), FOUR_SPEAKERS[order]), fraction=0.3, seed=seed)
        assert one.held_out_speakers == two.held_out_speakers


def test_chosen_speakers_are_held_out() -> None:
    split = split_validation(_data(np.zeros(100), FOUR_SPEAKERS), fraction=0.5, seed=0, speakers=[9, 3])
    assert (split.held_out_speakers, split.fitted_speakers) == ((3, 9), (5, 8))
    assert (split.validation.size, split.train.size) == (50, 50)


@pytest.mark.parametrize(
    ("speakers", "words"),
    [
        ([4], r"\[4\] are not in digits; it has \[3, 5, 8, 9\]"),
        ([], "0 of 4 speakers would be held out"),
        ([3, 5, 8, 9], "4 of 4 speakers would be held out"),
    ],
)
def test_impossible_choice_of_speakers(speakers: list[int], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        split_validation(_data(np.zeros(100), FOUR_SPEAKERS), fraction=0.5, seed=0, speakers=speakers)


def test_choice_of_speakers_where_unknown() -> None:
    with pytest.raises(ConfigError, match="names no speakers"):
        split_validation(_data(np.zeros(100)), fraction=0.5, seed=0, speakers=[1])


@given(
    labels=st.lists(st.integers(0, 9), min_size=11, max_size=100),  # 11 samples: one of ten classes has two
    fraction=st.floats(0.01, 0.99),
    seed=st.integers(0, 2**32),
)
def test_stratified_split_takes_its_share_of_every_class(labels: list[int], fraction: float, seed: int) -> None:
    split = split_validation(_data(labels), fraction=fraction, seed=seed)
    assert split.method == "stratified"
    assert split.fitted_speakers is None
    assert split.held_out_speakers is None
    assert sorted([*split.train, *split.validation]) == list(range(len(labels)))
    held_out = np.bincount(np.array(labels)[split.validation], minlength=10)
    for count, held in zip(np.bincount(labels, minlength=10), held_out, strict=True):
        assert held == (0 if count < 2 else min(max(round(fraction * count), 1), count - 1))


def test_stratified_split_is_deterministic_and_the_seed_matters() -> None:
    data = _data(np.arange(100) % 10)
    first, same, other = (split_validation(data, fraction=0.2, seed=seed).validation for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, same)
    assert first.tolist() != other.tolist()


def test_a_single_speaker_is_split_by_class() -> None:
    split = split_validation(_data(np.arange(20) % 2, np.full(20, 6)), fraction=0.2, seed=0)
    assert (split.method, split.fitted_speakers, split.held_out_speakers) == ("stratified", (6,), ())


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, float("nan")])
def test_fraction_out_of_range(fraction: float) -> None:
    with pytest.raises(ConfigError, match="must lie between 0 and 1"):
        split_validation(_data(np.zeros(10)), fraction=fraction, seed=0)


def test_negative_seed() -> None:
    with pytest.raises(ConfigError, match="must be at least 0"):
        split_validation(_data(np.zeros(10)), fraction=0.5, seed=-1)


def test_too_few_samples_to_hold_any_out() -> None:
    with pytest.raises(ConfigError, match="at most one sample per class"):
        split_validation(_data(np.arange(10)), fraction=0.5, seed=0)


def test_successive_seeds_hold_out_successive_speakers() -> None:
    data = _data(np.zeros(100), FOUR_SPEAKERS)
    held_out = [split_validation(data, fraction=0.2, seed=seed).held_out_speakers for seed in range(8)]
    assert len(set(held_out[:4])) == 4
    assert held_out[4:] == held_out[:4]
