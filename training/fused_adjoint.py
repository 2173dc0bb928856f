"""Loops of the way back: one step of samples that go side by side, number `k` of them being sample `first + k`.

Whole arrays with indices, since a view costs as much as the arithmetic on it. Shapes: traces (batch, steps, n), what
belongs to a sample (samples, n), parameters and their sums (n,). `g_...` are gradients; `sums` are added to.

A reset is written as u - f (to_value u + drop) with f = 0 or 1: either to_value is 1 and drop the negative value of the
reset, or to_value is 0 and drop the threshold.
"""

from __future__ import annotations

from typing import Any

from spikebridge.training.compiled import compiled_gradient
from spikebridge.training.early import fetch_row_early
from spikebridge.training.fused_types import Entries, Floats, Rule


@compiled_gradient
def fetch(first: int, now: int, trace: Floats, rows: Floats, size: int) -> None:
    """Rows of a step."""
    for k in range(len(rows)):
        for n in range(size):
            rows[k, n] = trace[first + k, now, n]


@compiled_gradient
def gather(first: int, now: int, trace: Floats, rows: Floats) -> None:
    """Add rows of a step."""
    for k in range(len(rows)):
        for n in range(rows.shape[1]):
            rows[k, n] += trace[first + k, now, n]


@compiled_gradient
def add(x: Floats, total: Floats) -> None:
    """Rows to rows."""
    for k in range(len(total)):
        for n in range(total.shape[1]):
            total[k, n] += x[k, n]


@compiled_gradient
def add_row(rows: Floats, row: int, totals: Floats, at: int, to: int) -> None:
    """One row to `totals[at, to]`."""
    for n in range(totals.shape[2]):
        totals[at, to, n] += rows[row, n]


@compiled_gradient
def flush(part: Floats, total: Floats) -> None:
    """A row to a row, and 0 into it."""
    zero = part.dtype.type(0)
    for n in range(len(total)):
        total[n] += part[n]
        part[n] = zero


@compiled_gradient
def reset_adjoint(
    first: int,
    now: int,
    to_value: Any,
    drop: Floats,
    jump: Floats,
    spikes: Floats,
    reached: Floats,
    g_w: Floats,
    g_u: Floats,
    g_spikes: Floats,
    sum_jump: Floats,
) -> None:
    """Back through the reset: `g_spikes` is added to, `g_u` becomes that of the potential before the reset."""
    one = g_u.dtype.type(1)
    for k in range(len(g_u)):
        for n in range(g_u.shape[1]):
            f, u, w = spikes[first + k, now, n], g_u[k, n], g_w[k, n]
            g_spikes[k, n] += jump[n] * w - (to_value * reached[first + k, now, n] + drop[n]) * u
            g_u[k, n] = u * (one - to_value * f)
            sum_jump[n] += f * w


@compiled_gradient
def land_adjoint(first: int, now: int, blocks: Any, held: Floats, spikes: Floats, g_u: Floats, g_jumps: Floats) -> None:
    """Gradient of arrivals that are jumps; `blocks` is 1 where refractory neurons drop them, else 0."""
    one = g_u.dtype.type(1)
    for k in range(len(g_u)):
        for n in range(g_u.shape[1]):
            lost = one - (one - spikes[first + k, now, n]) * (one - held[k, n])
            g_jumps[k, n] = g_u[k, n] * (one - blocks * lost)


@compiled_gradient
def scaled_adjoint(
    first: int, now: int, scale: Floats, raw: Floats, g_due: Floats, g_raw: Floats, sum_scale: Floats
) -> None:
    """Gradient of arrivals before they were scaled, from that of all arrivals."""
    for k in range(len(g_due)):
        for n in range(g_due.shape[1]):
            g = g_due[k, n]
            g_raw[first + k, now, n] = g * scale[n]
            sum_scale[n] += g * raw[first + k, now, n]


@compiled_gradient
def plain_adjoint(first: int, now: int, g_due: Floats, g_raw: Floats) -> None:
    """`scaled_adjoint` without a scale."""
    for k in range(len(g_due)):
        for n in range(g_due.shape[1]):
            g_raw[first + k, now, n] = g_due[k, n]


@compiled_gradient
def deliver(slot: int, g_due: Floats, ring: Floats) -> None:
    """Keep the gradients of the arrivals of a step."""
    for k in range(len(g_due)):
        for n in range(g_due.shape[1]):
            ring[slot, k, n] = g_due[k, n]


