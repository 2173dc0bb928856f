"""Corrections of p values for the number of comparisons."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import false_discovery_control

from spikebridge.bridge.arrays import FloatArray
from spikebridge.bridge.errors import SpecError


def holm(p_values: Sequence[float]) -> FloatArray:
    """Adjusted p values after Holm (1979): the chance of a single false alarm stays below the level.

    Args:
        p_values: (K,) of all comparisons that were made, each 0 .. 1.

    Returns:
        (K,) in the same order.

    Raises:
        SpecError: a p value is not 0 .. 1.
    """
    p = _checked(p_values)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(p.size, 0, -1))
    adjusted = np.empty(p.size)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted


def benjamini_hochberg(p_values: Sequence[float]) -> FloatArray:
    """Adjusted p values after Benjamini & Hochberg (1995): the expected share of false alarms among all alarms.

    Args and errors are those of `holm`; computed by SciPy.
    """
    p = _checked(p_values)
    return np.asarray(false_discovery_control(p), dtype=np.float64) if p.size else p


def _checked(p_values: Sequence[float]) -> FloatArray:
    p = np.array(p_values, dtype=np.float64)
    if not ((p >= 0) & (p <= 1)).all():
        raise SpecError("p values must be 0 .. 1; leave out comparisons that are undefined")
    return p
