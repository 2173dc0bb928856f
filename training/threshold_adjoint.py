"""Loops of the way back through the threshold, by `spikebridge.training.surrogate.DERIVATIVES`.

A loop per surrogate: one that chooses within has no vector instructions. Shapes are those of `fused_adjoint`: traces
(batch, steps, n), what belongs to a sample (samples, n), parameters (n,).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from spikebridge.training.compiled import compiled_gradient, compiled_within
from spikebridge.training.fused_types import ARCTAN, BOXCAR, FAST_SIGMOID, TRIANGLE, Floats


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
    number = g_u.dtype.type
    half, zero, one = number(0.5), number(0), number(1)
    for k in range(len(g_u)):
        for n in range(g_u.shape[1]):
            x = (potentials[first + k, now, n] - theta[n]) / width
            value = half if abs(x) <= one else zero
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
    number = g_u.dtype.type
    zero, one = number(0), number(1)
    for k in range(len(g_u)):
        for n in range(g_u.shape[1]):
            x = (potentials[first + k, now, n] - theta[n]) / width
            value = max(one - abs(x), zero)
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
    number = g_u.dtype.type
    one = number(1)
    for k in range(len(g_u)):
        for n in range(g_u.shape[1]):
            x = (potentials[first + k, now, n] - theta[n]) / width
            value = one / ((one + abs(x)) * (one + abs(x)))
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
    number = g_u.dtype.type
    one, pi = number(1), number(np.pi)
    for k in range(len(g_u)):
        for n in range(g_u.shape[1]):
            x = (potentials[first + k, now, n] - theta[n]) / width
            value = one / (one + (pi * x) * (pi * x))
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
    number = g_u.dtype.type
    half, one, area = number(0.5), number(1), number(0.3989422804014327)
    for k in range(len(g_u)):
        for n in range(g_u.shape[1]):
            x = (potentials[first + k, now, n] - theta[n]) / width
            value = np.exp(-half * x * x) * area
            g_u[k, n] += value * (one - closes * held[k, n]) * g_spikes[k, n]