@compiled_gradient
def hold(
    first: int,
    before: int,
    there: Any,
    rule: Rule,
    step: Entries,
    held: Floats,
    spikes: Floats,
    reached: Floats,
    w_trace: Floats,
    g_u: Floats,
    g_w: Floats,
    rest_u: Floats,
    rest_w: Floats,
    sums: Entries,
) -> None:
    """Take the gradients of frozen neurons out, into `rest_u` and `rest_w` before the step."""
    for k in range(len(g_u)):
        for n in range(g_u.shape[1]):
            r = reached[first + k, before, n]
            u = there * (r - spikes[first + k, before, n] * (rule.to_value * r + rule.drop[n]))
            a, b = g_u[k, n] * held[k, n], g_w[k, n] * held[k, n]
            rest_u[k, n] = a + step.frozen_w_u[n] * b
            rest_w[k, n] = step.frozen_w_w[n] * b
            sums.frozen_w_u[n] += b * u
            sums.frozen_w_w[n] += b * there * w_trace[first + k, before, n]
            g_u[k, n] -= a
            g_w[k, n] -= b


@compiled_gradient
def exponential_adjoint(
    first: int,
    before: int,
    there: Any,
    step: Entries,
    current: Floats,
    g_u: Floats,
    g_w: Floats,
    g_current: Floats,
    sums: Entries,
) -> None:
    """Back through one exact step of a decaying current; before those of u and w, whose gradients it reads."""
    for k in range(len(g_u)):
        for n in range(g_u.shape[1]):
            a, b, c, i = g_u[k, n], g_w[k, n], g_current[k, n], there * current[first + k, before, n]
            sums.i_i[n] += c * i
            sums.u_i[n] += a * i
            sums.w_i[n] += b * i
            g_current[k, n] = step.i_i[n] * c + step.u_i[n] * a + step.w_i[n] * b


@compiled_gradient
def leak_adjoint(
    first: int,
    before: int,
    there: Any,
    rule: Rule,
    step: Entries,
    spikes: Floats,
    reached: Floats,
    current: Floats,
    g_u: Floats,
    g_constant: Floats,
    sums: Entries,
) -> None:
    """Back through one exact step without adaptation; `g_constant` is set, for the constant current.

    `before` is the step before, and `there` 1; in the first step any step, and 0.
    """
    then = max(before - 1, 0)
    for k in range(len(g_u)):
        fetch_row_early(first + k, then, spikes)
        fetch_row_early(first + k, then, reached)
        fetch_row_early(first + k, then, current)
        for n in range(g_u.shape[1]):
            a, r = g_u[k, n], reached[first + k, before, n]
            u = there * (r - spikes[first + k, before, n] * (rule.to_value * r + rule.drop[n]))
            g = step.u_c[n] * a
            g_constant[k, n] = g
            sums.bias[n] += g
            sums.u_u[n] += a * u
            sums.u_c[n] += a * (step.bias[n] + rule.pulses * there * current[first + k, before, n])
            g_u[k, n] = step.u_u[n] * a


@compiled_gradient
def adaptive_adjoint(
    first: int,
    before: int,
    there: Any,
    rule: Rule,
    step: Entries,
    spikes: Floats,
    reached: Floats,
    w_trace: Floats,
    current: Floats,
    g_u: Floats,
    g_w: Floats,
    g_constant: Floats,
    sums: Entries,
) -> None:
    """`leak_adjoint` with adaptation."""
    then = max(before - 1, 0)
    for k in range(len(g_u)):
        fetch_row_early(first + k, then, spikes)
        fetch_row_early(first + k, then, reached)
        fetch_row_early(first + k, then, w_trace)
        fetch_row_early(first + k, then, current)
        for n in range(g_u.shape[1]):
            a, b, w, r = g_u[k, n], g_w[k, n], there * w_trace[first + k, before, n], reached[first + k, before, n]
            u = there * (r - spikes[first + k, before, n] * (rule.to_value * r + rule.drop[n]))
            constant = step.bias[n] + rule.pulses * there * current[first + k, before, n]
            g = step.u_c[n] * a + step.w_c[n] * b
            g_constant[k, n] = g
            sums.bias[n] += g
            sums.u_u[n] += a * u
            sums.u_w[n] += a * w
            sums.u_c[n] += a * constant
            sums.w_u[n] += b * u
            sums.w_w[n] += b * w
            sums.w_c[n] += b * constant
            g_u[k, n] = step.u_u[n] * a + step.w_u[n] * b
            g_w[k, n] = step.u_w[n] * a + step.w_w[n] * b


@compiled_gradient
def run_back(leaves: int, enters: int, ring: Floats, constant: Floats, g_current: Floats) -> None:
    """A pulse is in the constant current of as many steps as it lasts: one gradient enters their sum, one leaves it."""
    for k in range(len(g_current)):
        for n in range(g_current.shape[1]):
            g_current[k, n] += constant[k, n] - ring[leaves, k, n]
            ring[enters, k, n] = constant[k, n]
