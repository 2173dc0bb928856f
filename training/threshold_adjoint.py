"""Loops of the way back through the threshold, by `spikebridge.training.surrogate.DERIVATIVES`.

A loop per surrogate, whose number is a constant there: one that chooses within has no vector instructions. Shapes are
those of `fused_adjoint`: traces (batch, steps, n), what belongs to a sample (samples, n), parameters (n,).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from spikebridge.training.compiled import compiled_gradient, compiled_within
from spikebridge.training.fused_types import ARCTAN, BOXCAR, FAST_SIGMOID, GAUSSIAN, TRIANGLE, Floats


@compiled_within
def threshold_adjoint(
    first: int,
    now: int,
    name: int,
    width: Any,
    theta: Floats,
    closes: Any,
    held: Floats,
    potentials: Floats,
    g_spikes: Floats,
    g_u: Floats,
) -> None:
    """Add to `g_u` what reaches the potentials from the spikes of a step.

    `closes` is 1 where frozen neurons have no slope, else 0.
    """
    if name == BOXCAR:
        boxcar(first, now, width, theta, closes, held, potentials, g_spikes, g_u)
    elif name == TRIANGLE:
        triangle(first, now, width, theta, closes, held, potentials, g_spikes, g_u)
    elif name == FAST_SIGMOID:
        fast_sigmoid(first, now, width, theta, closes, held, potentials, g_spikes, g_u)
    elif name == ARCTAN:
        arctan(first, now, width, theta, closes, held, potentials, g_spikes, g_u)
    else:
        gaussian(first, now, width, theta, closes, held, potentials, g_spikes, g_u)


@compiled_gradient
def slope_at(surrogate: int, x: Any, numbers: Floats) -> Any:
    """Slope of a spike at a distance `x` from the threshold, in widths; `numbers` has the type of the result."""
    zero, half, one = numbers.dtype.type(0), numbers.dtype.type(0.5), numbers.dtype.type(1)
    if surrogate == BOXCAR:
        return half if abs(x) <= one else zero
    if surrogate == TRIANGLE:
        return max(one - abs(x), zero)
    if surrogate == FAST_SIGMOID:
        return one / ((one + abs(x)) * (one + abs(x)))
    if surrogate == ARCTAN:
        pi = numbers.dtype.type(np.pi)
        return one / (one + (pi * x) * (pi * x))
    return np.exp(-half * x * x) * numbers.dtype.type(0.3989422804014327)


@compiled_gradient
def boxcar(
    first: int,
    now: int,
    width: Any,
    theta: Floats,
    closes: Any,
    held: Floats,
    potentials: Floats,
    g_spikes: Floats,
    g_u: Floats,
) -> None:
    """`threshold_adjoint` by this surrogate."""
    one = g_u.dtype.type(1)
    for k in range(len(g_u)):
        for n in range(g_u.shape[1]):
            x = (potentials[first + k, now, n] - theta[n]) / width
            value = slope_at(BOXCAR, x, theta)
            g_u[k, n] += value * (one - closes * held[k, n]) * g_spikes[k, n]


@compiled_gradient
def triangle(
    first: int,
    now: int,
    width: Any,
    theta: Floats,
    closes: Any,
    held: Floats,
    potentials: Floats,
    g_spikes: Floats,
    g_u: Floats,
) -> None:
    """`threshold_adjoint` by this surrogate."""
    one = g_u.dtype.type(1)
    for k in range(len(g_u)):
        for n in range(g_u.shape[1]):
            x = (potentials[first + k, now, n] - theta[n]) / width
            value = slope_at(TRIANGLE, x, theta)
            g_u[k, n] += value * (one - closes * held[k, n]) * g_spikes[k, n]


@compiled_gradient
def fast_sigmoid(
    first: int,
    now: int,
    width: Any,
    theta: Floats,
    closes: Any,
    held: Floats,
    potentials: Floats,
    g_spikes: Floats,
    g_u: Floats,
) -> None:
    """`threshold_adjoint` by this surrogate."""
    one = g_u.dtype.type(1)
    for k in range(len(g_u)):
        for n in range(g_u.shape[1]):
            x = (potentials[first + k, now, n] - theta[n]) / width
            value = slope_at(FAST_SIGMOID, x, theta)
            g_u[k, n] += value * (one - closes * held[k, n]) * g_spikes[k, n]


@compiled_gradient
def arctan(
    first: int,
    now: int,
    width: Any,
    theta: Floats,
    closes: Any,
    held: Floats,
    potentials: Floats,
    g_spikes: Floats,
    g_u: Floats,
) -> None:
    """`threshold_adjoint` by this surrogate."""
    one = g_u.dtype.type(1)
    for k in range(len(g_u)):
        for n in range(g_u.shape[1]):
            x = (potentials[first + k, now, n] - theta[n]) / width
            value = slope_at(ARCTAN, x, theta)
            g_u[k, n] += value * (one - closes * held[k, n]) * g_spikes[k, n]


@compiled_gradient
def gaussian(
    first: int,
    now: int,
    width: Any,
    theta: Floats,
    closes: Any,
    held: Floats,
    potentials: Floats,
    g_spikes: Floats,
    g_u: Floats,
) -> None:
    """`threshold_adjoint` by this surrogate."""
    one = g_u.dtype.type(1)
    for k in range(len(g_u)):
        for n in range(g_u.shape[1]):
            x = (potentials[first + k, now, n] - theta[n]) / width
            value = slope_at(GAUSSIAN, x, theta)
            g_u[k, n] += value * (one - closes * held[k, n]) * g_spikes[k, n]
