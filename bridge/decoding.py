"""From readout potentials to class scores: one rule, the same code for every executor."""

from __future__ import annotations

from enum import StrEnum

import numpy as np

from spikebridge.bridge.arrays import FloatArray, IntArray


class Decoding(StrEnum):
    """How the potentials of the readout become one score per class."""

    SOFTMAX_SUM = "softmax_sum"
    """Time integral of the softmax over classes, in training steps (the readout of Bittar & Garner 2022)."""
    MEAN = "mean"
    """Mean potential over time."""
    MAX = "max"
    """Highest potential over time."""
    LAST = "last"
    """Potential at the end of the last step."""


def decode(potentials: FloatArray, rule: Decoding, *, step_ms: float, training_step_ms: float) -> FloatArray:
    """Scores of shape (samples, classes) from potentials of shape (samples, steps, classes).

    The softmax sum is weighted with `step_ms / training_step_ms`, so that its value does not depend on the step.
    """
    match rule:
        case Decoding.SOFTMAX_SUM:
            shifted = np.exp(potentials - potentials.max(axis=-1, keepdims=True))
            softmax = shifted / shifted.sum(axis=-1, keepdims=True)
            return np.asarray(softmax.sum(axis=1) * (step_ms / training_step_ms))
        case Decoding.MEAN:
            return np.asarray(potentials.mean(axis=1))
        case Decoding.MAX:
            return np.asarray(potentials.max(axis=1))
        case Decoding.LAST:
            return np.asarray(potentials[:, -1])


def decide(scores: FloatArray) -> IntArray:
    """(samples,) the class with the highest score, the first of equals."""
    return np.asarray(scores.argmax(axis=-1), dtype=np.int64)
