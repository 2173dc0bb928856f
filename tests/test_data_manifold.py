"""Random manifolds: reproducible, smooth, and told apart by spike times alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikebridge.bridge.arrays import FloatArray, IntArray
from spikebridge.bridge.errors import ConfigError
from spikebridge.bridge.spikes import bin_events
from spikebridge.training.data.labelled import LabelledEvents
from spikebridge.training.data.manifold import random_manifolds
from spikebridge.training.data.random_functions import RandomFunctions

DEMO: dict[str, Any] = {"n_classes": 5, "n_channels": 20, "samples_per_class": 40, "duration_ms": 100.0, "seed": 3}


def _times(data: LabelledEvents) -> FloatArray:
    return data.events.time_s.reshape(data.n_samples, -1)


def _counts(data: LabelledEvents) -> FloatArray:
    n = data.events.n_channels
    counts = np.bincount(data.events.sample * n + data.events.channel, minlength=data.n_samples * n)
    return counts.reshape(-1, n).astype(np.float64)


def _to_nearest(samples: FloatArray, others: FloatArray) -> FloatArray:
    """Root mean square over spikes, in seconds, from each sample to the nearest of the others."""
    distance: FloatArray = np.sqrt(((samples[:, None] - others[None]) ** 2).mean(-1)).min(axis=1)
    return distance


def _nearest_neighbour(train: FloatArray, labels: IntArray, test: FloatArray) -> IntArray:
    distance = ((test[:, None] - train[None]) ** 2).sum(-1)
    return labels[distance.argmin(axis=1)]


def test_samples_are_balanced_and_mixed() -> None:
    data = random_manifolds(**DEMO, spikes_per_channel=2)
    assert (data.n_samples, data.n_classes, data.events.n_channels) == (200, 5, 20)
    assert data.events.time_s.dtype == np.float64
    assert np.bincount(data.labels).tolist() == [40] * 5
    assert (np.diff(data.labels) < 0).any()
    assert data.speakers is None


@pytest.mark.parametrize("manifold_dim", [1, 2])
def test_counts_tell_nothing_and_times_tell_the_class(manifold_dim: int) -> None:
    options = DEMO | {"manifold_dim": manifold_dim, "spikes_per_channel": 2}
    train, test = random_manifolds(**options), random_manifolds(**options, split="test")
    by_count = _nearest_neighbour(_counts(train), train.labels, _counts(test))
    by_time = _nearest_neighbour(_times(train), train.labels, _times(test))
    assert (_counts(train) == 2).all()
    assert (_counts(test) == 2).all()
    assert np.mean(by_count == test.labels) == 1 / 5
    assert np.mean(by_time == test.labels) > 0.9


def test_same_seed_same_samples() -> None:
    one, two = random_manifolds(**DEMO), random_manifolds(**DEMO)
    assert one.source_sha256 == two.source_sha256
    np.testing.assert_array_equal(one.events.time_s, two.events.time_s)
    others = [random_manifolds(**DEMO | {"seed": 4}), random_manifolds(**DEMO, split="test")]
    assert len({data.source_sha256 for data in (one, *others)}) == 3
    assert others[1].source == "random_manifolds, seed 3, test"


def test_splits_share_manifolds_but_no_samples() -> None:
    """Close to every test sample lies a training sample of its class; on other manifolds it does not."""
    options = DEMO | {"n_classes": 1, "samples_per_class": 400}
    train, test = (_times(random_manifolds(**options, split=split)) for split in ("train", "test"))
    other = _times(random_manifolds(**options | {"seed": 4}, split="test"))
    assert _to_nearest(test, train).min() > 0.0
    assert np.median(_to_nearest(test, train)) < 0.001  # 1 of 100 ms
    assert np.median(_to_nearest(other, train)) > 0.01


def test_a_class_keeps_its_manifold_when_classes_are_added() -> None:
    few, many = (random_manifolds(**DEMO | {"n_classes": n, "samples_per_class": 400}) for n in (2, 4))
    one, same, other = (_times(data)[data.labels == c] for data, c in ((few, 1), (many, 1), (many, 3)))
    assert np.median(_to_nearest(same, one)) < 0.001  # 1 of 100 ms
    assert np.median(_to_nearest(other, one)) > 0.01


@settings(max_examples=20, deadline=None)
@given(
    duration_ms=st.floats(1.0, 5000.0),
    n_steps=st.integers(1, 200),
    alpha=st.floats(1.2, 4.0),
    manifold_dim=st.integers(1, 3),
    seed=st.integers(0, 1000),
)
def test_no_spike_is_binned_past_the_end(
    duration_ms: float, n_steps: int, alpha: float, manifold_dim: int, seed: int
) -> None:
    data = random_manifolds(
        n_classes=2,
        n_channels=3,
        samples_per_class=4,
        duration_ms=duration_ms,
        seed=seed,
        alpha=alpha,
        manifold_dim=manifold_dim,
    )
    trains, crop = bin_events(data.events, duration_ms / n_steps, n_steps)
    assert crop.spikes_dropped == 0
    assert trains.n_spikes == 2 * 4 * 3


def test_tolerance_of_binning_does_not_reach_the_end() -> None:
    """One step as long as the sample: its tolerance of 0.001 steps is the last 0.1 % of the duration."""
    data = random_manifolds(**DEMO | {"samples_per_class": 400})
    assert data.events.time_s.max() > 0.0997
    assert bin_events(data.events, 100.0, 1)[1].spikes_dropped == 0


def test_functions_are_smoother_for_larger_alpha() -> None:
    x = np.linspace(0.0, 1.0, 500)[:, None]
    rough, smooth = (
        np.abs(np.diff(RandomFunctions.draw(np.random.default_rng(0), 20, 1, alpha)(x), axis=0)).mean()
        for alpha in (1.0, 3.0)
    )
    assert smooth < rough / 2


@pytest.mark.parametrize("dimensions", [1, 2])
def test_functions_fill_the_unit_interval(dimensions: int) -> None:
    functions = RandomFunctions.draw(np.random.default_rng(1), 30, dimensions, 2.0)
    edge = np.linspace(0.0, 1.0, 101)
    values = functions(np.stack(np.meshgrid(*[edge] * dimensions), axis=-1).reshape(-1, dimensions))
    assert values.min() >= 0.0
    assert values.max() <= 1.0
    assert (values.min(axis=0) < 0.02).all()
    assert (values.max(axis=0) > 0.98).all()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"n_classes": 0}, "n_classes is 0"),
        ({"manifold_dim": 0}, "manifold_dim is 0"),
        ({"spikes_per_channel": 0}, "spikes_per_channel is 0"),
        ({"duration_ms": 0.0}, r"duration_ms is 0\.0"),
        ({"alpha": float("nan")}, "alpha is nan"),
        ({"seed": -1}, "seed is -1"),
        ({"split": "tset"}, r"'tset'; choose from \['train', 'validation', 'test'\]"),
    ],
)
def test_arguments_out_of_range(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        random_manifolds(**DEMO | change)
