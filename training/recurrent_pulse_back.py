"""The way back of recurrent populations with pulses of one step whose neurons never wait.

The same gradients as those of `fused_backward`, with one loop per step in the place of four: from the gradients of the
spikes of a step, which the matrix product has completed, to those of the step before. Names and shapes are those of
`fused_adjoint`; samples go side by side, as the product needs it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from spikebridge.training.compiled import compiled_gradient, compiled_within
from spikebridge.training.early import fetch_row_early
from spikebridge.training.fused_adjoint import add_row
from spikebridge.training.fused_backward import TOGETHER
from spikebridge.training.fused_types import SUMS, Constants, Entries, Floats, Gradients, Ints, Kind, Traces
from spikebridge.training.lane_bits import memory_for, who_reached
from spikebridge.training.single_pulse_back import by_name, flush_all
from spikebridge.training.threshold_adjoint import slope_at
from spikebridge.training.tile_product import TILE_ROWS, add_product

STEPS_TOGETHER = 4
"""So many steps are summed up before that goes into the whole sum: the error of a sum grows with its terms."""


class Threshold(NamedTuple):
    """How neurons fire and what a reset does, numbers of the type of the arrays and vectors (n,)."""

    width: Any
    to_value: Any
    theta: Floats
    drop: Floats


class Synapses(NamedTuple):
    """Recurrent weights as `tile_product.panels_across` has them and their gradients, (lags, n, n).

    `potentials` are all of them in a row, and `found` is memory for who fired.
    """

    lags: Ints
    panels: Floats
    gradients: Floats
    potentials: Floats
    found: Ints


class Rows(NamedTuple):
    """Gradients of samples side by side: of u and w (samples, n), of the spikes of a step and the arrivals of some.

    The last two have room for whole tiles of the product, (tiles, columns) and (reach back, tiles, columns).
    """

    u: Floats
    w: Floats
    spikes: Floats
    delivered: Floats


def backward_recurrent(
    first: int,
    last: int,
    kind: Kind,
    constants: Constants,
    traces: Traces,
    surrogate: int,
    width: Any,
    grad: Gradients,
) -> None:
    """`fused_backward.backward` with gradients of spikes alone."""
    size, dtype = traces.due.shape[2], traces.due.dtype
    step, drop = by_name(kind, constants)
    threshold = Threshold(width, dtype.type(kind.to_value), constants.theta, drop)
    lags, panels = constants.lags, constants.panels
    synapses = Synapses(lags, panels, grad.recurrent, traces.potentials.ravel(), memory_for(size))
    samples = min(TOGETHER, last - first)
    tiles, columns = -(-samples // TILE_ROWS) * TILE_ROWS, panels.shape[1] * panels.shape[3]
    shapes = (samples, size), (samples, size), (tiles, columns), (1 + lags.max(), tiles, columns)
    rows = Rows(*(np.zeros(shape, dtype) for shape in shapes))
    sums = Entries(*np.zeros((SUMS, size), dtype)), Entries(*grad.sums)
    loop = loop_recurrent(surrogate, kind.adaptive, bool(constants.scale.size))
    loop(first, last, threshold, step, traces, synapses, rows, grad.spikes, grad.raw, *sums)


@compiled_gradient
def last_step(first: int, samples: int, now: int, g_spikes: Floats, g: Rows, g_raw: Floats) -> None:
    """Nothing follows the last step: the gradients of its spikes are those that are given."""
    slot, zero = now % len(g.delivered), g.spikes.dtype.type(0)
    for k in range(samples):
        for n in range(g.u.shape[1]):
            g.u[k, n], g.w[k, n], g.delivered[slot, k, n], g_raw[first + k, now, n] = zero, zero, zero, zero
            g.spikes[k, n] = g_spikes[first + k, now, n]


@compiled_gradient
def first_step(
    first: int,
    samples: int,
    surrogate: int,
    adaptive: bool,
    by: Threshold,
    step: Entries,
    traces: Traces,
    g: Rows,
    sums: Entries,
) -> None:
    """Before the first step all is 0 but the constant current."""
    for k in range(samples):
        for n in range(g.u.shape[1]):
            x = (traces.potentials[first + k, 0, n] - by.theta[n]) / by.width
            a, a_w = g.u[k, n] + slope_at(surrogate, x, by.theta) * g.spikes[k, n], g.w[k, n]
            c = step.u_c[n] * a
            sums.u_c[n] += a * step.bias[n]
            if adaptive:
                sums.w_c[n] += a_w * step.bias[n]
                c += step.w_c[n] * a_w
            sums.bias[n] += c


@compiled_within
def through_weights(first: int, samples: int, now: int, steps: int, theta: Floats, through: Synapses, g: Rows) -> None:
    """Add to the gradients of spikes what comes back through recurrent synapses, and to the weights of who fired.

    Rows of whole tiles are multiplied; those beyond the samples are never read.
    """
    tiles = (samples + TILE_ROWS - 1) // TILE_ROWS * TILE_ROWS
    for lag in range(through.lags.size):
        if now + through.lags[lag] < steps:
            arrived = g.delivered[(now + through.lags[lag]) % len(g.delivered)]
            add_product(g.spikes[:tiles], arrived[:tiles], through.panels[lag])
            for k in range(samples):
                row = ((first + k) * steps + now) * theta.size
                for event in range(who_reached(through.potentials, row, theta, through.found)):
                    add_row(arrived, k, through.gradients, lag, through.found[event])


@cache
def loop_recurrent(surrogate: int, adaptive: bool, scaled: bool) -> Callable[..., None]:
    """The loop over all steps of samples `first .. last - 1`; `total` is added to, and so are recurrent gradients."""

    @compiled_gradient
    def run(
        first: int,
        last: int,
        by: Threshold,
        step: Entries,
        traces: Traces,
        through: Synapses,
        g: Rows,
        g_spikes: Floats,
        g_raw: Floats,
        sums: Entries,
        total: Entries,
    ) -> None:
        zero, one = by.theta.dtype.type(0), by.theta.dtype.type(1)
        steps, size = traces.due.shape[1], g.u.shape[1]
        for start in range(first, last, TOGETHER):
            samples = min(TOGETHER, last - start)
            last_step(start, samples, steps - 1, g_spikes, g, g_raw)
            for now in range(steps - 1, -1, -1):
                through_weights(start, samples, now, steps, by.theta, through, g)
                before, slot = now - 1, (now - 1) % len(g.delivered)
                for k in range(samples if now else 0):
                    b = start + k
                    fetch_step_early(b, max(before - 1, 0), adaptive, scaled, traces, g_spikes, g_raw)
                    for n in range(size):
                        x = (traces.potentials[b, now, n] - by.theta[n]) / by.width
                        a, a_w = g.u[k, n] + slope_at(surrogate, x, by.theta) * g.spikes[k, n], g.w[k, n]
                        r = traces.potentials[b, before, n]
                        f, fall = one if r >= by.theta[n] else zero, by.to_value * r + by.drop[n]
                        u, constant = r - f * fall, step.bias[n] + traces.due[b, before, n]
                        sums.u_u[n] += a * u
                        sums.u_c[n] += a * constant
                        next_u, c, back = step.u_u[n] * a, step.u_c[n] * a, g_spikes[b, before, n]
                        if adaptive:
                            w = traces.w[b, before, n]
                            sums.u_w[n] += a * w
                            sums.w_u[n] += a_w * u
                            sums.w_w[n] += a_w * w
                            sums.w_c[n] += a_w * constant
                            next_u, c = next_u + step.w_u[n] * a_w, c + step.w_c[n] * a_w
                            next_w = step.u_w[n] * a + step.w_w[n] * a_w
                            sums.jump[n] += f * next_w
                            back += step.jump[n] * next_w
                            g.w[k, n] = next_w
                        sums.bias[n] += c
                        if scaled:
                            sums.scale[n] += c * traces.raw[b, before, n]
                        g.delivered[slot, k, n], g_raw[b, before, n] = c, c * step.scale[n]
                        g.spikes[k, n], g.u[k, n] = back - fall * next_u, next_u * (one - by.to_value * f)
                if now % STEPS_TOGETHER == 0:
                    flush_all(sums, total)
            first_step(start, samples, surrogate, adaptive, by, step, traces, g, sums)
            flush_all(sums, total)

    return run


@compiled_within
def fetch_step_early(
    b: int, now: int, adaptive: bool, scaled: bool, traces: Traces, g_spikes: Floats, g_raw: Floats
) -> None:
    """Ask for what the next iteration reads and writes."""
    fetch_row_early(b, now, traces.potentials)
    fetch_row_early(b, now, traces.due)
    fetch_row_early(b, now, g_spikes)
    fetch_row_early(b, now, g_raw)
    if scaled:
        fetch_row_early(b, now, traces.raw)
    if adaptive:
        fetch_row_early(b, now, traces.w)
