"""Weights rounded so that sums do not depend on their order.

A matrix product, an event queue and a GPU's atomic additions add the same arrivals in different orders, and floating
point addition is not associative. Multiples of one power of two are: as long as partial sums stay below 2^53 quanta,
every order gives the same float64.
"""

from __future__ import annotations

import numpy as np

from spikebridge.bridge.arrays import FloatArray
from spikebridge.bridge.errors import SpecError

WEIGHT_BITS = 20


def weight_quantum(threshold: FloatArray, bits: int = WEIGHT_BITS) -> float:
    """The largest power of two at or below 2^-bits of the lowest threshold."""
    return float(2.0 ** (np.floor(np.log2(threshold.min())) - bits))


def round_weights(weight: FloatArray, quantum: float) -> FloatArray:
    """Weights as multiples of `quantum`, to the nearest.

    Raises:
        SpecError: sums of these weights could exceed 2^52 quanta, so they would no longer be exact.
    """
    rounded = np.round(weight / quantum)
    if rounded.size and np.abs(rounded).sum() >= 2.0**52:
        raise SpecError(
            f"weights up to {np.abs(weight).max():.3g} are too large for exact sums with a quantum of {quantum:.3g}; "
            "the training diverged, or the thresholds are far smaller than the weights"
        )
    return np.asarray(rounded * quantum, dtype=np.float64)
