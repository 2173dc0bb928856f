"""Variations of training samples."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spikebridge.bridge.spikes import Events, bin_events
from spikebridge.training.augment import (
    augmented,
    blend_samples,
    drop_spikes,
    shift_channels,
    shift_time,
    stretch_time,
)
from spikebridge.training.config_recipe import AugmentationConfig
from spikebridge.training.dataset import dense_counts

ALL = AugmentationConfig(shift_channels=3, stretch_time=0.2, shift_time_ms=20.0, drop_spikes=0.1, blend_share=0.5)


def same_in_every_sample(time_s: list[float], channel: list[int], *, samples: int, n_channels: int) -> Events:
    offsets = np.arange(samples + 1) * len(time_s)
    return Events(np.tile(time_s, samples), np.tile(channel, samples), offsets, n_channels)


def test_channel_shifts_move_whole_samples_and_lose_what_leaves() -> None:
    torch.manual_seed(0)
    events = same_in_every_sample([0.1, 0.2, 0.3], [10, 10, 12], samples=200, n_channels=20)
    moved = shift_channels(events, 4)
    places = moved.channel.reshape(200, 3)
    assert set(places[:, 0].tolist()) == set(range(6, 15))
    assert (places == places[:, :1] + [0, 0, 2]).all()
    assert np.array_equal(moved.time_s, events.time_s)
    edge = same_in_every_sample([0.1], [0], samples=200, n_channels=20)
    left = shift_channels(edge, 4)
    assert 0 < left.time_s.size < 200  # what leaves is gone, nothing wraps around
    assert left.offsets[-1] == left.time_s.size
    assert shift_channels(events, 0) is events


def test_stretching_scales_the_times_of_each_sample() -> None:
    torch.manual_seed(0)
    events = same_in_every_sample([0.1, 0.2], [0, 1], samples=300, n_channels=2)
    moved = stretch_time(events, 0.5)
    times = moved.time_s.reshape(300, 2)
    np.testing.assert_allclose(times[:, 1], 2 * times[:, 0], rtol=1e-12)
    assert times[:, 0].min() >= 0.1 / 1.5
    assert times[:, 0].max() <= 0.1 * 1.5
    assert len(set(times[:, 0].tolist())) == 300
    assert abs(np.log(times[:, 0] / 0.1).mean()) < 0.05
    assert stretch_time(events, 0.0) is events


def test_time_shifts_move_whole_samples_and_lose_what_comes_before_the_start() -> None:
    torch.manual_seed(0)
    events = same_in_every_sample([0.1, 0.2], [0, 1], samples=300, n_channels=2)
    times = shift_time(events, 50.0).time_s.reshape(300, 2)
    np.testing.assert_allclose(times[:, 1] - times[:, 0], 0.1, rtol=1e-12)
    moved = times[:, 0] - 0.1
    assert -0.05 <= moved.min() < -0.04 < 0.04 < moved.max() <= 0.05
    assert abs(moved.mean()) < 0.01
    early = shift_time(same_in_every_sample([0.01], [0], samples=300, n_channels=1), 20.0)
    assert 170 < early.time_s.size < 280  # three quarters of 300 stay, give or take six standard deviations
    assert early.time_s.min() >= 0.0
    assert early.n_samples == 300
    assert shift_time(events, 0.0) is events


def test_dropping_loses_a_share_of_the_spikes_and_changes_no_other() -> None:
    torch.manual_seed(0)
    events = same_in_every_sample([0.1, 0.2, 0.3, 0.4], [0, 1, 2, 3], samples=500, n_channels=4)
    left = drop_spikes(events, 0.25)
    assert abs(left.time_s.size - 1500) < 6 * (2000 * 0.25 * 0.75) ** 0.5
    assert np.array_equal(left.time_s, np.array([0.1, 0.2, 0.3, 0.4])[left.channel])
    counts = np.diff(left.offsets)
    assert set(counts.tolist()) == {0, 1, 2, 3, 4}  # each spike by itself
    assert drop_spikes(events, 0.0) is events


def two_classes() -> tuple[Events, torch.Tensor]:
    """Class 0: 40 spikes at channels 10 and 20, once 0.1 s later and 2 channels higher; class 1: a lone spike."""
    first = (np.tile([0.10, 0.30], 20), np.tile([10, 20], 20))
    second = (np.tile([0.20, 0.40], 20), np.tile([12, 22], 20))
    third = (np.array([0.5]), np.array([29]))
    return (
        Events(
            np.concatenate([first[0], second[0], third[0]]),
            np.concatenate([first[1], second[1], third[1]]),
            np.array([0, 40, 80, 81]),
            30,
        ),
        torch.tensor([0, 0, 1]),
    )


def test_blends_take_half_of_each_sample_of_the_same_class_aligned() -> None:
    torch.manual_seed(0)
    events, labels = two_classes()
    picked = torch.zeros(200, dtype=torch.int64)
    blended = blend_samples(events, labels, picked, 1.0)
    # Moved to the mean of the first sample, the second is the same spikes: nothing else may appear.
    places = {(round(t, 9), int(c)) for t, c in zip(blended.time_s, blended.channel, strict=True)}
    assert places == {(0.1, 10), (0.3, 20)}
    counts = np.diff(blended.offsets)
    assert abs(counts.mean() - 40) < 6 * (80 * 0.25 / 200) ** 0.5
    assert counts.std() > 2  # drawn spike by spike


def test_blends_replace_a_share_and_leave_the_others() -> None:
    torch.manual_seed(0)
    events, labels = two_classes()
    picked = torch.ones(400, dtype=torch.int64)
    blended = blend_samples(events, labels, picked, 0.25)
    same = [
        np.array_equal(blended.time_s[a:b], events.time_s[40:80])
        for a, b in zip(blended.offsets[:-1], blended.offsets[1:], strict=True)
    ]
    assert abs(sum(same) - 300) < 6 * (400 * 0.25 * 0.75) ** 0.5
    lone = blend_samples(events, labels, torch.full((100,), 2), 1.0)  # its partner can only be itself
    assert set(zip(lone.time_s.tolist(), lone.channel.tolist(), strict=True)) == {(0.5, 29)}
    assert set(np.diff(lone.offsets).tolist()) == {0, 1, 2}


def test_partner_spikes_that_would_leave_are_lost() -> None:
    torch.manual_seed(0)
    # Aligned to a spike at time 0 and channel 0, every early and low spike of the partner would lie outside.
    events = Events(np.array([0.0, 0.2, 0.4]), np.array([0, 4, 8]), np.array([0, 1, 3]), 10)
    blended = blend_samples(events, torch.zeros(2, dtype=torch.int64), torch.zeros(500, dtype=torch.int64), 1.0)
    places = {(round(t, 9), int(c)) for t, c in zip(blended.time_s, blended.channel, strict=True)}
    assert places == {(0.0, 0), (0.1, 2)}


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**31 - 1), counts=st.lists(st.integers(0, 6), min_size=1, max_size=6), data=st.data())
def test_any_variation_gives_valid_samples_and_the_same_ones_for_the_same_seed(
    seed: int, counts: list[int], data: st.DataObject
) -> None:
    rng = np.random.default_rng(seed)
    total = sum(counts)
    events = Events(
        rng.random(total), rng.integers(0, 8, total, dtype=np.int32), np.concatenate([[0], np.cumsum(counts)]), 8
    )
    labels = torch.from_numpy(rng.integers(0, 2, len(counts)))
    picked = torch.tensor(data.draw(st.lists(st.integers(0, len(counts) - 1), min_size=1, max_size=8)))
    made = []
    for _ in range(2):
        torch.manual_seed(seed)
        made.append(augmented(events, labels, picked, ALL))  # `Events` checks itself
    assert made[0].n_samples == picked.numel()
    assert np.array_equal(made[0].time_s, made[1].time_s)
    assert np.array_equal(made[0].channel, made[1].channel)


def test_nothing_switched_on_draws_nothing_and_changes_nothing() -> None:
    events, labels = two_classes()
    torch.manual_seed(1)
    before = torch.get_rng_state()
    batch = augmented(events, labels, torch.tensor([2, 0]), AugmentationConfig())
    assert torch.equal(torch.get_rng_state(), before)
    assert np.array_equal(batch.time_s, events.select([2, 0]).time_s)


@pytest.mark.parametrize("field", [{"drop_spikes": 1.0}, {"blend_share": 1.5}, {"shift_time_ms": -1.0}])
def test_impossible_variations_are_refused(field: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(field))):
        AugmentationConfig(**field)  # type: ignore[arg-type]


@given(st.integers(0, 2**31), st.sampled_from([1.0, 2.5, 10.0]))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_counts_on_a_grid_are_those_of_the_sorted_bins(seed: int, step_ms: float) -> None:
    """Spikes that share a bin add up, and those after the end, however late, are left out."""
    rng = np.random.default_rng(seed)
    per_sample = rng.integers(0, 60, 3)
    total = int(per_sample.sum())
    times_s = np.where(rng.random(total) < 0.1, 1e9, rng.integers(0, 90, total) / 1000)
    offsets = np.concatenate([[0], np.cumsum(per_sample)])
    events = Events(times_s, rng.integers(0, 4, total).astype(np.int32), offsets, 4)
    bins, _ = bin_events(events, step_ms, int(50 / step_ms))
    torch.testing.assert_close(dense_counts(events, 50.0, step_ms), torch.from_numpy(bins.counts("float32")))
