"""The way back of the most frequent model in one loop: pulses of one step, no neuron ever waits, none is recurrent.

The same gradients as those of `fused_backward`, which goes back one loop after the other with some samples side by
side, as recurrent weights need it (`recurrent_pulse_back`). Here a sample goes back by itself, and what one operation
leaves to the next stays in registers. Names and shapes are those of `fused_adjoint`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from spikebridge.training.compiled import compiled_gradient, compiled_within
from spikebridge.training.fused_adjoint import flush
from spikebridge.training.fused_types import SUMS, Constants, Entries, Floats, Gradients, Kind, Traces
from spikebridge.training.threshold_adjoint import slope_at


def backward_alone(
    first: int,
    last: int,
    kind: Kind,
    constants: Constants,
    traces: Traces,
    surrogate: int,
    width: Any,
    grad: Gradients,
) -> None:
    """`fused_backward.backward` with gradients of spikes alone; `traces.due` is not used."""
    size, dtype = traces.raw.shape[2], traces.raw.dtype
    step, drop = by_name(kind, constants)
    part = np.zeros((SUMS, size), dtype)
    rule = width, dtype.type(kind.to_value), constants.theta, drop
    loop = loop_alone(surrogate, kind.adaptive)
    state = np.zeros((3, size), dtype)
    loop(first, last, *rule, step, traces, grad.spikes, grad.raw, *state, Entries(*part), Entries(*grad.sums))


def by_name(kind: Kind, constants: Constants) -> tuple[Entries, Floats]:
    """Parameters by name, with a scale of 1 where there is none, and what a reset subtracts, see `fused_adjoint`."""
    theta = constants.theta
    scale = constants.scale if constants.scale.size else np.ones_like(theta)
    drop = np.full_like(theta, -kind.reset_value) if kind.to_value else theta
    return Entries._make([*constants.step, constants.bias, constants.jump, scale]), drop


@cache
def loop_alone(surrogate: int, adaptive: bool) -> Callable[..., None]:
    """The loop over all steps of samples `first .. last - 1`; `total` is added to."""

    @compiled_gradient
    def run(
        first: int,
        last: int,
        width: Any,
        to_value: Any,
        theta: Floats,
        drop: Floats,
        step: Entries,
        traces: Traces,
        g_spikes: Floats,
        g_raw: Floats,
        g_u: Floats,
        g_w: Floats,
        g_current: Floats,
        sums: Entries,
        total: Entries,
    ) -> None:
        zero, one = g_u.dtype.type(0), g_u.dtype.type(1)
        for b in range(first, last):
            for n in range(g_u.size):
                g_u[n], g_w[n], g_current[n] = zero, zero, zero
            for now in range(traces.spikes.shape[1] - 1, -1, -1):
                before, there = max(now - 1, 0), one if now > 0 else zero
                for n in range(g_u.size):
                    r, u, a_w, c = traces.reached[b, now, n], g_u[n], g_w[n], g_current[n]
                    g = g_spikes[b, now, n] - (to_value * r + drop[n]) * u
                    f = traces.spikes[b, now, n]
                    if adaptive:
                        g += step.jump[n] * a_w
                        sums.jump[n] += f * a_w
                    g_raw[b, now, n] = c * step.scale[n]
                    sums.scale[n] += c * traces.raw[b, now, n]
                    a = u * (one - to_value * f) + slope_at(surrogate, (r - theta[n]) / width, theta) * g
                    r = traces.reached[b, before, n]
                    u = there * (r - traces.spikes[b, before, n] * (to_value * r + drop[n]))
                    constant = step.bias[n] + there * (traces.raw[b, before, n] * step.scale[n])
                    sums.u_u[n] += a * u
                    sums.u_c[n] += a * constant
                    g_u[n], c = step.u_u[n] * a, step.u_c[n] * a
                    if adaptive:
                        w = there * traces.w[b, before, n]
                        sums.u_w[n] += a * w
                        sums.w_u[n] += a_w * u
                        sums.w_w[n] += a_w * w
                        sums.w_c[n] += a_w * constant
                        g_u[n] += step.w_u[n] * a_w
                        g_w[n] = step.u_w[n] * a + step.w_w[n] * a_w
                        c += step.w_c[n] * a_w
                    sums.bias[n] += c
                    g_current[n] = c
            flush_all(sums, total)

    return run


@compiled_within
def flush_all(sums: Entries, total: Entries) -> None:
    """Summed up per sample first: the error of a sum grows with the number of its terms."""
    for row in range(SUMS):
        flush(sums[row], total[row])
