"""Smooth random functions on the unit cube: sums of sinusoids whose amplitude falls with their frequency."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np

from spikebridge.bridge.arrays import FloatArray

_RELATIVE_PRECISION = 1e-3
"""Harmonics whose factor k^-alpha is smaller are left out."""
_GRID_POINTS = 1025
"""Where a function's range is looked for; at alpha = 2 at least 32 points per period."""


@dataclass(frozen=True, slots=True, eq=False)
class RandomFunctions:
    """F functions of a point x of the D-dimensional unit cube.

    Each of them is

        f(x) = prod_d sum_k A_dk k^-alpha sin(2 pi (k B_dk x_d + P_dk)),    k = 1 .. K

    with A, B and P uniform in 0 .. 1, scaled to 0 .. 1 by its own range over the whole cube.

    Attributes:
        amplitude: (F, D, K) A k^-alpha.
        frequency: (F, D, K) k B, in cycles per edge of the cube.
        phase: (F, D, K) P, in cycles.
    """

    amplitude: FloatArray
    frequency: FloatArray
    phase: FloatArray

    @classmethod
    def draw(cls, rng: np.random.Generator, n_functions: int, n_dimensions: int, alpha: float) -> Self:
        """New functions; `alpha` above 0 is their smoothness. Below 1 the number of harmonics stays that of 1."""
        n_harmonics = math.ceil((1.0 / _RELATIVE_PRECISION) ** min(1.0 / alpha, 1.0))
        k = np.arange(1, n_harmonics + 1, dtype=np.float64)
        amplitude, frequency, phase = rng.random((3, n_functions, n_dimensions, n_harmonics))
        return cls(amplitude * k**-alpha, frequency * k, phase)

    def __call__(self, points: FloatArray) -> FloatArray:
        """Values in 0 .. 1: `points` has shape (S, D), the result (S, F)."""
        grid = np.linspace(0.0, 1.0, _GRID_POINTS)
        value = self._factor(points[:, 0], 0)
        low, high = _range(self._factor(grid, 0))
        for d in range(1, points.shape[1]):
            value = value * self._factor(points[:, d], d)
            # Factors of different variables vary freely, so the range of the product follows from theirs.
            factor_low, factor_high = _range(self._factor(grid, d))
            low, high = _range(np.stack([low * factor_low, low * factor_high, high * factor_low, high * factor_high]))
        return np.clip((value - low) / (high - low), 0.0, 1.0)

    def _factor(self, x: FloatArray, d: int) -> FloatArray:
        """The sum over k in dimension d of the cube: x has shape (S,), the result (S, F)."""
        total = np.zeros((x.size, self.phase.shape[0]))
        # One harmonic at a time: all at once would need K times the memory.
        for amplitude, frequency, phase in zip(
            self.amplitude[:, d].T, self.frequency[:, d].T, self.phase[:, d].T, strict=True
        ):
            total += amplitude * np.sin(2.0 * np.pi * (np.multiply.outer(x, frequency) + phase))
        return total


def _range(values: FloatArray) -> tuple[FloatArray, FloatArray]:
    return values.min(axis=0), values.max(axis=0)
