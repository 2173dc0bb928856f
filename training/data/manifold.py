"""A timing-coded data set that needs no network: spike times on smooth random manifolds.

The idea is Zenke & Vogels 2021 (Neural Computation 33(4):899-925, doi 10.1162/neco_a_01367): a class is a smooth random
function from a low-dimensional cube to a vector of spike times, one per channel and spike. A sample is a random point
of the cube, seen through the function of its class. Every channel fires equally often in every sample, so nothing but
the times tells classes apart.

The functions are those of `random_functions`. They are scaled by their range over the whole cube, not over the samples
drawn, so that training and test samples share one scale.
"""

from __future__ import annotations

import hashlib
import math
from typing import Literal

import numpy as np

from spikebridge.bridge.arrays import FloatArray, IntArray
from spikebridge.bridge.errors import ConfigError
from spikebridge.bridge.spikes import Events
from spikebridge.training.data.labelled import LabelledEvents
from spikebridge.training.data.random_functions import RandomFunctions

type SplitName = Literal["train", "validation", "test"]

_SPLITS = ("train", "validation", "test")
_MANIFOLD_STREAM, _SAMPLE_STREAM = 0, 1
_FILL = 0.998
"""Share of the duration that spikes fill: the tolerance of 0.001 steps in binning must not carry one past the end."""
_TICKS_PER_S = 2**30
"""Times are whole ticks of less than 1 ns, so that the last bit of a processor's sine does not reach the checksum."""


def random_manifolds(
    *,
    n_classes: int,
    n_channels: int,
    samples_per_class: int,
    duration_ms: float,
    seed: int,
    split: SplitName = "train",
    manifold_dim: int = 1,
    alpha: float = 2.0,
    spikes_per_channel: int = 1,
) -> LabelledEvents:
    """Samples of `n_classes` smooth random manifolds, in random order.

    Args:
        n_classes: number of classes.
        n_channels: number of input channels.
        samples_per_class: so many samples of every class.
        duration_ms: spikes lie between 0 and this; rounding to a grid takes none of them past its end.
        seed: at least 0; the same seed gives the same manifolds for every split, and a class keeps its manifold when
            classes are added.
        split: which samples of the manifolds: `train`, `validation` and `test` are drawn from separate random streams.
        manifold_dim: dimension of the cube; 1 makes curves, 2 surfaces.
        alpha: smoothness, above 0; larger is smoother, and easier.
        spikes_per_channel: spikes of every channel in every sample.

    Returns:
        n_classes * samples_per_class samples without speakers, of n_channels * spikes_per_channel spikes each.

    Raises:
        ConfigError: an argument is out of range.
    """
    sizes = {"n_classes": n_classes, "n_channels": n_channels, "samples_per_class": samples_per_class}
    sizes |= {"manifold_dim": manifold_dim, "spikes_per_channel": spikes_per_channel}
    _check(sizes, {"duration_ms": duration_ms, "alpha": alpha}, seed, split)

    rng = np.random.default_rng([seed, _SAMPLE_STREAM, _SPLITS.index(split)])
    points = rng.random((n_classes, samples_per_class, manifold_dim))
    order = rng.permutation(n_classes * samples_per_class)
    labels = np.repeat(np.arange(n_classes, dtype=np.int64), samples_per_class)[order]
    fractions = _fractions(points, n_channels * spikes_per_channel, alpha, seed)[order]
    events = _events(fractions * (_FILL * duration_ms / 1000.0), n_channels)
    names = tuple(f"manifold_{c}" for c in range(n_classes))
    return LabelledEvents(
        events, labels, None, names, f"random_manifolds, seed {seed}, {split}", _sha256(events, labels)
    )


def _fractions(points: FloatArray, n_spikes: int, alpha: float, seed: int) -> FloatArray:
    """Spike times as a share of the duration, class after class: points (C, S, D) to (C * S, n_spikes)."""
    n_classes, _, manifold_dim = points.shape
    streams = (np.random.default_rng([seed, _MANIFOLD_STREAM, c]) for c in range(n_classes))
    manifolds = (RandomFunctions.draw(rng, n_spikes, manifold_dim, alpha) for rng in streams)
    return np.concatenate([manifold(points[c]) for c, manifold in enumerate(manifolds)])


def _events(time_s: FloatArray, n_channels: int) -> Events:
    """Samples (S, n_channels * spikes per channel) as events; the spikes of a channel are neighbours."""
    n_samples, n_spikes = time_s.shape
    channel = np.repeat(np.arange(n_channels, dtype=np.int32), n_spikes // n_channels)
    return Events(
        time_s=np.round(time_s * _TICKS_PER_S).ravel() / _TICKS_PER_S,
        channel=np.tile(channel, n_samples),
        offsets=np.arange(n_samples + 1, dtype=np.int64) * n_spikes,
        n_channels=n_channels,
    )


def _sha256(events: Events, labels: IntArray) -> str:
    digest = hashlib.sha256()
    for array in (events.time_s, events.channel, events.offsets, labels):
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _check(sizes: dict[str, int], positive: dict[str, float], seed: int, split: str) -> None:
    for name, size in sizes.items():
        if size < 1:
            raise ConfigError(f"{name} is {size}; it must be at least 1")
    for name, value in positive.items():
        if not (math.isfinite(value) and value > 0):
            raise ConfigError(f"{name} is {value}; it must be above 0")
    if seed < 0:
        raise ConfigError(f"seed is {seed}; it must be at least 0")
    if split not in _SPLITS:
        raise ConfigError(f"split is {split!r}; choose from {list(_SPLITS)}")
