"""When a trial is stopped before all its realisations are trained.

Pruners that come with Optuna compare one value per step and refuse studies of two objectives. Here both count: a trial
is stopped if a finished trial is better in accuracy and in rate, each by more than what seeds explain.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, variance


@dataclass(frozen=True, slots=True)
class Scores:
    """What the realisations of a trial reached so far.

    Attributes:
        accuracy: on the validation samples, one value per realisation.
        rate_hz: mean rate of hidden neurons there, likewise.
    """

    accuracy: tuple[float, ...]
    rate_hz: tuple[float, ...]


def dominating(scores: Scores, finished: Sequence[Scores], errors: float) -> int | None:
    """The first finished trial that is clearly better in both, None if there is none.

    With s the standard deviation over seeds, pooled within the finished trials and this one, and k and n realisations,
    a difference of means counts where it is larger than errors * s * sqrt(1/k + 1/n); differences of 0 never do. Where
    no trial has two realisations s is unknown, and nothing is stopped.

    Args:
        scores: of the trial, at least one realisation.
        finished: of trials whose realisations are all trained.
        errors: how many standard errors.
    """
    spread_accuracy = pooled_deviation([each.accuracy for each in (scores, *finished)])
    spread_hz = pooled_deviation([each.rate_hz for each in (scores, *finished)])
    if spread_accuracy is None or spread_hz is None:
        return None
    for number, other in enumerate(finished):
        error = errors * math.sqrt(1 / len(scores.accuracy) + 1 / len(other.accuracy))
        better = fmean(other.accuracy) - fmean(scores.accuracy)
        quieter_hz = fmean(scores.rate_hz) - fmean(other.rate_hz)
        if better > error * spread_accuracy and quieter_hz > error * spread_hz:
            return number
    return None


def pooled_deviation(groups: Sequence[Sequence[float]]) -> float | None:
    """Standard deviation within groups: sqrt(sum of squares within / sum of (n - 1)); None without any pair."""
    freedom = sum(len(group) - 1 for group in groups)
    if freedom < 1:
        return None
    return math.sqrt(sum(variance(group) * (len(group) - 1) for group in groups if len(group) > 1) / freedom)
