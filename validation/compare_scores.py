"""Scores of two samples of values. A score knows no statistic: any one goes with any other, as in NetworkUnit."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.stats import ks_2samp, wasserstein_distance

from spikebridge.bridge.arrays import FloatArray
from spikebridge.validation.compare_effect import CONFIDENCE, RESAMPLES, cliffs_delta, cliffs_delta_interval

EXACT_PAIRS = 10_000
"""Up to so many pairs of values the Kolmogorov-Smirnov test is exact."""


@dataclass(frozen=True, slots=True)
class ScoreValue:
    """What a score gave.

    Attributes:
        value: the distance or effect.
        p: of a test whether both samples are of one distribution, uncorrected; None if the score tests nothing.
        low, high: its 95 % interval, None if it has none.
    """

    value: float
    p: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Score:
    """A score and its definition.

    Attributes:
        key: name in files.
        title: name for readers.
        has_unit: whether its value has the unit of the statistic.
        definition: in a sentence.
        source: who defined it and whose code computes it.
        measure: from the reference's values (n,), the other's (m,) and a random generator; neither is empty.
    """

    key: str
    title: str
    has_unit: bool
    definition: str
    source: str
    measure: Callable[[FloatArray, FloatArray, np.random.Generator], ScoreValue]


def standard_scores() -> tuple[Score, ...]:
    """Kolmogorov-Smirnov, Wasserstein and Cliff's delta."""
    return (
        Score(
            "kolmogorov_smirnov",
            "Kolmogorov-Smirnov",
            False,
            "Largest difference of the two cumulative distributions, 0 .. 1, with the p value of the two-sample test "
            f"(exact up to {EXACT_PAIRS:,} pairs of values where SciPy can, else asymptotic).",
            "Computed by SciPy's ks_2samp.",
            _kolmogorov_smirnov,
        ),
        Score(
            "wasserstein",
            "Wasserstein distance",
            True,
            "Mean distance by which values must be moved to turn one distribution into the other, in the unit of the "
            "statistic.",
            "Computed by SciPy's wasserstein_distance (order 1).",
            lambda reference, other, _: ScoreValue(float(wasserstein_distance(reference, other))),
        ),
        Score(
            "cliffs_delta",
            "Cliff's delta",
            False,
            "P(other > reference) - P(other < reference) over all pairs of neurons, -1 .. 1; above 0 the other tends "
            f"to be larger. In brackets the {CONFIDENCE:.0%} percentile bootstrap interval, {RESAMPLES:,} resamples of "
            "neurons.",
            "Cliff 1993, Psychological Bulletin 114:494. By order, because these values are skewed, bounded and often "
            "equal.",
            _cliffs_delta,
        ),
    )


def _kolmogorov_smirnov(reference: FloatArray, other: FloatArray, _: np.random.Generator) -> ScoreValue:
    method: Literal["exact", "asymp"] = "exact" if reference.size * other.size <= EXACT_PAIRS else "asymp"
    with warnings.catch_warnings():
        # Where samples hardly differ SciPy may fail to count the paths; then it takes the asymptotic p value and warns.
        warnings.filterwarnings("ignore", "ks_2samp: Exact calculation unsuccessful", RuntimeWarning)
        found = ks_2samp(reference, other, method=method)
    return ScoreValue(float(found.statistic), p=float(found.pvalue))


def _cliffs_delta(reference: FloatArray, other: FloatArray, rng: np.random.Generator) -> ScoreValue:
    low, high = cliffs_delta_interval(reference, other, rng)
    return ScoreValue(cliffs_delta(reference, other), low=low, high=high)
