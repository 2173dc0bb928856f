"""How often an executor decides for the right class, with an interval, for seen and unseen speakers."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from spikebridge.bridge.arrays import BoolArray, FloatArray, IntArray
from spikebridge.bridge.errors import SpecError
from spikebridge.bridge.recording import Recording

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Proportion:
    """A share of samples with its Wilson interval at `CONFIDENCE`.

    Attributes:
        hits, samples: the share is their ratio; `samples` is at least 1.
        low, high: ends of the interval, 0 .. 1.
    """

    hits: int
    samples: int
    low: float
    high: float

    @property
    def value(self) -> float:
        """The share, 0 .. 1."""
        return self.hits / self.samples


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with the ends of its interval at `CONFIDENCE`."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Accuracy over all samples, and by what the training knew of their speakers.

    Attributes:
        all: every sample.
        seen: speakers whose samples the weights were fitted on.
        unseen: speakers who took no part in the training at all.
        held_out: speakers on whose samples the epoch was chosen; neither seen nor unseen.

    A group without samples is None; all but the first are where speakers are unknown.
    """

    all: Proportion | None
    seen: Proportion | None
    unseen: Proportion | None
    held_out: Proportion | None


def accuracy(recording: Recording) -> Accuracy:
    """Accuracy of a recording's decisions."""
    trials = recording.trials
    right = np.asarray(recording.decisions == trials.labels, dtype=np.bool_)
    if trials.seen is None:
        return Accuracy(_share(right), None, None, None)
    held_out = np.zeros_like(trials.seen) if trials.held_out is None else trials.held_out
    groups = (trials.seen, ~trials.seen & ~held_out, held_out)
    return Accuracy(_share(right), *(_share(right[group]) for group in groups))


def confusion(recording: Recording) -> IntArray:
    """(C, C) number of samples by true class (row) and decided class (column)."""
    classes = len(recording.trials.class_names)
    flat = recording.trials.labels * classes + recording.decisions
    return np.bincount(flat, minlength=classes * classes).reshape(classes, classes).astype(np.int64)


def changed_decisions(reference: Recording, other: Recording) -> Proportion | None:
    """Samples that the other executor assigned to another class; None without samples. Any two grids."""
    return _share(np.asarray(reference.decisions != other.decisions, dtype=np.bool_))


def paired_difference(differences: FloatArray, confidence: float = CONFIDENCE) -> Estimate | None:
    """The mean of a difference of two shares on the same samples; None without samples.

    The interval is that of Agresti & Min 2005 (Stat. Med. 24:729): half a sample is added to each of the four cases of
    a pair, and the normal quantile is used; also where differences are means over draws, which are taken as they are.

    Args:
        differences: (S,) of each sample, -1 .. 1.
        confidence: of the interval.
    """
    if differences.size == 0:
        return None
    samples = differences.size + 2
    centre = float(differences.sum()) / samples
    square = (float((differences**2).sum()) + 1.0) / samples
    half = NormalDist().inv_cdf(0.5 + confidence / 2) * float(np.sqrt((square - centre**2) / samples))
    return Estimate(float(differences.mean()), max(centre - half, -1.0), min(centre + half, 1.0))


def wilson_interval(hits: float, samples: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The score interval of Wilson 1927 (J. Am. Stat. Assoc. 22:209), which stays inside 0 .. 1.

    `hits` may be a mean over draws of the same samples.

    With p = hits / n and z the normal quantile,
    (p + z^2 / 2n -+ z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n).

    Raises:
        SpecError: no samples, or not 0 <= hits <= samples.
    """
    if not 0 <= hits <= samples or samples == 0:
        raise SpecError(f"{hits} hits in {samples} samples have no interval")
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    share = hits / samples
    centre = share + z**2 / (2 * samples)
    half = z * float(np.sqrt(share * (1 - share) / samples + (z / (2 * samples)) ** 2))
    scale = 1 + z**2 / samples
    # At 0 and at 1 the formula gives that end exactly, but for the last bit.
    low = 0.0 if hits == 0 else (centre - half) / scale
    high = 1.0 if hits == samples else (centre + half) / scale
    return low, high


def _share(hits: BoolArray) -> Proportion | None:
    if hits.size == 0:
        return None
    return Proportion(int(hits.sum()), hits.size, *wilson_interval(int(hits.sum()), hits.size))
