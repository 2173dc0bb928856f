"""The adjoint of `spikebridge.training.fused_forward`: back through all steps with the surrogate's slope for a spike.

Some samples go side by side, so that gradients go back through the recurrent weights as one matrix product per step.
The loops over neurons are those of `fused_adjoint`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from spikebridge.training.compiled import compiled, compiled_within
from spikebridge.training.fused_adjoint import (
    adaptive_adjoint,
    add,
    add_row,
    deliver,
    exponential_adjoint,
    fetch,
    flush,
    gather,
    hold,
    land_adjoint,
    leak_adjoint,
    plain_adjoint,
    reset_adjoint,
    run_back,
    scaled_adjoint,
)
from spikebridge.training.fused_types import (
    DELTA,
    EXPONENTIAL,
    PULSE,
    SUMS,
    Adjoint,
    Constants,
    Entries,
    Floats,
    Gradients,
    Kind,
    Rule,
    Traces,
    entries,
    named,
)
from spikebridge.training.threshold_adjoint import threshold_adjoint
from spikebridge.training.tile_product import TILE_ROWS, add_product

TOGETHER = 32
"""Samples side by side: what they keep, some rows each, and the recurrent weights fit the cache of a core."""


@compiled
def backward(
    first: int, last: int, kind: Kind, constants: Constants, traces: Traces, surrogate: int, width: Any, grad: Gradients
) -> None:
    """Samples `first .. last - 1`; gradients of parameters are added to."""
    number = traces.due.dtype.type
    drop = constants.theta.copy()
    if kind.to_value:
        drop[:] = -kind.reset_value
    rule = Rule(
        surrogate,
        width,
        number(1 if kind.to_value else 0),
        number(1 if kind.refractory_steps > 0 else 0),
        number(0 if kind.slope_while_frozen else 1),
        number(1 if kind.synapse == PULSE else 0),
        drop,
    )
    for start in range(first, last, TOGETHER):
        samples_back(start, min(start + TOGETHER, last), kind, rule, constants, traces, grad)


@compiled
def samples_back(
    first: int, last: int, kind: Kind, rule: Rule, constants: Constants, traces: Traces, grad: Gradients
) -> None:
    """The samples that go side by side."""
    size, dtype = traces.due.shape[2], traces.due.dtype
    g, step = room(last - first, kind, constants, dtype), entries(constants)
    # Summed up per step first: the error of a sum grows with the number of its terms.
    part = np.zeros((SUMS, size), dtype)
    steps_back(first, kind, rule, constants, step, traces, grad, g, part, named(part))


@compiled_within
def steps_back(
    first: int,
    kind: Kind,
    rule: Rule,
    constants: Constants,
    step: Entries,
    traces: Traces,
    grad: Gradients,
    g: Adjoint,
    part: Floats,
    sums: Entries,
) -> None:
    """All steps of samples side by side; `sums` are the rows of `part`."""
    size, total = traces.due.shape[2], grad.sums
    for now in range(traces.due.shape[1] - 1, -1, -1):
        if kind.refractory_steps > 1:
            fetch(first, now, traces.frozen, g.held, size)
        arrivals_back(first, now, kind, rule, step, traces, grad, g, sums)
        if kind.spiking:
            recurrent_back(first, now, constants, traces, g, grad.recurrent)
            threshold_adjoint(
                first,
                now,
                rule.surrogate,
                rule.width,
                constants.theta,
                rule.closes,
                g.held,
                traces.potentials,
                g.spikes,
                g.u,
            )
        if grad.potentials.size:
            gather(first, now, grad.potentials, g.u)
        step_back(first, now, kind, rule, step, traces, g, sums)
        for row in range(SUMS):
            flush(part[row], total[row])


@compiled
def room(samples: int, kind: Kind, constants: Constants, dtype: Any) -> Adjoint:
    """Zeros for some samples."""
    size = constants.theta.size
    reach_back = 1 + constants.lags.max() if constants.lags.size else 0
    ring = kind.pulse_steps + 1 if kind.synapse == PULSE and kind.pulse_steps > 1 else 0
    tiles, columns = samples, size
    if constants.lags.size:
        tiles = (samples + TILE_ROWS - 1) // TILE_ROWS * TILE_ROWS
        columns = constants.panels.shape[1] * constants.panels.shape[3]
    return Adjoint(
        np.zeros((samples, size), dtype),
        np.zeros((samples, size), dtype),
        np.zeros((samples, size), dtype),
        np.zeros((tiles, columns), dtype),
        np.zeros((reach_back, tiles, columns), dtype),
        np.zeros((ring, samples, size), dtype),
        np.zeros((samples, size), dtype),
        np.zeros((samples, size), dtype),
        np.zeros((samples, size), dtype),
        np.zeros((samples, size), dtype),
    )


@compiled_within
def arrivals_back(
    first: int,
    now: int,
    kind: Kind,
    rule: Rule,
    step: Entries,
    traces: Traces,
    grad: Gradients,
    g: Adjoint,
    sums: Entries,
) -> None:
    """Back through reset and delivery of a step: to the arrivals, and to the spikes as far as the reset goes."""
    if kind.spiking:
        if grad.spikes.size:
            fetch(first, now, grad.spikes, g.spikes[: len(g.u)], g.u.shape[1])
        else:
            g.spikes[:] = 0
        reset_adjoint(
            first,
            now,
            rule.to_value,
            rule.drop,
            step.jump,
            traces.spikes,
            traces.reached,
            g.w,
            g.u,
            g.spikes,
            sums.jump,
        )
    g_due = g.current
    if kind.synapse == DELTA:
        land_adjoint(first, now, rule.blocks, g.held, traces.spikes, g.u, g.constant)
        g_due = g.constant
    if step.scale.size:
        scaled_adjoint(first, now, step.scale, traces.raw, g_due, grad.raw, sums.scale)
    else:
        plain_adjoint(first, now, g_due, grad.raw)
    if len(g.delivered):
        deliver(now % len(g.delivered), g_due, g.delivered)


@compiled_within
def recurrent_back(first: int, now: int, constants: Constants, traces: Traces, g: Adjoint, recurrent: Any) -> None:
    """Gradient of the spikes of a step through recurrent synapses, and of the weights of who fired."""
    for lag in range(constants.lags.size):
        if now + constants.lags[lag] >= traces.due.shape[1]:
            continue
        arrived = g.delivered[(now + constants.lags[lag]) % len(g.delivered)]
        add_product(g.spikes, arrived, constants.panels[lag])
        for k in range(len(g.u)):
            for n in range(g.u.shape[1]):
                if traces.spikes[first + k, now, n] != 0:
                    add_row(arrived, k, recurrent, lag, n)


@compiled_within
def step_back(
    first: int, now: int, kind: Kind, rule: Rule, step: Entries, traces: Traces, g: Adjoint, sums: Entries
) -> None:
    """Back through the exact step."""
    before = max(now - 1, 0)
    there = rule.drop.dtype.type(1 if now > 0 else 0)
    w = traces.w if kind.adaptive else traces.potentials
    current = traces.current if kind.synapse != DELTA else traces.potentials
    if kind.refractory_steps > 1:
        hold(
            first,
            before,
            there,
            rule,
            step,
            g.held,
            traces.spikes,
            traces.reached,
            w,
            g.u,
            g.w,
            g.rest_u,
            g.rest_w,
            sums,
        )
    if kind.synapse == EXPONENTIAL:
        exponential_adjoint(first, before, there, step, current, g.u, g.w, g.current, sums)
    # Of a pulse of one step the current is the arrivals of the step before: what goes back to it is all there is.
    into = g.current if kind.synapse == PULSE and kind.pulse_steps == 1 else g.constant
    if kind.adaptive:
        adaptive_adjoint(
            first, before, there, rule, step, traces.spikes, traces.reached, w, current, g.u, g.w, into, sums
        )
    else:
        leak_adjoint(first, before, there, rule, step, traces.spikes, traces.reached, current, g.u, into, sums)
    if kind.refractory_steps > 1:
        add(g.rest_u, g.u)
        add(g.rest_w, g.w)
    ring = len(g.constants)
    if ring:
        run_back((now + ring - 1) % ring, now % ring, g.constants, g.constant, g.current)
