"""Cliff's delta with its bootstrap interval.

Rates, CVs and shares of neurons are skewed and bounded, often with many equal values, so that a difference of means in
standard deviations (Hedges' g) says little about them. Cliff's delta needs only their order.
"""

from __future__ import annotations

import numpy as np

from spikebridge.bridge.arrays import FloatArray, IntArray

RESAMPLES = 2000
CONFIDENCE = 0.95
BATCH_VALUES = 2_000_000
"""Resampled values in memory at a time."""


def cliffs_delta(reference: FloatArray, other: FloatArray) -> float:
    """P(other > reference) - P(other < reference) over all pairs: -1 .. 1, 0 where neither is larger.

    Args:
        reference: (n,) at least one value.
        other: (m,) at least one value.
    """
    ordered = np.sort(reference)
    below = np.searchsorted(ordered, other, side="left")
    above = reference.size - np.searchsorted(ordered, other, side="right")
    return float((below - above).sum()) / (reference.size * other.size)


def cliffs_delta_interval(
    reference: FloatArray, other: FloatArray, rng: np.random.Generator, resamples: int = RESAMPLES
) -> tuple[float, float]:
    """Percentile bootstrap interval of 95 %: both samples are drawn anew, with replacement and independently.

    Where the samples do not overlap, no resample does, and the interval is a point: that is the data's, not a proof.
    """
    levels, rank = np.unique(np.concatenate([reference, other]), return_inverse=True)
    split = np.split(rank, [reference.size])
    batch = max(1, BATCH_VALUES // max(reference.size, other.size, levels.size))
    found = []
    for start in range(0, resamples, batch):
        drawn = min(batch, resamples - start)
        ours, theirs = (_resampled(part, levels.size, drawn, rng) for part in split)
        below = np.cumsum(ours, axis=1) - ours
        above = reference.size - below - ours
        found.append((theirs * (below - above)).sum(axis=1))
    deltas = np.concatenate(found) / (reference.size * other.size)
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(deltas, [tail, 100 - tail]).tolist()
    return low, high


def _resampled(rank: IntArray, n_levels: int, resamples: int, rng: np.random.Generator) -> FloatArray:
    """(resamples, n_levels) how often each level occurs in as many values, drawn with replacement."""
    share = np.bincount(rank, minlength=n_levels) / rank.size
    return rng.multinomial(rank.size, share, size=resamples).astype(np.float64)
